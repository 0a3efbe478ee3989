"""Which steps of a scenario make no sense without which others, as an answer without a call. Pure.

What a candidate would fail for anyway need not be run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.faults.fault import EVERY_FAULT
from labctl.faults.registry import FAULTS
from labctl.lab import Lab
from labctl.scenario.shrink.delta_debugging import Items
from labctl.scenario.step_registry import STEPS, Step

ENDS_CALL = ("hang_up", "reject")
ENDS_NODE = ("kill", "stop", "pause")


@dataclass(frozen=True)
class Need:
    """A step needs one of these before it. `close`: they are of one thing, such as a call, and go together."""

    any_of: frozenset[int]
    close: bool = True


@dataclass
class _State:
    """What goes on before a step, and by which steps."""

    in_use: dict[str, set[int]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    watches: dict[str, set[int]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    ended: dict[tuple[str, str], int] = field(default_factory=dict)


def needs(steps: Sequence[Step], lab: Lab) -> tuple[tuple[Need, ...], ...]:
    """What each step needs."""
    state = _State()
    all_needs = []
    for index, step in enumerate(steps):
        all_needs.append(tuple(_needs(step, state)))
        _note(index, step, lab, state)
    return tuple(all_needs)


def closed(kept: Items, of_steps: Sequence[Sequence[Need]]) -> Items:
    """The steps of `kept` that have what they need."""
    there: set[int] = set()
    for index in kept:
        if all(need.any_of & there for need in of_steps[index]):
            there.add(index)
    return tuple(sorted(there))


def completed(kept: Items, of_steps: Sequence[Sequence[Need]]) -> Items:
    """The steps of `kept`, and the first that each of them needs."""
    there = set(kept)
    for index in reversed(range(len(of_steps))):
        if index in there:
            there.update(min(need.any_of) for need in of_steps[index] if need.any_of and not need.any_of & there)
    return tuple(sorted(there))


def units(kept: Items, steps: Sequence[Step], of_steps: Sequence[Sequence[Need]]) -> list[Items]:
    """The steps of `kept` in what belongs together: a call with its answer and its end, a fault with what heals it; a
    `settle` goes with what is before it."""
    unit_of: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    last: int | None = None
    for index in kept:
        close = {before for need in of_steps[index] if need.close for before in need.any_of}
        near = [unit_of[before] for before in close if before in unit_of]
        unit = min(near, default=index)
        if steps[index].verb == "settle" and last is not None:
            unit = unit_of[last]
        unit_of[index] = unit
        members.setdefault(unit, []).append(index)
        last = index
    return [tuple(unit) for unit in members.values()]


def _needs(step: Step, state: _State) -> Iterator[Need]:
    arguments = step.arguments
    for phone in phones_in_use(step):
        yield Need(frozenset(state.in_use.get(phone, ())), close=False)
        if phone in state.calls and step.verb != "unregister":
            yield Need(frozenset((state.calls[phone],)))
    if step.verb == "unwatch" and arguments["phone"] in state.watches:
        yield Need(frozenset(state.watches[arguments["phone"]]))
    if step.verb == "heal" and arguments.get("fault") in state.faults:
        yield Need(frozenset((state.faults[arguments["fault"]],)))
    if step.verb == "start" and _target(step) in state.ended:
        yield Need(frozenset((state.ended[_target(step)],)))


def _note(index: int, step: Step, lab: Lab, state: _State) -> None:
    arguments = step.arguments
    if step.verb == "register":
        for phone in _listed(arguments["phones"]):
            state.in_use.setdefault(phone, set()).add(index)
    elif step.verb == "call":
        callee = lab.phone_at(str(arguments["callee"]))
        state.in_use.setdefault(arguments["caller"], set()).add(index)
        state.calls |= dict.fromkeys([arguments["caller"], *([callee.name] if callee else [])], index)
    elif step.verb in ENDS_CALL:
        call = state.calls.get(arguments["phone"])
        state.calls = {phone: begun for phone, begun in state.calls.items() if begun != call}
    elif step.verb in ("watch", "watch_mailbox"):
        state.watches.setdefault(arguments["phone"], set()).add(index)
    elif step.verb == "unwatch":
        state.watches.pop(arguments["phone"], None)
    elif step.verb in FAULTS:
        state.faults[_fault_name(step, state)] = index
        if step.verb in ENDS_NODE:
            state.ended[_target(step)] = index
    elif step.verb == "heal":
        _note_healed(arguments.get("fault", EVERY_FAULT), state)


def _note_healed(fault: str, state: _State) -> None:
    if fault == EVERY_FAULT:
        state.faults.clear()
    else:
        state.faults.pop(fault, None)


def _fault_name(step: Step, state: _State) -> str:
    return FAULTS[step.verb].model_validate(step.arguments).named(state.faults)


def _target(step: Step) -> tuple[str, str]:
    return step.arguments.get("node", ""), step.arguments.get("service", "node")


def phones_in_use(step: Step) -> list[str]:
    """The phones that a step names and that must be in use by then."""
    named = STEPS[step.verb].names.items()
    values = [step.arguments.get(argument) for argument, (_, mark) in named if mark.kind == "phone" and mark.in_use]
    return [phone for value in values if value is not None for phone in _listed(value)]


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
