"""Changes of state, by the word of each node, and when each node of its cluster told of them. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from labctl.asterisk.device_state import aggregate, hint
from labctl.checks.expected import EITHER, Replay
from labctl.checks.finding import Limits
from labctl.checks.reading import once
from labctl.history.events import (
    Back,
    Called,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Load,
    Over,
    Said,
    Seen,
    beginning,
)
from labctl.history.phone_events import Unsure

EARLY_S = 0.05
"""So long before the word itself what comes of it may be heard."""

EARLY_OF_PHONES_S = 0.5
"""The same of a phone, whose word is what its node told: another node, which is read by a thread of its own, may be
heard before. On a busy machine 0.06 s were seen. What a step has a node say is written down as it is sent."""


Span = tuple[float, float]

_OF_CALLS = ("InUse", "Ringing")
"""What a phone that was free is in a call that it told nothing of."""


@dataclass(frozen=True)
class _Since:
    """Since when a node tells a state, and whether an earlier change, which came to the same, had it told."""

    at_s: float
    of_earlier: bool


@dataclass(frozen=True)
class _Spoken:
    """What a node said; `changes` the right state of the extension."""

    at_s: float
    state: str
    changes: bool


@dataclass
class _Excuses:
    """What a node may tell in passing of an extension. `untold`: when its phone had a call that it told nothing of.
    `unheard`: from when until when a node may tell what is right without words that it has not heard yet."""

    untold: Sequence[Span]
    unheard: list[tuple[Span, frozenset[str]]] = field(default_factory=list)

    def until_s(self, event: Seen, since_s: float) -> float:
        """Until when what was told may stand, where it is one of those that began since then; else -inf."""
        ends = [end_s for begin_s, end_s in self.untold if begin_s <= event.at_s and event.state in _OF_CALLS]
        ends += [
            end_s for (begin_s, end_s), may in self.unheard if since_s <= begin_s <= event.at_s and event.state in may
        ]
        return max(ends, default=float("-inf"))


@dataclass
class Change:
    """By a node's word the right state of an extension changed; when each node told of the new one.

    `judged`: whether nothing was broken; `plain`: whether it is another state by any reading. It holds until `until_s`,
    and the next word comes at `next_s`. `again_s`: where it is no change, but what a word that came before left to hold
    when all was whole again after a fault; since when that was so. `already`: the nodes that were there before, and so
    had nothing to tell: how soon they had it nobody measured.
    """

    word: Said
    extension: str
    new: str
    judged: bool
    plain: bool
    nodes: tuple[str, ...]
    until_s: float = float("inf")
    next_s: float = float("inf")
    told_s: dict[str, float] = field(default_factory=dict)
    already: set[str] = field(default_factory=set)
    flaps: list[Seen] = field(default_factory=list)
    again_s: float | None = None

    @property
    def since_s(self) -> float:
        """Since when it holds."""
        return self.word.at_s if self.again_s is None else self.again_s


@dataclass(frozen=True)
class Changes:
    """Every change while nothing was broken, in order; and how many others there were, which are not judged.

    `again`: what was said before that, and held again once all was whole: when it was told is not judged, but who told
    it is to stay with it. `unspoken`: how often a node told what comes of no word, before anybody had said anything of
    the extension: that is not judged either, since what there was before the history began nobody knows.
    """

    judged: tuple[Change, ...]
    left_out: int
    again: tuple[Change, ...] = ()
    unspoken: int = 0

    def remark(self, limits: Limits) -> str:
        """What was left out, in words."""
        if not self.left_out:
            return ""
        return f"{self.left_out} not judged: something was broken, or had been within {limits.settle_s:g} s"


def changes(events: Sequence[Event], limits: Limits) -> Changes:
    """Every change in every cluster: what one says another is not told."""
    clusters = beginning(events).clusters
    made = [_Changes(events, limits, nodes) for nodes in clusters]
    every = [change for of_cluster in made for change in of_cluster.all if change.plain]
    plain = [change for change in every if change.again_s is None]
    judged = sorted((change for change in plain if change.judged), key=lambda change: change.word.at_s)
    again = sorted((change for change in every if change.again_s is not None), key=lambda change: change.since_s)
    unspoken = sum(of_cluster.unspoken for of_cluster in made)
    return Changes(tuple(judged), len(plain) - len(judged), tuple(again), unspoken)


class _Changes:
    """Every change of a cluster, with what its nodes told until the next, or until a fault; and what was said before,
    as it holds again when that is over."""

    def __init__(self, events: Sequence[Event], limits: Limits, nodes: tuple[str, ...]) -> None:
        self._began = beginning(events)
        self._nodes = nodes
        self._extensions = {device: extension for extension, device in self._began.extensions.items()}
        self._replay = Replay(self._began)
        self._elsewhere: set[str] = set()
        self._broken = False
        self._loads = [event for event in events if isinstance(event, Load)]
        self._all: dict[str, list[Change]] = {extension: [] for extension in self._began.extensions}
        by_place: dict[tuple[str, str], list[Seen]] = {}
        untold = _untold_calls(events, limits)
        self._words: dict[tuple[str, str], list[_Spoken]] = {}
        self._excuses = {
            extension: _Excuses(untold.get(device, ())) for extension, device in self._began.extensions.items()
        }
        for event in events:
            self._hold_again(event.at_s, limits.settle_s)
            if self._is_elsewhere(event):
                continue
            if isinstance(event, Said):
                self._say(event, limits)
            elif isinstance(event, Seen):
                by_place.setdefault((event.extension, event.node), []).append(event)
            else:
                self._replay.take(event)
                self._broken = self._broken or not self._replay.whole(event.at_s, limits.settle_s)
                if isinstance(event, Unsure) and event.device in self._extensions:
                    self._close([self._extensions[event.device]], event.at_s)
                if isinstance(event, FaultBegan | Gone | Over):
                    self._close(self._all, event.at_s)
        self._close(self._all, events[-1].at_s)
        self.unspoken = 0
        for extension, changes in self._all.items():
            at_first = Replay(self._began).right(self._began.extensions[extension], ())
            for node in nodes:
                tellings = by_place.get((extension, node), [])
                _follow(changes, node, tellings, at_first, limits.delay_ms / 1000, self._excuses[extension])
                self.unspoken += self._unspoken(extension, tellings, at_first)
        self.all = [change for changes in self._all.values() for change in changes]

    def _is_elsewhere(self, event: Event) -> bool:
        """Whether it is of the nodes of another cluster alone: nothing is broken here by that, or told."""
        match event:
            case Said(node=node) | Seen(node=node) | Unsure(node=node) | Gone(node=node) | Back(node=node):
                return node not in self._nodes
            case FaultBegan(fault=name, nodes=touched):
                others = {*self._began.nodes} - {*self._nodes}
                self._elsewhere |= {name} if touched and {*touched} <= others else set()
                return name in self._elsewhere
            case Healed(fault=name) if name in self._elsewhere:
                self._elsewhere.discard(name)
                return True
            case _:
                return False

    def _say(self, word: Said, limits: Limits) -> None:
        before = self._replay.right(word.device, self._nodes)
        self._replay.take(word)
        after = self._replay.right(word.device, self._nodes)
        extension = self._extensions.get(word.device)
        if extension is None:
            return
        spoken = _Spoken(word.at_s, word.state, after != before)
        self._words.setdefault((extension, word.node), []).append(spoken)
        if not spoken.changes:
            bound_s = limits.delay_ms / 1000
            may = self._unheard(extension, word.at_s - bound_s)
            self._excuses[extension].unheard.append(((word.at_s, word.at_s + bound_s), may))
            return
        self._close([extension], word.at_s)
        for change in self._all[extension][-1:]:
            change.next_s = word.at_s
        if not any(load.began_s <= word.at_s <= load.at_s for load in self._loads_of(extension)):
            judged = self._replay.whole(word.at_s, limits.settle_s)
            plain = before.isdisjoint(after) and len(after) == 1
            nodes = tuple(node for node in self._nodes if node not in self._replay.waiting)
            self._all[extension].append(Change(word, extension, min(after), judged, plain, nodes))

    def _hold_again(self, at_s: float, settle_s: float) -> None:
        """Once all has been whole for a while after a fault, what was said last holds again, where nobody doubts what
        that is."""
        if not self._broken or not self._replay.whole(at_s, settle_s):
            return
        self._broken = False
        again_s = self._replay.broken_until_s + settle_s
        for extension, changes in self._all.items():
            device = self._began.extensions[extension]
            for last in changes[-1:]:
                holds = last.judged and last.until_s > again_s
                loads = (load for load in self._loads_of(extension) if load.at_s >= last.word.at_s)
                loaded = any(load.began_s <= again_s for load in loads)
                known = not self._replay.unsure.get(device) and self._replay.right(device, self._nodes) == {last.new}
                if known and not holds and not loaded:
                    self._close([extension], again_s)
                    changes.append(Change(last.word, extension, last.new, False, True, last.nodes, again_s=again_s))

    def _unheard(self, extension: str, since_s: float) -> frozenset[str]:
        """What a node may tell that has not heard some of the words since then which come to no other state together:
        two that cross each other, as when one node takes a state on while another lets it go."""
        ways = [
            _last(words) if words[-1].changes or words[-1].at_s <= since_s else _last(words) | _last(words[:-1])
            for words in (self._words.get((extension, node), []) for node in self._nodes)
            if words
        ]
        together = {frozenset[str]()}
        for states in ways:
            together = {said | {state} for said in together for state in states}
        heard = [said - {""} for said in together]
        return frozenset().union(*({hint(aggregate(said))} if said else EITHER for said in heard))

    def _unspoken(self, extension: str, tellings: Iterable[Seen], at_first: frozenset[str]) -> int:
        """How many of these came before anybody had said anything of it, and are not what it is then."""
        words_s = [words[0].at_s for node in self._nodes if (words := self._words.get((extension, node)))]
        spoken_s = min(words_s, default=float("inf")) - EARLY_OF_PHONES_S
        return sum(event.at_s < spoken_s and event.state not in at_first for event in tellings)

    def _loads_of(self, extension: str) -> list[Load]:
        """What changed the state of an extension too often to follow."""
        return [load for load in self._loads if extension in load.extensions]

    def _close(self, extensions: Iterable[str], at_s: float) -> None:
        """What was said last of each extension holds no longer; nor has it since a load began."""
        for extension in extensions:
            for change in self._all[extension][-1:]:
                loads_s = [load.began_s for load in self._loads_of(extension) if load.began_s >= change.since_s]
                change.until_s = min(change.until_s, at_s, *loads_s)


def _last(words: Sequence[_Spoken]) -> frozenset[str]:
    """The state of the last of a node's words; "" where there is none."""
    return frozenset({words[-1].state if words else ""})


