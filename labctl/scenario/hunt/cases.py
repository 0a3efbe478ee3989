"""A case of a hunt: a random lab, and random steps on it, as a scenario file. The same seed draws the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from labctl.faults.fault import EVERY_FAULT, Fault, RandomStep
from labctl.faults.model import ASTERISK, NODE, Target
from labctl.faults.registry import FAULTS
from labctl.lab import Lab, Overrides
from labctl.scenario.loader import read_scenario
from labctl.scenario.random_steps import Chaos
from labctl.scenario.reader import Scenario
from labctl.scenario.writer import dump

NODES = {2: 3, 3: 5, 4: 2, 5: 1}
"""How many nodes, and how often each."""

TOKENS_MS = {1000: 6, 300: 1, 3000: 1}
CARRIERS = {"corosync": 3, "pjsip-publish": 1}
SITES_ONE_IN, ALL_MODULES_ONE_IN = 8, 8
MOVES = (5, 14)

WEIGHTS = {
    **{"change": 6, "call": 3, "held_call": 1, "refused_call": 1, "given_up_call": 1},
    **{"message": 2, "deletion": 1, "phone_again": 1, "watch": 1, "fault": 4, "heal": 4, "settle": 2},
}
WITHOUT_FAULTS = {kind: weight for kind, weight in WEIGHTS.items() if kind not in ("fault", "heal")}

VERBS = (
    *("register", "unregister", "watch", "set_state", "call", "answer", "talk", "hold", "resume", "reject"),
    *("hang_up", "leave_voicemail", "clear_voicemail", "heal", "settle"),
)
"""Of all moves that are no faults."""

NOTHING = "nothing"
"""What is in force where no fault is, in a pair."""

Pair = tuple[str, str]
"""The verb of a step, and the kind of a fault that was in force as it was done, or NOTHING."""


@dataclass(frozen=True)
class Case:
    """One case of a hunt: its number, its scenario, and what of it meets what."""

    number: int
    scenario: Scenario
    pairs: frozenset[Pair]


@dataclass
class _Course:
    """What is in force as the steps go on, as far as that can be told before they are run."""

    lab: Lab
    steps: list[RandomStep] = field(default_factory=list)
    pairs: set[Pair] = field(default_factory=set)
    in_force: dict[str, Fault] = field(default_factory=dict)
    made: int = 0

    @property
    def target(self) -> Target:
        """The lab for faults; what their scripts would need of it is not asked for."""
        addresses = {node.name: "" for node in self.lab.nodes}
        return Target(addresses, self.lab.rings, self.lab.follows_corosync)

    @property
    def gone(self) -> set[str]:
        """The nodes whose Asterisk does not answer."""
        ending = (fault for name, fault in self.in_force.items() if fault.daemon in (NODE, ASTERISK))
        return {node for fault in ending for node in fault.touched(self.target)}

    def add(self, verb: str, arguments: dict[str, Any]) -> None:
        """Do a step, unless a fault in force has what it would touch."""
        fault = FAULTS[verb].model_validate(arguments) if verb in FAULTS else None
        if fault and "name" in type(fault).model_fields:
            self.made += 1
            arguments = {**arguments, "name": f"{verb.replace('_', '-')}-{self.made}"}
            fault = FAULTS[verb].model_validate(arguments)
        if fault and self._is_taken(fault):
            return
        self.steps.append((verb, arguments))
        self.pairs |= {(verb, other.kind) for other in self.in_force.values()} or {(verb, NOTHING)}
        if fault and not (fault.passes or fault.waits_for_return):
            self.in_force[fault.named(self.in_force)] = fault
        if verb == "heal":
            self.in_force.pop(arguments["fault"], None)

    def _is_taken(self, fault: Fault) -> bool:
        held = {thing for other in self.in_force.values() for thing in other.holds(self.target)}
        return fault.named() in self.in_force or not held.isdisjoint(fault.holds(self.target))


def draw(seed: int, number: int, overrides: Overrides, *, faults: bool = True) -> Case:
    """The case of that number. `overrides`: stack and carrier, where they are not left to chance."""
    random = Random(f"{seed}/{number}")  # noqa: S311 - chance, not secrets
    name = f"hunt-{seed}-{number}"
    head = {"title": f"Case {number} of the hunt with seed {seed}", "lab": _lab(random, overrides)}
    lab = _read({**head, "steps": ["settle"]}, name, overrides).lab
    course = _Course(lab)
    phones = [phone.name for phone in lab.phones]
    course.add("register", {"phones": phones})
    chaos = Chaos(lab, random.getrandbits(32), WEIGHTS if faults else WITHOUT_FAULTS)
    for _ in range(random.randint(*MOVES)):
        for verb, arguments in chaos.next(course.gone, list(course.in_force)).steps:
            course.add(verb, arguments)
    if faults:
        course.add("heal", {"fault": EVERY_FAULT})
    course.add("settle", {})
    steps = [{verb: arguments} if arguments else verb for verb, arguments in course.steps]
    data = {**head, **({"keep_going": True} if faults else {}), "steps": steps}
    return Case(number, _read(data, name, overrides), frozenset(course.pairs))


def all_pairs() -> frozenset[Pair]:
    """Every pair that cases with faults can have."""
    drawn = {kind: fault for kind, fault in FAULTS.items() if not fault.needs}
    lasting = [kind for kind, fault in drawn.items() if not fault.waits_for_return]
    return frozenset((verb, other) for verb in (*VERBS, *drawn) for other in (*lasting, NOTHING))


def _lab(random: Random, overrides: Overrides) -> dict[str, Any]:
    """A random lab, as the data of a lab file."""
    via = overrides.via or _one_of(random, CARRIERS)
    of_sites = random.randrange(SITES_ONE_IN) == 0 and via == "corosync"
    lab: dict[str, Any] = {"sites": {"east": 2, "west": 1}} if of_sites else {"nodes": _one_of(random, NODES)}
    token = _one_of(random, TOKENS_MS)
    if via == "corosync" and token != 1000:
        lab["totem"] = {"token": token}
    if via != "corosync":
        lab["share"] = {"via": via}
    if random.randrange(ALL_MODULES_ONE_IN) == 0:
        lab["modules"] = "all"
    return {**lab, "devices": ["mystate", "other"]}


def _one_of(random: Random, weights: dict[Any, int]) -> Any:
    return random.choices(list(weights), list(weights.values()))[0]


def _read(data: dict[str, Any], name: str, overrides: Overrides) -> Scenario:
    return read_scenario(dump(data), f"{name}.yaml", Path(), overrides)
