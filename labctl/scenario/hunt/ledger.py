"""What a hunt has come to so far, in a file: it goes on from there, and what was tried is told from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from labctl.scenario.hunt.cases import Pair
from labctl.scenario.line_file import add_line, read_lines

HUNT = "hunt.jsonl"

ENOUGH = 3
"""So often a kind is followed up for which there was not time enough."""


@dataclass(frozen=True)
class Wrong:
    """One kind of thing that went wrong in a case: `known` is the finding that it is of, "" where it is news."""

    kind: str
    check: str
    text: str
    known: str = ""


@dataclass(frozen=True)
class Tried:
    """A case that was run. `judged`: whether anything could be; `folder` is its run's, "" where that was not kept."""

    number: int
    what: str
    judged: bool
    seconds: float
    wrong: tuple[Wrong, ...] = ()
    pairs: tuple[Pair, ...] = ()
    folder: str = ""
    record: Literal["case"] = "case"


@dataclass(frozen=True)
class Pursued:
    """A kind that was followed up: the case was run again, and came to it `again` times `of` so many.

    `steps` and `file` are of the smallest scenario that shows it, `failed` of `runs` runs; 0 where there is none.
    `whole`: the search for it came to its end.
    """

    kind: str
    number: int
    again: int
    of: int
    steps: int = 0
    failed: int = 0
    runs: int = 0
    file: str = ""
    draft: str = ""
    whole: bool = True
    record: Literal["kind"] = "kind"


_LINE: TypeAdapter[Tried | Pursued] = TypeAdapter(Annotated[Tried | Pursued, Discriminator("record")])


@dataclass
class Ledger:
    """All that a hunt has tried, and what it followed up, in order."""

    path: Path
    tried: list[Tried] = field(default_factory=list)
    pursued: list[Pursued] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """What a file holds, and nothing where there is none. A line that was cut off is left out. Raises HostError."""
        ledger = cls(path)
        for line in read_lines(path):
            try:
                ledger._note(_LINE.validate_json(line))
            except ValidationError:
                continue
        return ledger

    def add(self, entry: Tried | Pursued) -> None:
        """Something was done. Raises HostError where that cannot be written down."""
        self._note(entry)
        add_line(self.path, _LINE.dump_json(entry).decode())

    def _note(self, entry: Tried | Pursued) -> None:
        if isinstance(entry, Tried):
            self.tried.append(entry)
        else:
            self.pursued.append(entry)

    @property
    def next_number(self) -> int:
        """Of the case that comes next."""
        return max((case.number for case in self.tried), default=0) + 1

    def is_pursued(self, kind: str) -> bool:
        """Whether a kind was followed up to the end, or often enough."""
        times = [one for one in self.pursued if one.kind == kind]
        return any(one.whole for one in times) or len(times) >= ENOUGH

    def kinds(self) -> Iterator[tuple[Wrong, Sequence[int]]]:
        """Each kind of thing that went wrong, as it was seen first, with the numbers of its cases."""
        first: dict[str, Wrong] = {}
        cases: dict[str, list[int]] = {}
        for case in self.tried:
            for wrong in case.wrong:
                first.setdefault(wrong.kind, wrong)
                cases.setdefault(wrong.kind, []).append(case.number)
        for kind, wrong in first.items():
            yield wrong, tuple(dict.fromkeys(cases[kind]))

    @property
    def news(self) -> list[Wrong]:
        """The kinds that are of no finding that is known."""
        return [wrong for wrong, _ in self.kinds() if not wrong.known]

    def pursuit(self, kind: str) -> Pursued | None:
        """What came of following a kind up, the least scenario of several; None where it was not."""
        times = [one for one in self.pursued if one.kind == kind]
        return min(times, key=lambda one: (not one.file, one.steps), default=None)

    @property
    def pairs(self) -> frozenset[Pair]:
        """What of all cases met what."""
        return frozenset(pair for case in self.tried for pair in case.pairs)


def data(ledger: Ledger) -> dict[str, object]:
    """All of it, for programs."""
    return {"cases": [asdict(case) for case in ledger.tried], "kinds": [asdict(kind) for kind in ledger.pursued]}
