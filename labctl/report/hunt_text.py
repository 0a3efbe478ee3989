"""What a hunt came to, as a table and lines for people, and as data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.scenario.hunt.cases import all_pairs
from labctl.scenario.hunt.ledger import Ledger
from labctl.scenario.hunt.ledger import data as ledger_data
from labctl.shortening import shortened

COLUMNS = ("FINDING", "CASES", "FIRST", "AGAIN", "SMALLEST")
LONGEST_KIND = 90


def rows(ledger: Ledger) -> Iterator[tuple[str, ...]]:
    """A line for each kind of thing that went wrong: the finding that it is of, or what is new of it."""
    for wrong, numbers in ledger.kinds():
        pursuit = ledger.pursuit(wrong.kind)
        again = f"{pursuit.again} of {pursuit.of}" if pursuit else "-"
        smallest = f"{pursuit.steps} steps, {pursuit.failed} of {pursuit.runs}" if pursuit and pursuit.file else "-"
        what = wrong.known or f"new: {wrong.check}: {wrong.text}"
        yield shortened(what, LONGEST_KIND), str(len(numbers)), str(numbers[0]), again, smallest


def summary(ledger: Ledger, *, faults: bool) -> str:
    """How much was tried, in a sentence or two."""
    judged = sum(case.judged for case in ledger.tried)
    told = f"{len(ledger.tried)} cases, {len(ledger.tried) - judged} of them not judged"
    every = all_pairs()
    covered = f"; {len(ledger.pairs & every)} of {len(every)} pairs of a step and a fault in force" if faults else ""
    return f"{told}{covered}"


def files(ledger: Ledger) -> Iterator[str]:
    """Where the smallest scenario of each kind is, and the draft of a finding."""
    for one in ledger.pursued:
        yield from (path for path in (one.file, one.draft) if path)


def data(ledger: Ledger, *, faults: bool) -> dict[str, Any]:
    """All of it, for programs."""
    every = all_pairs() if faults else frozenset()
    untried = sorted(every - ledger.pairs)
    return {**ledger_data(ledger), "pairs": len(every), "untried": [list(pair) for pair in untried]}
