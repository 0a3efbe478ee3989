"""Runs scenarios: a fresh lab, every step, a last look, every fault undone, a verdict; all of it in a folder."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labctl.blueprint.owner import Owner, OwnerKind
from labctl.blueprint.running_lab import Running
from labctl.checks.course import UNKNOWN
from labctl.checks.judgement import Result
from labctl.cluster import lab_hosts
from labctl.cluster import lifecycle as labs
from labctl.cluster.readiness import NEVER_READY
from labctl.engine.client import Engine, EngineInfo
from labctl.errors import HostError, LabctlError, LabError, UsageError
from labctl.history.events import Event, Over
from labctl.history.journal import Journal
from labctl.images import builder
from labctl.lock import locked
from labctl.pressure import look_at_machine
from labctl.progress import BuildsAlone, Progress, Silent, step
from labctl.scenario import made_with, run_folder
from labctl.scenario.assembly import live_lab
from labctl.scenario.conclusion import attempt, conclude, terms_of
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.reader import Scenario
from labctl.scenario.step_registry import STEPS, Step
from labctl.timing import PATIENCE

WORTH_A_RETRY = ("unknown", "error")
LACKING = "this kernel has no"
ALWAYS_SO = (f"{UNKNOWN}{LACKING}", NEVER_READY)
"""How the error of a run begins that comes to the same each time."""

FEWEST_JOBS, MOST_JOBS = 2, 8
"""So many scenarios are run at a time where nobody says, by the CPUs of the machine. More would be over sooner, and
starve each other on a slow machine: of four at a time on two CPUs three came to no verdict, where of two none did."""

RUN_BYTES = 1 << 30
"""What the lab of a run takes, of five nodes with a database beside them (`labctl bench footprint`: 150 MB a node)."""


@dataclass(frozen=True)
class RunOptions:
    """`folder`: where run folders go. `keep_lab` leaves the lab up, with its faults healed. `images`: how they are
    made. `stop`, once it is set, ends what is under way before its next step. `retries`: how often a scenario is run
    again that came to no verdict, or is `fixed` though nobody mended it; or, where that is given, whose result is
    `in_vain`. `owner`: whose labs these are. `capture`: whether the packets are kept."""

    folder: Path
    timeout_s: float
    keep_lab: bool = False
    seed: int | None = None
    images: builder.Options = field(default_factory=builder.Options)
    stop: threading.Event = field(default_factory=threading.Event, compare=False)
    retries: int = 0
    in_vain: Callable[[Result], bool] | None = None
    owner: OwnerKind = "run"
    capture: bool = True

    def capture_in(self, folder: Path) -> Path | None:
        """The file for the packets of a run; None where they are not kept."""
        return folder / run_folder.CAPTURE if self.capture else None


def run(
    engine: Engine,
    scenario: Scenario,
    how: RunOptions,
    progress: Progress,
    act: Callable[[LiveLab], None] | None = None,
    done: Callable[[], Scenario] | None = None,
) -> Result:
    """Run a scenario once on a lab of its own that is fresh, and judge it. Takes the lab away, however it ends.

    `act` is what is done on the stage, in place of the scenario's steps, and `done` tells afterwards what that was. A
    lab that does not come up, or an engine that is gone, is a result too; a folder that cannot be made raises
    UsageError, one that cannot be written to HostError.
    """
    folder = run_folder.create(how.folder, scenario.name)
    terms = terms_of(scenario, how.images.patches)
    run_folder.write_terms(folder, terms)
    run_folder.write_scenario(folder, scenario, how.seed)
    began_s = time.monotonic()
    events: list[Event] = []
    lab_error: LabctlError | None = None
    try:
        with ExitStack() as at_last, fresh_lab(engine, scenario, how, progress, folder) as running:
            try:
                with _journal(folder / run_folder.HISTORY) as journal:
                    events = journal.events
                    capture = how.capture_in(folder)
                    stage = live_lab(engine, running, journal, progress, capture, fresh=True)
                    at_last.callback(stage.await_recorded)
                    perform(stage, scenario, how.seed, act or (lambda stage: do_steps(stage, scenario, how)))
            finally:
                made_with.keep(engine, scenario.lab, scenario.stack, how.images.patches, folder)
                if done:
                    run_folder.write_scenario(folder, done(), how.seed)
    except LabctlError as error:
        lab_error = error
    result = conclude(events, terms, time.monotonic() - began_s, folder, lab_error)
    run_folder.write_result(folder, result)
    return result


@contextmanager
def _journal(path: Path) -> Iterator[Journal]:
    """The history of a run while it is made; what breaks the run off stands at its end."""
    journal = Journal(path)
    try:
        yield journal
    except LabctlError as error:
        if not any(isinstance(event, Over) for event in journal.events):
            journal.write(Over(journal.now_s(), f"{UNKNOWN}{error.message}"))
        raise
    finally:
        journal.close()
    if journal.failure:
        raise journal.failure


def run_to_a_verdict(engine: Engine, scenario: Scenario, how: RunOptions, progress: Progress) -> Result:
    """Run a scenario, and again where it came to no verdict, or without any patch did not fail as it does each time,
    or where it is `how.in_vain`, `how.retries` times at most; the last result tells of those before it."""
    patched = terms_of(scenario, how.images.patches).patched
    worth_it = WORTH_A_RETRY if patched else (*WORTH_A_RETRY, "fixed")
    in_vain = how.in_vain or (lambda result: result.standing in worth_it)
    result = run(engine, scenario, how, progress)
    for _ in range(how.retries):
        hopeless = (result.lab_error or result.error).startswith(ALWAYS_SO)
        if hopeless or not in_vain(result) or how.stop.is_set():
            break
        earlier = (*result.earlier, attempt(result))
        with step(progress, f"again: {scenario.name}, since {earlier[-1].why}"):
            result = replace(run(engine, scenario, how, progress), earlier=earlier)
        run_folder.write_result(Path(result.folder), result)
    return result


def at_a_time(machine: EngineInfo, runs: int) -> int:
    """How many of `runs` are run at a time on an engine's machine, where nobody says."""
    by_cpus = min(max(machine.cpus, FEWEST_JOBS), MOST_JOBS)
    return max(1, min(runs, by_cpus, machine.memory_bytes // RUN_BYTES))


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
            return run_to_a_verdict(engine, scenario, how, begin(scenario))

    if jobs == 1:
        yield from map(one, scenarios)
        return
    with ThreadPoolExecutor(max_workers=jobs) as pool, ExitStack() as broken_off:
        under_way = [pool.submit(one, scenario) for scenario in scenarios]
        for future in under_way:
            broken_off.callback(future.cancel)
        broken_off.callback(how.stop.set)
        for future in as_completed(under_way):
            yield future.result()
        broken_off.pop_all()


@contextmanager
def fresh_lab(
    engine: Engine, scenario: Scenario, how: RunOptions, progress: Progress, folder: Path
) -> Iterator[Running]:
    """A lab that nobody has used, proven ready; what an earlier run left of it is taken away first, with its faults.

    Of a lab that does not come up the nodes' logs are in `folder` before it is taken away. Raises UsageError where a
    lab of that name is there that another made.
    """
    lab, owner = scenario.lab, Owner.current(how.owner)
    _require_docker_hosts(engine, scenario)
    labs.clear_way(engine, lab.name, owner)
    try:
        try:
            with step(progress, f"up {lab.name}"):
                look_at_machine()
                timeout_s = PATIENCE.stretch(how.timeout_s)
                told = BuildsAlone(progress)
                labs.up(engine, lab, scenario.stack, how.images, timeout_s, told, proof=scenario.proof, owner=owner)
        except LabctlError:
            made_with.keep(engine, scenario.lab, scenario.stack, how.images.patches, folder)
            raise
        yield replace(labs.load(engine, lab.name), options=how.images)
    finally:
        if not how.keep_lab:
            labs.down(engine, lab.name, Silent())


def _require_docker_hosts(engine: Engine, scenario: Scenario) -> None:
    """Raise UsageError where a step names a Docker host on which the lab is not to be: before that is made, as its file
    may leave that to LABCTL_HOSTS."""
    named = [
        (planned, str(planned.arguments[argument]))
        for planned in scenario.steps
        for argument, (_, mark) in STEPS[planned.verb].names.items()
        if mark.kind == "docker_host"
    ]
    hosts = [host.name for host in lab_hosts.required(engine, scenario.lab)] if named else []
    for planned, name in named:
        if name not in hosts:
            what = f"line {planned.line}: {planned.verb}: the lab is to be on no Docker host `{name}`"
            raise UsageError(what, f"its hosts: {', '.join(hosts)}" if hosts else "LABCTL_HOSTS=one,two has it on two")


def perform(stage: LiveLab, scenario: Scenario, seed: int | None, act: Callable[[LiveLab], None]) -> None:
    """Do it all, and undo what is in force. What goes wrong on the lab is in the journal, not raised.

    Raises HostError where the engine is gone so that nothing could be undone.
    """
    error = ""
    stage.open(scenario.name, seed)
    try:
        _require(stage, scenario.requires)
        act(stage)
    except HostError as raised:
        error = f"{UNKNOWN}{raised.message}"
    except LabctlError as raised:
        error = raised.message
    finally:
        with suppress(LabError):  # a fault that could not be undone: the end of the journal tells of it
            stage.close(error)


def do_steps(stage: LiveLab, scenario: Scenario, how: RunOptions) -> None:
    """Every step of the scenario; at the end the lab is settled, and looked at.

    A step that fails ends the run, unless the scenario keeps going; an engine that is gone always does.
    """
    for block, planned in itertools.groupby(scenario.steps, key=lambda step: step.branch and step.branch[0]):
        steps = list(planned)
        branches = [list(branch) for _, branch in itertools.groupby(steps, key=lambda step: step.branch)]
        if block is None:
            _do_in_order(stage, steps, how.stop, scenario.keep_going)
        else:
            _do_side_by_side(stage, branches, how.stop, scenario.keep_going)
    if scenario.steps[-1].verb != "settle":
        stage.settle()


def attempt_step(stage: LiveLab, planned: Step) -> tuple[Any, str]:
    """Do a step: what it gave, and why it failed; "" where it did not.

    Raises HostError where the engine answers no more: every step after that would fail at once, and for ever.
    """
    try:
        return getattr(stage, planned.verb)(**planned.arguments), ""
    except HostError as error:
        stage.engine.observe()  # raises what is the matter, if the engine is gone
        return None, error.message
    except LabctlError as error:
        return None, error.message


def _do_in_order(stage: LiveLab, steps: Sequence[Step], stop: threading.Event, keep_going: bool) -> None:
    for planned in steps:
        if stop.is_set():
            raise LabError("it was interrupted")
        if keep_going:
            attempt_step(stage, planned)
        else:
            getattr(stage, planned.verb)(**planned.arguments)


def _do_side_by_side(
    stage: LiveLab, branches: Sequence[Sequence[Step]], stop: threading.Event, keep_going: bool
) -> None:
    """Each branch in its own order, beside the others; an error ends its branch, and is raised when all have ended."""
    pool = ThreadPoolExecutor(max_workers=len(branches), thread_name_prefix="branch")
    with stage.phones.side_by_side(), pool, ExitStack() as broken_off:
        broken_off.callback(stop.set)  # an interrupt ends each before its next step
        under_way = [pool.submit(_do_in_order, stage, branch, stop, keep_going) for branch in branches]
        wait(under_way)
        broken_off.pop_all()
    for future in under_way:
        future.result()


def _require(stage: LiveLab, abilities: Sequence[str]) -> None:
    """Raise HostError for what a scenario wants and this kernel cannot do."""
    lacking = sorted(set(abilities) - stage.abilities) if abilities else []
    if lacking:
        raise HostError(f"{LACKING} {', '.join(lacking)}", "labctl doctor tells more")
