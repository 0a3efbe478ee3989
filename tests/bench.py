"""`make bench`: what labctl takes, measured here and now, and printed. It passes no judgement.

    python -m tests.bench [--changes N] [--runs N] [--rounds N] [--rates N,N,...] [--nodes N,N,...] [--json FILE]

Images must be there. Every figure says how it was taken; the machine is named with them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from labctl import timing
from labctl.asterisk.output import parse_modules
from labctl.bench import measurements, scale
from labctl.cluster import lifecycle as verbs
from labctl.cluster.connections import Cluster
from labctl.cluster.dumpcap import Selection
from labctl.cluster.lab_capture import captured
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.history.events import Load
from labctl.images.builder import Options
from labctl.lab import CARRIERS, Overrides
from labctl.labfile.entries import DEFAULT_STACK
from labctl.labfile.reader import read
from labctl.progress import Silent
from labctl.report import tables
from labctl.stack.loader import find_stack
from labctl.testcontainers import AsteriskCluster

NAME = "bench"
TIMEOUT_S = 60.0
RATES = "10,20,40,80,120,160"
"""Calls a second that are tried, one after the other, until one of them is too many."""
NODES = "3,6,12,24"
LOAD_S = 10
CALL_S = 0.2
CHANGES_AT_REST = 200
CHANGES_TO_SCALE = 100
SCALE_S = 180.0
"""So long a lab of any size may take until it is up."""
AUTOLOAD = "nodes: 3\nmodules: all\n"

TURNS = 4
"""How often it goes from with capture to without and back: a machine is not the same from minute to minute."""

Row = tuple[str, str, str]


def main() -> None:
    """Measure everything, print it, and leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200, help="state changes to follow")
    parser.add_argument("--runs", type=int, default=5, help="how often each command is timed")
    parser.add_argument("--rounds", type=int, default=1, help="how often every scenario is run, twice each")
    parser.add_argument("--rates", default=RATES, help="calls a second to try")
    parser.add_argument("--nodes", default=NODES, help="sizes of a lab to try, by each carrier")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    engine = engines.connect()
    figures: dict[str, Any] = {"machine": machine(engine)}
    try:
        figures["commands"] = commands(options.runs)
        figures["propagation"] = propagation(engine, options.changes)
        figures["capture"] = [*captured_propagation(engine, options.changes), *captured_runs(options.rounds)]
        figures["memory"] = memory(engine)
        figures["load"] = load([int(rate) for rate in options.rates.split(",")])
        figures["growth"] = growth(engine, [int(nodes) for nodes in options.nodes.split(",")])
    finally:
        verbs.down(engine, NAME, Silent())
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def machine(engine: Engine) -> str:
    """What it was measured on."""
    info = engine.info()
    return (
        f"{info.cpus} CPUs, {info.memory_bytes >> 30} GiB, {info.system}, kernel {info.kernel}, "
        f"Docker {info.version} on {info.storage}, Python {platform.python_version()}"
    )


def commands(runs: int) -> list[Row]:
    """Wall-clock time of whole commands as a user types them, process start included."""
    up, down = ("up", "-n", NAME, "-q"), ("down", "-n", NAME, "-q")
    timed: dict[str, list[float]] = {"labctl --help": [], "up, warm": [], "up, nothing to do": [], "ps": [], "down": []}
    for _ in range(runs):
        timed["labctl --help"].append(clock("--help"))
        timed["up, warm"].append(clock(*up))
        timed["up, nothing to do"].append(clock(*up))
        timed["ps"].append(clock("ps", "-n", NAME))
        timed["down"].append(clock(*down))
    return [
        (what, f"{median(times):.2f} s", f"{min(times):.2f} to {max(times):.2f} s, {runs} runs")
        for what, times in timed.items()
    ]


def clock(*arguments: str, check: bool = True) -> float:
    """Seconds that a labctl command takes; unless it is to `check`, however it ends."""
    start = time.monotonic()
    subprocess.run([str(Path(sys.executable).with_name("labctl")), *arguments], check=check, capture_output=True)
    return time.monotonic() - start


def cluster(engine: Engine, text: str = "nodes: 3\n") -> AbstractContextManager[Cluster]:
    """A lab that is proven ready, and connections to it."""
    wanted, stack = read(text, "bench.yaml", find_stack, Overrides(name=NAME))
    return measurements.fresh_cluster(engine, wanted, stack, Options(), TIMEOUT_S)


def propagation(engine: Engine, changes: int) -> list[Row]:
    """From sending a change to node 1 until each node's AMI tells of it, in milliseconds, one change at a time."""
    with cluster(engine) as connected:
        delays = measurements.propagation(connected, "mystate", changes)
    first = next(iter(delays))
    return [(f"{first} to {node}", *spread(delays_ms)) for node, delays_ms in delays.items()]