@once
def _untold_calls(events: Sequence[Event], _limits: Limits) -> dict[str, list[Span]]:
    """By device, from when until when its phone, which was free, had a call of which it told no state, such as one that
    it hung up before anybody told it that the other end rings: what its node had of it meanwhile nobody knows."""
    began = beginning(events)
    devices = {device.rpartition("/")[2]: device for device in began.homes} | began.extensions
    ends_s = {event.call: event.at_s for event in events if isinstance(event, Ended)}
    said: dict[str, list[Said]] = {}
    for event in events:
        if isinstance(event, Said):
            said.setdefault(event.device, []).append(event)
    spans: dict[str, list[Span]] = {}
    for call in events:
        if isinstance(call, Called) and call.call in ends_s:
            since_s, until_s = call.at_s, ends_s[call.call]
            for device in (devices[end] for end in (call.caller, call.callee) if end in devices):
                words = [word for word in said.get(device, ()) if word.at_s <= until_s]
                if words and words[-1].at_s < since_s and words[-1].state == "NOT_INUSE":
                    spans.setdefault(device, []).append((since_s, until_s + EARLY_OF_PHONES_S))
    return spans


def _follow(
    changes: Sequence[Change],
    node: str,
    tellings: Sequence[Seen],
    at_first: frozenset[str],
    bound_s: float,
    excuses: _Excuses,
) -> None:
    """What a node told of an extension, beside the changes: since when it told of each, and what else it told then.

    What was said before may still arrive; who told the same before that has then not told of the newer change. Who
    has told nothing yet is as it was at first.
    """
    sources = _sources(changes, tellings, bound_s)
    for number, change in enumerate(changes):
        since: _Since | None = None
        first = max(0, bisect_left(tellings, change.since_s, key=lambda event: event.at_s) - 1)
        for event, source in islice(zip(tellings, sources, strict=True), first, None):
            if event.at_s > change.until_s or source > number:
                break
            if event.state == change.new:
                since = since or _Since(event.at_s, 0 <= source < number)
            elif since is None:
                continue
            elif source >= 0 or _on_the_way(change, since, event, bound_s):
                since = None
            elif not _in_passing(change, event) and not _is_back(change, tellings, event, excuses):
                change.flaps.append(event)
        as_at_first = change.new in at_first and all(event.at_s > change.until_s for event in tellings[:1])
        if as_at_first or (since and _is_before(change, since)):
            change.already.add(node)
        elif since:
            change.told_s[node] = since.at_s


