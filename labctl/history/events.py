"""What was done in a run and what every vantage saw: events, one JSON object a line. Pure.

Times are seconds on the monotonic clock of the machine that labctl runs on, counted from the beginning of the
run; what was seen has the time at which labctl was told of it. States of devices are Asterisk's own words
(NOT_INUSE), states of extensions are a hint's (Idle).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from labctl.asterisk import device_state
from labctl.errors import InvalidFile, Problem

Count = tuple[int, int]
"""New and old messages of a mailbox."""


@dataclass(frozen=True)
class Began:
    """The run begins: what the lab is.

    `extensions`: extension -> device. `homes`: device -> the one node that speaks for it (a phone's; Custom devices
    have none). `mailboxes`: mailbox -> the node that keeps it. `lamps`: phone -> the mailbox it watches. `sites`: node
    -> its site, where nodes are not all one cluster. `cache_s`: for how long an answer of another site's is kept.
    """

    at_s: float
    scenario: str
    lab: str
    stack: str
    nodes: tuple[str, ...]
    extensions: dict[str, str]
    homes: dict[str, str] = field(default_factory=dict)
    mailboxes: dict[str, str] = field(default_factory=dict)
    lamps: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    utc: str = ""
    sites: dict[str, str] = field(default_factory=dict)
    cache_s: float = 0.0
    via: str = "corosync"

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...]:
        """The nodes of each site, or all."""
        names = dict.fromkeys(self.sites.get(node, "") for node in self.nodes)
        return tuple(tuple(node for node in self.nodes if self.sites.get(node, "") == site) for site in names)

    def home(self, number: str) -> str:
        """The node that a phone's extension, or `*` and a mailbox, is at; "" where it is at none."""
        if number.startswith("*"):
            return self.mailboxes.get(number[1:], "")
        return self.homes.get(self.extensions.get(number, ""), "")

    def device(self, phone: str) -> str:
        """A phone's device; "" where there is none."""
        return next((device for device in self.homes if device.partition("/")[2] == phone), "")


@dataclass(frozen=True)
class Did:
    """A step has ended: what it was, when it began, and what went wrong if anything did."""

    at_s: float
    step: int
    what: str
    began_s: float
    error: str = ""


@dataclass(frozen=True)
class Said:
    """A node has a new state of its own of a device: it was told so, or a phone of its own did something."""

    at_s: float
    node: str
    device: str
    state: str


@dataclass(frozen=True)
class Seen:
    """A node tells the state of an extension, as its manager interface says it."""

    at_s: float
    node: str
    extension: str
    state: str


@dataclass(frozen=True)
class Notified:
    """A phone was told by NOTIFY of the dialogs of an extension: terminated, early or confirmed (RFC 4235)."""

    at_s: float
    phone: str
    extension: str
    state: str


@dataclass(frozen=True)
class Watching:
    """A phone has subscribed to the dialogs of an extension by now, or has `ended` that."""

    at_s: float
    phone: str
    extension: str
    ended: bool = False


@dataclass(frozen=True)
class Lamp:
    """A phone was told by NOTIFY what its mailbox holds (RFC 3842)."""

    at_s: float
    phone: str
    new: int
    old: int


@dataclass(frozen=True)
class Ring:
    """A node's Corosync says who its members are, by name."""

    at_s: float
    node: str
    members: tuple[str, ...]
    quorate: bool


@dataclass(frozen=True)
class Line:
    """A line of a node's log that matters."""

    at_s: float
    node: str
    text: str


@dataclass(frozen=True)
class FaultBegan:
    """A fault is in force from now on; `nodes` are those it touches.

    Pairs of nodes name first who sends. `unasked`: between which no question of DUNDi's crosses. `uncalled`: between
    which no call does; None where the nodes themselves are at fault, and with them every call that goes through one.
    `unheard`: between which nothing of Corosync's crosses; None where the fault leaves that to chance, or where the
    history does not tell. `absent`: the nodes whose Corosync does not run under it.
    """

    at_s: float
    fault: str
    what: str
    nodes: tuple[str, ...]
    unasked: tuple[tuple[str, str], ...] = ()
    uncalled: tuple[tuple[str, str], ...] | None = None
    unheard: tuple[tuple[str, str], ...] | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Healed:
    """A fault is over."""

    at_s: float
    fault: str


AMI = "ami"
"""The source of `Disturbed` where labctl's connection to a node was lost, and nothing else."""


@dataclass(frozen=True)
class Disturbed:
    """The machine kept a node from its work, or may have, from `at_s` until `until_s`; `node` is "" if it was all.

    `what`: in words, as "the machine was starved for 1.4 s". `source`: the witness, as "corosync.log"; AMI where it was
    labctl's own connection to the node that was lost: the node did its work, and could not tell of it.
    """

    at_s: float
    until_s: float
    node: str
    what: str
    source: str


BY_ITSELF = "by itself"
"""What `Gone` says where no step of the run ended it: it crashed."""


