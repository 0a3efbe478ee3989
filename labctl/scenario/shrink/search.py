"""Shrinks a run, or a scenario, on real labs: in a folder of its own, so that a search which was ended goes on."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from labctl.checks.finding import Limits
from labctl.engine.client import Engine
from labctl.errors import HostError, InvalidFile, UsageError
from labctl.history.events import Did, beginning
from labctl.lab import Overrides
from labctl.lock import locked
from labctl.progress import Silent
from labctl.scenario import run_folder, run_record, runner, writer
from labctl.scenario.loader import read_scenario
from labctl.scenario.reader import Scenario
from labctl.scenario.run_record import RunRecord
from labctl.scenario.runner import RunOptions
from labctl.scenario.shrink import target as targets
from labctl.scenario.shrink import text
from labctl.scenario.shrink.guesses import guesses
from labctl.scenario.shrink.shrinker import Hooks, Shrinker, Shrunk
from labctl.scenario.shrink.target import Outcome, TargetFailure, outcome
from labctl.scenario.shrink.text import Origin
from labctl.scenario.shrink.trials import Demand, PastTrials, Run, Trials, content_key
from labctl.timing import Deadline

FIRST, LAST = Demand(1, 1), Demand(3, 2)
"""What is asked of a smaller scenario, and of the smallest, where nothing else is said."""

TRIALS, FIRST_RUN = "trials.jsonl", "first-run"


@dataclass(frozen=True)
class Failing:
    """A scenario, and a run of it that failed."""

    scenario: Scenario
    record: RunRecord


@dataclass(frozen=True)
class SearchOptions:
    """`how`: runs, and where their folders go. `lab` begins the names of the labs. `file`: where the smallest goes, in
    the search's folder by default. `minutes`: how long at most; None for as long as it takes."""

    how: RunOptions
    first: Demand = FIRST
    last: Demand = LAST
    jobs: int = 2
    minutes: float | None = None
    lab: str | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Found:
    """What a search came to, and the file in which the smallest scenario is; None where the failure did not come
    again."""

    shrunk: Shrunk
    target: TargetFailure
    steps: int
    file: Path | None


def failing_run(folder: Path, overrides: Overrides) -> Failing:
    """A run by its folder, with the scenario that lies in it. Raises UsageError, InvalidFile."""
    record = run_record.recall(folder)
    path = folder / run_folder.SCENARIO
    scenario = read_scenario(run_folder.read_file(path), str(path), folder, overrides)
    done = sum(isinstance(event, Did) for event in record.events)
    if done > len(scenario.steps) + 1:  # the last `settle` may be one that is not written
        hint = "a soak run of an earlier labctl did not keep its steps: run it again, with its seed"
        raise UsageError(f"{path}: {len(scenario.steps)} steps, but the run did {done}", hint)
    return Failing(replace(scenario, name=record.result.scenario), record)


def first_run(engine: Engine, scenario: Scenario, options: SearchOptions, say: Callable[[str], None]) -> Failing:
    """A run of a scenario that failed: the one that an earlier search made, or one that is made now."""
    folder = _folder(options, scenario, "")
    note = folder / FIRST_RUN
    if note.exists():
        try:
            return Failing(scenario, run_record.recall(folder / run_folder.read_file(note).strip()))
        except UsageError:
            say("the run that this began with is gone; one more is made")
    say(f"all {len(scenario.steps)} steps of {scenario.name}, to see how they fail")
    named = _on_lab(scenario, _lab_name(options, scenario), 1)
    result = runner.run_to_a_verdict(
        engine, named, replace(options.how, folder=folder, keep_lab=False, retries=2), Silent()
    )
    if result.standing in ("failed", "known"):
        _write(note, Path(result.folder).name)
    return Failing(scenario, run_record.recall(Path(result.folder)))


