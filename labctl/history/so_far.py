"""A history that still goes on, as one that can be judged. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.history.events import Called, Ended, Event, Heard, Over


def so_far(events: Sequence[Event], now_s: float) -> list[Event]:
    """The events with an end now, by which nothing is lost for want of one of its own.

    A call that goes on is judged by what was heard in it until now, and not at all where that is nothing.
    """
    ended = {event.call for event in events if isinstance(event, Ended)}
    heard = {event.call for event in events if isinstance(event, Heard)}
    going_on = {event.call for event in events if isinstance(event, Called) and event.call not in ended}
    kept = [event for event in events if not isinstance(event, Called) or event.call not in going_on - heard]
    ends = [Ended(now_s, call, ok=True, why="it goes on") for call in sorted(going_on & heard)]
    return [*kept, *ends, Over(now_s)]
