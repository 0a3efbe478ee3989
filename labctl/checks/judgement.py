"""Verdicts against what was expected of them: what failed, what was known to, what no longer does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from labctl.checks.finding import Verdict
from labctl.checks.known import Known
from labctl.errors import InvalidFile, Problem

Standing = Literal["passed", "failed", "known", "fixed", "unknown", "nothing"]
"""Of a check: `known` failed as it is known to, `fixed` did not although it was seen to fail every time, `unknown`
could not be judged, `nothing` had nothing to judge."""

WORST_FIRST: tuple[Standing, ...] = ("failed", "unknown", "fixed", "known", "passed", "nothing")


@dataclass(frozen=True)
class Terms:
    """What a run is judged by: kept beside its history, so that it can be judged again without its scenario."""

    scenario: str
    title: str
    stack: str
    delay_ms: float
    expect: tuple[str, ...]
    known: tuple[Known, ...] = ()
    via: str = "corosync"


@dataclass(frozen=True)
class Judged:
    """A verdict, how it stands to what was expected, and the reason where it was known to fail."""

    verdict: Verdict
    standing: Standing
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """A scenario that was run once. `folder` holds its history and logs; `story` what happened, in lines."""

    scenario: str
    title: str
    stack: str
    seconds: float
    judged: tuple[Judged, ...]
    error: str = ""
    folder: str = ""
    story: tuple[str, ...] = ()

    @property
    def standing(self) -> Standing:
        """The worst of its checks."""
        standings = {each.standing for each in self.judged}
        return next((each for each in WORST_FIRST if each in standings), "unknown")


def judge(verdicts: Sequence[Verdict], terms: Terms) -> tuple[Judged, ...]:
    """Each verdict that was asked for, against what is known of the stack."""
    known = {each.check: each for each in terms.known if each.stack == terms.stack and each.via in (terms.via, "any")}
    return tuple(_judge(verdict, known.get(verdict.check)) for verdict in verdicts if verdict.check in terms.expect)


def _judge(verdict: Verdict, known: Known | None) -> Judged:
    if known and verdict.outcome == "failed":
        return Judged(verdict, "known", known.reason)
    if known and known.always and known.source != "read" and verdict.outcome == "passed":
        return Judged(verdict, "fixed", known.reason)
    return Judged(verdict, verdict.outcome)


def parse_terms(text: str, source: str) -> Terms:
    """Terms from the JSON of a run folder. Raises InvalidFile."""
    try:
        return TypeAdapter(Terms).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"{where} {first['msg']}".strip()
        problem = Problem(1, f"no terms of a run: {why}", "labctl run writes such files")
        raise InvalidFile(source, [problem]) from None
