"""What a test in Python comes to: a check that could not be judged neither passes nor fails it."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import SkipTest

import pytest

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
