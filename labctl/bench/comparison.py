"""The same scenarios over several stacks and carriers of state, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from labctl.bench import measurements
from labctl.checks.judgement import Result
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import HostError, InvalidFile, LabError, UsageError
from labctl.lab import Carrier, Overrides
from labctl.labfile.loader import find_lab
from labctl.progress import Progress, Silent, step
from labctl.scenario import runner
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.timing import percentile

NAME = "compare"
UNCHANGED = Overrides()


@dataclass(frozen=True)
class Variant:
    """A stack and a way for state, by which the scenarios are run."""

    stack: str
    via: Carrier

    def __str__(self) -> str:
        return f"{self.stack} {self.via}"


@dataclass(frozen=True)
class Cell:
    """What came of one thing with one variant. `remark`: why, or which checks did not hold."""

    outcome: str
    remark: str = ""


@dataclass
class Comparison:
    """A table: thing -> variant -> what came of it; and the runs it is made of, with one more for each variant of which
    there are no figures."""

    variants: tuple[str, ...]
    rows: dict[str, dict[str, Cell]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    def put(self, what: str, variant: Variant, cell: Cell) -> None:
        """Fill in one cell."""
        self.rows.setdefault(what, {})[str(variant)] = cell


@dataclass(frozen=True)
class Plan:
    """What is to be compared, on `image` where that is given. `find` finds a scenario for a variant, or raises
    UsageError where it makes no sense."""

    variants: tuple[Variant, ...]
    scenarios: tuple[str, ...]
    find: Callable[[str, Overrides], Scenario]
    changes: int = 200
    jobs: int = 2
    image: str | None = None


def compare(engine: Engine, plan: Plan, how: RunOptions, progress: Progress, say: Callable[[str], None]) -> Comparison:
    """Measure each variant and run each scenario with it; `say` is told what is under way.

    A variant whose images cannot be made, or whose lab does not come up or loses a change that is timed, has that in
    its cells, and the others go on.
    """
    how = replace(how, owner="compare")
    table = Comparison(tuple(str(variant) for variant in plan.variants))
    for variant in plan.variants:
        try:
            _measure(engine, table, variant, plan, how, progress)
            scenarios = _find(table, variant, plan)
            for result in runner.run_many(engine, scenarios, how, plan.jobs, partial(_begin, variant, say)):
                table.results.append(replace(result, scenario=f"{result.scenario} ({variant})"))
                table.put(result.scenario, variant, outcome(result))
        except HostError:
            table.put("images", variant, Cell("none", f"labctl build --stack {variant.stack} says why"))
    return table


def _measure(
    engine: Engine, table: Comparison, variant: Variant, plan: Plan, how: RunOptions, progress: Progress
) -> None:
    """Put the figures of a variant into the table; where there are none, why."""
    try:
        with step(progress, f"{variant}: up, and {plan.changes} changes"):
            for what, cell in _measured(engine, variant, plan, how):
                table.put(what, variant, cell)
    except LabError as error:
        table.put("delay p50", variant, Cell("-", error.message.splitlines()[0]))
        name, title = f"changes ({variant})", "How long a change takes"
        code = error.exit_code
        table.results.append(Result(name, title, variant.stack, 0.0, (), lab_error=error.message, exit_code=code))


def _measured(engine: Engine, variant: Variant, plan: Plan, how: RunOptions) -> Iterator[tuple[str, Cell]]:
    """Delay, and what goes over the wire, on a lab that has nothing else to do."""
    lab, stack = find_lab(None, Overrides(name=NAME, stack=variant.stack, via=variant.via))
    if "device_state" not in lab.share or not lab.devices:
        raise UsageError("the lab shares no device state", "share: [device_state], and devices: [mystate]")
    with measurements.fresh_cluster(
        engine, lab, stack.with_image(plan.image), how.images, how.timeout_s, how.owner
    ) as cluster:
        yield from _figures(engine, cluster, plan.changes)


def _figures(engine: Engine, cluster: Cluster, changes: int) -> Iterator[tuple[str, Cell]]:
    lab = cluster.lab
    traffic = measurements.traffic(engine, cluster, lab.devices[0], changes)
    yield "delay p50", Cell(f"{percentile(traffic.delays_ms, 50):.1f} ms")
    yield (
        "delay p99",
        Cell(
            f"{percentile(traffic.delays_ms, 99):.1f} ms", f"{changes} changes on {lab.nodes[0].name}, seen elsewhere"
        ),
    )
    yield "packets a change", Cell(f"{traffic.packets_change:.1f}")
    yield "bytes a change", Cell(f"{traffic.bytes_change:.0f}")
    yield "packets a second at rest", Cell(f"{traffic.packets_s:.0f}", "of all nodes together")


def _find(table: Comparison, variant: Variant, plan: Plan) -> list[Scenario]:
    """The scenarios that make sense with a variant; what keeps another from it goes into its cell."""
    scenarios = []
    for name in plan.scenarios:
        try:
            scenario = plan.find(name, Overrides(stack=variant.stack, via=variant.via))
        except InvalidFile as error:
            table.put(name, variant, Cell("-", error.first))
            continue
        table.rows.setdefault(scenario.name, {})  # in the order that was asked for, whichever ends first
        scenarios.append(replace(scenario, stack=scenario.stack.with_image(plan.image)))
    return scenarios


def _begin(variant: Variant, say: Callable[[str], None], scenario: Scenario) -> Progress:
    say(f"{variant}: {scenario.name}")
    return Silent()


def outcome(result: Result) -> Cell:
    """What a run came to in a word, whatever was expected of it; and `!` where that was something else."""
    if result.lab_error:
        return Cell("error !", result.lab_error_line)
    broken = [judged for judged in result.judged if judged.verdict.outcome in ("failed", "unknown")]
    mark = "" if result.standing in ("passed", "known", "nothing") else " !"
    if not broken:
        return Cell(f"holds{mark}")
    words = ", ".join(judged.verdict.check for judged in broken)
    return Cell(f"{words}{mark}", "; ".join(dict.fromkeys(judged.reason for judged in broken if judged.reason)))
