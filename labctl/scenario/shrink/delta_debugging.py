"""Delta debugging: takes away from a whole, in ever smaller chunks, whatever a failure does not need. Pure.

The algorithm is ddmin: A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
Transactions on Software Engineering 28(2), 2002, figure 4. Chunks alone, the first half of its choices, are left out:
what fails by itself in a run needs what went before, so that one chunk alone hardly ever does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

Items = tuple[int, ...]
"""What is left of a whole: the indices of its parts, in order."""

Close = Callable[[Items], Items]
"""Takes away what makes no sense without what is gone already. What it gives, it gives back as it is."""

Find = Callable[[Sequence[Items]], Items | None]
"""One of these that still fails; None where none does. Those before it need not all have been tried."""


def minimize(whole: Items, close: Close, find: Find, chunks: int = 2) -> Items:
    """The least of `whole` that still fails: without any one of its items, and those that need it, it does not.

    `chunks`: in how many the whole is taken apart at first.
    """
    current = whole
    gone: set[Items] = set()
    needed: set[Items] = set()
    while True:
        chunks = min(chunks, len(current))
        # What could not go from a larger whole can hardly go from a smaller one: that is tried last.
        some = sorted(_chunks(current, chunks), key=needed.__contains__)
        rests = {close(tuple(item for item in current if item not in chunk)): chunk for chunk in reversed(some)}
        smaller = [rest for rest in reversed(rests) if rest and rest != current and rest not in gone]
        found = find(smaller) if smaller else None
        if found is not None:
            needed.update(rests[rest] for rest in smaller[: smaller.index(found)])
            current, chunks = found, max(chunks - 1, 2)
            continue
        gone.update(smaller)
        needed.update(some)
        if chunks >= len(current):
            return current
        chunks *= 2


def _chunks(items: Items, chunks: int) -> Iterator[Items]:
    """The items in so many parts, the last of these first: what came last made the least difference."""
    bounds = [len(items) * number // chunks for number in range(chunks + 1)]
    for begin, end in reversed(list(pairwise(bounds))):
        yield items[begin:end]


def minimize_units(units: Sequence[Items], close: Close, find: Find) -> Items:
    """As `minimize`, of what belongs together: a unit goes as a whole. What is left, item by item."""

    def items_of(numbers: Items) -> Items:
        return tuple(sorted(item for number in numbers for item in units[number]))

    unit_of = {item: number for number, unit in enumerate(units) for item in unit}

    def close_units(numbers: Items) -> Items:
        kept = set(close(items_of(numbers)))
        whole = tuple(number for number in numbers if kept.issuperset(units[number]))
        return whole if whole == numbers else close_units(whole)  # a unit that goes may have held up another

    def find_units(candidates: Sequence[Items]) -> Items | None:
        found = find([items_of(numbers) for numbers in candidates])
        return None if found is None else tuple(dict.fromkeys(unit_of[item] for item in found))

    return items_of(minimize(tuple(range(len(units))), close_units, find_units))
