"""A scenario to begin from: a state, on so many nodes, and what goes wrong meanwhile. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from labctl.errors import UsageError
from labctl.lab import MAX_NODES

State = Literal["call", "device", "lamp"]
Trouble = Literal["nothing", "partition", "cut", "pause", "kill", "stop", "restart"]
STATES: tuple[State, ...] = get_args(State)
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)

TITLES = {"call": "A call", "device": "A device's state", "lamp": "A message lamp"}
FEWEST, MOST = 2, MAX_NODES


def first_scenario(state: State, trouble: Trouble, nodes: int, node: str | None = None) -> str:
    """The text of a scenario file: the state changes on n1 while something is wrong with `node`, by default the last.

    Raises UsageError for a node that is not there, or that the state cannot do without.
    """
    names = [f"n{number}" for number in range(1, nodes + 1)]
    broken = node or names[-1]
    if broken not in names[1:]:
        raise UsageError(f"--node {broken}: the state changes on n1", f"one of {', '.join(names[1:])}")
    if state == "call" and trouble != "nothing" and nodes == FEWEST:
        raise UsageError("a call wants two nodes that nothing is wrong with", "--nodes 3")
    callee = "carol" if broken == "n2" and trouble != "nothing" else "bob"
    wrong = "" if trouble == "nothing" else f", and {trouble} of {broken}"
    lines = [
        *_before(state, callee),
        *_trouble(trouble, names, broken),
        *_change(state, callee),
        "settle                 # wait until all is quiet; then look at everything",
        *_undone(trouble),
    ]
    steps = "\n".join(f"  - {line}" for line in lines)
    return f"title: {TITLES[state]}{wrong}\nlab: {{nodes: {nodes}}}\nsteps:\n{steps}\n"


def _before(state: State, callee: str) -> list[str]:
    if state == "device":
        return ["set_state: {node: n1, device: mystate, state: NOT_INUSE}", "settle"]
    return [f"register: [alice, {callee}]" if state == "call" else "register: alice", "settle"]


def _trouble(trouble: Trouble, names: list[str], node: str) -> list[str]:
    rest = ", ".join(name for name in names if name != node)
    fault = {
        "nothing": "",
        "partition": f"partition: {{groups: [[{rest}], [{node}]], name: trouble}}",
        "cut": f"cut: {{sender: n1, receiver: {node}, name: trouble}}",
        "pause": f"pause: {node}",
        "kill": f"kill: {node}",
        "stop": f"stop: {node}",
        "restart": f"restart: {{node: {node}, service: asterisk}}",
    }[trouble]
    return [fault, "settle"] if fault else []


def _change(state: State, callee: str) -> list[str]:
    if state == "device":
        return ["set_state: {node: n1, device: mystate, state: BUSY}"]
    if state == "lamp":
        return ["leave_voicemail: {caller: alice, mailbox: 101}"]
    return [
        f"call: {{caller: alice, callee: {callee}}}",
        f"answer: {callee}",
        f"talk: [alice, {callee}]   # until both have heard a second of audio",
        "settle",
        "hang_up: alice",
    ]


def _undone(trouble: Trouble) -> list[str]:
    return ["heal", "settle"] if trouble not in ("nothing", "restart") else []
