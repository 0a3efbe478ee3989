"""What a lab takes as it grows: rings of more and more nodes, and more and more sites, until this machine ends."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from labctl.bench import curve, measurements
from labctl.bench.curve import Bend, Point, Power
from labctl.bench.flood import most_changes_s
from labctl.bench.measurements import fresh_cluster
from labctl.cluster.proof import Proof
from labctl.engine.client import Engine
from labctl.errors import LabctlError, UsageError
from labctl.images import lab_images
from labctl.images.builder import Options
from labctl.lab import MAX_NODES, Carrier, Lab, Overrides
from labctl.labfile import reader
from labctl.labfile.loader import find_lab
from labctl.progress import Progress
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack
from labctl.timing import Deadline, percentile

NAME = "scale"
NODES_A_SITE = 3


@dataclass(frozen=True)
class Size:
    """How large a lab is: `nodes` in one ring, or in so many `sites`."""

    nodes: int
    sites: int = 0

    def __str__(self) -> str:
        return f"{self.sites} sites of {self.nodes // self.sites}" if self.sites else f"{self.nodes} nodes"


@dataclass(frozen=True)
class Row:
    """What was measured of one size. All but the size is None where the lab did not come up, which `remark` tells.

    `proven_s`: from the order to make it until it was proven. `p50_ms`, `p99_ms`: from a change on the first node until
    another node of its ring told of it. `ask_ms`: the median of a question by DUNDi to another site. `packets_s`,
    `bytes_s`: sent by all nodes together while nothing changes; `packets_change`, `bytes_change`: for one change,
    beyond that. `asterisk_mb`, `corosync_mb`, `cpu_percent`: of one node, the latter of one CPU at rest. `changes_s`:
    as many a second as all nodes together could make until one in a hundred was late. `load`: the machine's, before.
    """

    size: Size
    proven_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    ask_ms: float | None = None
    packets_s: float | None = None
    bytes_s: float | None = None
    packets_change: float | None = None
    bytes_change: float | None = None
    asterisk_mb: float | None = None
    corosync_mb: float | None = None
    cpu_percent: float | None = None
    changes_s: float | None = None
    load: float = 0.0
    remark: str = ""


@dataclass(frozen=True)
class Sizes:
    """What is to be measured: series of sizes, by one carrier, with so many `changes` of each. `timeout_s` is how long
    a lab may take to be ready once its containers run."""

    series: tuple[tuple[Size, ...], ...]
    stack: str
    via: Carrier
    changes: int
    timeout_s: float
    image: str | None = None


def sizes(nodes: Sequence[int], sites: Sequence[int]) -> tuple[tuple[Size, ...], ...]:
    """The series of rings and that of sites, the smallest first. Raises UsageError for a size that no lab can have."""
    for count in nodes:
        if not 2 <= count <= MAX_NODES:
            raise UsageError(f"--nodes: {count} nodes", f"2 to {MAX_NODES} can be measured")
    for count in sites:
        if not 2 <= count <= MAX_NODES // NODES_A_SITE:
            raise UsageError(
                f"--sites: {count} sites", f"2 to {MAX_NODES // NODES_A_SITE}, each of {NODES_A_SITE} nodes"
            )
    rings = tuple(Size(count) for count in sorted({*nodes}))
    places = tuple(Size(count * NODES_A_SITE, count) for count in sorted({*sites}))
    return tuple(series for series in (rings, places) if series)


def measure(
    engine: Engine, plan: Sizes, options: Options, progress: Progress, say: Callable[[str], None]
) -> Iterator[Row]:
    """A row for each size, as it was measured. What does not come up is a row that says so, and ends its series.

    Raises HostError where no engine answers any more: that is no matter of the size.
    """
    for series in plan.series:
        for size in series:
            say(f"{size}: up")
            load = round(os.getloadavg()[0], 1)
            try:
                row = replace(_measured(engine, plan, size, options, progress, say), load=load)
            except UsageError:
                raise
            except LabctlError as error:
                engine.observe()
                row = Row(size, load=load, remark=error.message.splitlines()[0])
            say(told(row))
            yield row
            if row.remark:
                break


def _lab(plan: Sizes, size: Size) -> tuple[Lab, Stack]:
    flags = Overrides(name=NAME, stack=plan.stack, via=plan.via)
    if size.sites:
        sites = ", ".join(f"s{number}-: {NODES_A_SITE}" for number in range(1, size.sites + 1))
        return reader.read(f"sites: {{{sites}}}\n", NAME, find_stack, flags)
    return find_lab(None, replace(flags, nodes=size.nodes))


def _measured(
    engine: Engine, plan: Sizes, size: Size, options: Options, progress: Progress, say: Callable[[str], None]
) -> Row:
    lab, stack = _lab(plan, size)
    stack = stack.with_image(plan.image)
    lab_images.build(engine, lab, stack, options, progress)  # which is no matter of the size
    proven_s: list[float] = []
    with fresh_cluster(engine, lab, stack, options, plan.timeout_s, proven=proven_s.append) as cluster:
        say(f"{size}: proven in {proven_s[0]:.1f} s; {plan.changes} changes")
        traffic = measurements.traffic(engine, cluster, lab.devices[0], plan.changes)
        daemons = measurements.daemons(engine, lab, _sampled(lab))
        asks_ms = [route.took_ms for route in Proof(cluster).routes(Deadline(plan.timeout_s))] if lab.sites else []
        say(f"{size}: changes, faster and faster")
        changes_s = most_changes_s(cluster)
    return Row(
        size,
        proven_s=round(proven_s[0], 1),
        p50_ms=round(percentile(traffic.delays_ms, 50), 2) if traffic.delays_ms else None,
        p99_ms=round(percentile(traffic.delays_ms, 99), 2) if traffic.delays_ms else None,
        ask_ms=round(statistics.median(asks_ms), 1) if asks_ms else None,
        packets_s=round(traffic.packets_s, 1),
        bytes_s=round(traffic.bytes_s),
        packets_change=round(traffic.packets_change, 1),
        bytes_change=round(traffic.bytes_change),
        asterisk_mb=_mean([node["asterisk"].memory_mb for node in daemons]),
        corosync_mb=_mean([node["corosync"].memory_mb for node in daemons]) if lab.rings else None,
        cpu_percent=_mean([sum(taken.cpu_percent for taken in node.values()) for node in daemons]),
        changes_s=changes_s,
    )


def _sampled(lab: Lab) -> list[str]:
    """The nodes whose memory and CPU time are measured: the first, one in the middle, and the last."""
    names = [node.name for node in lab.nodes]
    return [names[place] for place in sorted({0, len(names) // 2, len(names) - 1})]


def _mean(values: Sequence[float]) -> float:
    return round(statistics.mean(values), 1)


COLUMNS = (
    *("SIZE", "PROVEN", "DELAY P50", "P99", "ASK", "PACKETS/S AT REST", "KB/S", "PACKETS A CHANGE", "KB"),
    *("ASTERISK", "COROSYNC", "CPU A NODE", "CHANGES/S", "LOAD", ""),
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as a table shows it."""

    def shown(value: float | None, text: str) -> str:
        return "-" if value is None else text.format(value)

    return (
        str(row.size),
        shown(row.proven_s, "{:.1f} s"),
        shown(row.p50_ms, "{:.1f} ms"),
        shown(row.p99_ms, "{:.1f} ms"),
        shown(row.ask_ms, "{:.1f} ms"),
        shown(row.packets_s, "{:.0f}"),
        shown(row.bytes_s and row.bytes_s / 1000, "{:.1f}"),
        shown(row.packets_change, "{:.1f}"),
        shown(row.bytes_change and row.bytes_change / 1000, "{:.1f}"),
        shown(row.asterisk_mb, "{:.0f} MB"),
        shown(row.corosync_mb, "{:.0f} MB"),
        shown(row.cpu_percent, "{:.1f} %"),
        shown(row.changes_s, "{:.0f}"),
        f"{row.load:.1f}",
        row.remark,
    )


