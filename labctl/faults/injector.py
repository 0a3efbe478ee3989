"""Puts faults in force on the nodes of a lab, finds them again, and undoes them. No state but the nodes' own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from labctl.engine.actions import KillContainer, PauseContainer, StartContainer, Step, StopContainer, UnpauseContainer
from labctl.engine.client import Engine
from labctl.engine.observation import Container
from labctl.errors import LabctlError, LabError, UsageError
from labctl.faults import model
from labctl.faults.model import Fault, Record
from labctl.names import ROLE_NODE, container_name

Item = TypeVar("Item")
Result = TypeVar("Result")

ORDERS: dict[str, Callable[[str], Step]] = {"kill": KillContainer, "stop": StopContainer, "pause": PauseContainer}
DOWN = "down"
_STATES = {"paused": "pause", "exited": DOWN}


def abilities(engine: Engine, image: str) -> frozenset[str]:
    """What this kernel can do for faults: iptables, statistic, netem, tbf. Takes about a second."""
    return model.parse_abilities(engine.probe(image, model.PROBE))


def inflict(engine: Engine, lab: str, fault: Fault) -> None:
    """Put a fault in force, on all its nodes side by side. What fails is undone, and raised.

    Raises UsageError, and undoes nothing, where a node that it is for does not run.
    """
    states = {each.node: each.state for each in engine.observe(lab).containers if each.role == ROLE_NODE}
    for node in fault.nodes if fault.container else fault.scripts:
        state = states.get(node, "not there")
        if state != "running":
            raise UsageError(f"{node} is {state}", "labctl heal brings back what is down or paused")
    jobs: list[Callable[[], object]] = []
    jobs += [partial(_run, engine, lab, node, script) for node, script in fault.scripts.items()]
    if fault.container:
        order = ORDERS[fault.container]
        jobs += [partial(engine.apply, order(container_name(lab, node))) for node in fault.nodes]
    try:
        _together(jobs)
    except LabctlError:
        undo(engine, lab, fault)
        raise


def restart(engine: Engine, lab: str, node: str, daemon: str) -> None:
    """Restart one daemon of a node. Raises LabError."""
    _run(engine, lab, node, model.restart_script(daemon))


def undo(engine: Engine, lab: str, fault: Fault) -> None:
    """Undo a fault, on all its nodes side by side; those that do not run have nothing to undo but that.

    Goes on after an error, and raises them all.
    """
    states = {each.node: each for each in engine.observe(lab).containers if each.role == ROLE_NODE}
    jobs: list[Callable[[], object]] = []
    if fault.container:
        jobs += [partial(revive, engine, states[node]) for node in fault.nodes if node in states]
    for node, script in fault.undo.items():
        if node in states and states[node].state == "running":
            jobs.append(partial(_run, engine, lab, node, script))
    _together(jobs)


def revive(engine: Engine, container: Container) -> bool:
    """Let a node go on that is paused or has ended; whether it was."""
    if container.state == "paused":
        engine.apply(UnpauseContainer(container.name))
    elif container.state in ("exited", "created"):
        engine.apply(StartContainer(container.name))
    else:
        return False
    return True


def in_force(engine: Engine, lab: str) -> tuple[Record, ...]:
    """The faults in force in a lab, as its nodes remember them and as their containers show."""
    nodes = [each for each in engine.observe(lab).containers if each.role == ROLE_NODE]
    found: dict[str, Record] = {}
    for container in nodes:
        if kind := _STATES.get(container.state):
            name = f"{kind}-{container.node}"
            found[name] = Record(name, kind, f"{container.node} {container.state}", (container.node,))
    running = [each for each in nodes if each.state == "running"]
    for text in _each(lambda each: engine.run(each.id, ["sh", "-c", model.SHOW]).text, running):
        found |= {record.name: record for record in model.parse_records(text)}
    return tuple(found.values())


def heal(engine: Engine, lab: str, name: str | None = None) -> tuple[Record, ...]:
    """Undo the fault of that name, or all of a lab, remembered or not; those that were undone.

    Raises UsageError for a name that no fault has, LabError where something is left in force.
    """
    there = in_force(engine, lab)
    if name is not None and name not in [each.name for each in there]:
        known = ", ".join(each.name for each in there) or "none"
        raise UsageError(f"no fault `{name}` is in force in {lab}", f"these are: {known}")
    healed = there if name is None else tuple(each for each in there if each.name == name)
    nodes = {each.node: each for each in engine.observe(lab).containers if each.role == ROLE_NODE}
    touched = list(nodes) if name is None else [node for each in healed for node in each.nodes]

    def mend(node: str) -> None:
        if not revive(engine, nodes[node]) or nodes[node].state == "paused":
            script = model.HEAL_ALL if name is None else model.heal_script(healed[0].name, healed[0].kind)
            _run(engine, lab, node, script)

    _together([partial(mend, node) for node in touched if node in nodes])
    return healed


def _run(engine: Engine, lab: str, node: str, script: str) -> None:
    done = engine.run(container_name(lab, node), ["sh", "-c", script])
    if done.code:
        raise LabError(
            f"{node}: {done.text.strip() or f'exit code {done.code}'}", "labctl doctor tells what nodes can do"
        )


def _each(do: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    given = list(items)
    with ThreadPoolExecutor(max_workers=len(given) or 1) as pool:
        return list(pool.map(do, given))


def _together(jobs: Iterable[Callable[[], object]]) -> None:
    """Do all side by side; raise what went wrong, all of it, when all have ended."""
    errors = [error for error in _each(_attempt, jobs) if error]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise LabError("\n".join(error.message for error in errors), errors[0].hint)


def _attempt(job: Callable[[], object]) -> LabctlError | None:
    try:
        job()
    except LabctlError as error:
        return error
    return None
