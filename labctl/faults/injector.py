"""Puts faults in force on the nodes of a lab, finds them again, and undoes them. No state but the nodes' own.

Whoever undoes a fault needs its record alone, which the nodes keep: who put it in force may be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from labctl.engine.actions import KillContainer, PauseContainer, StartContainer, Step, StopContainer, UnpauseContainer
from labctl.engine.client import Engine
from labctl.engine.observation import Container
from labctl.errors import LabctlError, LabError, UsageError
from labctl.faults import records
from labctl.faults.abilities import parse_abilities, probe_script
from labctl.faults.model import PreparedFault, Record
from labctl.faults.node import restart_script
from labctl.names import ROLE_NODE, ROLE_SERVICE, container_name

ACTIONS: dict[str, Callable[[str], Step]] = {"kill": KillContainer, "stop": StopContainer, "pause": PauseContainer}
DOWN = "down"
_STATES = {"paused": "pause", "exited": DOWN}
"""State of a container -> the kind of fault that it shows. What ended it cannot be told."""

NEVER_STARTED = "created"
"""The state of a container that was made and not started: nothing is wrong with it that could be healed."""

_ENDED = ("exited", NEVER_STARTED)
_WAY_OUT = "labctl ps shows what is in force, labctl doctor what nodes can do"


@dataclass(frozen=True)
class Healing:
    """What healing came to: the faults that were undone, those that are left, and what went wrong."""

    healed: tuple[Record, ...]
    left: tuple[Record, ...] = ()
    errors: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise LabError if anything is left in force, or went wrong."""
        names = ", ".join(record.name for record in self.left)
        lines = [*([f"still in force: {names}"] if names else []), *self.errors]
        if lines:
            raise LabError("\n".join(lines), _WAY_OUT)


def abilities(engine: Engine, image: str) -> frozenset[str]:
    """What this kernel can do for faults: iptables, statistic, netem, tbf. Takes about a second."""
    return parse_abilities(engine.probe(image, probe_script()))


def inflict(engine: Engine, lab: str, fault: PreparedFault, in_force: Collection[Record] = ()) -> None:
    """Put a fault in force, on all its nodes side by side. Where that fails it is undone, and LabctlError raised.

    Raises UsageError, and does nothing, where a node that it is for does not run, or where it does not go together
    with one of the faults in force.
    """
    fault.check_free(in_force)
    states = {node: container.state for node, container in _nodes(engine, lab).items()}
    for node in fault.nodes if fault.action else fault.scripts:
        state = states.get(node, "not there")
        if state == NEVER_STARTED:
            raise UsageError(f"{node} was never started", "the step `start`, or labctl up --without ''")
        if state != "running":
            raise UsageError(f"{node} is {state}", "labctl heal brings back what is down or paused")
    jobs: list[Callable[[], object]] = []
    jobs += [partial(_run, engine, lab, node, script) for node, script in fault.scripts.items()]
    if fault.action:
        action = ACTIONS[fault.action]
        jobs += [partial(engine.apply, action(container_name(lab, node))) for node in fault.nodes]
    if errors := _together(jobs):
        try:
            undo(engine, lab, fault)
        except LabctlError as error:
            errors.append(error)
        raise _one(errors)


def restart(engine: Engine, lab: str, node: str, daemon: str) -> None:
    """Restart one daemon of a node. Raises LabError."""
    _run(engine, lab, node, restart_script(daemon))


def renew(engine: Engine, lab: str, fault: PreparedFault, node: str) -> None:
    """Put a fault in force again on one node, which lost it as its container was started anew. Raises LabctlError."""
    _run(engine, lab, node, fault.scripts[node])


def undo(engine: Engine, lab: str, fault: PreparedFault) -> None:
    """Undo a fault, on all its nodes side by side. A container that has ended has nothing to undo but that.

    Goes on after an error, and raises them all: LabError where a node is paused by another fault.
    """
    nodes = _nodes(engine, lab)
    jobs: list[Callable[[], object]] = []
    if fault.action:
        jobs += [partial(revive, engine, nodes[node]) for node in fault.nodes if node in nodes]
    elif not fault.passes:
        jobs += [partial(_undo_on, engine, nodes[node], fault.record) for node in fault.scripts if node in nodes]
    if errors := _together(jobs):
        raise _one(errors)


def revive(engine: Engine, container: Container) -> bool:
    """Let a node go on that is paused or has ended; whether it was."""
    if container.state == "paused":
        engine.apply(UnpauseContainer(container.name))
    elif container.state in _ENDED:
        engine.apply(StartContainer(container.name))
    else:
        return False
    return True


def bring_back(engine: Engine, lab: str, node: str) -> None:
    """Let a node go on that is paused or has ended, whatever did that. Raises LabctlError."""
    containers = _nodes(engine, lab)
    if node not in containers:
        raise LabError(f"the container of {node} is gone", f"labctl up --name {lab} mends it")
    revive(engine, containers[node])


def in_force(engine: Engine, lab: str) -> tuple[Record, ...]:
    """The faults in force in a lab, as its nodes remember them and as their containers show. Raises LabctlError."""
    remembered, errors = _remembered(engine, lab)
    if errors:
        raise _one(errors)
    return remembered


