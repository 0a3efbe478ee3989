"""Whether a finding is still there: what runs of the scenario that shows it came to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.checks.judgement import Result
from labctl.checks.known import Known
from labctl.scenario.findings.interval import runs_to_exclude, wilson

Seen = Literal["there", "absent", "not judged"]
"""Of a run."""

Standing = Literal["there", "gone", "not judged"]
"""Of a finding."""


@dataclass(frozen=True)
class Confirmed:
    """What runs say of a finding: it was `seen` in so many `of` those that could judge it; `unjudged` could not.

    `why`: why it is not judged, or what else is to be said of the runs; `others`: checks that failed beside it.
    """

    finding: str
    title: str
    standing: Standing
    seen: int
    of: int
    unjudged: int
    why: str = ""
    others: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def seen_in(result: Result, known: Sequence[Known]) -> Seen:
    """Whether a run showed what is known: a check that failed otherwise judged something else."""
    verdicts = [judged.verdict for judged in result.judged if judged.verdict.check in {entry.check for entry in known}]
    if any(
        entry.check == verdict.check and entry.matches(finding)
        for verdict in verdicts
        for finding in verdict.findings
        for entry in known
    ):
        return "there"
    judged = bool(verdicts) and all(verdict.outcome == "passed" for verdict in verdicts)
    return "absent" if judged and not result.lab_error else "not judged"


def confirm(
    name: str, title: str, results: Sequence[Result], known: Sequence[Known], rate: tuple[int, int] | None
) -> Confirmed:
    """What runs of the scenario say of a finding. `rate`: how often it was seen before, of how many.

    What was there each time is gone once a run is without it. Of any other it takes as many as chance does not explain.
    """
    outcomes = [seen_in(result, known) for result in results]
    seen, of = outcomes.count("there"), len(outcomes) - outcomes.count("not judged")
    standing, why = _standing(seen, of, known, rate, results)
    return Confirmed(
        name,
        title,
        standing,
        seen,
        of,
        len(outcomes) - of,
        why,
        _others(results),
        tuple(result.folder for result in results),
    )


def _standing(
    seen: int, of: int, known: Sequence[Known], rate: tuple[int, int] | None, results: Sequence[Result]
) -> tuple[Standing, str]:
    if seen:
        return "there", ""
    if not of:
        return "not judged", _why_not(results)
    if all(entry.always for entry in known):
        return "gone", ""
    wanted = runs_to_exclude(wilson(*rate)[0]) if rate and rate[0] else None
    if wanted is not None and of >= wanted:
        return "gone", ""
    more = f"; {wanted} would tell: --repeat {wanted}" if wanted else ""
    return "not judged", f"it comes but sometimes, so that {of} without it may be chance{more}"


def _why_not(results: Sequence[Result]) -> str:
    """Of the last run, why it could not be judged."""
    if not results:
        return "it was not run"
    last = results[-1]
    doubts = [finding.text for judged in last.judged for finding in judged.verdict.findings]
    return next(filter(None, (last.lab_error_line, last.error, *doubts)), "its check had nothing to judge")


def _others(results: Sequence[Result]) -> tuple[str, ...]:
    """The checks that failed, and not as they are known to."""
    failed = (judged.verdict.check for result in results for judged in result.judged if judged.standing == "failed")
    return tuple(dict.fromkeys(failed))
