"""Whether what went wrong in one run is what went wrong in another. Pure.

Two runs of one scenario never say quite the same: times, addresses and counts differ, and so do the states that a node
missed. What makes a failure the same is the check, the extension, who is wrong, when in the scenario, and the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.asterisk.device_state import HINTS
from labctl.checks import judgement
from labctl.checks.finding import Finding
from labctl.checks.judgement import Result, Terms

LAB = "lab"
"""The check of a lab that did not come up, or did not stay up to the end: none of the registry's."""

DIALOG_STATES = ("terminated", "early", "confirmed")
"""RFC 4235, as `Notified` has them."""

_STATE = "|".join(re.escape(word) for word in {*HINTS, *HINTS.values(), *DIALOG_STATES})
_CHANCE = re.compile(
    r"\+\d+(?:\.\d+)? s\b:?"  # a moment of the run
    r"|0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{8,}\b"  # pointers, and names that are drawn
    r"|(?<![\w@-])(?<!signal )\d[\d.,:/]*(?![\w-])"  # addresses, ports, counts, times; n1 and node-1 are names
    rf"|(?<![\w&])(?:{_STATE})(?:(?: or |&)(?:{_STATE}))*(?![\w&])",
)
_BETWEEN_WORDS = re.compile(r"[\s,;:()'`\"]+")


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong in a run, by all that does not depend on chance.

    `wrong`: those of `nodes` that were wrong, where others were right. `step`: its number, where it was seen in a look;
    0 where the moment is chance. `words`: those of its text; `text` is for people.
    """

    check: str
    extension: str
    nodes: frozenset[str]
    wrong: frozenset[str]
    step: int
    words: frozenset[str]
    text: str = field(default="", compare=False)


def same_failure(reported: Failure, seen: Failure, *, by_step: bool = True) -> bool:
    """Whether what was seen is what was reported: of the same check, extension, step and words, on no other nodes.

    `by_step=False` is for a scenario whose steps are others than those of the report.
    """
    return (
        (reported.check, reported.extension, reported.words) == (seen.check, seen.extension, seen.words)
        and _among(seen.nodes, reported.nodes)
        and _among(seen.wrong, reported.wrong)
        and (not by_step or 0 in (reported.step, seen.step) or reported.step == seen.step)
    )


def _among(seen: frozenset[str], reported: frozenset[str]) -> bool:
    """Whether those seen are of those reported: some of them, where there are any."""
    return seen <= reported and bool(seen) == bool(reported)


def recurring(reported: Sequence[Failure], seen: Sequence[Failure], *, by_step: bool = True) -> tuple[Failure, ...]:
    """Those of the reported failures that were seen again; with none of them it is another failure, or none."""
    return tuple(
        failure for failure in reported if any(same_failure(failure, other, by_step=by_step) for other in seen)
    )


def all_failures(result: Result) -> tuple[Failure, ...]:
    """Everything that went wrong in a run, each once, what is known to fail too; not what could not be judged."""
    return tuple(dict.fromkeys(_failures(result)))


def reported_failures(result: Result, terms: Terms) -> tuple[Failure, ...]:
    """What a run is reported for: what went wrong and was not known to; where all was known, all of it."""
    news = [
        failure_of(judged.verdict.check, finding)
        for judged in result.judged
        if judged.standing == "failed"
        for finding in judgement.news(judged.verdict, terms)
    ]
    lab = [_lab_failure(result)] if _lab_failed(result) else []
    return tuple(dict.fromkeys([*lab, *news])) or all_failures(result)


def _failures(result: Result) -> Iterator[Failure]:
    if _lab_failed(result):
        yield _lab_failure(result)
    for judged in result.judged:
        if judged.verdict.outcome == "failed":
            yield from (
                failure_of(judged.verdict.check, finding) for finding in judged.verdict.findings if not finding.doubt
            )


def _lab_failed(result: Result) -> bool:
    """Whether the lab was not as it should be; what Docker or the machine could not do (4) is no failure of it."""
    return bool(result.lab_error) and result.exit_code == 1


def _lab_failure(result: Result) -> Failure:
    text = result.lab_error.splitlines()[0]
    return Failure(LAB, "", frozenset(), frozenset(), 0, words(text), text)


def failure_of(check: str, finding: Finding) -> Failure:
    """What a finding of a check comes to without all that is chance."""
    looked = finding.since_s is None and not finding.certain  # in a look, and so at a step of the scenario
    return Failure(
        check,
        finding.extension,
        frozenset(finding.nodes),
        frozenset(finding.wrong),
        finding.step if looked else 0,
        words(finding.text, finding.nodes),
        finding.text,
    )


def words(text: str, nodes: Sequence[str] = ()) -> frozenset[str]:
    """The words of a text, without times, numbers, addresses, states, and the names of some nodes."""
    said = set(_BETWEEN_WORDS.split(_CHANCE.sub(" ", text)))
    return frozenset(said - {*nodes, ""})
