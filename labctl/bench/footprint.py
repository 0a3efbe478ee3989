"""What Asterisk holds in memory: with all that is installed, with what a lab uses, and when the rest is unloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from labctl.asterisk import output
from labctl.bench import measurements
from labctl.bench.measurements import Memory, fresh_cluster
from labctl.blueprint import drawing
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import HostError, LabError
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.names import container_name
from labctl.stack.model import Stack

NAME = "footprint"


@dataclass(frozen=True)
class Footprint:
    """One row: a stack, how its Asterisk was loaded, and what it then holds. `remark`: what went otherwise."""

    stack: str
    loaded: str
    modules: int | None
    asterisk: Memory | None
    corosync: Memory | None
    remark: str = ""


def measure_stack(
    engine: Engine,
    stack: str,
    options: Options,
    timeout_s: float,
    say: Callable[[str], None],
    image: str | None = None,
) -> Iterator[Footprint]:
    """The rows of one stack; one row that says why where its images cannot be made."""
    lab, of_stack = find_lab(None, Overrides(name=NAME, stack=stack))
    of_stack = of_stack.with_image(image)
    try:
        say(f"{stack}: everything loaded")
        with fresh_cluster(engine, replace(lab, modules="all"), of_stack, options, timeout_s) as everything:
            yield _row(engine, everything, stack, "everything")
            say(f"{stack}: what is not used is unloaded")
            remark = _unload(engine, everything, of_stack)
            yield _row(engine, everything, stack, "the rest unloaded", remark)
        say(f"{stack}: what is used")
        with fresh_cluster(engine, lab, of_stack, options, timeout_s) as used:
            yield _row(engine, used, stack, "what the lab uses")
    except HostError:
        yield Footprint(stack, "-", None, None, None, f"cannot be made here: labctl build --stack {stack} says why")


def _row(engine: Engine, cluster: Cluster, stack: str, loaded: str, remark: str = "") -> Footprint:
    node = cluster.lab.nodes[0].name
    try:
        modules = len(output.parse_modules(cluster.connection(node).command("module show")))
        asterisk_holds, corosync_holds = (
            measurements.memory(engine, cluster.lab, node, daemon) for daemon in ("asterisk", "corosync")
        )
    except LabError as error:
        return Footprint(stack, loaded, None, None, None, f"{remark}; {error.message}" if remark else error.message)
    return Footprint(stack, loaded, modules, asterisk_holds, corosync_holds, remark)


def _unload(engine: Engine, cluster: Cluster, stack: Stack) -> str:
    """Unload on the first node what the lab does not use, until nothing more goes: a module that another one uses goes
    after that. What came of it, in words. By `asterisk -rx`, since AMI refuses that command."""
    node = cluster.lab.nodes[0]
    container = container_name(cluster.lab.name, node.name)
    used = {*drawing.modules(cluster.lab, stack, node), stack.cluster_module}
    before = left = _loaded(engine, container) - used
    while left:
        script = "; ".join(f"asterisk -rx 'module unload {name}.so'" for name in sorted(left))
        engine.run(container, ["sh", "-c", script])
        if cluster.connection(node.name).ended:
            return "Asterisk ended as its modules were unloaded"
        still = _loaded(engine, container) - used
        if still == left:
            break
        left = still
    return f"{len(before) - len(left)} unloaded, {len(left)} stay"


def _loaded(engine: Engine, container: str) -> set[str]:
    return set(output.parse_modules(engine.run(container, ["asterisk", "-rx", "module show"]).text))
