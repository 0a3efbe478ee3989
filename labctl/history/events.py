"""What was done in a run and what every vantage saw: events (lines.py writes and reads them). Pure.

Times are seconds on the monotonic clock of the machine that labctl runs on, counted from the beginning of the
run; what was seen has the time at which labctl was told of it. States of devices are Asterisk's own words
(NOT_INUSE), states of extensions are a hint's (Idle).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labctl.history.phone_events import Unsure
from labctl.history.process_events import Complained, Measured
from labctl.history.site_events import Asked

Count = tuple[int, int]
"""New and old messages of a mailbox."""


@dataclass(frozen=True, slots=True)
class Began:
    """The run begins: what the lab is.

    `extensions`: extension -> device. `homes`: device -> the one node that speaks for it (a phone's; Custom devices
    have none). `mailboxes`: mailbox -> the node that keeps it. `lamps`: phone -> the mailbox it watches. `sites`: node
    -> its site, where nodes are not all one cluster. `cache_s`: for how long an answer of another site's is kept.
    `hints`: extension -> device, of those whose device need be nobody's that this history tells of, such as a queue.
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
    hints: dict[str, str] = field(default_factory=dict)

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

    def is_mailbox(self, number: str) -> bool:
        """Whether what a phone watches or calls is a mailbox: `*` and its number, and no hint's extension."""
        return number.startswith("*") and number not in self.hints

    def device(self, phone: str) -> str:
        """A phone's device; "" where there is none."""
        return next((device for device in self.homes if device.partition("/")[2] == phone), "")


@dataclass(frozen=True, slots=True)
class Did:
    """A step has ended: what it was, when it began, and what went wrong if anything did."""

    at_s: float
    step: int
    what: str
    began_s: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A node has a new state of its own of a device: it was told so, or a phone of its own did something."""

    at_s: float
    node: str
    device: str
    state: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A node tells the state of an extension, as its manager interface says it."""

    at_s: float
    node: str
    extension: str
    state: str


@dataclass(frozen=True, slots=True)
class Notified:
    """A phone was told by NOTIFY of the dialogs of an extension: terminated, early or confirmed (RFC 4235)."""

    at_s: float
    phone: str
    extension: str
    state: str


@dataclass(frozen=True, slots=True)
class Watching:
    """A phone has subscribed to the dialogs of an extension, or to `*` and a mailbox, by now, or has `ended` that."""

    at_s: float
    phone: str
    extension: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Lamp:
    """A phone was told by NOTIFY what its mailbox holds (RFC 3842)."""

    at_s: float
    phone: str
    new: int
    old: int


@dataclass(frozen=True, slots=True)
class Ring:
    """A node's Corosync says who its members are, by name."""

    at_s: float
    node: str
    members: tuple[str, ...]
    quorate: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a node's log that matters."""

    at_s: float
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class FaultBegan:
    """A fault is in force from now on; `nodes` are those it touches.

    Pairs of nodes name first who sends. `unasked`: between which no question of DUNDi's crosses. `uncalled`: between
    which no call does; None where the nodes themselves are at fault, and with them every call that goes through one.
    `unheard`: between which nothing crosses of what carries state; None where the fault leaves that to chance, or the
    history does not tell. `absent`: the nodes whose Corosync does not run under it. `surely_s`: from when on it surely
    was in force, for putting it there takes a while; None where no step tells, so from `at_s` on.
    """

    at_s: float
    fault: str
    what: str
    nodes: tuple[str, ...]
    unasked: tuple[tuple[str, str], ...] = ()
    uncalled: tuple[tuple[str, str], ...] | None = None
    unheard: tuple[tuple[str, str], ...] | None = None
    absent: tuple[str, ...] = ()
    surely_s: float | None = None


@dataclass(frozen=True, slots=True)
class Healed:
    """A fault is over."""

    at_s: float
    fault: str


AMI = "ami"
"""The source of `Disturbed` where labctl's connection to a node was lost, and nothing else."""

