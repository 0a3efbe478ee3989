"""Device states together, and the hint that shows them, as Asterisk's own code has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.asterisk import device_state, output
from labctl.asterisk.device_state import HINTS, ORDER

STATES = st.lists(st.sampled_from(ORDER))


@pytest.mark.parametrize(
    ("states", "together"),
    [
        (("NOT_INUSE", "INUSE"), "INUSE"),
        (("NOT_INUSE", "RINGING"), "RINGING"),
        (("INUSE", "RINGING"), "RINGINUSE"),
        (("ONHOLD", "RINGING"), "RINGINUSE"),
        (("BUSY", "RINGING"), "RINGINUSE"),
        (("NOT_INUSE", "ONHOLD"), "ONHOLD"),
        (("INUSE", "ONHOLD"), "INUSE"),
        (("NOT_INUSE", "UNAVAILABLE"), "NOT_INUSE"),
        (("UNKNOWN", "NOT_INUSE"), "NOT_INUSE"),
        (("UNAVAILABLE", "UNKNOWN"), "UNAVAILABLE"),
        (("NOT_INUSE", "BUSY"), "BUSY"),
        (("INUSE", "BUSY"), "BUSY"),
        (("BUSY", "UNAVAILABLE"), "BUSY"),
        (("ONHOLD",), "ONHOLD"),
        (("UNKNOWN",), "UNKNOWN"),
        (("INVALID",), "INVALID"),
        ((), "INVALID"),
        (("INVALID", "UNKNOWN"), "UNKNOWN"),
        (("UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "ONHOLD"), "RINGINUSE"),
    ],
)
def test_states_come_to_what_asterisk_makes_of_them(states: tuple[str, ...], together: str) -> None:
    assert device_state.aggregate(states) == together


@given(STATES.flatmap(lambda states: st.tuples(st.just(states), st.permutations(states))))
def test_the_order_of_states_is_nothing_to_them(both: tuple[list[str], list[str]]) -> None:
    assert device_state.aggregate(both[0]) == device_state.aggregate(both[1])


@given(STATES)
def test_a_state_said_twice_counts_once(states: list[str]) -> None:
    together = device_state.aggregate(states)
    assert device_state.aggregate(states + states) == together
    assert device_state.aggregate([*states, together]) == together


@given(STATES, STATES)
def test_states_taken_in_parts_come_to_the_same(some: list[str], others: list[str]) -> None:
    parts = [device_state.aggregate(some), device_state.aggregate(others)]
    assert device_state.aggregate(parts) == device_state.aggregate(some + others)


@pytest.mark.parametrize("state", ORDER)
def test_one_state_alone_is_what_it_is(state: str) -> None:
    assert device_state.aggregate([state]) == state


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(ValueError, match="not in"):
        device_state.aggregate(["TALKING", "INUSE"])


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("NOT_INUSE", "Idle"),
        ("UNKNOWN", "Idle"),
        ("INUSE", "InUse"),
        ("BUSY", "Busy"),
        ("RINGING", "Ringing"),
        ("RINGINUSE", "InUse&Ringing"),
        ("ONHOLD", "Hold"),
        ("UNAVAILABLE", "Unavailable"),
        ("INVALID", "Unavailable"),
    ],
)
def test_a_hint_has_its_word_for_a_state(state: str, word: str) -> None:
    assert device_state.hint(state) == word


def test_every_state_has_a_hint_that_the_manager_interface_can_say() -> None:
    assert set(HINTS) == set(ORDER) > set(output.DEVICE_STATES)
    assert set(HINTS.values()) <= set(output.EXTENSION_STATES.values())