def _remembered(engine: Engine, lab: str) -> tuple[tuple[Record, ...], list[LabctlError]]:
    """The faults in force, and what went wrong with nodes that could not be asked."""
    nodes = _nodes(engine, lab).values()
    faults: dict[tuple[str, str], Record] = {}  # a fault may have been given the name that a container's state has
    for container in nodes:
        if kind := _STATES.get(container.state):
            name = f"{kind}-{container.node}"
            faults[name, kind] = Record(name, kind, f"{container.node} {container.state}", (container.node,))

    def ask(container: Container) -> None:
        text = engine.run(container.id, ["sh", "-c", records.SHOW]).text
        for record in records.parse_records(text):
            faults.setdefault((record.name, record.kind), record)

    errors = _together(partial(ask, container) for container in nodes if _remembers(container))
    return tuple(faults.values()), errors


def _remembers(container: Container) -> bool:
    """Whether it can be asked which faults are in force on it: what is done to a service is done to its container."""
    return container.state == "running" and container.role == ROLE_NODE


def names_on_nodes(fault: PreparedFault) -> tuple[str, ...]:
    """The names by which `in_force` shows a fault: where it is done to containers, one of each that tells their state.

    What ended a container is in no name, for it cannot be told.
    """
    state = "pause" if fault.action == "pause" else DOWN
    return tuple(f"{state}-{node}" for node in fault.nodes) if fault.action else (fault.name,)


def heal(engine: Engine, lab: str, name: str | None = None) -> Healing:
    """Undo the fault of that name, or all of a lab, remembered or not. Goes on after an error.

    A fault that could not be undone on every node stays in force. Raises UsageError for a name that no fault has.
    """
    before, errors = _remembered(engine, lab)
    if name is not None and name not in [record.name for record in before]:
        if errors:
            raise _one(errors)
        raise UsageError(f"no fault `{name}` is in force in {lab}", _known(before))
    chosen = [record for record in before if name in (None, record.name)]
    # What is paused goes on first: nothing else can be undone there, nor asked for.
    paused = [node for record in chosen if record.kind == _STATES["paused"] for node in record.nodes]
    nodes = _nodes(engine, lab)
    errors += _together(partial(revive, engine, nodes[node]) for node in paused if node in nodes)
    if paused and name is None:
        remembered, _ = _remembered(engine, lab)
        chosen += [record for record in remembered if record not in chosen]
    errors += _together(_undoings(engine, _nodes(engine, lab) if paused else nodes, chosen, every=name is None))
    after, errors_after = _remembered(engine, lab)
    still = {record.name for record in after}
    if name is not None and errors:
        still.add(name)
    errors += errors_after
    return Healing(
        tuple(record for record in chosen if record.name not in still),
        tuple(record for record in chosen if record.name in still),
        tuple(dict.fromkeys(error.message for error in errors)),
    )


def _undoings(
    engine: Engine, nodes: Mapping[str, Container], chosen: Iterable[Record], *, every: bool
) -> Iterator[Callable[[], object]]:
    """What undoes some faults on their nodes; or `every` one on all nodes, also what nobody remembers."""
    if every:
        yield from (partial(_undo_every, engine, container) for container in nodes.values())
        return
    for record in chosen:
        for container in (nodes[node] for node in record.nodes if node in nodes):
            if record.kind == DOWN:
                yield partial(revive, engine, container)
            elif record.kind != _STATES["paused"] and container.role == ROLE_NODE:
                yield partial(_undo_on, engine, container, record)


def _known(in_force: Collection[Record]) -> str:
    """Which faults are in force, and where there may be more."""
    paused = [node for record in in_force if record.kind == _STATES["paused"] for node in record.nodes]
    unseen = f"; what {', '.join(paused)} remembers shows once the pause is healed" if paused else ""
    return f"these are: {', '.join(record.name for record in in_force) or 'none'}{unseen}"


def _nodes(engine: Engine, lab: str) -> dict[str, Container]:
    """The containers of the lab's nodes and services, by name."""
    return {host.node: host for host in engine.observe(lab).containers if host.role in (ROLE_NODE, ROLE_SERVICE)}


def _undo_on(engine: Engine, container: Container, record: Record) -> None:
    """Undo a fault on one node by what that keeps of it."""
    if container.state == "paused":
        raise LabError(f"{container.node} is paused, so `{record.name}` cannot be undone there", "heal the pause first")
    if container.state == "running":
        _run(engine, container.lab, container.node, records.undo_one(record.name, record.kind))


def _undo_every(engine: Engine, container: Container) -> None:
    """Bring a node back, and undo every fault on it; one that is started anew has no other left, nor has one that was
    never started."""
    if container.state == NEVER_STARTED:
        return
    revive(engine, container)
    if container.state not in _ENDED and container.role == ROLE_NODE:
        _run(engine, container.lab, container.node, records.UNDO_EVERY)


def _run(engine: Engine, lab: str, node: str, script: str) -> None:
    output = engine.run(container_name(lab, node), ["sh", "-c", script])
    if output.code:
        raise LabError(f"{node}: {output.text.strip() or f'exit code {output.code}'}", _WAY_OUT)


def _together(jobs: Iterable[Callable[[], object]]) -> list[LabctlError]:
    """Do all side by side; what went wrong, when all have ended."""
    all_jobs = list(jobs)
    with ThreadPoolExecutor(max_workers=len(all_jobs) or 1) as pool:
        return [error for error in pool.map(_attempt, all_jobs) if error]


def _attempt(job: Callable[[], object]) -> LabctlError | None:
    try:
        job()
    except LabctlError as error:
        return error
    return None


def _one(errors: Collection[LabctlError]) -> LabctlError:
    """Several errors as one."""
    first, *rest = errors
    return LabError("\n".join(error.message for error in errors), first.hint) if rest else first
