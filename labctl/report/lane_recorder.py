"""What each node and phone said, from when to when, as a history goes by. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from labctl.history.events import (
    NOT_STARTED,
    Back,
    Called,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Lamp,
    Looked,
    Notified,
    Ring,
    Seen,
)

LaneKind = Literal["state", "ring", "phone"]

Key = tuple[LaneKind, str, str]
"""The kind of a lane, who speaks, and of what."""

RING, CALLS, LAMP = "ring", "calls", "messages"
NO_RING = "no Corosync"


@dataclass(frozen=True)
class TimeSpan:
    """Something that held from `begin_s` until `end_s`. `kind` says how it is drawn: a state, `fault`, `step` …"""

    begin_s: float
    end_s: float
    text: str
    kind: str
    wrong: bool = False


@dataclass
class _Open:
    """What a speaker says now, and since when; and what it said before."""

    since_s: float
    text: str
    kind: str
    closed: list[TimeSpan] = field(default_factory=list)


class LaneRecorder:
    """Takes the events of a history in order."""

    def __init__(self) -> None:
        self._lanes: dict[Key, _Open] = {}
        self._calls: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Note what an event says of anybody's state; most events say nothing of one."""
        match event:
            case Seen(at_s=at_s, node=node, extension=extension, state=state):
                self._say(("state", node, extension), at_s, state, state)
            case Ring(at_s=at_s, node=node, members=members, quorate=quorate):
                self._say_ring(node, at_s, members, quorate)
            case FaultBegan(at_s=at_s, absent=absent):
                for node in absent:
                    self._say(("ring", node, RING), at_s, NO_RING, "gone")
            case Gone(at_s=at_s, node=node, what=what):
                self._break_off(node, at_s, what if what == NOT_STARTED else f"gone ({what})")
            case Back(at_s=at_s, node=node):
                self._break_off(node, at_s, "")
            case Looked():
                self._look(event)
            case _:
                self._take_from_phone(event)

    def _take_from_phone(self, event: Event) -> None:
        match event:
            case Notified(at_s=at_s, phone=phone, extension=extension, state=state):
                self._say(("phone", phone, extension), at_s, state, state)
            case Lamp(at_s=at_s, phone=phone, new=new, old=old):
                self._say(("phone", phone, LAMP), at_s, f"{new} new, {old} old", "lamp" if new else "idle")
            case Called(at_s=at_s, call=call, caller=caller, callee=callee):
                self._calls[call] = caller
                self._say(("phone", caller, CALLS), at_s, f"calls {callee}", "call")
            case Ended(at_s=at_s, call=call, why=why) if call in self._calls:
                self._say(("phone", self._calls[call], CALLS), at_s, f"no call{why and f': {why}'}", "idle")
            case _:
                pass

    def finish(self, end_s: float) -> dict[Key, list[TimeSpan]]:
        """Every lane, with what was said last going on to the end."""
        for key in self._lanes:
            self._say(key, end_s, "", "")
        return {key: lane.closed for key, lane in sorted(self._lanes.items(), key=lambda item: _place(item[0]))}

    def _say(self, key: Key, at_s: float, text: str, kind: str) -> None:
        lane = self._lanes.setdefault(key, _Open(at_s, "", ""))
        if (lane.text, lane.kind) == (text, kind):
            return
        if lane.text:
            lane.closed.append(TimeSpan(lane.since_s, max(lane.since_s, at_s), lane.text, lane.kind))
        lane.since_s, lane.text, lane.kind = at_s, text, kind

    def _say_ring(self, node: str, at_s: float, members: tuple[str, ...], quorate: bool) -> None:
        text = ", ".join(members) or "nobody"
        self._say(("ring", node, RING), at_s, text if quorate else f"{text}; no quorum", "ring" if quorate else "cut")

    def _break_off(self, node: str, at_s: float, text: str) -> None:
        """A node is gone, and says nothing any more; or it is back, and what it says is not known yet."""
        for key in [key for key in self._lanes if key[0] == "state" and key[1] == node]:
            self._say(key, at_s, text, "gone" if text else "")

    def _look(self, look: Looked) -> None:
        """A look tells what nobody has told of before it."""
        for node, states in look.states.items():
            for extension, state in states.items():
                self._say(("state", node, extension), look.at_s, state, state)
        for node, members in look.rings.items():
            lane = self._lanes.get(("ring", node, RING))
            text = ", ".join(members) or "nobody"
            if lane is None or lane.text.partition(";")[0] != text:
                self._say(("ring", node, RING), look.at_s, text, "ring")


def _place(key: Key) -> tuple[int, str, str]:
    """Rings first, then what nodes say, one extension after the other; then the phones."""
    kind, speaker, subject = key
    if kind == "state":
        return 1, subject, speaker
    return (0 if kind == "ring" else 2), speaker, subject
