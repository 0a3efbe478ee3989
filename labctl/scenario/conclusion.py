"""What a run comes to: its history judged by its terms, at its end or again from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.checks import judgement, registry
from labctl.checks.course import UNKNOWN
from labctl.checks.disturbance import disturbed
from labctl.checks.finding import Limits, Verdict
from labctl.checks.judgement import Attempt, Result, Terms
from labctl.checks.reading import as_read
from labctl.errors import LabctlError
from labctl.history import story
from labctl.history.events import Did, Event, ending
from labctl.patch import Patch
from labctl.scenario import run_folder
from labctl.scenario.entries import HEALTHY
from labctl.scenario.reader import Scenario

TO_THE_END = ("course", HEALTHY)
"""The checks that judge all of a run whose course broke."""


def terms_of(scenario: Scenario, patches: Sequence[Patch] = ()) -> Terms:
    """What a run of the scenario is judged by, on nodes with these patches and those that the lab itself has: how its
    daemons fare always belongs to it, unless it says otherwise."""
    expect = scenario.expect if not scenario.healthy else tuple(dict.fromkeys([*scenario.expect, HEALTHY]))
    return Terms(
        scenario.name,
        scenario.title,
        scenario.stack.name,
        scenario.limits.delay_ms,
        expect,
        scenario.known,
        scenario.lab.via,
        explicit=scenario.explicit,
        patched=bool(patches) or any(node.version.patches or node.version.image for node in scenario.lab.nodes),
    )


def check(folder: Path) -> Result:
    """Judge an old run again, by its folder. Raises UsageError, InvalidFile."""
    events = run_folder.read_events(folder)
    seconds = max(event.at_s for event in events)
    return conclude(events, run_folder.read_terms(folder), seconds, folder)


def conclude(
    events: Sequence[Event], terms: Terms, seconds: float, folder: Path, lab_error: LabctlError | None = None
) -> Result:
    """What a run came to that took `seconds`. `lab_error` is what kept it from having a lab from begin to end."""
    limits = Limits(delay_ms=terms.delay_ms)
    verdicts = judge_course(events, limits) if events else ()
    kept_from_work = disturbed(as_read(events), limits) if events and terms.known and not terms.patched else ""
    broke_off = "" if lab_error else "the run did not end"
    over = ending(events)
    return Result(
        terms.scenario,
        terms.title,
        terms.stack,
        round(seconds, 3),
        judgement.judge(verdicts, terms, kept_from_work),
        over.error if over else broke_off,
        str(folder),
        tuple(story.tell(events)) if events else (),
        "\n".join(filter(None, (lab_error.message, lab_error.hint))) if lab_error else "",
        lab_error.exit_code if lab_error else 0,
    )


def judge_course(events: Sequence[Event], limits: Limits) -> tuple[Verdict, ...]:
    """What each check says. Of a run whose course broke, all but `course` itself and `healthy` judge what was before
    that: what comes after it, such as calls that nobody hung up, is labctl's own tidying."""
    verdicts = registry.judge(events, limits)
    broke_s = broke_at_s(events)
    if broke_s is None:
        return verdicts
    before = registry.judge([event for event in events if event.at_s <= broke_s], limits)
    until_then = {verdict.check: verdict for verdict in before}
    return tuple(verdict if verdict.check in TO_THE_END else until_then[verdict.check] for verdict in verdicts)


def broke_at_s(events: Sequence[Event]) -> float | None:
    """When the step ended that ended the run before its time; None where there was none."""
    over = ending(events)
    error = over.error.removeprefix(UNKNOWN) if over else ""
    return max((step.at_s for step in events if isinstance(step, Did) and error and step.error == error), default=None)


def attempt(result: Result) -> Attempt:
    """A run that was made again, as it is told beside the run that was made in its place."""
    findings = [
        finding.text for judged in result.judged if judged.standing == "unknown" for finding in judged.verdict.findings
    ]
    spared = [judged.verdict.check for judged in result.judged if judged.standing == "fixed"]
    fixed = f"{', '.join(spared)} did not fail, as it is known to" if spared else ""
    why = (result.lab_error_line or next(iter(findings), result.error) or fixed or "nothing was judged").splitlines()[0]
    return Attempt(result.standing, why, result.seconds, result.folder)
