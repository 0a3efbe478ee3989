"""A history in memory: what its events say again is held once, and each says what it said."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.history.events import Event, Looked, Seen
from labctl.history.lines import to_line
from labctl.history.sharing import Shared
from tests.unit.test_history import EVENTS

NODES = ("n1", "n2", "n3")


@given(st.lists(EVENTS, max_size=8))
def test_every_event_says_what_it_said(events: list[Event]) -> None:
    shared = Shared()
    for event in events:
        said = shared.event(event)
        assert (type(said), repr(said), to_line(said)) == (type(event), repr(event), to_line(event))


@pytest.mark.parametrize(("first", "then"), [((1, 0), (True, False)), ((0.0, 1.0), (-0.0, 1.0))])
def test_what_is_equal_and_not_the_same_stays_as_it_is(first: tuple[float, float], then: tuple[float, float]) -> None:
    shared = Shared()
    shared.event(Looked(1.0, {}, {}, kept={"101": first}))  # type: ignore[dict-item]
    assert repr(shared.event(Looked(2.0, {}, {}, kept={"101": then})).kept) == repr({"101": then})  # type: ignore[dict-item,union-attr]


def _fresh(text: str) -> str:
    """An equal text that is an object of its own, as what comes over a wire is."""
    return text.encode().decode()


def _hours(number: int) -> list[Event]:
    """So many rounds of a soak: a look at three nodes, and each node's word of a state."""
    events: list[Event] = []
    for at in range(number):
        told = {_fresh(node): {_fresh(str(101 + each)): _fresh("Idle") for each in range(6)} for node in NODES}
        ring = {_fresh(node): tuple(map(_fresh, NODES)) for node in NODES}
        events.append(Looked(float(at), told, ring, ring, told))
        events += [Seen(at + 0.5, _fresh(node), _fresh("101"), _fresh("InUse")) for node in NODES]
    return events


@pytest.mark.long
def test_a_history_of_hours_takes_a_third_of_the_memory() -> None:
    """It grew by 16 MB in the second hour of a soak."""
    taken = []
    for shared in (None, Shared()):
        tracemalloc.start()
        kept = [shared.event(event) if shared else event for event in _hours(200)]
        taken.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(kept) == 800
    assert taken[1] < taken[0] / 3
