"""What of a scenario a failure most likely needs, by the history of a run that had it. Pure.

Delta debugging alone asks for many runs; a guess that is right spares most of them, and one that is wrong costs one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.checks.finding import Finding
from labctl.faults.registry import FAULTS
from labctl.history.events import Did, Event, Looked
from labctl.lab import Lab
from labctl.scenario.shrink import needs
from labctl.scenario.shrink.delta_debugging import Items
from labctl.scenario.shrink.needs import Need
from labctl.scenario.step_registry import Step
from labctl.scenario.steps_done import UNDOING

IN_ANY_CASE = (*UNDOING, "settle")


@dataclass(frozen=True)
class Ran:
    """When a step ran, in seconds of the history; it never did where it began at infinity."""

    began_s: float
    ended_s: float


def guesses(steps: Sequence[Step], lab: Lab, events: Sequence[Event], finding: Finding) -> list[Items]:
    """Choices of steps, the least first; the last is all that had begun when the failure was seen."""
    of_steps = needs.needs(steps, lab)
    ran = when(steps, events)
    until = tuple(index for index, span in enumerate(ran) if span.began_s <= finding.at_s) or tuple(range(len(steps)))
    touching = [index for index in until if touches(steps[index], finding.extension, lab)]
    windows = [_window(of_steps, ran, until, before_s) for before_s in _looked(events, finding.at_s)]
    choices: list[Items] = []
    for window in (*windows, until):
        choices += _narrowed(window, steps, touching)
    whole = [needs.completed(choice, of_steps) for choice in [*choices, *windows, until] if choice]
    return sorted(dict.fromkeys(whole), key=len)


def when(steps: Sequence[Step], events: Sequence[Event]) -> list[Ran]:
    """When each step ran: its verb begins what the history says was done. Steps that were never begun come last."""
    done = [event for event in sorted(_did(events), key=lambda event: event.step) if event.what != "reset"]
    spans, next_one = [], 0
    for step in steps:
        at = next((n for n in range(next_one, len(done)) if done[n].what.partition(" ")[0] == step.verb), None)
        if at is None:
            spans.append(Ran(float("inf"), float("inf")))
            continue
        spans.append(Ran(done[at].began_s, done[at].at_s))
        next_one = at + 1
    return spans


def touches(step: Step, extension: str, lab: Lab) -> bool:
    """Whether a step changes the state of an extension, or of the mailbox of `*` and a number, by itself."""
    if not extension:
        return step.verb not in FAULTS and step.verb not in IN_ANY_CASE
    phone = lab.phone_at(extension)
    named = {str(value) for value in step.arguments.values() if isinstance(value, str)}
    named |= {str(item) for value in step.arguments.values() if isinstance(value, list | tuple) for item in value}
    return extension in named or extension.removeprefix("*") in named or bool(phone and phone.name in named)


def _did(events: Sequence[Event]) -> Iterator[Did]:
    yield from (event for event in events if isinstance(event, Did))


def _looked(events: Sequence[Event], until_s: float) -> list[float]:
    """The last two looks before the one that saw it: it was right there, or at least not seen yet."""
    looks = [event.at_s for event in events if isinstance(event, Looked) and event.at_s < until_s]
    return looks[:-3:-1]


def _window(of_steps: Sequence[Sequence[Need]], ran: Sequence[Ran], until: Items, before_s: float) -> Items:
    """The steps since all was well for the last time before a moment: no fault in force, and no call."""
    begin = max((index for index in until if ran[index].ended_s <= before_s), default=-1) + 1
    while begin > 0 and not _calm(begin, of_steps, until):
        begin -= 1
    return tuple(index for index in until if index >= begin)


def _calm(begin: int, of_steps: Sequence[Sequence[Need]], until: Items) -> bool:
    """Whether no later step needs a fault or a call of before."""
    later = [index for index in until if index >= begin]
    needed = {before for index in later for need in of_steps[index] if need.close for before in need.any_of}
    return all(before >= begin for before in needed)


def _narrowed(window: Items, steps: Sequence[Step], touching: Sequence[int]) -> Iterator[Items]:
    """Of a window what the failure is about: faults, what heals them, and the steps that change what is wrong; of
    these the last alone, or all. What made it what it was before the window is needed too, most of all that a phone is
    registered."""
    frame = [index for index in window if steps[index].verb in FAULTS or steps[index].verb in IN_ANY_CASE]
    before = [index for index in touching if index not in window]
    setup = [index for index in before if steps[index].verb == "register"][-1:]
    changes = [index for index in touching if index in window]
    for some in (changes[-1:], changes[-2:], changes) if changes else (before[-1:],):
        yield tuple(sorted({*frame, *setup, *some}))
