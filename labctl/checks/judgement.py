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

RunStanding = Standing | Literal["error"]
"""Of a run: the worst of its checks, or `error`: it had no lab from its begin to its end."""

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
class Attempt:
    """A run of a scenario that came to no verdict, so that it was run again; `why`, in a line."""

    standing: RunStanding
    why: str
    seconds: float
    folder: str


@dataclass(frozen=True)
class Result:
    """A scenario that was run. `folder` holds its history and logs; `story` what happened, in lines.

    `error` is what ended its steps early. `lab_error` says why its lab did not come up or could not be taken away, and
    `exit_code` is that error's. `earlier` are the runs before this one that came to no verdict.
    """

    scenario: str
    title: str
    stack: str
    seconds: float
    judged: tuple[Judged, ...]
    error: str = ""
    folder: str = ""
    story: tuple[str, ...] = ()
    lab_error: str = ""
    exit_code: int = 0
    earlier: tuple[Attempt, ...] = ()

    @property
    def lab_error_line(self) -> str:
        """What was the matter with the lab, and the first reason for it, in a line."""
        reasons = [line.strip() for line in self.lab_error.splitlines() if line.strip()]
        return ": ".join(reasons[:2])

    @property
    def standing(self) -> RunStanding:
        """The worst of its checks; that it had no lab to the end goes before all but a failure."""
        standings = {judged.standing for judged in self.judged}
        if self.lab_error and "failed" not in standings:
            return "error"
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
