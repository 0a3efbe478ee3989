"""The membership as a node's log and its tools tell it, in the words of Corosync 3 and of 1.x."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.blueprint import addresses
from labctl.corosync.daemon import FailedStarts
from labctl.corosync.membership import Membership, RingLog, address_id, parse_ring
from tests.unit.test_captures import capture

LOG_1 = capture("corosync-1.2.1-start")
LOG_3 = capture("corosync-3-log")
OBJCTL = capture("corosync-1.2.1-corosync-objctl")
SUBNET = "198.18.16.0/24"
NUMBERS = {1: 1, 2: 2, 3: 3} | {address_id(addresses.address(SUBNET, number)): number for number in (1, 2, 3)}
THREE = Membership(True, (1, 2, 3), "1.d")
FORMED = "corosync [TOTEM ] A processor joined or left the membership and a new membership was formed."


def following(text: str, start: Membership | None = None) -> list[Membership]:
    """The ring after each line."""
    log = RingLog(NUMBERS)
    log.ring = start or Membership()
    return [log.feed(line) for line in text.splitlines()]


def steps(rings: list[Membership]) -> list[Membership]:
    """Each ring that is another than the one before."""
    return [ring for before, ring in zip([Membership(), *rings], rings, strict=False) if ring != before]


def members_line(node: str, status: str) -> str:
    """What objctl of 1.4 prints of a member."""
    return f"runtime.totem.pg.mrp.srp.members.{node}.ip=r(0) ip(x) \nruntime.totem.pg.mrp.srp.members.{node}.{status}\n"


def test_the_id_of_an_address_is_what_corosync_1_2_printed() -> None:
    assert address_id("198.18.16.11") == 0xB1012C6
    assert f"Local node ID {0xB1012C6}" in capture("corosync-1.2.1-corosync-cfgtool-s")


@given(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(str))
def test_addresses_have_ids_of_their_own(one: str, other: str) -> None:
    assert (address_id(one) == address_id(other)) == (one == other)


def test_each_membership_of_corosync_3_is_known_when_its_last_line_is_read() -> None:
    rings = following(LOG_3)
    settled = [ring for ring, line in zip(rings, LOG_3.splitlines(), strict=True) if "[QUORUM] Members" in line]
    assert settled == [Membership(False, (1,), "1.5"), THREE, Membership(False, (1,), "1.11")]


def test_each_membership_of_corosync_1_is_known_when_totem_has_formed_it() -> None:
    rings = following(LOG_1)
    assert steps(rings) == [Membership(True, (1,)), Membership(True, (1, 2)), Membership(True, (1, 2, 3))]
    lines = zip([Membership(), *rings], rings, LOG_1.splitlines(), strict=False)
    assert all(FORMED in line for before, ring, line in lines if ring != before)


def test_who_left_is_in_the_ring_of_corosync_1_no_more() -> None:
    said = (
        "New Configuration:",
        "\tr(0) ip(198.18.16.11) ",
        "Members Left:",
        "\tr(0) ip(198.18.16.12) ",
        "Members Joined:",
    )
    text = "\n".join([*(f"corosync [CLM   ] {line}" for line in said), FORMED])
    assert steps(following(text, THREE)) == [THREE, Membership(True, (1,))]


def test_where_reading_begins_in_the_middle_the_rest_is_as_before() -> None:
    start = next(number for number, line in enumerate(LOG_3.splitlines()) if "(1.11) was formed" in line)
    assert following("\n".join(LOG_3.splitlines()[start:]), THREE)[-1] == Membership(False, (1,), "1.11")


@pytest.mark.parametrize("first", range(16, 31))
def test_half_a_list_of_corosync_1_is_no_membership(first: int) -> None:
    rings = following("\n".join(LOG_1.splitlines()[first:]))
    assert set(steps(rings)) <= {Membership(True, (1,)), Membership(True, (1, 2)), Membership(True, (1, 2, 3))}
    assert rings[-1] == Membership(True, (1, 2, 3))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Nov 24 02:44:49.108 notice  [QUORUM] Sync members[3]: 1 2 3",
        "Nov 24 02:46:09.832 notice  [TOTEM ] A processor failed, forming new configuration: token timed out",
        "[2026-11-24 02:44:49.179] NOTICE[96]: res_corosync.c:314: Node 2 at 198.18.225.12 joined the cluster",
        "NOTICE: A new membership (9.9) was formed",
        FORMED,
        "Nov 23 02:41:22 corosync [CLM   ] \tr(0) ip(198.18.16.12) ",
        "Nov 23 02:41:30 corosync [CLM   ] nodeget: trying to find node ffffffff",
    ],
)
def test_other_lines_tell_of_no_membership(line: str) -> None:
    assert following(line or "\n", THREE)[0] is THREE


def test_members_are_given_in_order_and_may_be_none() -> None:
    assert following("[QUORUM] Members[3]: 3 10 2", THREE)[0].members == (2, 3, 10)
    assert following("[QUORUM] Members[0]:", THREE)[0].members == ()


@pytest.mark.parametrize(
    ("text", "ring"),
    [
        (capture("corosync-3-quorumtool-s"), Membership(True, (1, 2, 3))),
        (capture("corosync-1.2.1-corosync-cfgtool-s"), Membership(True, (1,))),
        (LOG_1, Membership(True, (1, 2, 3))),
        (LOG_3, Membership(False, (1,))),
        (OBJCTL, Membership()),  # that of 1.2.1 says how many messages came, and not from whom
        (OBJCTL + members_line("202379974", "status=joined"), Membership(True, (2,))),
        (members_line("185602758", "status=joined") + members_line("219157190", "status=left"), Membership(True, (1,))),
        (members_line("-1", "status=joined"), Membership(True, (0xFFFFFFFF,))),
        ("cat: /dev/shm/corosync.log: No such file or directory\n", Membership()),
        ("Quorate:          No\n", Membership()),
    ],
)
def test_whatever_prints_it_the_ring_has_the_numbers_of_the_lab(text: str, ring: Membership) -> None:
    assert parse_ring(text, NUMBERS) == ring


STARTS = "Nov 28 14:52:49.868 notice  [MAIN  ] Corosync Cluster Engine 3.1.10 starting up"
EXITS = "Nov 28 14:52:48.820 error   [MAIN  ] Corosync Cluster Engine exiting with status 20 at service.c:356."


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (["parser error: /etc/corosync/corosync.conf:51: Missing closing brace"] * 2, "/etc/corosync/corosync.conf:51"),
        (
            [
                STARTS,
                "Nov 28 14:52:48.820 error   [SERV  ] Service engine 'corosync_quorum' failed to load for reason 'x'",
                EXITS,
                STARTS,
                EXITS,
            ],
            r"\[MAIN  \] Corosync Cluster Engine exiting with status 20",
        ),
        (
            [
                "Jul 26 10:00:00 corosync [MAIN  ] parse error in config: no bindnetaddr",
                "Jul 26 10:00:00 corosync [MAIN  ] Corosync Cluster Engine exiting with status 8 at main.c:1397.",
            ]
            * 2,
            "parse error in config: no bindnetaddr",
        ),
        (
            [STARTS, "Nov 28 14:52:48 error   [SERV  ] Service engine failed for reason 'x'", EXITS] * 2,
            r"\[SERV  \] Service engine failed for reason 'x'",
        ),
    ],
)
def test_starts_that_failed_are_counted_with_why(log: list[str], why: str) -> None:
    failed = FailedStarts()
    assert sum(failed.feed(line) for line in log) == failed.in_a_row == 2
    assert re.search(why, failed.why)


def test_a_corosync_that_was_ended_has_not_failed_to_start() -> None:
    failed = FailedStarts()
    failed.feed("Nov 28 14:52:48.820 notice  [MAIN  ] Corosync Cluster Engine exiting normally")
    failed.feed("Sep 26 10:00:00 corosync [MAIN  ] Corosync Cluster Engine exiting with status 0 at main.c:175.")
    assert failed.in_a_row == 0
