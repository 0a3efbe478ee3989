"""Several runs at once: each scenario with its runs in order of time, how often each of its checks did not hold, and
what changed against the last time. Pure."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.checks.judgement import Result, RunStanding
from labctl.scenario.run_record import RunRecord

LAB = "lab"
"""What stands in the place of a check where it was the lab that did not come up."""

WORSE: tuple[RunStanding, ...] = ("failed", "error", "unknown", "fixed", "known", "nothing", "passed")
"""Standings, the worst first."""

Direction = Literal["worse", "better", "other"]


@dataclass(frozen=True)
class ShownRun:
    """A run, when it began, what carried state, and the file that has its page."""

    result: Result
    began: datetime.datetime
    via: str
    page: str

    @property
    def standings(self) -> dict[str, RunStanding]:
        """How its lab, if that is what failed, and each of its checks stand."""
        lab: dict[str, RunStanding] = {LAB: "error"} if self.result.lab_error else {}
        return lab | {judged.verdict.check: judged.standing for judged in self.result.judged}

    @property
    def wrong(self) -> str:
        """What does not simply hold, in words: `agreement known, calls failed`."""
        return ", ".join(f"{check} {standing}" for check, standing in self.standings.items() if counts(standing))

    @property
    def finding(self) -> str:
        """The first thing that was found wrong; "" where nothing was."""
        wrong = (judged for judged in self.result.judged if counts(judged.standing))
        texts = [finding.text for judged in wrong for finding in judged.verdict.findings]
        return self.result.lab_error_line or next(iter(texts), "")


def shown(record: RunRecord, page: str = "") -> ShownRun:
    """A run as it stands among others."""
    return ShownRun(record.result, record.moment, record.began.via if record.began else "corosync", page)


@dataclass(frozen=True)
class CheckChange:
    """A check that came to something else than the last time; None where it was not judged one of the times."""

    check: str
    before: RunStanding | None
    after: RunStanding | None

    @property
    def direction(self) -> Direction:
        """Whether that is worse than before, or better. A lab that comes up tells nothing more of itself."""
        if self.check == LAB:
            return "worse" if self.after else "better"
        if not self.before or not self.after or "nothing" in (self.before, self.after):
            return "other"
        return "worse" if WORSE.index(self.after) < WORSE.index(self.before) else "better"


@dataclass(frozen=True)
class CheckCount:
    """How often a check came to what; `judged` times it was judged at all."""

    check: str
    judged: int
    failed: int
    known: int
    unknown: int
    fixed: int

    @property
    def wrong(self) -> int:
        """How often it did not simply hold."""
        return self.failed + self.known + self.unknown + self.fixed


@dataclass(frozen=True)
class ScenarioRuns:
    """The runs of one scenario on one stack by one carrier, the oldest first. `before` is what its last run is compared
    with; None where there is none."""

    scenario: str
    title: str
    stack: str
    via: str
    runs: tuple[ShownRun, ...]
    before: ShownRun | None

    @property
    def last(self) -> ShownRun:
        """The newest."""
        return self.runs[-1]

    @property
    def changes(self) -> tuple[CheckChange, ...]:
        """What came to something else than the last time, what is worse first."""
        return tuple(changes(self.before, self.last)) if self.before else ()

    @property
    def counts(self) -> tuple[CheckCount, ...]:
        """The checks that did not hold each time."""
        return tuple(count for count in check_counts(self.runs) if count.wrong)


@dataclass(frozen=True)
class Overview:
    """All of it. `left_out`: runs that could not be read, and why."""

    scenarios: tuple[ScenarioRuns, ...]
    checks: tuple[CheckCount, ...]
    left_out: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return sum(len(scenario.runs) for scenario in self.scenarios)

    @property
    def sentence(self) -> str:
        """What a person wants to know first."""
        standings = Counter(scenario.last.result.standing for scenario in self.scenarios)
        told = ", ".join(f"{standings[standing]} {standing}" for standing in WORSE if standings[standing])
        runs, scenarios = _number(self.runs, "run"), _number(len(self.scenarios), "scenario")
        last = "" if self.runs == len(self.scenarios) else ", by the last run of each"
        return f"{runs} of {scenarios}{last}: {told}."

    @property
    def compared(self) -> bool:
        """Whether there is a last time to compare anything with."""
        return any(scenario.before for scenario in self.scenarios)

    @property
    def news(self) -> tuple[ScenarioRuns, ...]:
        """The scenarios whose last run came to something else than the one before."""
        return tuple(scenario for scenario in self.scenarios if scenario.changes)


def overview(runs: Iterable[ShownRun], earlier: Iterable[ShownRun] = (), left_out: Sequence[str] = ()) -> Overview:
    """Runs, sorted by scenario and time. Of a scenario with one run the newest of `earlier` is what it is compared
    with, if that began before it."""
    groups: dict[tuple[str, str, str], list[ShownRun]] = {}
    for run in sorted(runs, key=lambda run: run.began):
        groups.setdefault(_key(run), []).append(run)
    before: dict[tuple[str, str, str], list[ShownRun]] = {}
    for run in sorted(earlier, key=lambda run: run.began):
        before.setdefault(_key(run), []).append(run)
    scenarios = [_scenario(group, before.get(key, [])) for key, group in sorted(groups.items())]
    scenarios.sort(key=lambda scenario: WORSE.index(scenario.last.result.standing))
    shown = [run for group in groups.values() for run in group]
    return Overview(tuple(scenarios), tuple(check_counts(shown)), tuple(left_out))


def _key(run: ShownRun) -> tuple[str, str, str]:
    return run.result.scenario, run.result.stack, run.via


def _scenario(runs: list[ShownRun], earlier: list[ShownRun]) -> ScenarioRuns:
    first = runs[0]
    older = [run for run in (*earlier, *runs[:-1]) if run.began <= runs[-1].began]
    before = runs[-2] if len(runs) > 1 else older[-1] if older else None
    last = runs[-1].result
    return ScenarioRuns(last.scenario, last.title, last.stack, first.via, tuple(runs), before)


def changes(before: ShownRun, after: ShownRun) -> list[CheckChange]:
    """What came to something else in a later run; that a check had nothing to judge is no change."""
    was, now = before.standings, after.standings
    changed = [
        CheckChange(check, was.get(check), now.get(check))
        for check in dict.fromkeys((*was, *now))
        if was.get(check, "nothing") != now.get(check, "nothing")
    ]
    return sorted(changed, key=lambda change: ("worse", "better", "other").index(change.direction))


def check_counts(runs: Iterable[ShownRun]) -> Iterator[CheckCount]:
    """How often each check came to what, those that failed most often first."""
    counted: dict[str, Counter[RunStanding]] = {}
    for run in runs:
        for check, standing in run.standings.items():
            counted.setdefault(check, Counter())[standing] += 1
    every = [
        CheckCount(
            check,
            count.total() - count["nothing"],
            count["failed"] + count["error"],
            count["known"],
            count["unknown"],
            count["fixed"],
        )
        for check, count in counted.items()
    ]
    yield from sorted(every, key=lambda count: (-count.failed, -count.wrong))


def counts(standing: RunStanding) -> bool:
    """Whether a standing is other than that something holds, or was not to be judged."""
    return standing not in ("passed", "nothing")


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
