"""A node's own tools, asked in one go: what they print of its ring, its cluster module, its hints and itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labctl.asterisk import output
from labctl.blueprint.running_lab import Running
from labctl.corosync import membership
from labctl.corosync.membership import Membership, address_id
from labctl.engine.client import Engine
from labctl.names import container_name
from labctl.stack.model import Stack

ASKED_TIMES = 3
"""A tool that printed nothing is asked so many times in all; what is still not answered then is unknown."""

TOOL_TIMEOUT_S = 5
"""How long one tool may take in a node. `corosync show members` hangs for good where CPG does not answer."""

ONE_AT_A_TIME = f"flock -w {TOOL_TIMEOUT_S} /etc/service/asterisk"
"""A cluster module is asked for its members by one at a time, however many look at the node: two that ask it at once
break its connection to Corosync (`labctl findings show members-asked-at-once`). A lock on a folder leaves no file."""

LOOPBACK = "127.0.0.1"
_SEPARATOR = "@@"
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
NO_COMMAND = "No such command '"
"""So Asterisk begins to say that it has no such command; of one that failed it says the same, without the quote."""
CPG_FAILED = "Failed to initialize CPG iterator"
"""So a cluster module answers whose connection to Corosync fails, or is busy; an error's number follows."""
_NO_ASTERISK = "Unable to connect to remote asterisk"


@dataclass(frozen=True)
class ToolAnswers:
    """What a node's tools answered at one moment; None where a tool did not answer.

    `members`: the lab's numbers of the nodes that the cluster module sees. `hints`: extension -> state, in the
    context that was asked for.
    """

    ring: Membership | None
    members: tuple[str, ...] | None
    hints: Mapping[str, str] | None = None
    version: str = ""
    uptime_s: int | None = None


def numbered(ids: Iterable[str], numbers: Mapping[int, int]) -> tuple[str, ...]:
    """The ids that a cluster module has for its members, as the lab's own numbers where it has one."""
    return tuple(str(numbers.get(int(member, 0), member)) for member in ids)


def ring_numbers_on(running: Running, node: str) -> dict[int, int]:
    """What Corosync on a node may call each node -> its number in the lab.

    Corosync 1.x names nodes by address; a node whose interface is down has 127.0.0.1, and is itself.
    """
    nodeids = {other.name: other.nodeid for other in running.lab.nodes}
    own = {address_id(LOOPBACK): nodeids[node]} if node in nodeids else {}
    return running.ring_numbers | own


def ask_tools(engine: Engine, running: Running, node: str, context: str = "") -> ToolAnswers:
    """What a node's tools answer of its ring and its module, and of its hints in `context`, or else its version.

    A tool that printed nothing is asked again, and so is every tool where the ring changed while they answered: the
    answers are of one moment. What is still amiss after ASKED_TIMES is unknown.
    """
    container = container_name(running.lab.name, node)
    best = ToolAnswers(None, None)
    for _ in range(ASKED_TIMES):
        best, of_one_moment = _ask_once(engine, running, node, container, context)
        complete = best.ring is not None and best.members is not None and (best.hints is not None or not context)
        if complete and of_one_moment:
            return best
        if not of_one_moment:
            best = ToolAnswers(None, None, None, best.version, best.uptime_s)
    return best


def _ask_once(engine: Engine, running: Running, node: str, container: str, context: str) -> tuple[ToolAnswers, bool]:
    """The answers, and whether the ring was the same before and after them."""
    stack, rings = running.stack_of(node), running.lab.rings
    commands = [
        bounded(stack.ring_command) if rings else ":",
        _question(stack) if rings else ":",
        _asterisk(output.HINTS_COMMAND) if context else ":",
        ":" if context else _asterisk("core show version"),
        ":" if context else _asterisk("core show uptime"),
        bounded(stack.ring_command) if rings else ":",
        "sv status /etc/service/corosync",
    ]
    script = f"; echo; echo {_SEPARATOR}; ".join(commands)
    printed = _COLOUR.sub("", engine.run(container, ["sh", "-c", f"({script}) 2>&1"]).text)
    parts = [part.strip("\n") for part in printed.split(f"{_SEPARATOR}\n")]
    first, module, hints, version, uptime, last, service = (*parts, *[""] * (len(commands) - len(parts)))
    numbers = ring_numbers_on(running, node)
    before, after = (_ring(text, service, numbers) if rings else Membership() for text in (first, last))
    answers = ToolAnswers(
        before,
        _members(module, service, stack, running.lab.node(node).nodeid, numbers) if rings else (),
        _hints(hints, context) if context else None,
        output.parse_version(version),
        output.parse_uptime(uptime),
    )
    return answers, before is None or after is None or (before, before.ring_id) == (after, after.ring_id)


def bounded(command: str) -> str:
    """A command of a node that ends after TOOL_TIMEOUT_S, whatever it waits for."""
    return f"timeout {TOOL_TIMEOUT_S} {command}"


def _asterisk(command: str) -> str:
    return bounded(f"asterisk -rx '{command}'")


def _ring(text: str, service: str, numbers: Mapping[int, int]) -> Membership | None:
    """The ring that Corosync's tool prints; none but an empty one where runit says that Corosync does not run."""
    ring = membership.parse_ring(text, numbers)
    return ring if ring.members or _is_down(service) else None


def _is_down(service: str) -> bool:
    """Whether runit says that Corosync does not run."""
    return service.startswith(("down:", "finish:"))


def _questions(stack: Stack) -> list[str]:
    """The commands of Asterisk's that list whom the module sees."""
    return [command for command in (stack.members_command, stack.other_members_command) if command]


def _question(stack: Stack) -> str:
    """What tells in a node whom its module sees, and changes nothing by that."""
    if stack.group_command:
        return bounded(stack.group_command)
    return "; ".join(f"{ONE_AT_A_TIME} {_asterisk(command)}" for command in _questions(stack))


def _members(text: str, service: str, stack: Stack, own: int, numbers: Mapping[int, int]) -> tuple[str, ...] | None:
    """Whom the module of the node of the number `own` sees, by what was printed; None where that is no answer.

    By Corosync: the members of the module's group, and nobody where its own node is not among them.
    """
    if not stack.group_command:
        return _members_by_module(text, stack, numbers)
    group = membership.parse_group(text)
    if group is None:
        return () if _is_down(service) else None
    seen = numbered(map(str, group), numbers)
    return seen if str(own) in seen else ()


def _members_by_module(text: str, stack: Stack, numbers: Mapping[int, int]) -> tuple[str, ...] | None:
    """The same by the module itself: nobody where none of its commands is known, for it is not loaded, or where it has
    lost its ring; a CPG that is busy, as while its ring forms, has not answered."""
    if _NO_ASTERISK in text or (CPG_FAILED in text and not stack.has_lost_ring(text)):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    answered = [line for line in lines if not line.startswith(NO_COMMAND)]
    if not answered and len(lines) < len(_questions(stack)):
        return None
    return numbered(output.parse_members(text), numbers)


def _hints(text: str, context: str) -> dict[str, str] | None:
    if not output.lists_hints_to_the_end(text):
        return None
    return {hint.extension: hint.state for hint in output.parse_hints(text) if hint.context == context}