SCHEDULER = "the scheduler"
"""The source of `Disturbed` where threads had to wait for a CPU, now and then."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """The machine kept a node from its work, or may have, from `at_s` until `until_s`; `node` is "" if it was all.

    `what`: in words, as "the machine was starved for 1.4 s". `source`: the witness, as "corosync.log"; AMI where it was
    labctl's own connection to the node that was lost: the node did its work, and could not tell of it. `for_s`: for how
    long in all, where it was not all of that time.
    """

    at_s: float
    until_s: float
    node: str
    what: str
    source: str
    for_s: float = 0.0

    @property
    def lasted_s(self) -> float:
        """For how long it kept the node from its work."""
        return self.for_s or self.until_s - self.at_s


BY_ITSELF = "by itself"
"""What `Gone` says where no step of the run ended it: it crashed."""


NOT_STARTED = "not started"
"""What `Gone` says of a node that is part of the lab and was not started yet: it was never there."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A node's Asterisk, or all of the node, is gone. `what` ended it: a fault's kind, or BY_ITSELF; or NOT_STARTED.

    Of what ended by itself, `how`: "signal 11", where that is known; `whole`: all of the node did, Corosync too.
    """

    at_s: float
    node: str
    what: str
    how: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Back:
    """A node that was gone is back, and booted."""

    at_s: float
    node: str


@dataclass(frozen=True, slots=True)
class Called:
    """A phone calls; `nodes` are those that the call goes through, `call` is its own name in this run."""

    at_s: float
    call: str
    caller: str
    callee: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A call is over: `ok` if it went as its phones wanted, else why not. `ended_by` is a phone, or "" if cut off."""

    at_s: float
    call: str
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """How many RTP packets a phone heard in a call from its node while they talked, and how many it should have; `call`
    is "" where no phone made it, as a queue's."""

    at_s: float
    call: str
    phone: str
    packets: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Load:
    """A generator of load has ended. A saturated one could not keep up itself, and so judges nobody.

    `extensions` are those whose state it changed so often since `began_s` that nobody followed it. `causes`: how often
    it failed for what, in SIPp's words; empty where labctl did not write that down yet.
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
    causes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expected:
    """The scenario held an answer to what it expects: `what` was asked since `began_s`, `wanted` of the answer in
    words, and the `answer` that came last, its middle left out where it is long. `nodes` are those that were asked.
    `waited`: one as it should be was waited for, so that it may be none but a late one."""

    at_s: float
    began_s: float
    what: str
    wanted: str
    met: bool
    answer: str = ""
    nodes: tuple[str, ...] = ()
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """All that could be seen at once, when the lab was quiet. Nodes that did not answer are left out.

    `states` and `hints`: node -> extension -> state, over the manager interface and by `asterisk -rx`.
    `rings`: node -> Corosync's members. `members`: node -> who its cluster module sees. `kept`: mailbox -> what
    the node that keeps it holds. `lamps`: phone -> what it was told last, of phones that are on. It took from `began_s`
    until `at_s`; None where the history does not tell. `copies`: node -> mailbox -> what a copy of that it stores.
    """

    at_s: float
    states: dict[str, dict[str, str]]
    rings: dict[str, tuple[str, ...]]
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hints: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: dict[str, Count] = field(default_factory=dict)
    lamps: dict[str, Count] = field(default_factory=dict)
    began_s: float | None = None
    copies: dict[str, dict[str, Count]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Core:
    """What is kept of the memory of a daemon that crashed: `files` beside the history; `lacking`: why it is not all.

    `frames`: where it was when it crashed, innermost first, as gdb prints them.
    """

    at_s: float
    node: str
    daemon: str
    files: tuple[str, ...] = ()
    lacking: str = ""
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    """What crosses the lab's network is kept in `file`, beside the history; `ended`: why not to the end of the run.

    `epoch_s`: what the engine's wall clock said at the history's zero, in seconds since 1970: a packet came at its own
    time less this. Where the capture could not start, it is what this machine's clock said. `without`: what is left
    out from here on, so that there is room for the rest.
    """

    at_s: float
    file: str
    epoch_s: float
    ended: str = ""
    without: str = ""


@dataclass(frozen=True, slots=True)
class Over:
    """The run is over; `error` is what ended it early."""

    at_s: float
    error: str = ""


Deed = Began | Did | FaultBegan | Healed | Called | Ended | Heard | Load | Asked | Expected | Looked | Capture | Over
"""What labctl itself did, and what came of it."""
_Told = Said | Unsure | Seen | Watching | Notified | Lamp | Ring | Line
Sign = _Told | Complained | Measured | Disturbed | Gone | Core | Back
"""What nodes, phones and the machine showed unasked."""
Event = Deed | Sign


def ending(events: Iterable[Event]) -> Over | None:
    """How the run ended; of several ends in a history the first with an error. None where it did not end."""
    overs = [event for event in events if isinstance(event, Over)]
    return next((event for event in overs if event.error), next(iter(overs), None))


def beginning(events: Iterable[Event]) -> Began:
    """The first event. Raises ValueError if it is of another kind."""
    first = next(iter(events), None)
    if not isinstance(first, Began):
        raise ValueError("a history begins with `began`")  # noqa: TRY004 - the value is wrong, not its type
    return first
