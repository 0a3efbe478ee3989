"""A node's own tools, asked in one go: what they print of its ring, its cluster module and itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labctl.asterisk import output
from labctl.blueprint.running_lab import Running
from labctl.cluster.views import NodeView
from labctl.corosync import membership
from labctl.engine.client import Engine
from labctl.engine.observation import Container


def numbered(ids: Iterable[str], numbers: Mapping[int, int]) -> tuple[str, ...]:
    """The ids that a cluster module has for its members, as the lab's own numbers where it has one."""
    return tuple(str(numbers.get(int(each, 0), each)) for each in ids)


def ask_tools(engine: Engine, running: Running, container: str, *more: str) -> tuple[str, ...]:
    """What a node's own tools print of its ring and of whom its module sees, and Asterisk of `more`: in one go."""
    stack = running.stack
    commands = [each for each in (stack.members_command, stack.other_members_command) if each]
    members = "; ".join(f"asterisk -rx '{each}'" for each in commands)
    asked = [stack.ring_command, members] if running.lab.rings else [":", ":"]
    script = "; echo @@; ".join([*asked, *(f"asterisk -rx '{each}'" for each in more)])
    parts = engine.run(container, ["sh", "-c", f"({script}) 2>&1"]).text.split("@@\n")
    return (*parts, *[""] * (2 + len(more) - len(parts)))


def view(engine: Engine, running: Running, container: Container) -> NodeView:
    """One row of `labctl ps`: the node's own tools asked in one go."""
    if container.state != "running":
        return NodeView(container.node, container.state, container.address)
    ring, members, version, uptime = ask_tools(engine, running, container.id, "core show version", "core show uptime")
    return NodeView(
        container.node,
        container.state,
        container.address,
        membership.parse_ring(ring, running.ring_numbers),
        numbered(output.parse_members(members), running.ring_numbers),
        output.parse_version(version),
        output.parse_uptime(uptime),
    )
