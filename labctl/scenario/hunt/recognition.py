"""What went wrong in a run, and which of it is a finding that is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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

    def as_known(self, sign: Sign) -> Iterator[Known]:
        """What a sign comes to as what is known to fail of a scenario, but for what went before."""
        for check in sign.checks:
            yield Known(sign.stack, check, self.name, always=False, via=sign.via, finding=sign.finding)

    @property
    def known(self) -> tuple[Known, ...]:
        """The signs that a scenario's `known:` can say: those that stand by themselves."""
        return tuple(entry for sign in self.signs if not sign.after for entry in self.as_known(sign))

    def is_seen_in(self, check: str, finding: Finding, terms: Terms, before: Sequence[str]) -> bool:
        """Whether a finding of a check has one of the signs; `before`: the steps and faults before it."""
        return any(
            entry.is_for(check, terms.stack, terms.via)
            and entry.matches(finding)
            and (not sign.after or any(re.search(sign.after, what) for what in before))
            for sign in self.signs
            for entry in self.as_known(sign)
        )


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


def names_of(
    result: Result, events: Sequence[Event], terms: Terms, findings: Iterable[KnownFinding]
) -> tuple[str, ...]:
    """The shipped findings by which a run failed, as far as they are known by signs of theirs, each once."""
    failed = replace(result, judged=tuple(judged for judged in result.judged if judged.standing == "failed"))
    return tuple(dict.fromkeys(one.known for one in caught(failed, events, terms, findings, course=True) if one.known))


def _known_as(
    check: str, finding: Finding, events: Sequence[Event], terms: Terms, known: Sequence[KnownFinding]
) -> str:
    """The finding that it is of; the first whose sign it has."""
    before = [event.what for event in events if isinstance(event, Did | FaultBegan) and _began(event) <= finding.at_s]
    return next((one.name for one in known if one.is_seen_in(check, finding, terms, before)), "")


def _began(event: Did | FaultBegan) -> float:
    return event.began_s if isinstance(event, Did) else event.at_s
