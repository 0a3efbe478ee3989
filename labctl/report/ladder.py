"""A call as a ladder: who takes part as columns, each message as an arrow from one to another, what else happened as
lines across. Pure. Text, mermaid, JSON and the HTML page draw the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from labctl.capture.calls import CallFlow
from labctl.capture.dialogs import CHALLENGES, is_signed
from labctl.capture.messages import Message
from labctl.capture.names import Names
from labctl.sip_message import user_of

_ON_HOLD = re.compile(r"^a=(sendonly|recvonly|inactive)[ \t\r]*$", re.MULTILINE)
_SDP = "application/sdp"

AROUND_S = 0.5
"""How much before and after a call belongs to it: what caused its first message, and what came of its last."""

MEANWHILE = 200
"""So much at most of what happened beside a call is among its messages: nobody reads more."""


@dataclass(frozen=True)
class Arrow:
    """A message: `number` counts within its ladder, from 1; `source` and `target` are columns.

    `at_s` is on the clock of the ladder, `delta_s` since the message before. `what` is its method or status, `about`
    whom a request is for, or the words of a response; `notes` say what else matters: "sdp", "sdp sendonly", "signed",
    "challenge", "again" (a retransmission), "cut". `frame` is its number in the file. `text` is all of it.
    """

    number: int
    at_s: float
    delta_s: float
    source: int
    target: int
    what: str
    about: str
    notes: tuple[str, ...]
    frame: int
    transport: str
    text: str

    @property
    def label(self) -> str:
        """All that is said of it in a line: `INVITE 102, sdp, signed`."""
        return ", ".join((f"{self.what} {self.about}".strip(), *self.notes))

    @property
    def status(self) -> int:
        """The status of a response; 0 of a request."""
        return int(self.what) if self.what.isdigit() else 0


@dataclass(frozen=True)
class Across:
    """Something that happened meanwhile: a fault begins, a node says a state. `kind` is "fault", "state" or "step".

    `about`: the extension whose state it is; "" of what is of all. `until_s`: how long a fault is in force.
    """

    at_s: float
    text: str
    kind: str
    about: str = ""
    until_s: float | None = None


class Meanwhile:
    """All that happened beside SIP, in order of time."""

    def __init__(self, lines: Iterable[Across] = ()) -> None:
        self._lines = sorted(lines, key=lambda line: line.at_s)
        self._times_s = [line.at_s for line in self._lines]
        self.faults = [line for line in self._lines if line.until_s is not None]

    def between(self, begin_s: float, end_s: float) -> Sequence[Across]:
        """What happened from then to then."""
        return self._lines[bisect_left(self._times_s, begin_s) : bisect_right(self._times_s, end_s)]


@dataclass(frozen=True)
class Ladder:
    """One call. `columns` are its places in the order of the path; `rows` are in the order of time.

    `number`, `kind`, `caller`, `callee` and `state` are the call's (`labctl.capture.calls`). `begin_s`: when its first
    message was sent, on the clock of the ladder; `epoch_s`: the same in seconds since 1970.
    """

    number: int
    kind: str
    caller: str
    callee: str
    state: str
    begin_s: float
    epoch_s: float
    columns: tuple[str, ...]
    rows: tuple[Arrow | Across, ...]

    @property
    def arrows(self) -> tuple[Arrow, ...]:
        """Its messages."""
        return tuple(row for row in self.rows if isinstance(row, Arrow))

    @property
    def title(self) -> str:
        """`call 3: alice to 102, completed`."""
        word = "call" if self.kind == "INVITE" else self.kind
        return f"{word} {self.number}: {self.caller or '?'} to {self.callee or '?'}, {self.state}"


def ladder(call: CallFlow, names: Names, zero_s: float, meanwhile: Meanwhile) -> Ladder:
    """The ladder of a call on a clock whose zero is `zero_s`, in seconds since 1970.

    Of `meanwhile` those lines are in it that are of its time and its parties.
    """
    columns = {place: column for column, place in enumerate(call.places)}
    arrows: list[Arrow] = []
    signed = {message.sip.request_key for message in call.messages if is_signed(message.sip)}
    for number, message in enumerate(call.messages, 1):
        at_s = message.at_s - zero_s
        delta_s = at_s - arrows[-1].at_s if arrows else 0.0
        ends = columns[names.place(message.source)], columns[names.place(message.target)]
        what, about = _words(message, names)
        notes = tuple(_notes(message, message.sip.request_key in signed))
        arrows.append(
            Arrow(number, at_s, delta_s, *ends, what, about, notes, message.frame, message.transport, message.text)
        )
    rows: list[Arrow | Across] = sorted([*_of_call(call, names, arrows, meanwhile), *arrows], key=lambda row: row.at_s)
    return Ladder(
        call.number,
        call.kind,
        call.caller,
        call.callee,
        call.state,
        arrows[0].at_s,
        call.begin_s,
        call.places,
        tuple(rows),
    )


def _of_call(call: CallFlow, names: Names, arrows: Sequence[Arrow], meanwhile: Meanwhile) -> Iterator[Across]:
    """What of all that happened is of the time of a call, and of its parties; the first MEANWHILE of it."""
    begin_s, end_s = arrows[0].at_s - AROUND_S, arrows[-1].at_s + AROUND_S
    rows = list(islice(_in_its_time(call, names, meanwhile, begin_s, end_s), MEANWHILE + 1))
    yield from rows[:MEANWHILE]
    if len(rows) > MEANWHILE:
        yield Across(rows[MEANWHILE].at_s, "… and more, which is not shown", "step")


def _in_its_time(call: CallFlow, names: Names, meanwhile: Meanwhile, begin_s: float, end_s: float) -> Iterator[Across]:
    for fault in meanwhile.faults:
        if fault.at_s < begin_s <= (fault.until_s or 0.0):
            since = f"{fault.text.removesuffix(' begins')}, in force since {fault.at_s:.3f} s"
            yield replace(fault, at_s=begin_s, text=since)
    for line in meanwhile.between(begin_s, end_s):
        if not line.about or names.user(line.about) in (call.caller, call.callee):
            yield line


def _words(message: Message, names: Names) -> tuple[str, str]:
    sip = message.sip
    if sip.status:
        return str(sip.status), sip.start.partition(" ")[2].partition(" ")[2]
    whom = user_of(sip.start) if sip.method in ("INVITE", "SUBSCRIBE", "PUBLISH", "MESSAGE") else ""
    whom = user_of(sip.header("Refer-To")) if sip.method == "REFER" else whom
    if sip.method == "NOTIFY":
        whom = sip.header("Event").partition(";")[0]
    return sip.method, names.user(whom)


def _notes(message: Message, answers_signed: bool) -> Iterable[str]:
    sip = message.sip
    if _SDP in sip.header("Content-Type").lower():
        hold = _ON_HOLD.search(sip.body)
        yield f"sdp {hold[1]}" if hold else "sdp"
    if is_signed(sip):
        yield "signed"
    if sip.status in CHALLENGES and not answers_signed:
        yield "challenge"
    if message.again:
        yield "again"
    if message.cut:
        yield "cut"
