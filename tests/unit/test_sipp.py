"""What SIPp and tshark left of real calls. Line 1 of each capture tells the version and the command."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from labctl.sip import sipp, transcript, tshark
from labctl.sip.sipp import Agent
from labctl.sip.transcript import Ending, LogSplitter, MessageSummary, Transcript
from labctl.sip_message import SipMessage
from tests.unit.labs import DATA

AGENT = Agent("alice", "secret", "192.0.2.1", "192.0.2.9", 6000, range(20000, 20010), "/tone")


def capture(name: str) -> bytes:
    """A capture as the tool wrote it."""
    return (DATA / "sipp" / f"{name}.txt").read_bytes().partition(b"\n")[2]


def read(name: str, size: int = 1 << 20) -> tuple[list[SipMessage], Ending]:
    """A capture, fed in pieces of `size` bytes."""
    data, splitter = capture(name), LogSplitter()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return [message for piece in pieces for message in splitter.feed(piece)], splitter.ending()


def test_messages_are_cut_by_the_length_that_sipp_tells() -> None:
    messages, ending = read("watch")
    assert [each.method or str(each.status) for each in messages[:5]] == [
        "SUBSCRIBE",
        "401",
        "SUBSCRIBE",
        "200",
        "NOTIFY",
    ]
    assert [each.sent for each in messages[:5]] == [True, False, True, False, False]
    assert all(len(each.body) == int(each.header("content-length")) for each in messages if each.header("Content-Type"))
    assert ending.code == 0


@pytest.mark.parametrize("size", [1, 7, 100])
def test_messages_are_the_same_however_the_stream_is_cut(size: int) -> None:
    assert read("watch", size) == read("watch")


def test_times_are_in_order() -> None:
    times = [each.at_s for each in read("watch")[0]]
    assert times == sorted(times)
    assert 0 < times[-1] - times[0] < 60


def test_dialog_states_of_a_watched_call() -> None:
    bodies = [each.body for each in read("watch")[0] if each.method == "NOTIFY"]
    states = [transcript.dialog_state(each) for each in bodies if each]
    assert states[:4] == ["terminated", "early", "confirmed", "terminated"]


@pytest.mark.parametrize("body", ["", "<dialog-info", "Messages-Waiting: yes"])
def test_what_is_no_dialog_info_is_told_so(body: str) -> None:
    with pytest.raises(ValueError, match="dialog-info"):
        transcript.dialog_state(body)


def test_lamp_goes_on_with_the_first_message() -> None:
    bodies = [each.body for each in read("mailbox")[0] if each.method == "NOTIFY"]
    before, after = transcript.message_summary(bodies[0]), transcript.message_summary(bodies[-1])
    assert after == MessageSummary(True, before.new + 1, 0)


def test_lamp_that_is_off_has_no_new_messages() -> None:
    body = "Messages-Waiting: no\r\nVoice-Message: 0/2 (0/0)\r\n"
    assert transcript.message_summary(body) == MessageSummary(False, 0, 2)


def test_what_is_no_message_summary_is_told_so() -> None:
    with pytest.raises(ValueError, match="message-summary"):
        transcript.message_summary("<dialog-info/>")


def test_refused_call_ends_with_its_status_and_code_1() -> None:
    messages, ending = read("no-such-extension")
    assert [each.status for each in messages if each.status >= 200] == [401, 404]
    assert ending.code == 1
    assert "Aborting call on unexpected message" in ending.errors
    assert str(ending) == "SIPp: a call failed (1)"


def test_wrong_password_is_answered_401_twice() -> None:
    messages, ending = read("wrong-password")
    assert [each.status for each in messages if each.about == "REGISTER" and each.status] == [401, 401]
    assert str(ending) == "SIPp: it was killed (137)"


def test_stream_that_breaks_off_has_no_ending() -> None:
    splitter = LogSplitter()
    splitter.feed(capture("watch")[:500])
    assert splitter.ending() == Ending(-1, "")


def test_rtp_packets_have_source_port_and_payload_type() -> None:
    packets = [tshark.parse_packet(line) for line in capture("rtp").decode().splitlines()]
    heard = {(each.source, each.port, each.payload_type) for each in packets if each}
    assert heard == {("198.18.254.11", 20000, 0), ("198.18.254.12", 20100, 0)}


def test_line_that_is_no_packet_is_none() -> None:
    assert tshark.parse_packet("Capturing on 'eth0'") is None


SCENARIOS = [
    sipp.register(AGENT, 3600),
    sipp.line(AGENT, 100),
    sipp.call(AGENT, "102", 1000),
    sipp.watch(AGENT, "102", 3600),
    sipp.storm(AGENT, 3600, 6001),
]
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


def elements(scenario: sipp.SippScenario) -> list[ET.Element]:
    return list(ET.fromstring(scenario.text).iter())  # noqa: S314 - our own


@every_scenario
def test_scenario_jumps_only_to_labels_that_it_has(scenario: sipp.SippScenario) -> None:
    labels = {element.attrib["id"] for element in elements(scenario) if element.tag == "label"}
    jumps = {
        element.attrib[key] for element in elements(scenario) for key in ("next", "ontimeout") if key in element.attrib
    }
    assert jumps <= labels


@every_scenario
def test_scenario_uses_every_variable_that_it_sets(scenario: sipp.SippScenario) -> None:
    """SIPp refuses a scenario that names a variable once."""
    assigned = {element.attrib["assign_to"] for element in elements(scenario) if "assign_to" in element.attrib}
    users = ("test", "condexec", "variable", "variable2")
    used = {element.attrib[key] for element in elements(scenario) for key in users if key in element.attrib}
    used |= set(re.findall(r"\[\$(\w+)\]", scenario.text))
    assert assigned - used == set()
    assert used - assigned == set()


@every_scenario
def test_scenario_that_signs_passes_over_a_challenge_that_comes_again(scenario: sipp.SippScenario) -> None:
    """After each signed request a 401 ends it only if it answers that very request, which its CSeq tells."""
    steps = [*ET.fromstring(scenario.text)]  # noqa: S314 - our own
    signed = [
        number for number, step in enumerate(steps) if step.tag == "send" and "[authentication" in (step.text or "")
    ]
    assert signed or scenario.name == "line"  # whose phone answers only
    for number in signed:
        waits = []
        for step in steps[number + 1 :]:
            if step.tag == "send":
                break
            waits.append(step)
        challenge = next(step for step in waits if step.get("response") == "401")
        assert (challenge.get("optional"), challenge.get("test")) == ("true", "differs")


@pytest.mark.parametrize("scenario", SCENARIOS[1:3], ids=lambda scenario: scenario.name)
def test_an_order_in_a_call_is_compared_as_a_whole(scenario: sipp.SippScenario) -> None:
    """An expression that names some orders leaves its variable as an earlier order has set it, where none fits: a phone
    that had held took the order to hang up for another hold."""
    subjects = [element for element in elements(scenario) if element.get("header") == "Subject:"]
    assert subjects
    assert {element.get("regexp") for element in subjects} == {"[a-z][a-z ]*"}
    assert all(re.fullmatch("[a-z][a-z ]*", order) for order in (sipp.HOLD, sipp.RESUME, sipp.REJECT, "go on"))


@pytest.mark.parametrize("scenario", SCENARIOS[1:3], ids=lambda scenario: scenario.name)
def test_an_offer_that_is_refused_is_acknowledged_with_its_branch(scenario: sipp.SippScenario) -> None:
    """RFC 3261, 17.1.1.3; the call goes on as it was (14.1)."""
    offers = re.findall(r"(INVITE|ACK) \[next_url\].*?branch=([^;]+);", scenario.text, re.DOTALL)
    assert sorted(method for method, branch in offers if "-offer-" in branch) == ["ACK", "INVITE"]
    assert len({branch for _, branch in offers if "-offer-" in branch}) == 1


def test_a_cancel_and_an_ack_of_a_refusal_have_the_cseq_of_their_invite() -> None:
    """RFC 3261, 9.1 and 17.1.1.3. SIPp's [cseq] would go on from the CSeq of the order that came in before."""
    text = sipp.call(AGENT, "102", 1000).text
    requests = re.findall(
        r"(INVITE|ACK|CANCEL) sip:102\S+ SIP/2.0\s+Via: \S+ \S+;branch=(\S+?);rport.*?CSeq: (\S+)", text, re.S
    )
    numbers = {branch: cseq for method, branch, cseq in requests if method == "ACK"}
    assert sorted(numbers.values()) == ["1", "2"]
    assert [numbers[branch] for method, branch, _ in requests if method == "INVITE"] == ["1", "2"]
    assert [(cseq, numbers[branch]) for method, branch, cseq in requests if method == "CANCEL"] == [("2", "2")]


