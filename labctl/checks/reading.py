"""A history as the checks read it: in order, and with what the writers of older ones did not know put right. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from labctl.checks.finding import Limits
from labctl.history.events import Began, Did, Event, FaultBegan, Notified, Said, Watching
from labctl.history.phone_events import WITHOUT_A_WORD, Unsure

_WATCH = re.compile(r"watch phone=(?P<phone>\S+) extension=(?P<extension>\S+)$")
_UNWATCH = re.compile(r"unwatch phone=(?P<phone>\S+)$")


Made = TypeVar("Made")


class Reading(list[Event]):
    """A history in the order of its times, with what several checks make of it."""

    def __init__(self, events: Iterable[Event]) -> None:
        super().__init__(events)
        self.made: dict[Any, Any] = {}


def once(make: Callable[[Sequence[Event], Limits], Made]) -> Callable[[Sequence[Event], Limits], Made]:
    """Have what is made of a reading under the same limits be made but once."""

    @wraps(make)
    def made(events: Sequence[Event], limits: Limits) -> Made:
        if not isinstance(events, Reading):
            return make(events, limits)
        if (make, limits) not in events.made:
            events.made[make, limits] = make(events, limits)
        known: Made = events.made[make, limits]
        return known

    return made


def as_read(events: Sequence[Event]) -> Reading:
    """The events by their times, the beginning first; what older histories leave out is filled in from their steps."""
    every = [*_vanishing(events), *events]
    ordered = sorted(every, key=lambda event: (not isinstance(event, Began), event.at_s))
    return Reading(_with_watchers(list(_as_chan_sip_says([*_with_onsets(ordered)]))))


def _vanishing(events: Sequence[Event]) -> Iterator[Unsure]:
    """Phones that vanish may do so from when their step begins; it is written down after that."""
    steps = [event for event in events if isinstance(event, Did) and event.what.startswith("vanish ")]
    for event in events:
        if isinstance(event, Unsure) and event.why == WITHOUT_A_WORD:
            began_s = (step.began_s for step in steps if step.began_s < event.at_s <= step.at_s)
            yield from (replace(event, at_s=at_s) for at_s in began_s)


def _with_onsets(events: Sequence[Event]) -> Iterator[Event]:
    """With when each fault surely was in force: at the end of the step that put it there."""
    steps = [event for event in events if isinstance(event, Did)]
    for event in events:
        if isinstance(event, FaultBegan) and event.surely_s is None:
            around = [step for step in steps if step.began_s <= event.at_s <= step.at_s]
            own = [step for step in around if _verb(step.what) == _verb(event.what)]
            yield replace(event, surely_s=min((step.at_s for step in own or around), default=None))
        else:
            yield event


def _verb(what: str) -> str:
    return what.partition(" ")[0].replace("_", "-")


def _as_chan_sip_says(events: Sequence[Event]) -> Iterator[Event]:
    """Phones of chan_sip as that has them: one that is not registered is unavailable, in a call or not.

    sip_devicestate, channels/chan_sip.c of 1.6.2 and 1.8: a peer without an address is AST_DEVICE_UNAVAILABLE. What
    SIP alone tells of a caller is otherwise.
    """
    registered: dict[str, bool] = {}
    for event in events:
        if isinstance(event, Said) and event.device.startswith("SIP/"):
            if event.state in ("NOT_INUSE", "UNAVAILABLE"):
                registered[event.device] = event.state == "NOT_INUSE"
            elif not registered.get(event.device, True):
                yield replace(event, state="UNAVAILABLE")
                continue
        yield event


def _with_watchers(events: Sequence[Event]) -> Iterator[Event]:
    """With who watches what, where only the steps and the notifications tell."""
    if any(isinstance(event, Watching) for event in events):
        yield from events
        return
    watched: set[tuple[str, str]] = set()
    for event in events:
        if isinstance(event, Notified) and event.extension and (event.phone, event.extension) not in watched:
            watched.add((event.phone, event.extension))
            yield Watching(event.at_s, event.phone, event.extension)
        yield event
        if isinstance(event, Did) and not event.error:
            for watching in _of_step(event, watched):
                (watched.discard if watching.ended else watched.add)((watching.phone, watching.extension))
                yield watching


def _of_step(step: Did, watched: set[tuple[str, str]]) -> Iterator[Watching]:
    begins, ends = _WATCH.match(step.what), _UNWATCH.match(step.what)
    if begins:
        key = (begins["phone"], begins["extension"])
        if key not in watched:
            yield Watching(step.at_s, *key)
    elif ends:
        for phone, extension in [key for key in watched if key[0] == ends["phone"]]:
            yield Watching(step.at_s, phone, extension, ended=True)
