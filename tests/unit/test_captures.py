"""Parsers on what the real tools printed. Line 1 of each capture says of which versions, by which command."""

from __future__ import annotations

import re

import pytest

from labctl.asterisk import output
from labctl.asterisk.output import Hint
from labctl.corosync import membership
from labctl.corosync.membership import Membership
from labctl.lab import Node
from tests.unit.labs import DATA


def capture(name: str) -> str:
    """A capture as it was printed, without the line that tells where it is from."""
    return (DATA / "captures" / f"{name}.txt").read_text("utf-8").partition("\n")[2]


def test_hints_of_1_6() -> None:
    assert output.parse_hints(capture("asterisk-1.6.2.9-core-show-hints")) == (
        Hint("200", "default", "SIP/alice", "Unavailable", 0),
        Hint("100", "default", "Custom:phone", "InUse", 0),
    )


def test_hints_of_22() -> None:
    hints = {hint.extension: hint for hint in output.parse_hints(capture("asterisk-22-core-show-hints"))}
    assert len(hints) == 7
    assert hints["mystate"] == Hint("mystate", "lab", "Custom:mystate", "Busy", 0)
    assert hints["103"] == Hint("103", "lab", "PJSIP/carol", "Unavailable", 0)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("asterisk-1.6.2.9-ais-show-clm-members", ("0xb1012c6", "0xc1012c6", "0xd1012c6")),
        ("asterisk-22-corosync-show-members", ("1", "2", "3")),
    ],
)
def test_members_are_given_in_order(name: str, members: tuple[str, ...]) -> None:
    assert output.parse_members(capture(name)) == members


def test_members_are_found_in_whichever_words_the_version_knows() -> None:
    other = "No such command 'ais clm show members' (type 'core show help ais clm' for other possible commands)\n"
    assert len(output.parse_members(other + capture("asterisk-1.6.2.9-ais-show-clm-members"))) == 3


def test_a_member_that_left_is_none() -> None:
    text = capture("asterisk-1.6.2.9-ais-show-clm-members").replace("Member: Yes", "Member: No", 1)
    assert output.parse_members(text) == ("0xc1012c6", "0xd1012c6")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("asterisk-22-core-show-version", "22.10.1+dfsg+~cs6.17.60671434-1"),
        ("asterisk-1.6.2.9-core-show-settings", "1.6.2.9"),
        ("asterisk-1.6.2.9-core-show-uptime", ""),
    ],
)
def test_the_version_is_found_or_none(name: str, version: str) -> None:
    assert output.parse_version(capture(name)) == version


def test_the_modules_of_1_6_are_as_many_as_it_counts() -> None:
    text = capture("asterisk-1.6.2.9-module-show")
    modules = output.parse_modules(text)
    assert f"{len(modules)} modules loaded" in text
    assert len(set(modules)) == len(modules) == 162
    assert (modules[0], modules[-1]) == ("res_ael_share", "app_playback")


@pytest.mark.parametrize(
    ("text", "group"),
    [
        (capture("corosync-3-cpgtool"), (2, 3)),
        ("Group Name\t PID\t Node ID\nasterisk\n\t 9\t 10 (x)\n\t 9\t 2 (x)\n\t 9\t 1 (x)\n", (1, 2, 10)),
        ("Group Name\t PID\t Node ID\ndlm\n\t 10\t 1 (198.18.0.11)\n", ()),
        ("Group Name\t PID\t Node ID\ndlm\n\t 10\t 4 (x)\nasterisk\n\t 10\t 1 (x)\nfenced\n\t 10\t 5 (x)\n", (1,)),
        ("Group Name\t PID\t Node ID\n", ()),
        ("Could not initialize corosync cpg API error 6\n", None),
        ("", None),
    ],
)
def test_who_is_in_asterisks_group(text: str, group: tuple[int, ...] | None) -> None:
    assert membership.parse_group(text) == group


def test_a_module_that_is_asked_for_is_there_or_not() -> None:
    assert output.parse_modules(capture("asterisk-1.6.2.9-module-show-like-ais")) == ("res_ais",)
    assert output.parse_modules("Module     Description    Use Count \n0 modules loaded\n") == ()


def test_what_1_6_has_been_told_of_a_device_is_in_the_words_that_it_was_told_in() -> None:
    device, state = re.findall(r"--- Name: '(\S+)'  State: '(\w+)'", capture("asterisk-1.6.2.9-devstate-list"))[0]
    assert device == "Custom:phone"
    assert state in output.DEVICE_STATES


def test_a_phone_of_1_6_that_is_off_has_a_peer_without_an_address() -> None:
    peers = capture("asterisk-1.6.2.9-sip-show-peers")
    assert re.findall(r"^(\S+) +\(Unspecified\) +D ", peers, re.MULTILINE) == ["alice"]
    assert Hint("200", "default", "SIP/alice", "Unavailable", 0) in output.parse_hints(
        capture("asterisk-1.6.2.9-core-show-hints")
    )


def test_1_6_has_an_entity_id_as_the_lab_gives_it_and_can_say_when_it_is_booted() -> None:
    settings = capture("asterisk-1.6.2.9-core-show-settings")
    assert re.findall("Entity ID: +(.+)", settings) == [Node("n1", 1).entityid]
    assert "Send Manager FullyBooted:    Disabled" in settings


def test_every_capture_says_where_it_is_from() -> None:
    firsts = [path.read_text("utf-8").partition("\n")[0] for path in (DATA / "captures").iterdir()]
    assert [line for line in firsts if not re.match(r"# (Asterisk|Corosync) [0-9]", line)] == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (capture("asterisk-1.6.2.9-core-show-uptime"), 6),
        (capture("asterisk-22-core-show-uptime"), 105),
        ("System uptime: 1 year, 2 weeks, 1 day, 1 hour, 1 minute, 1 second \n", 31536000 + 15 * 86400 + 3661),
        ("Unable to connect to remote asterisk\n", None),
        ("", None),
    ],
)
def test_uptime_in_seconds(text: str, seconds: int | None) -> None:
    assert output.parse_uptime(text) == seconds


@pytest.mark.parametrize("text", ["", "Cannot initialize QUORUM service\n", "Quorate:          No\n"])
def test_where_corosync_does_not_say_so_nothing_is_quorate(text: str) -> None:
    assert membership.parse_ring(text, {}) == Membership()


@pytest.mark.parametrize(("status", "name"), [("0", "Idle"), ("9", "InUse&Ringing"), ("-1", "NoHint"), ("64", "64")])
def test_a_status_number_has_a_name_or_stays_a_number(status: str, name: str) -> None:
    assert output.extension_state(status) == name
