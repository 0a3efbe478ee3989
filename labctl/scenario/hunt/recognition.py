"""What went wrong in a run, and which of it is a finding that is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from labctl.checks.finding import Finding
from labctl.checks.judgement import Result, Terms
from labctl.checks.known import Known
from labctl.checks.same_failure import failure_of
from labctl.history.events import Did, Event, FaultBegan
from labctl.scenario.findings.entries import Sign

COURSE = "course"
"""The check of whether every step went as it should."""


@dataclass(frozen=True)
class KnownFinding:
    """A shipped finding, and by what it is known in any run."""

    name: str
    signs: tuple[Sign, ...]

    def as_known(self) -> Iterator[Known]:
        """The same as what is known to fail of a scenario, as far as that can say it."""
        for sign in self.signs:
            for check in sign.checks:
                yield Known(sign.stack, check, self.name, always=False, via=sign.via, finding=sign.finding)


@dataclass(frozen=True)
class Caught:
    """One thing that went wrong in a run. `known` is the shipped finding that it is of; "" where it is news."""

    check: str
    finding: Finding
    known: str = ""

    @property
    def kind(self) -> str:
        """What of it counts once in a hunt: the finding that it is of, or all of it that does not depend on chance,
        neither on who is wrong and where."""
        if self.known:
            return self.known
        return f"{self.check}: {' '.join(sorted(failure_of(self.check, self.finding).words))}"


def caught(
    result: Result, events: Sequence[Event], terms: Terms, findings: Iterable[KnownFinding], *, course: bool
) -> tuple[Caught, ...]:
    """Everything that went wrong in a run, in the order in which it was seen. `course`: whether a step that fails is
    wrong, too; with faults it is not."""
    known = tuple(findings)
    wrong = [
        (judged.verdict.check, finding)
        for judged in result.judged
        if course or judged.verdict.check != COURSE
        for finding in judged.verdict.findings
        if not finding.doubt
    ]
    wrong.sort(key=lambda pair: pair[1].at_s)
    return tuple(Caught(check, finding, _known_as(check, finding, events, terms, known)) for check, finding in wrong)


def _known_as(
    check: str, finding: Finding, events: Sequence[Event], terms: Terms, known: Sequence[KnownFinding]
) -> str:
    """The finding that it is of; the first whose sign it has."""
    texts = (finding.text, *finding.quotes)
    before = [event.what for event in events if isinstance(event, Did | FaultBegan) and _began(event) <= finding.at_s]

    def has(sign: Sign) -> bool:
        return (
            check in sign.checks
            and sign.stack == terms.stack
            and sign.via in (terms.via, "any")
            and any(re.search(sign.finding, text) for text in texts)
            and (not sign.after or any(re.search(sign.after, what) for what in before))
        )

    return next((one.name for one in known if any(has(sign) for sign in one.signs)), "")


def _began(event: Did | FaultBegan) -> float:
    return event.began_s if isinstance(event, Did) else event.at_s