def _is_before(change: Change, since: _Since) -> bool:
    """Whether a node has told the new state since before it changed."""
    return since.at_s < change.since_s - (0.0 if since.of_earlier else EARLY_OF_PHONES_S)


def _is_back(change: Change, tellings: Sequence[Seen], event: Seen, excuses: _Excuses) -> bool:
    """Whether a node tells in passing what is excused: it tells of the new state again in time."""
    until_s = excuses.until_s(event, change.since_s)
    return any(later.state == change.new and event.at_s <= later.at_s <= until_s for later in tellings)


def _in_passing(change: Change, event: Seen) -> bool:
    """Whether a phone's state was about to change anyhow: a node may tell one in passing, such as Busy of a caller who
    is refused, of which it sends no event of the device, since that is over by then."""
    return not _by_step(change) and change.next_s - event.at_s <= EARLY_OF_PHONES_S


def _on_the_way(change: Change, since: _Since, event: Seen, bound_s: float) -> bool:
    """Whether a node, which had told the new state of a phone before it changed and not of what was between, tells in
    passing what came before the new one: it tells of the new one yet."""
    return _is_before(change, since) and not _by_step(change) and event.at_s - change.since_s <= bound_s


def _by_step(change: Change) -> bool:
    """Whether a step had a node say it, which is written down as it is sent."""
    return change.word.device.startswith("Custom:")


def _sources(changes: Sequence[Change], tellings: Sequence[Seen], bound_s: float) -> list[int]:
    """For each thing that a node told the number of the change that it may come from: the first that is not before
    that of what it told before it. -1 where there is none."""
    numbers: list[int] = []
    first = 0
    early_s = EARLY_S if any(map(_by_step, changes[:1])) else EARLY_OF_PHONES_S
    for event in tellings:
        first = max(first, bisect_left(changes, event.at_s - bound_s, key=lambda change: change.until_s))
        end = bisect_right(changes, event.at_s + early_s, key=lambda change: change.since_s)
        numbers.append(next((number for number in range(first, end) if changes[number].new == event.state), -1))
        first = max(first, numbers[-1])
    return numbers
