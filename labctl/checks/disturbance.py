"""What the machine did to a run, and what lies in the shadow of it: that is no failure of the cluster's. Pure.

Witnesses are what a recorder wrote down (Disturbed), Corosync's own words in a node's log, and a ring that lost a
member though no fault in force explains it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.checks.endings import End, Endings, endings
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits
from labctl.checks.handling import COROSYNC
from labctl.checks.reading import once
from labctl.history.events import (
    AMI,
    BY_ITSELF,
    SCHEDULER,
    Back,
    Did,
    Disturbed,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Line,
    Looked,
    Ring,
    beginning,
)

BEFORE_S = 4.0
"""So long before its ring breaks a node may have fallen silent: the token's time-out, 3.65 s in a lab of three by
default (corosync.conf(5), token and token_coefficient)."""

THREADS = 2
"""What a node hears passes a thread of its Corosync and one of its Asterisk: each may have waited for a CPU as long as
the one that waited longest, of which a witness tells."""

FAIR_SHARE = 0.25
"""What waited for a CPU explains what came too late where it waited for so much of that time: what is in vain for a
minute is not excused by a thread that waited for a moment of it."""

NEAR_S = 5.0
"""A witness explains what a ring does within so many seconds."""

STALL_S = 0.8
"""What stalls a node for so long may cost it the token even where a fault was over a moment ago: the part of the
shortest time-out, 1 s, from which on Corosync itself warns (exec/main.c, timer_function_scheduler_timeout)."""

_NOT_SCHEDULED = re.compile(r"(?:not scheduled (?:\(@\d+\) )?|Process pause detected )for (?P<ms>\d+(?:\.\d+)?) ?ms")
"""exec/main.c, timer_function_scheduler_timeout, Corosync 1.4 to 3.1, of which the last tells `(@when)` too; and
exec/totemsrp.c, pause_flush, in each."""

_NO_TOKEN = re.compile(r"Token has not been received in (?P<ms>[\d.]+) ?ms")
"""exec/totemsrp.c, timer_function_orf_token_warning, from Corosync 3.0 on."""


def tells(line: str) -> bool:
    """Whether a line of a node's log is Corosync's word that the machine kept it from its work."""
    return bool(_NOT_SCHEDULED.search(line) or _NO_TOKEN.search(line))


@dataclass(frozen=True)
class Shadow:
    """A time in which nodes of a cluster may have been kept from their work, and the reason in words.

    `unheard`: they did their work, and labctl alone did not hear them. `slow_s`: they did it slowly, which explains
    what is late and nothing else; by so much it may be late for what `witness`, a node, did.

    `brief` if it is too short to matter when all has been quiet for a while. `loses` if what was said in it may be
    lost for good, since a ring broke; that ring was whole again at `whole_s`.
    """

    since_s: float
    until_s: float
    nodes: frozenset[str]
    reason: str
    brief: bool = False
    loses: bool = False
    whole_s: float = float("inf")
    unheard: bool = False
    slow_s: float = 0.0
    witness: str = ""


@dataclass
class Shadows:
    """Every shadow of a history; and since when each of its looks was under way, by when that was over."""

    all: tuple[Shadow, ...] = ()
    looks_s: Mapping[float, float] = field(default_factory=dict)

    def over(
        self,
        since_s: float,
        until_s: float,
        nodes: Collection[str] = (),
        through: Collection[str] = (),
        *,
        quiet: bool = False,
        by_phones: bool = False,
        late: bool = False,
    ) -> str:
        """Why what came about in that time on these nodes (none: anywhere) is not judged; "" where it is.

        `through`: others that it takes to be right; what they did counts, and not whether labctl heard of it.
        `quiet`: it was seen when nothing had been said for a while, so that what is brief does not explain it.
        `by_phones`: phones told it, whatever labctl heard of nodes. `late`: it may be right, and too late, as what ran
        out of time.
        """
        slow_s: dict[str, float] = {}
        for shadow in self.all:
            if (by_phones and shadow.unheard) or (shadow.slow_s and not late):
                continue
            touches = shadow.since_s <= until_s and since_s <= shadow.until_s
            others = not shadow.unheard and (not nodes or shadow.nodes & {*through})
            concerned = others or shadow.nodes & {*nodes}
            if touches and concerned and not (quiet and shadow.brief):
                slow_s[shadow.witness] = slow_s.get(shadow.witness, 0.0) + shadow.slow_s
                if not shadow.slow_s or slow_s[shadow.witness] >= FAIR_SHARE * (until_s - since_s):
                    return shadow.reason
        return ""

    def slowed(self, since_s: float, until_s: float, node: str, bound_s: float) -> bool:
        """Whether a node need not have told what was so from then until then, since threads waited for a CPU. It has
        `bound_s` for that where none do."""
        slow_s: dict[str, float] = {}
        explained_until_s = float("-inf")
        for shadow in self.all:
            touches = shadow.since_s <= until_s and since_s <= shadow.until_s
            if shadow.slow_s and touches and node in shadow.nodes:
                slow_s[shadow.witness] = slow_s.get(shadow.witness, 0.0) + shadow.slow_s
                explained_until_s = max(explained_until_s, shadow.until_s)
        return until_s <= explained_until_s and until_s - since_s <= bound_s + max(slow_s.values(), default=0.0)

    def doubt(self, finding: Finding) -> Finding:
        """A finding, as one that cannot be judged where it lies in a shadow."""
        if finding.certain:
            return finding
        quiet = finding.since_s is None
        since_s = self.looks_s.get(finding.at_s, finding.at_s) if finding.since_s is None else finding.since_s
        kind = {"quiet": quiet, "by_phones": finding.by_phones and not quiet, "late": finding.late}
        return finding.doubted(self.over(since_s, finding.at_s, finding.nodes, finding.through, **kind))


@dataclass
class Losses:
    """What may have been lost for good since a ring broke by itself: it may be wrong on each node until that was right
    of it, or until all who had said it have said it anew."""

    shadows: Shadows
    _said_s: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """Thing -> who said it -> when first, and when last."""
    _right_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """Thing and node -> when that was right of it last."""

    def said(self, what: str, at_s: float, node: str) -> None:
        """A node said it, no earlier than then."""
        words = self._said_s.setdefault(what, {})
        first_s, _ = words.get(node, (at_s, at_s))
        words[node] = (first_s, at_s)

    def left(self, node: str) -> None:
        """A node is gone: what it said counts no more, lost or not."""
        for words in self._said_s.values():
            words.pop(node, None)

    def was_right(self, what: str, at_s: float, nodes: Iterable[str]) -> None:
        """It was right then on these nodes; while the ring is broken that means nothing."""
        self._right_s |= dict.fromkeys(((what, node) for node in nodes), at_s)

    def reason(self, what: str, at_s: float, nodes: Collection[str]) -> str:
        """Why the thing may be wrong then on these nodes through no fault of theirs; "" where nothing excuses it."""
        for shadow in self.shadows.all:
            concerned = shadow.nodes & {*nodes} if shadow.loses and shadow.since_s <= at_s else ()
            never_right = any(self._right_s.get((what, node), float("-inf")) < shadow.whole_s for node in concerned)
            if never_right and not self._said_anew(what, shadow):
                return shadow.reason
        return self.shadows.over(at_s, at_s, nodes, quiet=True)

    def _said_anew(self, what: str, shadow: Shadow) -> bool:
        """Whether all whose words may be lost said it anew once the ring had settled: that is heard. Somebody must have
        said it at all."""
        words = [times_s for node, times_s in self._said_s.get(what, {}).items() if node in shadow.nodes]
        lost = [last_s for first_s, last_s in words if first_s < shadow.until_s]
        return any(last_s >= shadow.until_s for _, last_s in words) and all(last_s >= shadow.until_s for last_s in lost)


def disturbed(events: Sequence[Event], limits: Limits) -> str:
    """What kept nodes from their work since something went wrong in the lab, in words: who is late then may be spared.
    "" where nothing did, as far as anybody saw, or nothing went wrong."""
    since_s = min((event.at_s for event in events if isinstance(event, FaultBegan | Gone | Back)), default=float("inf"))
    lying = (shadow for shadow in shadows(events, limits).all if shadow.until_s >= since_s and not shadow.unheard)
    return next((shadow.reason for shadow in lying), "")


@once
def shadows(events: Sequence[Event], limits: Limits) -> Shadows:
    """Every shadow that lies on a history, from its witnesses."""
    witnesses = list(_witnesses(events, limits))
    breaks = _breaks(events, limits, [witness for witness in witnesses if witness.source != AMI])
    looks_s = {event.at_s: event.began_s for event in events if isinstance(event, Looked) and event.began_s is not None}
    return Shadows((*breaks, *(_starved(witness, events, limits) for witness in witnesses)), looks_s)


def _starved(witness: Disturbed, events: Sequence[Event], limits: Limits) -> Shadow:
    """The shadow of a witness: what it delayed may come as much later as a state may take."""
    bound_s = limits.delay_ms / 1000
    unheard = witness.source == AMI
    brief = unheard or witness.lasted_s < bound_s  # in a look a node is asked anew
    slow_s = THREADS * witness.lasted_s if witness.source == SCHEDULER else 0.0
    nodes = frozenset({witness.node}) if unheard else _touched(witness.node, events)
    reason = witness.what if unheard else _starvation(witness)
    until_s = witness.until_s + bound_s
    return Shadow(witness.at_s, until_s, nodes, reason, brief, unheard=unheard, slow_s=slow_s, witness=witness.node)


def _touched(node: str, events: Sequence[Event]) -> frozenset[str]:
    """The nodes that one which is disturbed may leave waiting: all of its cluster; of all where no node is named."""
    began = beginning(events)
    return frozenset(Replay(began).cluster(node) if node else began.nodes)


def _starvation(witness: Disturbed) -> str:
    return f"{witness.what} ({witness.node or 'the machine'}, +{witness.at_s:.1f} s, by {witness.source})"


# Witnesses


def _witnesses(events: Sequence[Event], limits: Limits) -> Iterator[Disturbed]:
    """What was recorded as a disturbance; and what Corosync's own lines tell of one, where the recorder did not read
    them, as labctl 0.1 did not."""
    yield from (event for event in events if isinstance(event, Disturbed))
    if any(isinstance(event, Disturbed) and "corosync" in event.source for event in events):
        return
    replay = Replay(beginning(events))
    paused_s: dict[str, float] = {}
    for event in events:
        replay.take(event)
        for fault in replay.faults.values():
            paused_s |= dict.fromkeys(fault.nodes if fault.pauses else (), event.at_s)
        if isinstance(event, Line):
            lately_paused = event.at_s - paused_s.get(event.node, float("-inf")) <= limits.settle_s
            stalled = None if lately_paused else _NOT_SCHEDULED.search(event.text)
            without_token = _NO_TOKEN.search(event.text) if replay.whole(event.at_s, limits.settle_s) else None
            if late := stalled or without_token:
                yield _from_line(event, float(late["ms"]) / 1000)


def _from_line(line: Line, late_s: float) -> Disturbed:
    what = f"the machine was starved for {late_s:.1f} s"
    return Disturbed(line.at_s - late_s, line.at_s, line.node, what, "Corosync's log")


# Rings that break by themselves


@dataclass
class _Broken:
    """A ring that lost members of those `before`, and when it was whole again; `witness`: what may have broken it, or
    `step`, in words: a step of the scenario itself."""

    ring: Ring
    before: frozenset[str]
    cluster: frozenset[str]
    witness: Disturbed | None
    step: str = ""
    whole_s: float = float("inf")

    def look_again(self, at_s: float, members: Collection[str], replay: Replay) -> None:
        """It is whole where it has all of its members that nothing keeps away: for those nobody has to wait."""
        awaited = {other for other in self.before if not _kept_apart(self.ring.node, {other}, replay)}
        if awaited <= {*members}:
            self.whole_s = min(self.whole_s, at_s)

    def shadow(self, limits: Limits) -> Shadow:
        """From before it broke until it was whole again, and had settled."""
        why = self.witness.what if self.witness else "no other sign of what did it was recorded"
        how, why = ("", self.step) if self.step else (" by itself", why)
        reason = f"the ring of {self.ring.node} broke{how} at +{self.ring.at_s:.1f} s: {why}"
        since_s = min(self.ring.at_s - BEFORE_S, self.witness.at_s if self.witness else self.ring.at_s)
        until_s = self.whole_s + limits.settle_s
        return Shadow(since_s, until_s, self.cluster, reason, loses=True, whole_s=self.whole_s)


def _breaks(events: Sequence[Event], limits: Limits, witnesses: Sequence[Disturbed]) -> list[Shadow]:
    """The shadow of every ring that lost a member by itself."""
    replay = Replay(beginning(events))
    begins_s = min((event.began_s for event in events if isinstance(event, Did)), default=0.0)
    ended_s: dict[str, float] = {}
    last_told: dict[str, frozenset[str]] = {}
    broken: list[_Broken] = []
    steps = endings(events, limits.settle_s)
    for event in events if replay.has_rings else ():
        for ring in _rings_told(event, begins_s):
            cluster = frozenset(replay.cluster(ring.node))
            before = last_told.get(ring.node, cluster)
            missing = before - {*ring.members}
            excused = _excused(ring, missing, replay, ended_s, limits)
            stalled = not _kept_apart(ring.node, missing, replay) and _stalled(ring, witnesses)
            if missing and (stalled or not excused):
                broken.append(_Broken(ring, before, cluster, _near(ring, witnesses), _by_step(ring, missing, steps)))
            last_told[ring.node] = frozenset(ring.members)
        ended_s |= dict.fromkeys(_back_in_rings(event, replay), event.at_s)
        replay.take(event)
        for one in broken:
            one.look_again(event.at_s, last_told[one.ring.node], replay)
    return [one.shadow(limits) for one in broken]


def _back_in_rings(event: Event, before: Replay) -> Collection[str]:
    """The nodes whose Corosync something was in the way of until now. An Asterisk that ends by itself may have gone
    after its Corosync; one that was ended has left that alone."""
    if isinstance(event, Healed) and event.fault in before.faults:
        fault = before.faults[event.fault]
        return fault.nodes if fault.of_rings else ()
    if isinstance(event, Back):
        return {event.node} & before.ringless
    return (event.node,) if isinstance(event, Gone) and event.what == BY_ITSELF else ()


def _rings_told(event: Event, begins_s: float) -> list[Ring]:
    """The rings that an event tells. What was logged before the first step is of the boot."""
    if isinstance(event, Ring):
        return [event] if event.at_s >= begins_s else []
    if isinstance(event, Looked):
        return [Ring(event.at_s, node, members, True) for node, members in event.rings.items() if members]
    return []


def _excused(ring: Ring, missing: frozenset[str], replay: Replay, ended_s: dict[str, float], limits: Limits) -> bool:
    """Whether a fault in force explains that a ring lost these members, or one that was over a moment ago."""
    lately = any(ring.at_s - ended_s.get(node, float("-inf")) <= limits.settle_s for node in (ring.node, *missing))
    return (
        lately
        or _left_to_chance(ring.node, missing, replay)
        or all(_kept_apart(ring.node, {other}, replay) or _torn(ring.node, other, replay) for other in missing)
    )


def _kept_apart(node: str, others: Iterable[str], replay: Replay) -> bool:
    """Whether faults in force keep a node from each of the others."""
    absent = {name for fault in replay.faults.values() for name in fault.absent} | replay.ringless
    blocked = {pair for fault in replay.faults.values() for pair in fault.unheard or ()}
    return node in absent or all(other in absent or {(node, other), (other, node)} & blocked for other in others)


def _torn(node: str, other: str, replay: Replay) -> bool:
    """Whether there is a third that one of the two hears and the other does not: then they are in one ring by turns."""
    return any(
        _kept_apart(node, {third}, replay) != _kept_apart(other, {third}, replay)
        for third in replay.cluster(node)
        if third not in (node, other)
    )


def _left_to_chance(node: str, others: Iterable[str], replay: Replay) -> bool:
    """Whether a fault touches them of which no rule says what Corosync makes of it."""
    return any(fault.leaves_to_chance({node, *others}) for fault in replay.faults.values())


def _by_step(ring: Ring, missing: Iterable[str], steps: Endings) -> str:
    """That a step may have ended one of the Corosyncs that are apart now; "" where none has."""
    ends = (End(node, COROSYNC, ring.at_s - BEFORE_S, ring.at_s) for node in (*sorted(missing), ring.node))
    ended = (end.node for end in ends if steps.asked_for(end) or steps.doubt(end))
    return next((f"a step may have ended the Corosync of {node}" for node in ended), "")


def _stalled(ring: Ring, witnesses: Sequence[Disturbed]) -> bool:
    """Whether a node stood still for long just before its ring broke."""
    return any(
        stall.lasted_s >= STALL_S and stall.at_s <= ring.at_s and stall.until_s >= ring.at_s - BEFORE_S
        for stall in witnesses
        if stall.source != SCHEDULER
    )


def _near(ring: Ring, witnesses: Sequence[Disturbed]) -> Disturbed | None:
    """The worst witness of what may have broken a ring."""
    near = [witness for witness in witnesses if witness.at_s - NEAR_S <= ring.at_s <= witness.until_s + NEAR_S]
    return max(near, key=lambda witness: (witness.node == ring.node, witness.lasted_s), default=None)