def told(row: Row) -> str:
    """A row in a line, for whoever waits for the next."""
    size, *values, load, remark = cells(row)
    shown = [f"{name.lower()} {value}" for name, value in zip(COLUMNS[1:-2], values, strict=True) if value != "-"]
    return f"{size}: {remark or ', '.join(shown)} (load {load})"


# How it grows

FIGURES = {
    "proven_s": "time to proven",
    "packets_s": "packets at rest",
    "packets_change": "packets a change",
    "bytes_change": "bytes a change",
    "p50_ms": "delay",
    "cpu_percent": "CPU a node",
}
"""What is fitted, and what it is called."""

FEWEST_SIZES = 3
"""Through two points any curve goes."""


def points(rows: Sequence[Row], figure: str, *, of_sites: bool) -> list[Point]:
    """What was measured of a figure by the number of nodes, of rings or of sites."""
    series = [row for row in rows if bool(row.size.sites) == of_sites]
    return [(row.size.nodes, float(value)) for row in series if (value := getattr(row, figure)) is not None]


def fitted(rows: Sequence[Row], *, of_sites: bool) -> dict[str, Power]:
    """How each figure grows, where there are sizes enough."""
    measured = {figure: points(rows, figure, of_sites=of_sites) for figure in FIGURES}
    curves = {figure: curve.power(found, FEWEST_SIZES) for figure, found in measured.items()}
    return {figure: fit for figure, fit in curves.items() if fit}


def sentences(rows: Sequence[Row]) -> list[str]:
    """For rings and for sites: how each figure grows, and where this machine ended."""
    told = []
    for of_sites, kind in ((False, "One cluster"), (True, f"Sites of {NODES_A_SITE}")):
        series = [row for row in rows if bool(row.size.sites) == of_sites]
        if not series:
            continue
        grown = [
            _growth(FIGURES[figure], fit, curve.bend(points(rows, figure, of_sites=of_sites)))
            for figure, fit in fitted(rows, of_sites=of_sites).items()
        ]
        told.append(f"{kind}: {', '.join([*grown, 'and ' * bool(grown) + _end(series)])}.")
    return told


def _growth(name: str, fit: Power, bend: Bend | None) -> str:
    """How a figure grows: one power, or two where it bends."""
    if not bend:
        return f"{name} {fit.word} (n^{fit.exponent:.1f}, R² {fit.fits:.2f})"
    below, beyond = (f"{part.word} (n^{part.exponent:.1f})" for part in (bend.below, bend.beyond))
    return f"{name} {below} up to {bend.size:.0f} nodes and {beyond} from there"


def _end(series: Sequence[Row]) -> str:
    last = series[-1]
    if not last.remark:
        return f"this machine held the largest, {last.size}"
    held = [row.size for row in series if not row.remark]
    return f"this machine ended at {last.size} ({last.remark})" + (f", and held {held[-1]}" if held else "")
