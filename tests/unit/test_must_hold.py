"""What a test in Python comes to: a check that could not be judged neither passes nor fails it."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import SkipTest

import pytest

from labctl.history.events import Began, Called, Did, Event, Heard
from labctl.testcontainers import AsteriskCluster, BrokenCheck, NotJudged
from tests.unit.test_checks import HISTORIES, read


@pytest.fixture
def cluster() -> AsteriskCluster:
    return AsteriskCluster(nodes=1)


def lived(cluster: AsteriskCluster, name: str) -> AsteriskCluster:
    """A cluster that has that history behind it."""
    events = read(HISTORIES / f"{name}.jsonl")
    journal = SimpleNamespace(events=events[:-1], now_s=lambda: events[-1].at_s)
    cluster._live = SimpleNamespace(journal=journal)  # type: ignore[assignment]
    return cluster


def test_what_holds_passes(cluster: AsteriskCluster) -> None:
    lived(cluster, "right/018-exactly-in-time").must_hold("bounded_delay")


def test_what_failed_is_an_assertion_error(cluster: AsteriskCluster) -> None:
    with pytest.raises(AssertionError, match="n3 told after 1400 ms") as caught:
        lived(cluster, "wrong/065-a-third-state-first-and-then-too-late").must_hold()
    assert isinstance(caught.value, BrokenCheck)


@pytest.mark.parametrize(
    ("name", "wanted", "why"),
    [
        ("right/073-late-while-the-machine-was-starved", (), "bounded_delay: .*starved"),
        ("right/073-late-while-the-machine-was-starved", ("bounded_delay",), "bounded_delay: .*starved"),
        ("right/018-exactly-in-time", ("bounded_delay", "lamps"), "^lamps: it had nothing to judge$"),
    ],
)
def test_what_could_not_be_judged_is_told_as_skipped(
    name: str, wanted: tuple[str, ...], why: str, cluster: AsteriskCluster
) -> None:
    with pytest.raises(SkipTest, match=why) as caught:
        lived(cluster, name).must_hold(*wanted)
    assert isinstance(caught.value, NotJudged)
    assert caught.value.exit_code == 5


CALL = [
    Began(0.0, "s", "lab", "22", ("n1", "n2"), {"101": "PJSIP/alice", "102": "PJSIP/bob"}),
    Called(2.0, "alice-bob-1", "alice", "102", ("n1", "n2")),
    Did(3.0, 1, "answer bob", 2.3),
]
TALK: list[Event] = [
    Heard(5.0, "alice-bob-1", "alice", 50, 50),
    Heard(5.0, "alice-bob-1", "bob", 50, 50),
    Did(5.0, 2, "talk", 3.0),
]


def going_on(cluster: AsteriskCluster, *events: Event) -> AsteriskCluster:
    """A cluster in which that has happened, and which goes on."""
    cluster._live = SimpleNamespace(journal=SimpleNamespace(events=[*CALL, *events], now_s=lambda: 6.0))  # type: ignore[assignment]
    return cluster


def test_a_call_that_goes_on_is_judged_by_what_was_heard_in_it(cluster: AsteriskCluster) -> None:
    going_on(cluster, *TALK).must_hold("calls", "course")
    deaf = Heard(5.0, "alice-bob-1", "bob", 3, 50)
    with pytest.raises(BrokenCheck, match="bob heard 3 of 50 packets in the call alice to 102 through n1, n2"):
        going_on(cluster, *TALK[:1], deaf).must_hold("calls")


def test_a_call_that_goes_on_and_in_which_nobody_talked_is_not_judged(cluster: AsteriskCluster) -> None:
    going_on(cluster).must_hold()
    with pytest.raises(NotJudged, match=r"^calls: it had nothing to judge$"):
        going_on(cluster).must_hold("calls")
