"""The membership as a node's log tells it, line by line."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate

import pytest

from labctl.corosync import follow_log
from labctl.facts import Ring
from tests.unit.test_captures import capture

LINES = capture("corosync-3-log").splitlines()
THREE = Ring(True, (1, 2, 3), "1.d")


def test_each_membership_is_known_when_its_last_line_is_read() -> None:
    rings = list(accumulate(LINES, follow_log, initial=Ring()))
    settled = [ring for ring, line in zip(rings[1:], LINES, strict=True) if "[QUORUM] Members" in line]
    assert settled == [Ring(False, (1,), "1.5"), THREE, Ring(False, (1,), "1.11")]


def test_where_reading_begins_in_the_middle_the_rest_is_as_before() -> None:
    start = next(number for number, line in enumerate(LINES) if "(1.11) was formed" in line)
    assert reduce(follow_log, LINES[start:], THREE) == Ring(False, (1,), "1.11")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Nov 24 02:44:49.108 notice  [QUORUM] Sync members[3]: 1 2 3",
        "Nov 24 02:46:09.832 notice  [TOTEM ] A processor failed, forming new configuration: token timed out",
        "[2026-11-24 02:44:49.179] NOTICE[96]: res_corosync.c:314: Node 2 at 198.18.225.12 joined the cluster",
        "NOTICE: A new membership (9.9) was formed",
    ],
)
def test_other_lines_tell_of_no_membership(line: str) -> None:
    assert follow_log(THREE, line) is THREE


def test_members_are_given_in_order_and_may_be_none() -> None:
    assert follow_log(THREE, "[QUORUM] Members[3]: 3 10 2").members == (2, 3, 10)
    assert follow_log(THREE, "[QUORUM] Members[0]:").members == ()
