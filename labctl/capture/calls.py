"""Calls: the dialogs that are one call to people, though each switch on the way gives its part a Call-ID of its own.
Pure.

A switch such as Asterisk ends a call at one side and makes a new one at the other. That the two belong together, it
tells nobody; they do where the new one begins at the switch while the old one waits there, for the same number or from
the same caller.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.capture.dialogs import Dialog, dialogs
from labctl.capture.messages import Message
from labctl.capture.names import Names
from labctl.sip_message import user_of

SAME_CALLER_S = 5.0
"""For how long a call that waits at a switch is the reason of another that the switch makes, where they have the caller
in common but not the number: a group of phones, a forward."""

SAME_NUMBER_S = 180.0
_ASK = ("INVITE", "REFER")
_LAST = 16
"""How many calls of one number at one switch are looked at, the last first."""


@dataclass(frozen=True)
class CallFlow:
    """A call, or another dialog that stands alone, such as a registration. `number` is its own in the capture, from 1:
    calls have the first.

    `caller` and `callee` as the first of its `dialogs` says. `places` are who takes part, in the order of the path.
    """

    number: int
    dialogs: tuple[Dialog, ...]
    messages: tuple[Message, ...]
    caller: str
    callee: str
    places: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The method that began it: INVITE of a call."""
        return self.dialogs[0].kind

    @property
    def begin_s(self) -> float:
        """When it began, in seconds since 1970."""
        return self.messages[0].at_s

    @property
    def state(self) -> str:
        """How far it has come, as its caller sees it."""
        return self.dialogs[0].state


def calls(messages: Sequence[Message], names: Names) -> tuple[CallFlow, ...]:
    """All calls, then registrations, subscriptions and the like, each kind in the order in which they begin."""
    joiner = _Joiner(names)
    for dialog in dialogs(messages):
        joiner.add(dialog)
    groups = sorted(joiner.groups, key=lambda legs: legs[0].kind != "INVITE")
    return tuple(_call(number, legs, names) for number, legs in enumerate(groups, 1))


def _call(number: int, legs: Sequence[Dialog], names: Names) -> CallFlow:
    first = legs[0]
    messages = sorted((message for leg in legs for message in leg.messages), key=lambda message: message.at_s)
    openings = [leg.opening for leg in legs]
    ends = (end for message in [*openings, *messages] for end in (message.source, message.target))
    places = tuple(dict.fromkeys(names.place(end) for end in ends))
    return CallFlow(number, tuple(legs), tuple(messages), names.user(first.caller), names.user(first.callee), places)


@dataclass(frozen=True)
class _Waiting:
    """A dialog that has asked a switch for something: when it did, how long it goes on, and the call that it is of."""

    asked_s: list[float]
    end_s: float
    group: list[Dialog]

    def is_reason(self, begin_s: float, within_s: float) -> bool:
        """Whether what begins at the switch then may be for it: it has asked not long before, and still goes on."""
        asked = bisect_right(self.asked_s, begin_s)
        return bool(asked) and begin_s - self.asked_s[asked - 1] <= within_s and self.end_s >= begin_s


class _Joiner:
    """Puts each dialog to the call that it is a leg of."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.groups: list[list[Dialog]] = []
        self._waiting: dict[tuple[str, str], list[_Waiting]] = {}

    def add(self, dialog: Dialog) -> None:
        """Take a dialog; they come in the order in which they begin."""
        group = self._reason_of(dialog)
        if group is None:
            group = []
            self.groups.append(group)
        group.append(dialog)
        if dialog.kind == "INVITE":
            place = self._names.place(dialog.opening.target)
            end_s = dialog.messages[-1].at_s if dialog.is_over else math.inf
            waiting = _Waiting(self._asked_s(dialog, place), end_s, group)
            for word in (*self._asked_for(dialog), f"from {self._names.user(dialog.caller)}"):
                self._waiting.setdefault((place, word), []).append(waiting)

    def _reason_of(self, dialog: Dialog) -> list[Dialog] | None:
        """The call that has a switch make this one; None where it begins a call itself."""
        if dialog.kind != "INVITE" or not dialog.opening.sip.method:
            return None
        place = self._names.place(dialog.opening.source)
        caller, callee = self._names.user(dialog.caller), self._names.user(dialog.callee)
        for word, within_s in ((f"for {callee}", SAME_NUMBER_S), (f"from {caller}", SAME_CALLER_S)):
            for waiting in reversed(self._waiting.get((place, word), [])[-_LAST:]):
                if waiting.is_reason(dialog.begin_s, within_s):
                    return waiting.group
        return None

    def _asked_s(self, dialog: Dialog, place: str) -> list[float]:
        """When a dialog has asked a place for a call."""
        asked = [message for message in dialog.messages if message.sip.method in _ASK]
        return [message.at_s for message in asked if self._names.place(message.target) == place]

    def _asked_for(self, dialog: Dialog) -> list[str]:
        """The numbers that a dialog asks a switch for: that which it calls, those that it transfers to."""
        referred = [user_of(message.sip.header("Refer-To")) for message in dialog.messages]
        numbers = dict.fromkeys([dialog.callee, *(number for number in referred if number)])
        return [f"for {self._names.user(number)}" for number in numbers]
