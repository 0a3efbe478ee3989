"""A history as people read it: what was done, what each node then said, when. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.history.events import (
    NOT_STARTED,
    Back,
    Called,
    Capture,
    Core,
    Did,
    Disturbed,
    Ended,
    Event,
    Expected,
    FaultBegan,
    Gone,
    Healed,
    Heard,
    Lamp,
    Line,
    Load,
    Looked,
    Notified,
    Over,
    Ring,
    Said,
    Seen,
    Watching,
)
from labctl.history.phone_events import Unsure
from labctl.history.process_events import Complained
from labctl.history.site_events import Asked

LINES = 60
LOG_LINES_AT_ONCE = 3


def tell(events: Iterable[Event], last: int = LINES) -> list[str]:
    """The story in lines, the last so many of them; of log lines that come in a row the first few are told."""
    lines: list[str] = []
    quoted = 0
    for event in sorted(events, key=_when):
        quoted = quoted + 1 if isinstance(event, Line | Complained) else 0
        text = _text(event) if quoted <= LOG_LINES_AT_ONCE else ""
        if text:
            lines.append(f"{_when(event):9.3f} s  {text}")
    left_out = len(lines) - last
    return [f"({left_out} lines before)", *lines[-last:]] if left_out > 0 else lines


def _when(event: Event) -> float:
    """Where an event stands in the story: a step where it began."""
    return event.began_s if isinstance(event, Did) else event.at_s


def _text(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - a table of kinds
    match event:
        case Did(what=what, error=error):
            return f"> {what}" + (f": {error}" if error else "")
        case Said(node=node, device=device, state=state):
            return f"  {node} has {device} {state}"
        case Seen(node=node, extension=extension, state=state):
            return f"  {node} says {extension} {state}"
        case Notified(phone=phone, extension=extension, state=state):
            return f"  {phone} is told {extension} {state}"
        case Watching(phone=phone, extension=extension, ended=ended):
            return f"  {phone} watches {extension}" + (" no longer" if ended else "")
        case Lamp(phone=phone, new=new, old=old):
            return f"  {phone} is told of {new} new and {old} old messages"
        case Ring(node=node, members=members, quorate=quorate):
            return f"  ring of {node}: {','.join(members) or 'nobody'}{'' if quorate else ', not quorate'}"
        case Line(node=node, text=text):
            return f"  {node} logs {_plain(text)}"
        case Complained(node=node, text=text):
            return f"  {node} logs an error: {text[:120]}"
        case FaultBegan() | Healed() | Disturbed() | Gone() | Back():
            return f"! {_went_wrong(event)}"
        case Called(call=call):
            return f"  call {call} begins"
        case Ended(call=call, why=why):
            return f"  call {call} ends" + (f": {why}" if why else "")
        case Heard(phone=phone, packets=packets, wanted=wanted):
            return f"  {phone} heard {packets} packets of {wanted}"
        case Load(what=what, done=done, asked=asked, failed=failed):
            return f"  {what}: {done} of {asked} done, {failed} failed"
        case Asked() | Expected() | Unsure():
            return f"  {_answered(event)}"
        case Looked():
            return f"  look: {_differences(event)}"
        case Core() | Capture():
            return _kept(event)
        case Over(error=error):
            return f"over{f': {error}' if error else ''}"
        case _:
            return ""


def _went_wrong(event: FaultBegan | Healed | Disturbed | Gone | Back) -> str:
    match event:
        case Disturbed(node=node, what=what, source=source):
            return f"{node or 'the machine'} was disturbed: {what} (by {source})"
        case FaultBegan(what=what):
            return what
        case Healed(fault=fault):
            return f"healed: {fault}"
        case Gone(node=node, what=what) if what == NOT_STARTED:
            return f"{node} is {what} yet"
        case Gone(node=node, what=what, how=how):
            return f"{node} gone ({what}{f': {how}' if how else ''})"
        case Back(node=node):
            return f"{node} back"


def _answered(event: Asked | Expected | Unsure) -> str:
    match event:
        case Unsure(node=node, device=device, why=why):
            return f"what {node} has of {device} is not known: {why}"
        case Asked(node=node, number=number, answers=answers, by=by):
            answer = ", ".join(answers) or "nothing"
            return f"{node} asks for {number} and is told {answer}" + (f" by {', '.join(by)}" if by else "")
        case Expected(what=what, wanted=wanted, met=met):
            return f"{what}: {'as expected' if met else 'not as expected'}: {wanted}"


def _kept(event: Core | Capture) -> str:
    if isinstance(event, Capture):
        without = f", from here on without {event.without}" if event.without else ""
        return f"! no packets from here on: {event.ended}" if event.ended else f"  packets go to {event.file}{without}"
    where = f"in {event.frames[0]}" if event.frames else ""
    parts = [where, f"it is in {' and '.join(event.files)}" if event.files else "", event.lacking]
    return f"  memory of {event.daemon} on {event.node}, which crashed: {'; '.join(filter(None, parts))}"


def _differences(looked: Looked) -> str:
    """Where the nodes differ; a look at which they all agree has nothing more to tell."""
    extensions = dict.fromkeys(extension for states in looked.states.values() for extension in states)
    parts = []
    for extension in extensions:
        by_node = {node: states[extension] for node, states in looked.states.items() if extension in states}
        if len(set(by_node.values())) > 1:
            parts.append(f"{extension} is " + ", ".join(f"{state} on {node}" for node, state in by_node.items()))
    return "; ".join(parts) or "all nodes that answer agree"


def _plain(text: str) -> str:
    """A log line without its date, and not too long."""
    return (text.partition("] ")[2] if text.startswith("[") else text)[:120]
