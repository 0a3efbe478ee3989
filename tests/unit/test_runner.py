"""Runs of scenarios: each yields a result, whatever becomes of its lab, and the others run on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from labctl.blueprint.owner import Owner
from labctl.blueprint.running_lab import Running
from labctl.checks.finding import Limits
from labctl.checks.judgement import Result
from labctl.checks.known import Known
from labctl.cluster.readiness import NEVER_READY
from labctl.engine.client import Engine, EngineInfo
from labctl.engine.host import Host
from labctl.engine.observation import Container, Observation
from labctl.errors import BuildError, HostError, LabctlError, NotReady, PatchRefused, UsageError
from labctl.history.events import Began, Called, Did, Ended, Event, Looked, Over
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.names import ROLE_NODE
from labctl.patch import Patch
from labctl.progress import Progress, Silent
from labctl.report import junit, verdict_tables
from labctl.report.acceptance import Acceptance
from labctl.scenario import conclusion, made_with, reader, runner
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.loader import find_scenario
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.scenario.step_registry import Step
from labctl.yamlfile.document import parse
from tests.unit.labs import stack
from tests.unit.live_labs import Rig


class FakeEngine:
    """An engine on which one node of each lab has a container, with a log; or none answers."""

    def __init__(self) -> None:
        self.gone = False

    def observe(self, lab: str | None = None) -> Observation:
        """The one node of a lab."""
        if self.gone:
            raise HostError("look for labs: connection refused")
        return Observation(containers=(Container("id", f"{lab}-n1", lab or "", ROLE_NODE, "n1", "running", "hash"),))

    def info(self) -> EngineInfo:
        """What it is."""
        if self.gone:
            raise HostError("ask the engine what it is: connection refused")
        return EngineInfo("29.1", "1.50", "overlay2", "/", "6.12.9", "Debian", 2, 1 << 30, "x86_64")

    def find_file(self, _container: str, _path: str) -> None:
        """No node has such a file."""

    def logs(self, container: str, tail: int | None = None, *, stamped: bool) -> str:
        """What the node said."""
        assert (container, tail, stamped) == ("id", None, True)
        return "2026-11-28T00:00:00.000000000Z Entity ID is not set\n"


class Labs:
    """In place of the verbs: what `up` and `down` came to, by lab, in order."""

    def __init__(self, up: dict[str, LabctlError] | None = None, down: dict[str, LabctlError] | None = None) -> None:
        self.up_errors, self.down_errors = up or {}, down or {}
        self.done: list[str] = []

    def up(self, _engine: Engine, lab: Any, *_: Any, **__: Any) -> None:
        """Make a lab, or fail."""
        self.done.append(f"up {lab.name}")
        if lab.name in self.up_errors:
            raise self.up_errors[lab.name]

    def down(self, _engine: Engine, name: str, _progress: Progress) -> None:
        """Take a lab away; the first time there is none."""
        self.done.append(f"down {name}")
        if name in self.down_errors and self.done.count(f"down {name}") > 1:
            raise self.down_errors[name]

    def clear_way(self, engine: Engine, name: str, owner: Owner) -> None:
        """Take away what an earlier run left; it was one of the same kind."""
        assert owner.kind == "run"
        self.down(engine, name, Silent())

    def load(self, _engine: Engine, name: str) -> Running:
        """The lab that is up."""
        lab = next(planned.lab for planned in SCENARIOS if planned.lab.name == name)
        return Running(lab, SCENARIOS[0].stack, Observation())


class FakeStage:
    """A live lab on which `settle` writes a look, or fails as it is told to."""

    failing: tuple[LabctlError, ...] = ()
    captures: ClassVar[list[Path | None]] = []

    def __init__(
        self,
        engine: FakeEngine,
        running: Running,
        journal: Any,
        _progress: Progress,
        capture: Path | None,
        *,
        fresh: bool,
    ) -> None:
        FakeStage.captures.append(capture)
        self.engine, self.lab, self.journal = engine, running.lab, journal
        self.abilities: set[str] = set()

    def open(self, scenario: str, seed: int | None) -> None:
        """The history begins."""
        nodes = tuple(node.name for node in self.lab.nodes)
        self.journal.write(Began(0.0, scenario, self.lab.name, "22", nodes, {"101": "PJSIP/alice"}, seed=seed))

    def settle(self) -> None:
        """A look in which all agree; or an error."""
        left = list(FakeStage.failing)
        if left:
            FakeStage.failing = tuple(left[1:])
            self.journal.write(Did(1.0, 1, "settle", 0.5, left[0].message))
            raise left[0]
        states = {node.name: {"101": "Idle"} for node in self.lab.nodes}
        rings = {node.name: tuple(member.name for member in self.lab.nodes) for node in self.lab.nodes}
        self.journal.write(Did(1.0, 1, "settle", 0.5))
        self.journal.write(Looked(1.0, states, rings))

    def await_recorded(self) -> None:
        """Nothing is recorded."""

    def close(self, error: str = "") -> None:
        """The history ends, unless the engine is gone."""
        self.engine.observe("any")
        self.journal.write(Over(2.0, error))


def scenario(name: str) -> Scenario:
    """A scenario of one step on a lab of its own."""
    shipped = find_scenario("partition-heal", Overrides(name=f"lab-{name}"))
    settle = Step("settle", {})
    return replace(
        shipped, name=name, steps=cast(Any, (settle,)), expect=("agreement", "course"), known=(), healthy=False
    )


SCENARIOS = (scenario("first"), scenario("second"), scenario("third"))
AWAY = NotReady("not ready after 60 s\n  n2: its ring has 2 of 3 members", {"n2": ["ring"]}, "labctl logs n2")


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Result]]:
    """Runs the three scenarios on labs that do as they are told; of each is `known` what is."""

    def run(
        labs: Labs, engine: FakeEngine | None = None, known: tuple[Known, ...] = (), **options: Any
    ) -> list[Result]:
        monkeypatch.setattr(runner, "labs", labs)
        monkeypatch.setattr(runner, "look_at_machine", lambda: None)  # it is of the whole process
        monkeypatch.setattr(runner, "live_lab", FakeStage)
        how = RunOptions(tmp_path, 60.0, **options)
        fake = cast(Engine, engine or FakeEngine())
        scenarios = [replace(scenario, known=known) for scenario in SCENARIOS]
        return [*runner.run_many(fake, scenarios, how, 1, lambda _: Silent())]

    FakeStage.failing = ()
    FakeStage.captures.clear()
    return run


def standings(results: list[Result]) -> list[str]:
    """How each stands."""
    return [result.standing for result in results]


def test_packets_are_kept_beside_the_history_unless_nobody_wants_them(run_all: Callable[..., list[Result]]) -> None:
    kept = [Path(result.folder) / "capture.pcapng" for result in run_all(Labs())]
    run_all(Labs(), capture=False)
    assert FakeStage.captures == [*kept, None, None, None]


def test_a_lab_that_does_not_come_up_is_an_error_and_the_others_run_on(run_all: Callable[..., list[Result]]) -> None:
    labs = Labs(up={"lab-second": AWAY})
    results = run_all(labs)
    assert standings(results) == ["passed", "error", "passed"]
    assert labs.done[-4:] == ["down lab-second", "down lab-third", "up lab-third", "down lab-third"]
    folder = Path(results[1].folder)
    assert (folder / "n1.log").read_text("utf-8") == "Entity ID is not set\n"
    made = made_with.parse((folder / made_with.MADE_WITH).read_text("utf-8"), "it")
    assert (made.machine.kernel, made.machine.architecture) == ("6.12.9", "x86_64")
    assert (folder / made_with.STACK).is_file()
    assert json.loads((folder / "verdict.json").read_text("utf-8"))["lab_error"] == f"{AWAY.message}\n{AWAY.hint}"
    assert Acceptance().exit_code(results) == 1
    with pytest.raises(UsageError, match="the lab of this run did not come up"):
        conclusion.check(folder)


def test_an_error_of_a_lab_is_told_to_people_and_to_ci(run_all: Callable[..., list[Result]]) -> None:
    results = run_all(Labs(up={"lab-second": AWAY}))
    text = junit.render(results)
    assert '<testsuite name="second" tests="1" failures="0" errors="1" skipped="0"' in text
    assert '<error message="not ready after 60 s: n2: its ring has 2 of 3 members">' in text
    assert verdict_tables.findings(results[1])[:2] == ["lab: error", "  not ready after 60 s"]
    assert str([*verdict_tables.overview(results).columns[2].cells][1]) == "error"


@pytest.mark.parametrize(
    ("error", "code"),
    [(AWAY, 1), (BuildError("no base system"), 4), (PatchRefused("does not fit"), 2), (UsageError("not yours"), 2)],
)
def test_the_exit_code_is_that_of_what_kept_the_lab_away(
    error: LabctlError, code: int, run_all: Callable[..., list[Result]]
) -> None:
    results = run_all(Labs(up={"lab-first": error}))
    assert (standings(results)[0], Acceptance().exit_code(results)) == ("error", code)


def test_a_lab_that_cannot_be_taken_away_leaves_its_verdict(run_all: Callable[..., list[Result]]) -> None:
    results = run_all(Labs(down={"lab-first": HostError("remove network: endpoint leaked")}))
    assert standings(results) == ["error", "passed", "passed"]
    assert [judged.standing for judged in results[0].judged] == ["passed", "passed"]
    assert Acceptance().exit_code(results) == 4


def test_an_engine_that_goes_in_mid_run_is_no_failure_of_the_cluster(run_all: Callable[..., list[Result]]) -> None:
    engine = FakeEngine()

    class Leaving(Labs):
        def load(self, _engine: Engine, name: str) -> Running:
            engine.gone = True
            return super().load(_engine, name)

    results = run_all(Leaving(), engine)
    assert standings(results) == ["error"] * 3
    assert "course" in {judged.verdict.check for judged in results[0].judged if judged.standing == "unknown"}
    assert Acceptance().exit_code(results) == 4


def test_what_came_to_no_verdict_is_run_again_and_both_are_told(run_all: Callable[..., list[Result]]) -> None:
    FakeStage.failing = (HostError("the engine took 70 s to answer"),)
    results = run_all(Labs(), retries=2)
    assert standings(results) == ["passed"] * 3
    (attempt,) = results[0].earlier
    assert (attempt.standing, attempt.folder == results[0].folder) == ("unknown", False)
    assert "the engine took 70 s to answer" in attempt.why
    assert json.loads((Path(results[0].folder) / "verdict.json").read_text("utf-8"))["earlier"][0]["why"] == attempt.why
    assert 'tests="3" failures="0" errors="0" skipped="1"' in junit.render(results[:1])
    assert "attempt 1: unknown, and so run again" in verdict_tables.findings(results[0])[0]
    assert Acceptance().exit_code(results) == 0


def test_what_comes_to_no_verdict_each_time_is_unknown_in_the_end(run_all: Callable[..., list[Result]]) -> None:
    FakeStage.failing = (HostError("no answer"),) * 3
    results = run_all(Labs(), retries=2)
    assert (standings(results)[0], len(results[0].earlier)) == ("unknown", 2)
    assert Acceptance().exit_code(results) == 5


def test_what_did_not_fail_as_it_does_each_time_is_run_again_unless_it_is_patched(
    run_all: Callable[..., list[Result]],
) -> None:
    each_time = (Known("22", "agreement", "a race", always=True),)
    results = run_all(Labs(), known=each_time, retries=2)
    assert (standings(results)[0], len(results[0].earlier)) == ("fixed", 2)
    assert results[0].earlier[0].why == "agreement did not fail, as it is known to"
    patches = Options(patches=(Patch("mine.patch", b""),))
    assert run_all(Labs(), known=each_time, retries=2, images=patches)[0].earlier == ()


def test_whose_result_is_in_vain_may_be_said_by_who_runs_it(run_all: Callable[..., list[Result]]) -> None:
    each_time = (Known("22", "agreement", "a race", always=True),)
    results = run_all(Labs(), known=each_time, retries=2, in_vain=lambda result: result.standing == "unknown")
    assert (standings(results)[0], results[0].earlier) == ("fixed", ())
    results = run_all(Labs(), retries=2, in_vain=lambda result: result.standing == "passed")
    assert len(results[0].earlier) == 2


def test_what_this_kernel_cannot_do_is_not_tried_again(run_all: Callable[..., list[Result]]) -> None:
    FakeStage.failing = (HostError("this kernel has no netem"),)
    results = run_all(Labs(), retries=2)
    assert (standings(results)[0], results[0].earlier) == ("unknown", ())


def test_a_lab_that_waiting_does_not_mend_is_not_tried_again(run_all: Callable[..., list[Result]]) -> None:
    in_vain = NotReady(f"{NEVER_READY}\n  n1: its Corosync does not start: Missing closing brace", {})
    results = run_all(Labs(up={SCENARIOS[0].lab.name: in_vain}), retries=2)
    assert (standings(results)[0], results[0].earlier) == ("error", ())


def test_an_interrupt_ends_all_branches_before_their_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, reached = threading.Event(), threading.Event()

    class Stage:
        phones = Rig().switchboard

        def wait(self, duration: float) -> None:
            reached.set()
            stop.wait(10)  # until whoever waits for the branches is interrupted

    def interrupted(*_futures: object) -> None:
        assert reached.wait(10)
        raise KeyboardInterrupt

    branch = [Step("wait", {"duration": 1.0}), Step("wait", {"duration": 1.0})]
    monkeypatch.setattr(runner, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner._do_side_by_side(cast("LiveLab", Stage()), [branch, branch], stop, keep_going=False)
    assert stop.is_set()


def test_what_failed_is_not_run_again(run_all: Callable[..., list[Result]]) -> None:
    FakeStage.failing = (NotReady("the ring of n1 is n1, after 30 s", {}),)
    results = run_all(Labs(), retries=2)
    assert (standings(results)[0], results[0].earlier) == ("failed", ())


# Where the course broke

BEGAN = Began(0.0, "s", "lab", "22", ("n1",), {})
CALLED = Called(1.0, "alice-bob-1", "alice", "bob", ("n1",))


def ended(at_s: float, why: str) -> Ended:
    """The call has ended, as it should not."""
    return Ended(at_s, CALLED.call, ok=False, why=why)


def outcomes(*events: Event) -> dict[str, str]:
    """What each check says."""
    return {verdict.check: verdict.outcome for verdict in conclusion.judge_course((BEGAN, *events), Limits())}


def test_what_comes_after_the_point_where_the_course_broke_is_not_judged() -> None:
    broken = Did(2.0, 1, "wait_for", 1.5, "101 is not InUse after 10 s")
    cut_off = ended(3.0, "it was still going on when the run ended")
    verdicts = outcomes(CALLED, broken, cut_off, Over(4.0, broken.error))
    assert (verdicts["calls"], verdicts["course"]) == ("nothing", "failed")


def test_a_call_that_was_lost_before_is_judged() -> None:
    broken = Did(2.0, 1, "wait_for", 1.9, "101 is not InUse after 10 s")
    verdicts = outcomes(CALLED, ended(1.5, "503"), broken, Over(4.0, broken.error))
    assert (verdicts["calls"], verdicts["course"]) == ("failed", "failed")


def test_a_run_to_its_end_is_judged_whole() -> None:
    suppressed = Did(2.0, 1, "wait_for", 1.5, "one thing of a soak run that failed")
    assert outcomes(CALLED, suppressed, ended(3.0, "503"), Over(4.0))["calls"] == "failed"


@pytest.mark.parametrize(
    ("cpus", "gib", "runs", "at_a_time"),
    [(2, 24, 59, 2), (1, 24, 59, 2), (4, 16, 59, 4), (64, 256, 59, 8), (8, 3, 59, 3), (8, 24, 3, 3), (8, 0, 3, 1)],
)
def test_so_many_are_run_at_a_time_as_the_machine_has_cpus_and_memory_for(
    cpus: int, gib: int, runs: int, at_a_time: int
) -> None:
    machine = EngineInfo("27", "1.46", "overlay2", "/", "6.1", "Debian", cpus, gib << 30, "x86_64")
    assert runner.at_a_time(machine, runs) == at_a_time


class OverHosts:
    """An engine over these hosts, whatever its labs want."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def hosts_of(self, _names: Any) -> tuple[Host, ...]:
        """They are."""
        return tuple(Host(name) for name in self.names)

    def hosts(self, _lab: str) -> tuple[Host, ...]:
        """The lab is not there."""
        return ()

    def require_hosts(self, _hosts: Any) -> None:
        """They answer."""


@pytest.mark.parametrize(
    ("hosts", "hint"), [((), "LABCTL_HOSTS=one,two has it on two"), (("one", "three"), "its hosts: one, three")]
)
def test_a_step_on_a_docker_host_that_the_lab_is_not_to_be_on_is_refused_before_it_is_made(
    hosts: tuple[str, ...], hint: str, tmp_path: Path
) -> None:
    text = "title: T\nsteps:\n- settle\n- host_cut: two\n"
    scenario = reader.read(text, "t.yaml", lambda _: parse("name: lab\n", "lab.yaml"), lambda _: stack())
    how = RunOptions(tmp_path, 60.0)
    with (
        pytest.raises(UsageError, match="line 4: host_cut: the lab is to be on no Docker host `two`") as refused,
        runner.fresh_lab(cast(Engine, OverHosts(*hosts)), scenario, how, Silent(), tmp_path),
    ):
        pytest.fail("it was made")
    assert refused.value.hint == hint
    runner._require_docker_hosts(cast(Engine, OverHosts("one", "two")), scenario)
