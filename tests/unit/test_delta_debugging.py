"""Delta debugging finds the least that still fails, asks for nothing twice, and for nothing that makes no sense."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from labctl.scenario.shrink.delta_debugging import Items, minimize, minimize_units

SIZES = st.integers(1, 24)


@st.composite
def wholes(draw: st.DrawFn) -> tuple[int, list[frozenset[int]], dict[int, int]]:
    """How many items there are; the sets of items each of which is enough to fail; which item needs which before it."""
    size = draw(SIZES)
    items = st.integers(0, size - 1)
    enough = draw(st.lists(st.frozensets(items, min_size=1, max_size=5), min_size=1, max_size=3))
    pairs = draw(st.lists(st.tuples(items, items), max_size=8))
    return size, enough, {max(pair): min(pair) for pair in pairs if pair[0] != pair[1]}


class Oracle:
    """Fails where a candidate holds one of some sets; refuses what it was asked before, and what makes no sense."""

    def __init__(self, enough: Sequence[frozenset[int]], needed: dict[int, int]) -> None:
        self.enough, self.needed = enough, needed
        self.asked: set[Items] = set()

    def close(self, items: Items) -> Items:
        """The items without those that need one that is not there."""
        kept: set[int] = set()
        for item in items:
            if item not in self.needed or self.needed[item] in kept:
                kept.add(item)
        return tuple(item for item in items if item in kept)

    def fails(self, items: Items) -> bool:
        return any(some <= {*items} for some in self.enough)

    def find(self, candidates: Sequence[Items]) -> Items | None:
        assert candidates
        assert len({*candidates}) == len(candidates)
        for items in candidates:
            assert items
            assert items not in self.asked
            assert self.close(items) == items
            self.asked.add(items)
            if self.fails(items):
                return items
        return None


def failing(size: int, enough: Sequence[frozenset[int]], needed: dict[int, int]) -> tuple[Oracle, Items] | None:
    """An oracle, and a whole that makes sense and fails; None where it would not."""
    oracle = Oracle(enough, needed)
    whole = oracle.close(tuple(range(size)))
    return (oracle, whole) if oracle.fails(whole) else None


def assert_least(oracle: Oracle, least: Items) -> None:
    assert oracle.fails(least)
    for item in least:
        rest = oracle.close(tuple(other for other in least if other != item))
        assert not (rest and oracle.fails(rest)), f"{least} without {item}"


@given(wholes())
def test_without_any_one_item_the_least_does_not_fail(drawn: tuple[int, list[frozenset[int]], dict[int, int]]) -> None:
    given_one = failing(*drawn)
    if given_one:
        oracle, whole = given_one
        assert_least(oracle, minimize(whole, oracle.close, oracle.find))


@given(wholes(), st.integers(1, 5))
def test_what_belongs_together_goes_first_and_then_one_by_one(
    drawn: tuple[int, list[frozenset[int]], dict[int, int]], width: int
) -> None:
    given_one = failing(*drawn)
    if given_one:
        oracle, whole = given_one
        units = [whole[begin : begin + width] for begin in range(0, len(whole), width)]
        by_units = minimize_units(units, oracle.close, oracle.find)
        assert oracle.fails(by_units)
        assert {*by_units} == {item for unit in units if {*unit} & {*by_units} for item in unit}
        oracle.asked.clear()
        assert_least(oracle, minimize(by_units, oracle.close, oracle.find))


def test_two_of_sixty_four_steps_are_found_in_few_runs() -> None:
    oracle = Oracle([frozenset((20, 45))], {})
    assert minimize(tuple(range(64)), oracle.close, oracle.find) == (20, 45)
    assert len(oracle.asked) < 64


def test_what_fails_by_anything_comes_down_to_one_item() -> None:
    assert len(minimize(tuple(range(10)), lambda items: items, lambda candidates: candidates[0])) == 1
