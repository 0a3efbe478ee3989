"""Random steps by seed, for soak runs: the same seed on the same lab tries the same things. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from labctl.faults.fault import Choices, RandomStep
from labctl.faults.registry import FAULTS
from labctl.lab import Lab

STATES = ("NOT_INUSE", "INUSE", "RINGING", "BUSY", "ONHOLD")
WEIGHTS = {"change": 5, "call": 4, "message": 1, "fault": 3, "heal": 3, "settle": 2}


@dataclass(frozen=True)
class Move:
    """Steps to be done one after the other: verb and arguments."""

    steps: tuple[RandomStep, ...]


class Chaos:
    """Chooses what to do next, given what is the case."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._random = Random(seed)  # noqa: S311 - chance, not secrets

    def next(self, gone: Collection[str], in_force: Sequence[str]) -> Move:
        """The next move; `gone` are nodes that do not answer, `in_force` the names of faults."""
        while True:
            kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            move = getattr(self, f"_{kind}")([node.name for node in self._lab.nodes if node.name not in gone], in_force)
            if move:
                return Move(tuple(move))

    def _change(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        if not live or not self._lab.devices:
            return []
        node, device, state = (self._random.choice(words) for words in (live, self._lab.devices, STATES))
        return [("set_state", {"node": node, "device": device, "state": state})]

    def _call(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        phones = [phone.name for phone in self._lab.phones if phone.node in live]
        if len(phones) < 2:
            return []
        caller, callee = self._random.sample(phones, 2)
        return [
            ("call", {"caller": caller, "callee": callee}),
            ("answer", {"phone": callee}),
            ("talk", {"phones": [caller, callee], "duration": 0.3}),
            ("hang_up", {"phone": self._random.choice((caller, callee))}),
        ]

    def _message(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        phones = [phone.name for phone in self._lab.phones if phone.node in live]
        boxes = [number for number in self._lab.mailbox_numbers if self._lab.mailbox(number).node in live]
        if not phones or not boxes:
            return []
        caller, mailbox = self._random.choice(phones), self._random.choice(boxes)
        return [("leave_voicemail", {"caller": caller, "mailbox": mailbox, "duration": 0.5})]

    def _fault(self, live: Sequence[str], in_force: Sequence[str]) -> list[RandomStep]:
        if len(in_force) >= 2 or len(live) < 2:
            return []
        kind = FAULTS[self._random.choice(sorted(FAULTS))]
        nodes = tuple(node.name for node in self._lab.nodes)
        return kind.random_steps(Choices(self._random, nodes, tuple(live), self._lab.rings))

    def _heal(self, _live: Sequence[str], in_force: Sequence[str]) -> list[RandomStep]:
        return [("heal", {"fault": self._random.choice(list(in_force))}), ("settle", {})] if in_force else []

    def _settle(self, _live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        return [("settle", {})]