def test_tone_is_one_second_of_text() -> None:
    tone = sipp.tone()
    assert len(tone) == 8000
    assert tone.isascii()


@pytest.mark.parametrize(
    ("start", "sent", "kept"),
    [
        ("NOTIFY sip:alice@192.0.2.9 SIP/2.0", False, 2),
        ("OPTIONS sip:alice@192.0.2.9 SIP/2.0", False, 2),
        ("NOTIFY sip:alice@192.0.2.9 SIP/2.0", True, 4),
        ("SIP/2.0 180 Ringing", False, 4),
    ],
)
def test_a_request_that_comes_again_tells_nothing_new(start: str, sent: bool, kept: int) -> None:
    heard = Transcript()
    for branch in ("z9hG4bK-1", "z9hG4bK-1", "z9hG4bK-2", "z9hG4bK-1"):
        heard.add(SipMessage(0.0, sent, start, (("Via", f"SIP/2.0/UDP 192.0.2.1;branch={branch}"),), ""))
    assert len(heard.messages) == kept


# Unique over time


def identifiers(agent: Agent) -> set[str]:
    """Every Call-ID, tag and branch that an agent's scenarios and command lines hold."""
    scenarios = [
        sipp.register(agent, 3600),
        sipp.line(agent, 100),
        sipp.call(agent, "102", 1000),
        sipp.watch(agent, "102", 3600),
        sipp.storm(agent, 3600, 6001),
    ]
    texts = [scenario.text for scenario in scenarios]
    commands = [sipp.command(agent, ("/x.xml",), once=True), sipp.load_command(agent, "/x.xml", 1, 1)]
    call_ids = {command[command.index("-cid_str") + 1] for command in commands}
    return call_ids | {match for text in texts for match in re.findall(r"(?:branch|From:.*;tag)=[^;\s]+", text)}


def test_two_agents_of_the_same_fields_share_no_call_id_tag_or_branch() -> None:
    fields = ("alice", "secret", "192.0.2.1", "192.0.2.9", 6000, range(20000, 20010), "/tone")
    first, second = identifiers(Agent(*fields)), identifiers(Agent(*fields))
    assert first
    assert first & second == set()


def test_a_request_that_a_scenario_sends_again_has_another_branch() -> None:
    """SIPp's [branch] names the message of the scenario, so that a second re-INVITE had the branch of the first."""
    for scenario in (sipp.register(AGENT, 3600), sipp.line(AGENT, 100), sipp.call(AGENT, "102", 1000)):
        branches = re.findall(r"branch=([^;\s]+)", scenario.text)
        assert branches
        assert [branch for branch in branches if "[branch]" in branch and "[cseq]" not in branch] == []
