"""When it began to be wrong: what a check finds in a look, when all is quiet, came about before that. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Finding
from labctl.history.events import Began, Event, FaultBegan, Healed, Ring, Said, Seen, beginning
from labctl.history.phone_events import Unsure


def wrong_since(finding: Finding, events: Sequence[Event]) -> float:
    """From when on it was as it was found, in seconds of the history.

    Of a state that was wrong in a look: when the last happened that bears on it, be it what a node said of it, its
    device, a ring or a fault; since then nobody had a reason to say anything else. Of all else the look itself.
    """
    if finding.since_s is not None:
        return finding.since_s
    if not finding.extension or not events:
        return finding.at_s
    began = beginning(events)
    bearing_s = (event.at_s for event in events if event.at_s <= finding.at_s and _bears_on(event, finding, began))
    return max(bearing_s, default=finding.at_s)


def _bears_on(event: Event, finding: Finding, began: Began) -> bool:
    match event:
        case Seen(node=node, extension=extension):
            return extension == finding.extension and node in finding.nodes
        case Said(device=device) | Unsure(device=device):
            return device == (began.extensions | began.hints).get(finding.extension)
        case Ring(node=node):
            return node in finding.nodes
        case FaultBegan() | Healed():
            return True
        case _:
            return False


def when(finding: Finding, events: Sequence[Event]) -> str:
    """The same in words, as exactly as it is known."""
    since_s = wrong_since(finding, events)
    if finding.since_s is not None:
        text = f"between {since_s:.3f} s and {finding.at_s:.3f} s"
    elif since_s < finding.at_s:
        text = f"unchanged since {since_s:.3f} s, seen at {finding.at_s:.3f} s, when all was quiet"
    else:
        text = f"seen at {finding.at_s:.3f} s, when all was quiet"
    return f"{text}, in step {finding.step}" if finding.step else text
