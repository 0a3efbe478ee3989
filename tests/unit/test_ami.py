"""AMI's stream: the same messages however its bytes are cut, and actions that cannot smuggle headers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.asterisk.output import Message, MessageSplitter, render_action
from tests.unit.test_captures import capture

RECEIVED = "".join(
    line for line in capture("asterisk-1.6.2.9-ami").splitlines(keepends=True) if not line.startswith(">>>")
)
AMI_22 = (
    "2026/11/23 socat[7] retry\nAsterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: 1\r\n"
    "Message: Authentication accepted\r\n\r\nResponse: Success\r\nActionID: 2\r\nMessage: Command output follows\r\n"
    "Output: \r\nOutput:  a: b\r\nOutput: Grüße 😀\u2028\r\n\r\nEvent: X\r\n\r\n"
)


def split(data: bytes, cuts: list[int]) -> list[Message]:
    """The messages of a stream that comes in pieces."""
    splitter = MessageSplitter()
    places = [0, *sorted(cuts), len(data)]
    return [message for at, to in pairwise(places) for message in splitter.feed(data[at:to])]


def cut(data: bytes) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(data)), max_size=12)


@pytest.mark.parametrize("text", [RECEIVED, RECEIVED.replace("\n", "\r\n"), AMI_22], ids=["1.6", "1.6-crlf", "22"])
@given(st.data())
def test_messages_are_the_same_however_the_bytes_are_cut(text: str, data: st.DataObject) -> None:
    stream = text.encode()
    assert split(stream, data.draw(cut(stream))) == split(stream, [])


@given(st.text("\r\n:E é😀-"), st.data())
def test_so_are_those_of_a_stream_that_makes_no_sense(text: str, data: st.DataObject) -> None:
    stream = ("Asterisk Call Manager/1.1\r\n" + text).encode() + b"\xf0\x9f\r\n\r\n"
    assert split(stream, data.draw(cut(stream))) == split(stream, [])


def test_messages_of_1_6() -> None:
    greeting, login, setvar, event, *rest = split(RECEIVED.encode(), [])
    assert greeting == {"Greeting": "1.1"}
    assert login["Message"] == "Authentication accepted"
    assert setvar["Message"] == "Variable Set"
    assert (event["Event"], event["Exten"], event["Status"]) == ("ExtensionStatus", "100", "8")
    assert [message["Response"] for message in rest] == ["Success", "Follows", "Success", "Goodbye"]


def test_a_commands_output_is_one_text_in_every_version() -> None:
    old = split(RECEIVED.encode(), [])[5]["Output"]
    new = split(AMI_22.encode(), [])[2]["Output"]
    assert old.splitlines()[1] == "    -= Registered Asterisk Dial Plan Hints =-"
    assert old.splitlines()[-1] == "- 2 hints registered"
    assert new == "\n a: b\nGrüße 😀\u2028"


def test_what_a_stream_says_before_asterisk_greets_is_left_out() -> None:
    assert split(AMI_22.encode(), [])[0] == {"Greeting": "11.0.0"}


def test_a_message_that_has_not_ended_is_held_back() -> None:
    splitter = MessageSplitter()
    assert splitter.feed(b"Asterisk Call Manager/1.1\r\nEvent: A\r\n\r") == [{"Greeting": "1.1"}]
    assert splitter.feed(b"\nEvent: B\r\n") == [{"Event": "A"}]


@pytest.mark.parametrize("blank", ["", "\r\n", "\r\n\r\n", "\r\n\r\n\r\n"])
@given(st.data())
def test_whatever_blank_lines_are_between_messages_each_is_whole(blank: str, data: st.DataObject) -> None:
    """An event that ended with a blank line too many had the next one lost: a change of which nobody was told."""
    told = "Event: ExtensionStatus\r\nExten: 101\r\nStatus: 0\r\n\r\n"
    follows = "Response: Follows\r\nPrivilege: Command\r\na\r\n\r\nb\r\n--END COMMAND--\r\n\r\n"
    stream = (
        f"Asterisk Call Manager/11.0.0\r\n{blank}Event: X\r\n\r\n{blank}{told}{blank}{follows}{blank}{told}".encode()
    )
    _, event, first, command, last = split(stream, data.draw(cut(stream)))
    assert event == {"Event": "X"}
    assert first == last == {"Event": "ExtensionStatus", "Exten": "101", "Status": "0"}
    assert command["Output"].strip() == "a\n\nb"


def test_an_action_is_lines_and_an_empty_one() -> None:
    assert render_action("Command", {"Command": "x: y"}) == "Action: Command\r\nCommand: x: y\r\n\r\n"


@pytest.mark.parametrize("value", ["a\nAction: Originate", "a\r", "\n"])
def test_a_header_cannot_bring_another_one(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        render_action("Setvar", {"Value": value})
