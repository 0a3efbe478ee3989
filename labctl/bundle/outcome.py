"""What replays come to, held against the run that was reported. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.checks.judgement import Result, Terms
from labctl.checks.same_failure import LAB, Failure, all_failures, recurring, reported_failures
from labctl.report.acceptance import EXIT_FAILED, EXIT_UNKNOWN
from labctl.report.formats import listed
from labctl.shortening import shortened

LONGEST = 240
"""Characters of one text of a bundle, in a message."""

Comparison = Literal["reproduced", "another failure", "passed", "not judged"]
"""Of one replay. One that passed as the report did is `reproduced` too."""


@dataclass(frozen=True)
class Report:
    """What a run was reported for: its failures, or that there were none; `judged` if it came to a verdict at all."""

    failures: tuple[Failure, ...]
    judged: bool

    @classmethod
    def of(cls, result: Result, terms: Terms) -> Report:
        """What the reported run came to."""
        failures = reported_failures(result, terms)
        return cls(failures, bool(failures) or result.standing not in ("unknown", "error"))

    def is_not_met_by(self, result: Result) -> bool:
        """Whether a replay is not judged, and another may be."""
        return self.judged and compare(self, result) == "not judged"


@dataclass(frozen=True)
class Outcome:
    """All replays of a bundle: how each compares, and all of it in a sentence. `differences` are what may explain it,
    where it came otherwise."""

    comparisons: tuple[Comparison, ...]
    sentence: str
    exit_code: int

    @property
    def reproduced(self) -> int:
        """How many came as in the report."""
        return self.comparisons.count("reproduced")


def compare(report: Report, result: Result) -> Comparison:
    """How one replay compares with the report."""
    seen = all_failures(result)
    if recurring(report.failures, seen):
        return "reproduced"
    if seen:
        return "another failure"
    if result.standing in ("unknown", "error") or not report.judged:
        return "not judged"
    return "passed" if report.failures else "reproduced"


def conclude(report: Report, results: Sequence[Result], differences: Sequence[str]) -> Outcome:
    """What all of them come to."""
    comparisons = tuple(compare(report, result) for result in results)
    count, times = Counter(comparisons), len(results)
    if count["reproduced"]:
        again = _as_reported(report, results)
        rest = _rest(count, results, report)
        sentence = f"reproduced in {count['reproduced']} of {times}: {again}" + (f"; {rest}" if rest else "")
        return Outcome(comparisons, sentence, 0)
    if count["not judged"] == times:
        return Outcome(comparisons, _not_judged(report, results), _code_of(results))
    if count["another failure"]:
        others = listed(_other_failures(report, results))
        head = f"another failure in {count['another failure']} of {times}: {others}; in the report {_what(report)}"
    else:
        passed = f"{count['passed']} of {times} passed"
        unjudged = f", {count['not judged']} could not be judged" if count["not judged"] else ""
        head = f"not reproduced: {passed}{unjudged}; in the report {_what(report)}"
    return Outcome(comparisons, f"{head}; {_explained(differences)}", EXIT_FAILED)


def _as_reported(report: Report, results: Sequence[Result]) -> str:
    """`agreement is broken as in the report`, and what of the report did not come again."""
    if not report.failures:
        return "passed as in the report"
    again = {failure for result in results for failure in recurring(report.failures, all_failures(result))}
    lost = [check for check in _checks(report.failures) if check not in _checks(again)]
    words = f"{_broken(again)} as in the report"
    return words + (f", but {listed(lost)} {'was' if len(lost) == 1 else 'were'} not" if lost else "")


def _rest(count: Mapping[Comparison, int], results: Sequence[Result], report: Report) -> str:
    """How the others came that did not come as in the report."""
    words = []
    if count["another failure"]:
        words.append(f"{count['another failure']} failed otherwise: {listed(_other_failures(report, results))}")
    if count["passed"]:
        words.append(f"{count['passed']} passed")
    if count["not judged"]:
        words.append(f"{count['not judged']} could not be judged")
    return ", ".join(words)


def _other_failures(report: Report, results: Sequence[Result]) -> list[str]:
    """The first failure of each replay that failed, but not as in the report."""
    others = (result for result in results if compare(report, result) == "another failure")
    firsts = [all_failures(result)[0] for result in others]
    return list(dict.fromkeys(f"{failure.check}: {plain(failure.text)}" for failure in firsts))[:3]


def _what(report: Report) -> str:
    """What is told of the report beside something else."""
    if not report.failures:
        return "it passed"
    first = report.failures[0]
    return f"{_broken(report.failures)}: {plain(first.text)}"


def _broken(failures: Iterable[Failure]) -> str:
    checks = _checks(failures)
    if checks == [LAB]:
        return "the lab did not come up"
    return f"{listed(checks)} {'is' if len(checks) == 1 else 'are'} broken"


def _checks(failures: Iterable[Failure]) -> list[str]:
    return sorted({failure.check for failure in failures})


def _not_judged(report: Report, results: Sequence[Result]) -> str:
    if not report.judged:
        standings = Counter(result.standing for result in results)
        here = ", ".join(f"{count} {standing}" for standing, count in standings.items())
        return f"not to be compared: the reported run came to no verdict; here {here}"
    why = next((result.lab_error_line or result.error for result in results if result.lab_error or result.error), "")
    return f"could not be judged, {len(results)} of {len(results)}" + (f": {plain(why)}" if why else "")


def _code_of(results: Sequence[Result]) -> int:
    """What kept the labs from being made (4 for Docker or the machine, 2 for a patch), or that nothing was judged."""
    return min((result.exit_code for result in results if result.exit_code > 1), default=EXIT_UNKNOWN)


def _explained(differences: Sequence[str]) -> str:
    return f"these differ: {', '.join(differences)}" if differences else "no version differs from the reporter's"


def plain(text: str) -> str:
    """A text of a stranger's in a message: one line, not long, nothing that a terminal obeys."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return shortened(line, LONGEST)
