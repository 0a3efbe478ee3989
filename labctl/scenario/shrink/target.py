"""The failure that a scenario is shrunk for, and whether a run had it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.checks.course import UNKNOWN
from labctl.checks.finding import Finding, Limits
from labctl.checks.judgement import Judged, Result
from labctl.checks.known import Known
from labctl.checks.same_failure import Failure, failure_of, same_failure
from labctl.errors import UsageError
from labctl.history.events import Event, ending
from labctl.scenario.conclusion import judge_course
from labctl.yamlfile.document import shown

Outcome = Literal["same", "gone", "not judged"]
"""Of a run: it had the failure, or had not, or nobody can tell, as on a machine that was too busy."""


@dataclass(frozen=True)
class TargetFailure:
    """A failure, and where it was seen first. `known`: what is known to fail where it was seen."""

    check: str
    finding: Finding
    known: tuple[Known, ...] = ()

    @property
    def failure(self) -> Failure:
        """What of it does not depend on chance."""
        return failure_of(self.check, self.finding)

    def reasons(self, finding: Finding) -> frozenset[str]:
        """Why a finding of the check is known to fail; none where it is news."""
        known = [entry for entry in self.known if entry.check == self.check and entry.matches(finding)]
        return frozenset(entry.reason for entry in known)

    @property
    def sentence(self) -> str:
        """What is wrong, without the moment of the run."""
        moment, _, text = self.finding.text.partition(" s: ")
        return text if text and moment.startswith("+") else self.finding.text


def choose(
    result: Result,
    known: Sequence[Known],
    check: str | None = None,
    *,
    pattern: str = "",
    news_only: bool = False,
    nearest: Callable[[TargetFailure], float] = lambda _target: 0,
) -> TargetFailure:
    """What a run is shrunk for: of a check that failed, or of one that is known to fail where no other did, unless
    `news_only`, what was seen first, since what comes later may follow from it; of what was seen in one look what is
    `nearest` to a scenario that shows it. `check` names the check,
    and `pattern` is a regular expression for the text or a log line of the finding that is meant. Raises UsageError
    where there is nothing."""
    failed = [pair for pair in _failed(result, check) if _says(pair[1], pattern)]
    news = [pair for pair in failed if pair[0].standing == "failed"]
    chosen = news or ([] if news_only else failed)
    if not chosen:
        which = f"`{check}` did not fail" if check else f"nothing failed ({result.standing})"
        which += f" by `{shown(pattern)}`" if pattern else ""
        raise UsageError(f"{result.scenario}: {which}: there is nothing to shrink for", _way_out(result))
    targets = [TargetFailure(judged.verdict.check, finding, tuple(known)) for judged, finding in chosen]
    targets.sort(key=lambda target: target.finding.at_s)
    first = [one for index, one in enumerate(targets) if not any(_again(one, other) for other in targets[:index])]
    return min(first, key=lambda target: (target.finding.at_s, nearest(target)))


def _again(one: TargetFailure, other: TargetFailure) -> bool:
    """Whether a failure is another that was seen already, and is seen still."""
    return one.check == other.check and is_same(other, one.finding)


def outcome(events: Sequence[Event], limits: Limits, target: TargetFailure) -> Outcome:
    """Whether a run had the failure. One that did not come to its end by itself, or where the machine may explain what
    is wrong, says nothing."""
    over = ending(events)
    if over is None or over.error.startswith(UNKNOWN):
        return "not judged"
    judged = next(verdict for verdict in judge_course(events, limits) if verdict.check == target.check)
    certain = [finding for finding in judged.findings if not finding.doubt]
    if any(is_same(target, finding) for finding in certain):
        return "same"
    return "not judged" if any(finding.doubt for finding in judged.findings) else "gone"


def is_same(target: TargetFailure, finding: Finding) -> bool:
    """Whether a finding of the same check is of the same failure; at which step it was seen does not matter.

    What is known to fail is none of the failures that are news, nor is what is known for another reason.
    """
    if not same_failure(target.failure, failure_of(target.check, finding), by_step=False):
        return False
    sought, seen = target.reasons(target.finding), target.reasons(finding)
    return bool(sought & seen) or not (sought or seen)


def _says(finding: Finding, pattern: str) -> bool:
    try:
        return any(re.search(pattern, line) for line in (finding.text, *finding.quotes))
    except re.error as error:
        raise UsageError(f"--finding: not a regular expression: {error}", "Python's syntax (re)") from None


def _failed(result: Result, check: str | None) -> Iterator[tuple[Judged, Finding]]:
    for judged in result.judged:
        if judged.standing in ("failed", "known") and check in (None, judged.verdict.check):
            yield from ((judged, finding) for finding in judged.verdict.findings if not finding.doubt)


def _way_out(result: Result) -> str:
    failed = [judged.verdict.check for judged in result.judged if judged.standing in ("failed", "known")]
    return f"--check takes one of: {', '.join(failed)}" if failed else "a run that failed is wanted"
