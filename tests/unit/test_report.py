"""Facts as people and programs get them, and errors with their exit codes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl import errors
from labctl.cluster.views import UNKNOWN, Crossing, NodeView, StateRow
from labctl.corosync.membership import Membership
from labctl.errors import InvalidFile, LabctlError, Problem
from labctl.report import formats


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3601, "1h 1s"),
        (86399, "23h 59m"),
        (86400, "1d"),
        (90061, "1d 1h"),
        (10**9, "11574d 1h"),
    ],
)
def test_a_duration_is_its_two_largest_units(seconds: int, text: str) -> None:
    assert formats.duration(seconds) == text


@given(st.integers(0, 10**10))
def test_a_duration_is_never_empty_nor_long(seconds: int) -> None:
    assert 1 <= len(formats.duration(seconds).split()) <= 2


def test_json_holds_every_fact() -> None:
    view = NodeView("n1", "running", ring=Membership(True, (1, 2), "1.9"))
    assert json.loads(formats.as_json({"nodes": [view]}))["nodes"][0]["ring"]["members"] == [1, 2]


@pytest.mark.parametrize(
    ("states", "agreed"),
    [(("Idle", "Idle"), True), (("Idle", "InUse"), False), (("Idle", UNKNOWN), True), ((UNKNOWN, UNKNOWN), True)],
)
def test_nodes_agree_where_all_that_answer_say_the_same(states: tuple[str, str], agreed: bool) -> None:
    assert StateRow("101", "PJSIP/alice", dict(zip(("n1", "n2"), states, strict=True))).agreed == agreed


def test_the_slowest_crossing_is_named() -> None:
    proven = [Crossing("n1", "n2", 1.5), Crossing("n2", "n1", 20.04)]
    assert (
        formats.crossings(proven)
        == "proven: a change on each of 2 nodes was seen on every other, the slowest n2 to n1 in 20.0 ms"
    )


def test_where_nothing_is_shared_nothing_is_claimed() -> None:
    assert "nothing to prove" in formats.crossings([])


def tree(root: type[LabctlError]) -> dict[str, int]:
    below = [tree(kind) for kind in root.__subclasses__() if kind.__module__ == errors.__name__]
    return {root.__name__: root.exit_code} | {name: code for branch in below for name, code in branch.items()}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.lstrip("│├└─ ").split()[:2] for line in (errors.__doc__ or "").split("\n\n")[1].splitlines()]
    assert {name: int(code) for name, code in drawn} == tree(LabctlError)


def test_problems_are_told_in_the_order_of_their_lines() -> None:
    error = InvalidFile("lab.yaml", [Problem(10, "late"), Problem(2, "early", "mend it")])
    assert error.message == "lab.yaml:2: early (mend it)\nlab.yaml:10: late"


def test_only_the_mistakes_of_another_file_are_added() -> None:
    other = InvalidFile("stack.yaml", [Problem(3, "wrong")])
    assert InvalidFile("lab.yaml", [Problem(1, "bad")], other).message == "lab.yaml:1: bad\nstack.yaml:3: wrong"
    assert InvalidFile("lab.yaml", [Problem(1, "bad")], errors.UsageError("x")).message == "lab.yaml:1: bad"


def test_a_proof_that_took_more_than_one_round_is_said_to_have() -> None:
    crossings = [Crossing("n1", "n2", 1.0, 3), Crossing("n2", "n1", 20.0, 3)]
    assert formats.crossings(crossings).startswith(
        "proven in round 3 (of 2 before, changes were lost): a change on each"
    )
