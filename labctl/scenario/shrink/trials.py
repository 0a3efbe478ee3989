"""Runs candidates until it is known which of them still fail, and remembers what each run came to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from labctl.scenario.line_file import add_line, read_lines
from labctl.scenario.reader import Scenario
from labctl.scenario.shrink.target import Outcome
from labctl.scenario.writer import to_data
from labctl.timing import Deadline

UNJUDGED = 3
"""So many runs of a candidate that nobody can judge, and it is given up: it counts as one that does not fail."""

Run = Callable[[Scenario, int, threading.Event], Outcome]
"""Runs a scenario once on a lab of that number, and ends it early once the event is set."""


class OutOfTimeError(Exception):
    """The time for shrinking is over; what was got until then holds. It goes no further than this package."""


@dataclass(frozen=True)
class Demand:
    """A candidate still fails where it does in `needed` of `runs` runs."""

    runs: int = 1
    needed: int = 1

    def met(self, outcomes: Counter[Outcome]) -> bool | None:
        """Whether it fails often enough, by the outcomes so far; None where it is to be run again."""
        if outcomes["same"] >= self.needed:
            return True
        if outcomes["gone"] > self.runs - self.needed or outcomes["not judged"] >= UNJUDGED * self.runs:
            return False
        return None


@dataclass
class PastTrials:
    """What each candidate came to, by its content; kept in a file, so that a search can go on where it ended."""

    path: Path
    _outcomes: dict[str, Counter[Outcome]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> PastTrials:
        """What a file holds, and nothing where there is none. A line that was cut off is left out. Raises HostError."""
        memory = cls(path)
        for line in read_lines(path):
            try:
                entry = json.loads(line)
                key, outcome = str(entry["candidate"]), entry["outcome"]
            except (ValueError, KeyError, TypeError):
                continue
            if outcome in get_args(Outcome):
                memory._of(key)[outcome] += 1
        return memory

    def outcomes(self, scenario: Scenario) -> Counter[Outcome]:
        """How often a candidate came to what."""
        return self._of(content_key(scenario))

    def add(self, scenario: Scenario, outcome: Outcome) -> None:
        """A run of a candidate has ended. Raises HostError where that cannot be written down."""
        key = content_key(scenario)
        self._of(key)[outcome] += 1
        entry = {"candidate": key, "outcome": outcome, "steps": len(scenario.steps)}
        add_line(self.path, json.dumps(entry))

    def _of(self, key: str) -> Counter[Outcome]:
        return self._outcomes.setdefault(key, Counter())


def content_key(scenario: Scenario) -> str:
    """A name for all that a run of the scenario depends on, and for nothing else."""
    data = {key: value for key, value in to_data(scenario).items() if key not in ("title", "about", "known")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Trials:
    """Tries candidates, `jobs` runs at a time."""

    run: Run
    memory: PastTrials
    jobs: int = 1
    deadline: Deadline | None = None

    def first(self, candidates: Sequence[Scenario], demand: Demand) -> int | None:
        """The index of the first of `jobs` candidates or fewer that still fails; None where none does.

        They are run side by side. An interrupt ends what is under way before its next step; its labs are taken away.
        Raises OutOfTimeError.
        """
        self._decide(candidates, demand)
        failing = (index for index, one in enumerate(candidates) if demand.met(self.memory.outcomes(one)))
        return next(failing, None)

    def known(self, candidate: Scenario, demand: Demand) -> bool | None:
        """Whether a candidate still fails, as far as that is known without a run."""
        return demand.met(self.memory.outcomes(candidate))

    def _decide(self, batch: Sequence[Scenario], demand: Demand) -> None:
        """Run the candidates of a batch until it is known of each whether it fails, or until the first does."""
        while runs := self._next_runs(batch, demand):
            if self.deadline and self.deadline.passed:
                raise OutOfTimeError
            for candidate, outcome in zip(runs, self._run_all(runs), strict=True):
                self.memory.add(candidate, outcome)

    def _next_runs(self, batch: Sequence[Scenario], demand: Demand) -> list[Scenario]:
        """What to run next, `jobs` at most: each that is not decided, and those more often that want more runs."""
        open_ones = []
        for candidate in batch:
            met = self.known(candidate, demand)
            if met:
                break
            open_ones += [candidate] if met is None else []
        wanted = {content_key(one): demand.needed - self.memory.outcomes(one)["same"] for one in open_ones}
        runs: list[Scenario] = []
        while len(runs) < self.jobs and any(wanted.values()):
            for one in open_ones:
                if wanted[content_key(one)] and len(runs) < self.jobs:
                    wanted[content_key(one)] -= 1
                    runs.append(one)
        return runs

    def _run_all(self, runs: Sequence[Scenario]) -> list[Outcome]:
        stop = threading.Event()
        if len(runs) == 1:
            return [self.run(runs[0], 1, stop)]
        with ThreadPoolExecutor(max_workers=len(runs)) as pool, ExitStack() as broken_off:
            futures = [pool.submit(self.run, one, number, stop) for number, one in enumerate(runs, 1)]
            broken_off.callback(stop.set)
            outcomes = [future.result() for future in futures]
            broken_off.pop_all()
            return outcomes
