"""Changes of state, by the word of each node, and when each node of its cluster told of them. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from labctl.checks.expected import Replay
from labctl.checks.finding import Limits
from labctl.history.events import Event, FaultBegan, Gone, Load, Over, Said, Seen, beginning
from labctl.history.phone_events import Unsure

EARLY_S = 0.05
"""So long before the word itself what comes of it may be heard."""

EARLY_OF_PHONES_S = 0.5
"""The same of a phone, whose word is what its node told: another node, which is read by a thread of its own, may be
heard before. On a busy machine 0.06 s were seen. What a step has a node say is written down as it is sent."""


@dataclass
class Change:
    """By a node's word the right state of an extension changed; when each node told of the new one.

    `judged`: whether nothing was broken; `plain`: whether it is another state by any reading. It holds until `until_s`,
    and the next word comes at `next_s`.
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
    flaps: list[Seen] = field(default_factory=list)


@dataclass(frozen=True)
class Changes:
    """Every change while nothing was broken, in order; and how many others there were, which are not judged."""

    judged: tuple[Change, ...]
    left_out: int

    def remark(self, limits: Limits) -> str:
        """What was left out, in words."""
        if not self.left_out:
            return ""
        return f"{self.left_out} not judged: something was broken, or had been within {limits.settle_s:g} s"


def changes(events: Sequence[Event], limits: Limits) -> Changes:
    """Every change in every cluster: what one says another is not told."""
    clusters = beginning(events).clusters
    plain = [change for nodes in clusters for change in _Changes(events, limits, nodes).all if change.plain]
    judged = sorted((change for change in plain if change.judged), key=lambda change: change.word.at_s)
    return Changes(tuple(judged), len(plain) - len(judged))


class _Changes:
    """Every change of a cluster while nothing was broken, with what its nodes told until the next, or until a fault."""

    def __init__(self, events: Sequence[Event], limits: Limits, nodes: tuple[str, ...]) -> None:
        self._began = beginning(events)
        self._nodes = nodes
        self._extensions = {device: extension for extension, device in self._began.extensions.items()}
        self._replay = Replay(self._began)
        self._loads = [event for event in events if isinstance(event, Load)]
        self._all: dict[str, list[Change]] = {extension: [] for extension in self._began.extensions}
        by_place: dict[tuple[str, str], list[Seen]] = {}
        for event in events:
            if isinstance(event, Said | Seen | Unsure) and event.node not in nodes:
                continue
            if isinstance(event, Said):
                self._say(event, limits)
            elif isinstance(event, Seen):
                by_place.setdefault((event.extension, event.node), []).append(event)
            else:
                self._replay.take(event)
                if isinstance(event, Unsure) and event.device in self._extensions:
                    self._close([self._extensions[event.device]], event.at_s)
                if isinstance(event, FaultBegan | Gone | Over):
                    self._close(self._all, event.at_s)
        self._close(self._all, events[-1].at_s)
        for extension, changes in self._all.items():
            at_first = Replay(self._began).right(self._began.extensions[extension], ())
            for node in nodes:
                _follow(changes, node, by_place.get((extension, node), []), at_first, limits.delay_ms / 1000)
        self.all = [change for changes in self._all.values() for change in changes]

    def _say(self, word: Said, limits: Limits) -> None:
        before = self._replay.right(word.device, self._nodes)
        self._replay.take(word)
        after = self._replay.right(word.device, self._nodes)
        extension = self._extensions.get(word.device)
        if extension is None or after == before:
            return
        self._close([extension], word.at_s)
        for change in self._all[extension][-1:]:
            change.next_s = word.at_s
        if not any(load.began_s <= word.at_s <= load.at_s for load in self._loads_of(extension)):
            judged = self._replay.whole(word.at_s, limits.settle_s)
            plain = before.isdisjoint(after) and len(after) == 1
            nodes = tuple(node for node in self._nodes if node not in self._replay.waiting)
            self._all[extension].append(Change(word, extension, min(after), judged, plain, nodes))

    def _loads_of(self, extension: str) -> list[Load]:
        """What changed the state of an extension too often to follow."""
        return [load for load in self._loads if extension in load.extensions]

    def _close(self, extensions: Iterable[str], at_s: float) -> None:
        """What was said last of each extension holds no longer; nor has it since a load began."""
        for extension in extensions:
            for change in self._all[extension][-1:]:
                loads_s = [load.began_s for load in self._loads_of(extension) if load.began_s >= change.word.at_s]
                change.until_s = min(change.until_s, at_s, *loads_s)


def _follow(
    changes: Sequence[Change], node: str, tellings: Sequence[Seen], at_first: frozenset[str], bound_s: float
) -> None:
    """What a node told of an extension, beside the changes: since when it told of each, and what else it told then.

    What was said before may still arrive; who told the same before that has then not told of the newer change. Who
    has told nothing yet is as it was at first.
    """
    sources = _sources(changes, tellings, bound_s)
    for number, change in enumerate(changes):
        since_s: float | None = None
        first = max(0, bisect_left(tellings, change.word.at_s, key=lambda event: event.at_s) - 1)
        for event, source in islice(zip(tellings, sources, strict=True), first, None):
            if event.at_s > change.until_s or source > number:
                break
            if event.state == change.new:
                since_s = event.at_s if since_s is None else since_s
            elif since_s is None:
                continue
            elif source >= 0 or _on_the_way(change, since_s, event, bound_s):
                since_s = None
            elif not _in_passing(change, event):
                change.flaps.append(event)
        if change.new in at_first and all(event.at_s > change.until_s for event in tellings[:1]):
            since_s = change.word.at_s
        if since_s is not None:
            change.told_s[node] = since_s


def _in_passing(change: Change, event: Seen) -> bool:
    """Whether a phone's state was about to change anyhow: a node may tell one in passing, such as Busy of a caller who
    is refused, of which it sends no event of the device, since that is over by then."""
    return not _by_step(change) and change.next_s - event.at_s <= EARLY_OF_PHONES_S


def _on_the_way(change: Change, since_s: float, event: Seen, bound_s: float) -> bool:
    """Whether a node, which had told the new state of a phone before it changed and not of what was between, tells in
    passing what came before the new one: it tells of the new one yet."""
    of_before = since_s < change.word.at_s - EARLY_OF_PHONES_S
    return of_before and not _by_step(change) and event.at_s - change.word.at_s <= bound_s


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
        end = bisect_right(changes, event.at_s + early_s, key=lambda change: change.word.at_s)
        numbers.append(next((number for number in range(first, end) if changes[number].new == event.state), -1))
        first = max(first, numbers[-1])
    return numbers