def choose(failing: Failing, check: str | None = None, pattern: str = "", *, news_only: bool = False) -> TargetFailure:
    """What a run is shrunk for: of all that is wrong in it what the least steps may show. Raises UsageError."""
    scenario, record = failing.scenario, failing.record

    def nearest(target: TargetFailure) -> float:
        return len(guesses(scenario.steps, scenario.lab, record.events, target.finding)[0])

    return targets.choose(record.result, scenario.known, check, pattern=pattern, news_only=news_only, nearest=nearest)


def search(
    engine: Engine, failing: Failing, target: TargetFailure, options: SearchOptions, say: Callable[[str], None]
) -> Found:
    """The smallest scenario that fails the same way; what is tried is told in lines by `say`.

    The smallest so far is in its file at any time. Raises HostError where the engine is gone, or nothing can be
    written; UsageError for a file that cannot be.
    """
    scenario, record = failing.scenario, failing.record
    folder = _folder(options, scenario, _key_of(target))
    file = options.file or folder / f"{scenario.name}-smallest.yaml"
    seed = beginning(record.events).seed
    origin = Origin(scenario.name, str(record.folder), len(scenario.steps), seed)
    trials = Trials(
        _run_on(engine, target, options, folder, _lab_name(options, scenario)),
        PastTrials.read(folder / TRIALS),
        options.jobs,
        Deadline(options.minutes * 60) if options.minutes else None,
    )

    def write(smallest: Scenario) -> None:
        outcomes = trials.memory.outcomes(smallest)
        runs = outcomes["same"] + outcomes["gone"]
        _write(file, text.to_text(smallest, target, origin, outcomes["same"], runs))

    shrinker = Shrinker(scenario, target, trials, Hooks(is_valid, say, write), options.first, options.last)
    shrunk = shrinker.shrink(record.events)
    if shrunk.failed:
        write(shrunk.scenario)
    return Found(shrunk, target, len(scenario.steps), file if shrunk.failed else None)


def is_valid(scenario: Scenario) -> bool:
    """Whether `labctl run` would take the scenario."""
    return _is_read(writer.to_yaml(scenario), scenario.lab.stack)


@lru_cache(maxsize=1024)
def _is_read(text: str, stack: str) -> bool:
    """Whether a scenario file is without mistakes: a search asks of the same again and again."""
    try:
        read_scenario(text, "candidate", Path(), Overrides(stack=stack))
    except InvalidFile:
        return False
    return True


def _run_on(engine: Engine, target: TargetFailure, options: SearchOptions, folder: Path, lab: str) -> Run:
    def run(scenario: Scenario, number: int, stop: threading.Event) -> Outcome:
        named = _on_lab(scenario, lab, number)
        how = replace(options.how, folder=folder, stop=stop, keep_lab=False, retries=0, capture=False)
        with locked(f"run-{named.lab.name}"):
            result = runner.run(engine, named, how, Silent())
        if result.lab_error and result.exit_code == HostError.exit_code:
            raise HostError(result.lab_error_line, "the same command goes on from here")
        if not (Path(result.folder) / run_folder.HISTORY).exists():
            return "not judged"
        events = run_folder.read_events(Path(result.folder))
        return outcome(events, Limits(delay_ms=scenario.limits.delay_ms), target)

    return run


def _on_lab(scenario: Scenario, lab: str, number: int) -> Scenario:
    return replace(scenario, lab=replace(scenario.lab, name=f"{lab}-{number}"))


def _lab_name(options: SearchOptions, scenario: Scenario) -> str:
    name = options.lab or f"shrink-{scenario.name.lower()}"
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)[:28]


def _folder(options: SearchOptions, scenario: Scenario, about: str) -> Path:
    """The folder of a search, made where it is not there: the same for the same scenario and failure."""
    images = options.how.images
    key = hashlib.sha256(json.dumps([content_key(scenario), about, repr(images)]).encode()).hexdigest()[:8]
    folder = options.how.folder / f"shrink-{scenario.name}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}", "--folder names another place") from None
    return folder


def _key_of(target: TargetFailure) -> str:
    failure = target.failure
    reasons = sorted(target.reasons(target.finding))
    return json.dumps([failure.check, failure.extension, sorted(failure.words), sorted(failure.nodes), reasons])


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "can you write there?") from None
