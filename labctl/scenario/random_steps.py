"""Random steps by seed, for soak runs and hunts: the same seed on the same lab tries the same things. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from labctl.faults.fault import Choices, RandomStep
from labctl.faults.registry import FAULTS
from labctl.lab import Lab

STATES = ("NOT_INUSE", "INUSE", "RINGING", "BUSY", "ONHOLD")
WEIGHTS = {"change": 5, "call": 4, "message": 1, "fault": 3, "heal": 3, "settle": 2}
"""How often each kind of move comes in a soak run; a kind is a method of Chaos."""

MESSAGE_S = 1.0
"""How long who leaves a message stays. Voicemail's beep takes 0.44 s (Debian's beep.gsm), and who hangs up in that is
in use for seconds more: the finding hung-up-in-the-beep, which nothing in a run tells from other differences."""


@dataclass(frozen=True)
class Move:
    """Steps to be done one after the other: verb and arguments."""

    steps: tuple[RandomStep, ...]


class Chaos:
    """Chooses what to do next, given what is the case. `weights`: how often each kind of move comes."""

    def __init__(self, lab: Lab, seed: int, weights: Mapping[str, int] = WEIGHTS) -> None:
        self._lab = lab
        self._random = Random(seed)  # noqa: S311 - chance, not secrets
        self._weights = weights

    def next(self, gone: Collection[str], in_force: Sequence[str]) -> Move:
        """The next move; `gone` are nodes that do not answer, `in_force` the names of faults."""
        while True:
            kind = self._random.choices(list(self._weights), list(self._weights.values()))[0]
            move = getattr(self, f"_{kind}")([node.name for node in self._lab.nodes if node.name not in gone], in_force)
            if move:
                return Move(tuple(move))

    def _change(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        if not live or not self._lab.devices:
            return []
        node, device, state = (self._random.choice(words) for words in (live, self._lab.devices, STATES))
        return [("set_state", {"node": node, "device": device, "state": state})]

    def _call(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        return self._between_two(live, self._answered)

    def _answered(self, caller: str, callee: str) -> list[RandomStep]:
        return [
            ("answer", {"phone": callee}),
            ("talk", {"phones": [caller, callee], "duration": 0.3}),
            ("hang_up", {"phone": self._random.choice((caller, callee))}),
        ]

    def _held_call(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        def held(caller: str, callee: str) -> list[RandomStep]:
            holder = {"phone": self._random.choice((caller, callee))}
            ended = [("hang_up", {"phone": callee})]
            return [("answer", {"phone": callee}), ("hold", holder), ("settle", {}), ("resume", holder), *ended]

        return self._between_two(live, held)

    def _refused_call(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        return self._between_two(live, lambda _caller, callee: [("reject", {"phone": callee})])

    def _given_up_call(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        return self._between_two(live, lambda caller, _callee: [("hang_up", {"phone": caller})])

    def _between_two(self, live: Sequence[str], then: Callable[[str, str], list[RandomStep]]) -> list[RandomStep]:
        """A call, and what becomes of it by its caller and callee; none where there are no two phones."""
        phones = self._phones(live)
        if len(phones) < 2:
            return []
        caller, callee = self._random.sample(phones, 2)
        return [("call", {"caller": caller, "callee": callee}), *then(caller, callee)]

    def _phones(self, live: Sequence[str]) -> list[str]:
        return [phone.name for phone in self._lab.phones if phone.node in live]

    def _mailboxes(self, live: Sequence[str]) -> list[str]:
        return [number for number in self._lab.mailbox_numbers if self._lab.mailbox(number).node in live]

    def _message(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        phones, boxes = self._phones(live), self._mailboxes(live)
        if not phones or not boxes:
            return []
        caller, mailbox = self._random.choice(phones), self._random.choice(boxes)
        return [("leave_voicemail", {"caller": caller, "mailbox": mailbox, "duration": MESSAGE_S})]

    def _deletion(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        boxes = self._mailboxes(live)
        return [("clear_voicemail", {"mailbox": self._random.choice(boxes)})] if boxes else []

    def _phone_again(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        phones = self._phones(live)
        phone = [self._random.choice(phones)] if phones else []
        return [("unregister", {"phones": phone}), ("register", {"phones": phone})] if phone else []

    def _watch(self, live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        phones = self._phones(live)
        if not phones:
            return []
        phone = self._random.choice(phones)
        node = next(each.node for each in self._lab.phones if each.name == phone)
        extension = self._random.choice(sorted(self._lab.extensions_of(node)))
        return [("watch", {"phone": phone, "extension": extension})]

    def _fault(self, live: Sequence[str], in_force: Sequence[str]) -> list[RandomStep]:
        if len(in_force) >= 2 or len(live) < 2:
            return []
        kind = FAULTS[self._random.choice(sorted(kind for kind, cls in FAULTS.items() if not cls.needs))]
        nodes = tuple(node.name for node in self._lab.nodes)
        return kind.random_steps(Choices(self._random, nodes, tuple(live), self._lab.rings))

    def _heal(self, _live: Sequence[str], in_force: Sequence[str]) -> list[RandomStep]:
        return [("heal", {"fault": self._random.choice(list(in_force))}), ("settle", {})] if in_force else []

    def _settle(self, _live: Sequence[str], _in_force: Sequence[str]) -> list[RandomStep]:
        return [("settle", {})]
