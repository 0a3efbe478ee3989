"""Runs scenarios: a fresh lab, every step, a last look, every fault undone, a verdict; all of it in a folder."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labctl.blueprint.running_lab import Running
from labctl.checks import judgement, registry
from labctl.checks.finding import Limits
from labctl.checks.judgement import Result, Terms
from labctl.cluster import lifecycle as labs
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError, LabError, UsageError
from labctl.history import events as history
from labctl.history import story
from labctl.history.events import Event
from labctl.history.journal import Journal
from labctl.images import builder
from labctl.labfile import writer
from labctl.lock import locked
from labctl.names import ROLE_NODE
from labctl.progress import Progress, Silent, step
from labctl.scenario.live_lab import Stage
from labctl.scenario.reader import Scenario

HISTORY = "history.jsonl"
TERMS = "terms.json"
VERDICT = "verdict.json"
LAB = "lab.yaml"
LATEST = "latest"


@dataclass(frozen=True)
class RunOptions:
    """`folder`: where run folders go. `keep_lab` leaves the lab up, with its faults healed. `images`: how they are
    made. `stop`, once it is set, ends what is under way before its next step."""

    folder: Path
    timeout_s: float
    keep_lab: bool = False
    seed: int | None = None
    images: builder.Options = field(default_factory=builder.Options)
    stop: threading.Event = field(default_factory=threading.Event, compare=False)


def run(
    engine: Engine,
    scenario: Scenario,
    how: RunOptions,
    progress: Progress,
    act: Callable[[Stage], None] | None = None,
) -> Result:
    """Run a scenario once on a lab of its own that is fresh, and judge it. Takes the lab away, however it ends.

    `act` is what is done on the stage, in place of the scenario's steps.
    """
    folder = _new_folder(how.folder, scenario.name)
    terms = terms_of(scenario)
    (folder / TERMS).write_text(json.dumps(asdict(terms), indent=2), "utf-8")
    began_s = time.monotonic()
    with fresh_lab(engine, scenario, how, progress) as running:
        journal = Journal(folder / HISTORY)
        try:
            stage = Stage(engine, running, journal, progress)
            perform(stage, scenario, how.seed, act or (lambda stage: do_steps(stage, scenario, how)))
        finally:
            journal.close()
            save_logs(engine, running, folder)
    result = conclude(journal.events, terms, time.monotonic() - began_s, folder)
    (folder / VERDICT).write_text(json.dumps(asdict(result), indent=2), "utf-8")
    return result


def run_many(
    engine: Engine,
    scenarios: Sequence[Scenario],
    how: RunOptions,
    jobs: int,
    begin: Callable[[Scenario], Progress],
) -> Iterator[Result]:
    """Run scenarios, `jobs` at a time, each on a lab of its own; their results as they come.

    `begin` is told of each as it begins, and says where its steps are shown. Who stops asking for results, as by an
    interrupt, ends those that are under way before their next step; their labs are taken away all the same.
    """

    def one(scenario: Scenario) -> Result:
        with locked(f"run-{scenario.lab.name}"):  # the same lab, as by --repeat, one after the other
            return run(engine, scenario, how, begin(scenario))

    if jobs == 1:
        yield from map(one, scenarios)
        return
    with ThreadPoolExecutor(max_workers=jobs) as pool, ExitStack() as broken_off:
        under_way = [pool.submit(one, each) for each in scenarios]
        for future in under_way:
            broken_off.callback(future.cancel)
        broken_off.callback(how.stop.set)
        for future in as_completed(under_way):
            yield future.result()
        broken_off.pop_all()


def terms_of(scenario: Scenario) -> Terms:
    """What a run of the scenario is judged by."""
    return Terms(
        scenario.name,
        scenario.title,
        scenario.stack.name,
        scenario.limits.delay_ms,
        scenario.expect,
        scenario.known,
        scenario.lab.via,
        explicit=scenario.explicit,
    )


def check(folder: Path) -> Result:
    """Judge an old run again, by its folder. Raises UsageError, InvalidFile."""
    found = events(folder)
    terms = judgement.parse_terms(_read(folder / TERMS), str(folder / TERMS))
    return conclude(found, terms, found[-1].at_s, folder)


def events(folder: Path) -> tuple[Event, ...]:
    """The history of a run, by its folder. Raises UsageError, InvalidFile."""
    return history.parse(_read(folder / HISTORY), str(folder / HISTORY))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", "is it the folder of a run? labctl run says where it is"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})", "labctl run writes such files") from None


@contextmanager
def fresh_lab(engine: Engine, scenario: Scenario, how: RunOptions, progress: Progress) -> Iterator[Running]:
    """A lab that nobody has used, proven ready; whatever had its name is taken away first, with its faults."""
    lab = scenario.lab
    labs.down(engine, lab.name, Silent())
    try:
        with step(progress, f"up {lab.name}"):
            labs.up(engine, lab, scenario.stack, how.images, how.timeout_s, Silent(), proof=scenario.proof)
        yield labs.load(engine, lab.name)
    finally:
        if not how.keep_lab:
            labs.down(engine, lab.name, Silent())


def perform(stage: Stage, scenario: Scenario, seed: int | None, act: Callable[[Stage], None]) -> None:
    """Do it all, and undo what is in force. What goes wrong is in the journal, not raised."""
    error = ""
    stage.open(scenario.name, seed)
    try:
        _require(stage, scenario.requires)
        act(stage)
    except HostError as raised:
        error = f"unknown: {raised.message}"
    except LabctlError as raised:
        error = raised.message
    finally:
        stage.close(error)


def do_steps(stage: Stage, scenario: Scenario, how: RunOptions) -> None:
    """Every step of the scenario; at the end the lab is settled, and looked at."""
    for each in scenario.steps:
        if how.stop.is_set():
            raise LabError("it was interrupted")
        getattr(stage, each.verb)(**each.arguments)
    if scenario.steps[-1].verb != "settle":
        stage.settle()


def conclude(events: Sequence[Event], terms: Terms, seconds: float, folder: Path) -> Result:
    """The verdict on a history."""
    verdicts = registry.judge(events, Limits(delay_ms=terms.delay_ms))
    error = next((each.error for each in events if isinstance(each, history.Over)), "the run did not end")
    return Result(
        terms.scenario,
        terms.title,
        terms.stack,
        round(seconds, 3),
        judgement.judge(verdicts, terms),
        error,
        str(folder),
        tuple(story.tell(events)),
    )


def save_logs(engine: Engine, running: Running, folder: Path) -> None:
    """Each node's log, and the lab as it was, beside the history."""
    (folder / LAB).write_text(writer.to_yaml(running.lab), "utf-8")
    for container in engine.observe(running.lab.name).containers:
        if container.role == ROLE_NODE:
            (folder / f"{container.node}.log").write_text(engine.logs(container.id), "utf-8")


def _require(stage: Stage, abilities: Sequence[str]) -> None:
    """Raise HostError for what a scenario wants and this kernel cannot do."""
    lacking = sorted(set(abilities) - stage.abilities) if abilities else []
    if lacking:
        raise HostError(f"this kernel has no {', '.join(lacking)}", "labctl doctor tells more")


def _new_folder(parent: Path, scenario: str) -> Path:
    """A folder of this run's own, by scenario and time; `latest` leads to it."""
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (f"{scenario}-{stamp}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    try:
        with locked("run-folders"):
            folder = next(path for name in names if not (path := parent / name).exists())
            folder.mkdir(parents=True)
            latest = parent / LATEST
            latest.unlink(missing_ok=True)
            latest.symlink_to(folder.name)
    except OSError as error:
        raise UsageError(f"{parent}: {error.strerror}", "--folder names another place for the run") from None
    return folder