def captured_propagation(engine: Engine, changes: int) -> list[Row]:
    """The same on one lab while its packets are captured and while they are not, in turns; to the last node."""
    delays: dict[str, list[float]] = {"with capture": [], "without": []}
    with cluster(engine) as connected, Path(os.devnull).open("wb") as nowhere:
        running = verbs.load(engine, NAME)
        for turn in range(TURNS):
            what = ("with capture", "without")[turn % 2]
            with ExitStack() as capturing:
                if what == "with capture":
                    capturing.enter_context(captured(engine, running, nowhere, Selection()))
                of_nodes = measurements.propagation(connected, "mystate", max(2, changes // TURNS))
            delays[what] += [max(of_one) for of_one in zip(*of_nodes.values(), strict=True)]
    return [(f"a change reaches every node, {what}", *spread(values)) for what, values in delays.items()]


def captured_runs(rounds: int) -> list[Row]:
    """Every shipped scenario, two at a time, with capture and without, in turns; what they come to is not judged."""
    seconds: dict[str, list[float]] = {"with capture": [], "without": []}
    with TemporaryDirectory() as folder:
        for _ in range(rounds):
            for what, times in seconds.items():
                flags = [] if what == "with capture" else ["--no-capture"]
                times.append(clock("run", "--all", "-q", "--folder", folder, *flags, check=False))
        sizes = [path.stat().st_size / 1e6 for path in Path(folder).rglob("capture.pcapng")]
    rows = [
        (f"run --all, {what}", f"{median(times):.1f} s", f"{min(times):.1f} to {max(times):.1f} s, {rounds} rounds")
        for what, times in seconds.items()
    ]
    return [*rows, ("capture.pcapng of a run", f"{median(sizes):.1f} MB", f"{min(sizes):.1f} to {max(sizes):.1f} MB")]


def spread(values: list[float]) -> tuple[str, str]:
    """p50, and p99 with the largest."""
    p50, p99 = (timing.percentile(values, percent) for percent in (50, 99))
    return f"p50 {p50:.2f} ms", f"p99 {p99:.2f} ms, max {max(values):.2f} ms, n = {len(values)}"


def memory(engine: Engine) -> list[Row]:
    """Resident memory of both daemons on every node, with the lab's own modules and with every module."""
    rows = []
    for label, text in (("the lab's modules", "nodes: 3\n"), ("autoload=yes", AUTOLOAD)):
        with cluster(engine, text) as connected:
            for node in connected.lab.nodes:
                modules = len(parse_modules(connected.connection(node.name).command("module show")))
                daemons = ("asterisk", "corosync")
                sizes = [measurements.memory(engine, connected.lab, node.name, daemon) for daemon in daemons]
                figures = "Asterisk {:.0f} MB, Corosync {:.0f} MB".format(*(size.resident_mb for size in sizes))
                rows.append((f"{label}, {node.name}", figures, f"{modules} modules"))
    return rows


def load(rates: list[int]) -> list[Row]:
    """Calls from node 1 to node 2, more and more a second, while a Custom device changes on node 1 as fast as every
    node tells of it: how long that takes under each load, until calls fail, states are wrong, or SIPp is at its limit.
    """
    rows: list[Row] = []
    for rate in (0, *rates):
        with AsteriskCluster(name=NAME, keep=True) as lab, ThreadPoolExecutor(max_workers=1) as pool:
            lab.reset()
            count = max(rate, 1) * LOAD_S
            under_way = pool.submit(lab.load, "alice", "bob", rate, count, CALL_S) if rate else None
            changes = 0
            while not under_way.done() if under_way else changes < CHANGES_AT_REST:
                state, hint = (("INUSE", "InUse"), ("NOT_INUSE", "Idle"))[changes % 2]
                lab.set_state("n1", "mystate", state)
                lab.wait_for(extension="mystate", state=hint)
                changes += 1
            if under_way:
                under_way.result()
            lab.settle()
            done = [event for event in lab.journal.events if isinstance(event, Load)]
            verdicts = {verdict.check: verdict for verdict in lab.verdicts()}
            wrong = [name for name, verdict in verdicts.items() if verdict.outcome in ("failed", "unknown")]
            delay = verdicts["bounded_delay"].figures
            outcome = f"{done[0].done} of {done[0].asked} calls done" if done else "no calls"
            outcome += f", {changes} changes" + (f"; not right: {', '.join(wrong)}" if wrong else "; all states right")
            rows.append((f"{rate} a second", f"p50 {delay['p50_ms']:.1f}, p99 {delay['p99_ms']:.1f} ms", outcome))
            if wrong:
                break
    return rows


def growth(engine: Engine, nodes: list[int]) -> list[Row]:
    """How each figure of a lab grows with it, by each carrier, and the slowest of a hundred changes of each size."""
    rows = []
    for via in CARRIERS:
        plan = scale.Sizes(scale.sizes(nodes, ()), DEFAULT_STACK, via, CHANGES_TO_SCALE, SCALE_S)
        measured = list(scale.measure(engine, plan, Options(), Silent(), lambda _line: None))
        rows += [(f"{row.size} by {via}", f"p99 {scale.cells(row)[3]}", scale.told(row)) for row in measured]
        rows += [(f"by {via}", "", sentence) for sentence in scale.sentences(measured)]
    return rows


def show(figures: dict[str, Any]) -> None:
    """Print it all."""
    console = Console(width=120 if not os.isatty(1) else None)
    console.print(f"Measured on {figures['machine']}\n", highlight=False)
    for title, columns in (
        ("commands", ("COMMAND", "MEDIAN", "RANGE")),
        ("propagation", ("STATE CHANGE", "DELAY", "")),
        ("capture", ("PACKETS", "", "")),
        ("memory", ("RESIDENT", "MEMORY", "LOADED")),
        ("load", ("CALLS", "A CHANGE REACHES EVERY NODE IN", "")),
        ("growth", ("SIZE", "A CHANGE REACHES EVERY NODE IN", "")),
    ):
        console.print(tables.table("", columns, figures[title]), "")


if __name__ == "__main__":
    main()
