"""Verdicts against what was expected of them: what failed, what was known to, what no longer does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ValidationError

from labctl.checks.finding import Finding, Verdict
from labctl.checks.known import Known
from labctl.errors import InvalidFile, Problem, first_mistake
from labctl.plain_data import adapter
from labctl.yamlfile.pattern import mistake_in

Standing = Literal["passed", "failed", "known", "fixed", "unknown", "nothing"]
"""Of a check: `known` failed as it is known to, `fixed` did not although it was seen to fail every time, `unknown`
could not be judged, `nothing` had nothing to judge."""

RunStanding = Standing | Literal["error"]
"""Of a run: the worst of its checks, or `error`: it had no lab from its begin to its end."""

CHECKS_OF_0_1 = (
    *("agreement", "truth", "no_ghosts", "bounded_delay", "no_flapping", "lamps"),
    *("calls", "routes", "remote_state", "views", "course"),
)
"""What labctl 0.1 expected of every scenario that did not say what it expects."""

WORST_FIRST: tuple[Standing, ...] = ("failed", "unknown", "fixed", "known", "passed", "nothing")


@dataclass(frozen=True)
class Terms:
    """What a run is judged by: kept beside its history, so that it can be judged again without its scenario.

    `explicit`: whether the scenario itself says what it expects, so that each of those checks has to judge something.
    None in what labctl 0.1 wrote, where all checks were expected unless the scenario said otherwise. `patched`: whether
    nodes ran anything but Asterisk as it comes.
    """

    scenario: str
    title: str
    stack: str
    delay_ms: float
    expect: tuple[str, ...]
    known: tuple[Known, ...] = ()
    via: str = "corosync"
    explicit: bool | None = None
    patched: bool = False

    @property
    def must_judge(self) -> bool:
        """Whether a check that has nothing to judge leaves the run unknown."""
        return not {*CHECKS_OF_0_1} <= {*self.expect} if self.explicit is None else self.explicit


@dataclass(frozen=True)
class Judged:
    """A verdict, how it stands to what was expected, and the reason where it was known to fail, also where something
    else could not be judged."""

    verdict: Verdict
    standing: Standing
    reason: str = ""


@dataclass(frozen=True)
class Attempt:
    """A run of a scenario that was run again, since it came to no verdict that holds; `why`, in a line."""

    standing: RunStanding
    why: str
    seconds: float
    folder: str


@dataclass(frozen=True)
class Result:
    """A scenario that was run. `folder` holds its history and logs; `story` what happened, in lines.

    `error` is what ended its steps early. `lab_error` says why its lab did not come up or could not be taken away, and
    the way out; `exit_code` is that error's. `earlier` are the runs before this one that came to no verdict.
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
        return next((standing for standing in WORST_FIRST if standing in standings), "unknown")


def judge(verdicts: Sequence[Verdict], terms: Terms, disturbed: str = "") -> tuple[Judged, ...]:
    """Each verdict that was asked for, against what is known of the stack. `disturbed`: what kept nodes from their
    work meanwhile."""
    return tuple(_judge(verdict, terms, disturbed) for verdict in verdicts if verdict.check in terms.expect)


def news(verdict: Verdict, terms: Terms) -> tuple[Finding, ...]:
    """The findings of a verdict that were not known to come; what could not be judged is none."""
    return _news(verdict, _known(verdict, terms))


def _news(verdict: Verdict, known: Sequence[Known]) -> tuple[Finding, ...]:
    failures = (finding for finding in verdict.findings if not finding.doubt)
    return tuple(finding for finding in failures if not any(entry.matches(finding) for entry in known))


def _known(verdict: Verdict, terms: Terms) -> list[Known]:
    """What is known to fail of a check, where the run was made."""
    return [entry for entry in terms.known if entry.is_for(verdict.check, terms.stack, terms.via)]


def _judge(verdict: Verdict, terms: Terms, disturbed: str) -> Judged:
    known = _known(verdict, terms)
    if verdict.outcome == "nothing" and terms.must_judge:
        return _nothing_judged(verdict)
    if verdict.outcome == "failed":
        return _failed(verdict, known)
    if verdict.outcome == "unknown" and (reasons := _as_always(verdict, known)):
        return Judged(verdict, "known", _all_of(reasons))
    mended = [entry.reason for entry in known if entry.always and entry.source != "read"]
    if mended and verdict.outcome == "passed":
        by_chance = disturbed and not terms.patched
        return _spared(verdict, mended, disturbed) if by_chance else Judged(verdict, "fixed", _all_of(mended))
    return Judged(verdict, verdict.outcome)


def _failed(verdict: Verdict, known: Sequence[Known]) -> Judged:
    """A failure that is known where every finding is; else those that are news come first. Where all that failed is
    known, and of something else nobody knows whether it did, the whole is unknown."""
    failures = [finding for finding in verdict.findings if not finding.doubt]
    not_known = _news(verdict, known)
    if not_known or not known:
        others = [finding for finding in verdict.findings if finding not in not_known]
        return Judged(replace(verdict, findings=(*not_known, *others)), "failed")
    reasons = [entry.reason for entry in known if any(entry.matches(finding) for finding in failures)]
    reason = _all_of(reasons or [entry.reason for entry in known])
    open_ones = [finding for finding in verdict.findings if not any(entry.matches(finding) for entry in known)]
    if open_ones:
        others = [finding for finding in verdict.findings if finding not in open_ones]
        return Judged(replace(verdict, findings=(*open_ones, *others)), "unknown", f"what failed is known: {reason}")
    return Judged(verdict, "known", reason)


def _as_always(verdict: Verdict, known: Sequence[Known]) -> list[str]:
    """Why all that could not be judged is what fails each time, whatever the machine did; nothing where any is not."""
    seen = [entry for entry in known if entry.always and entry.source != "read" and entry.names_what_fails]
    matches = [[entry.reason for entry in seen if entry.matches(finding)] for finding in verdict.findings]
    return [reason for reasons in matches for reason in reasons] if all(matches) else []


def _spared(verdict: Verdict, mended: Sequence[str], disturbed: str) -> Judged:
    """What fails each time, and did not on a machine that kept nodes from their work: who speaks later is heard."""
    text = f"it is known to fail each time, and did not ({_all_of(mended)}); not judged: {disturbed}"
    return Judged(replace(verdict, outcome="unknown", findings=(Finding(text, 0.0, doubt=disturbed),)), "unknown")


def _nothing_judged(verdict: Verdict) -> Judged:
    why = f" ({verdict.remark})" if verdict.remark else ""
    text = f"the scenario expects `{verdict.check}`, but nothing that happened is judged by it{why}"
    unjudged = Finding(text, 0.0, doubt="it had nothing to judge")
    return Judged(replace(verdict, outcome="unknown", findings=(unjudged,)), "unknown")


def _all_of(reasons: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))


def parse_terms(text: str, source: str) -> Terms:
    """Terms from the JSON of a run folder. Raises InvalidFile."""
    try:
        terms = adapter(Terms).validate_json(text)
    except ValidationError as error:
        problem = Problem(1, f"no terms of a run: {first_mistake(error)}", "labctl run writes such files")
        raise InvalidFile(source, [problem]) from None
    for known in terms.known:
        if mistake := mistake_in(known.finding):
            raise InvalidFile(source, [Problem(1, f"no terms of a run: known.finding: {mistake}")])
    return terms
