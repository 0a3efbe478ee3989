"""Parsers on what the real tools printed. Line 1 of each capture says of which versions, by which command."""

from __future__ import annotations

import pytest

from labctl import asterisk, corosync
from labctl.asterisk import Hint
from labctl.facts import Ring
from tests.unit.labs import DATA


def capture(name: str) -> str:
    """A capture as it was printed, without the line that tells where it is from."""
    return (DATA / "captures" / f"{name}.txt").read_text("utf-8").partition("\n")[2]


def test_hints_of_1_6() -> None:
    assert asterisk.parse_hints(capture("asterisk-1.6.2.9-core-show-hints")) == (
        Hint("200", "default", "SIP/alice", "Unavailable", 0),
        Hint("100", "default", "Custom:phone", "InUse", 0),
    )


def test_hints_of_22() -> None:
    hints = {hint.extension: hint for hint in asterisk.parse_hints(capture("asterisk-22-core-show-hints"))}
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
    assert asterisk.parse_members(capture(name)) == members


def test_a_member_that_left_is_none() -> None:
    text = capture("asterisk-1.6.2.9-ais-show-clm-members").replace("Member: Yes", "Member: No", 1)
    assert asterisk.parse_members(text) == ("0xc1012c6", "0xd1012c6")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("asterisk-22-core-show-version", "22.10.1+dfsg+~cs6.17.60671434-1"),
        ("asterisk-1.6.2.9-core-show-uptime", ""),
    ],
)
def test_the_version_is_found_or_none(name: str, version: str) -> None:
    assert asterisk.parse_version(capture(name)) == version


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
    assert asterisk.parse_uptime(text) == seconds


def test_the_ring_of_corosync_3() -> None:
    assert corosync.parse_quorumtool(capture("corosync-3-quorumtool-s")) == Ring(True, (1, 2, 3), "1.9")


@pytest.mark.parametrize("text", ["", "Cannot initialize QUORUM service\n", "Quorate:          No\n"])
def test_where_corosync_does_not_say_so_nothing_is_quorate(text: str) -> None:
    assert corosync.parse_quorumtool(text) == Ring()


@pytest.mark.parametrize(("status", "name"), [("0", "Idle"), ("9", "InUse&Ringing"), ("-1", "NoHint"), ("64", "64")])
def test_a_status_number_has_a_name_or_stays_a_number(status: str, name: str) -> None:
    assert asterisk.extension_state(status) == name