@dataclass(frozen=True)
class Gone:
    """A node's Asterisk, or all of the node, is gone. `what` ended it: a fault's kind, or BY_ITSELF.

    Of what ended by itself, `how`: "signal 11", where that is known; `whole`: all of the node did, Corosync too.
    """

    at_s: float
    node: str
    what: str
    how: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Back:
    """A node that was gone is back, and booted."""

    at_s: float
    node: str


@dataclass(frozen=True)
class Called:
    """A phone calls; `nodes` are those that the call goes through, `call` is its own name in this run."""

    at_s: float
    call: str
    caller: str
    callee: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A call is over: `ok` if it went as its phones wanted, else why not. `ended_by` is a phone, or "" if cut off."""

    at_s: float
    call: str
    ok: bool
    why: str = ""


@dataclass(frozen=True)
class Heard:
    """How many RTP packets a phone heard in a call from its node while they talked, and how many it should have."""

    at_s: float
    call: str
    phone: str
    packets: int
    wanted: int


@dataclass(frozen=True)
class Load:
    """A generator of load has ended. A saturated one could not keep up itself, and so judges nobody.

    `extensions` are those whose state it changed so often since `began_s` that nobody followed it.
    """

    at_s: float
    what: str
    asked: int
    done: int
    failed: int
    rate_asked: float
    rate: float
    saturated: bool
    nodes: tuple[str, ...] = ()
    began_s: float = 0.0
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A node asked other sites by DUNDi: for the way to a number (`route`), or for its state there.

    `answers` are dial strings (PJSIP/103@node-w1), or Asterisk's words for states, each by the node of `by` that gave
    it. `found`: whether there must be one, as whoever had it asked says; None where that follows from what is in force.
    """

    at_s: float
    node: str
    what: Literal["route", "state"]
    number: str
    answers: tuple[str, ...]
    by: tuple[str, ...] = ()
    found: bool | None = None


@dataclass(frozen=True)
class Looked:
    """All that could be seen at once, when the lab was quiet. Nodes that did not answer are left out.

    `states` and `hints`: node -> extension -> state, over the manager interface and by `asterisk -rx`.
    `rings`: node -> Corosync's members. `members`: node -> who its cluster module sees. `kept`: mailbox -> what
    the node that keeps it holds. `lamps`: phone -> what it was told last, of phones that are on.
    """

    at_s: float
    states: dict[str, dict[str, str]]
    rings: dict[str, tuple[str, ...]]
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hints: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: dict[str, Count] = field(default_factory=dict)
    lamps: dict[str, Count] = field(default_factory=dict)


@dataclass(frozen=True)
class Over:
    """The run is over; `error` is what ended it early."""

    at_s: float
    error: str = ""


Event = (
    Began
    | Did
    | Said
    | Seen
    | Watching
    | Notified
    | Lamp
    | Ring
    | Line
    | FaultBegan
    | Healed
    | Disturbed
    | Gone
    | Back
    | Called
    | Ended
    | Heard
    | Load
    | Asked
    | Looked
    | Over
)

KIND_NAMES: Mapping[type[Any], str] = {FaultBegan: "fault"}
"""Kinds whose name in the file, which stays, is not that of the class."""


def _name(kind: type[Any]) -> str:
    return KIND_NAMES.get(kind, kind.__name__.lower())


KINDS: Mapping[str, type[Any]] = {_name(kind): kind for kind in get_args(Event)}
_ADAPTERS = {kind: TypeAdapter(model) for kind, model in KINDS.items()}


def to_line(event: Event) -> str:
    """An event as a line of JSON, its kind first."""
    return json.dumps({"kind": _name(type(event)), **asdict(event)}, separators=(",", ":"))


def parse(text: str, source: str) -> tuple[Event, ...]:
    """A history, from its lines. A last line that was cut off is left out: a run may have been ended as it wrote.

    Raises InvalidFile with the line of every other that is no event, or if there is no beginning.
    """
    events: list[Event] = []
    problems: list[Problem] = []
    lines = text.split("\n")
    for number, line in ((number, line) for number, line in enumerate(lines, 1) if line.strip()):
        try:
            events.append(_event(dict(json.loads(line))))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number < len(lines):
                problems.append(Problem(number, f"not an event: {_why(error)}", "labctl run writes such files"))
    if not problems and not (events and isinstance(events[0], Began)):
        problems.append(Problem(1, "the history has no beginning", "its first line is of the kind `began`"))
    if problems:
        raise InvalidFile(source, problems)
    return tuple(events)


def _event(data: Any) -> Event:
    kind = str(data.pop("kind"))
    if kind not in _ADAPTERS:
        raise ValueError(f"no kind `{kind}`")
    event: Event = _ADAPTERS[kind].validate_python(data)
    if not all(abs(value) <= 1e12 for value in vars(event).values() if isinstance(value, float)):
        raise ValueError("a time or a figure is not finite")
    if isinstance(event, Said) and event.state not in device_state.ORDER:
        raise ValueError(f"no device state `{event.state}`")
    return event


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error) or type(error).__name__


def beginning(events: Iterable[Event]) -> Began:
    """The first event. Raises ValueError if it is of another kind."""
    first = next(iter(events), None)
    if not isinstance(first, Began):
        raise ValueError("a history begins with `began`")  # noqa: TRY004 - the value is wrong, not its type
    return first
