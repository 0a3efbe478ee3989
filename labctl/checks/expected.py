"""A history played again: who has said what, who is gone, who hears whom; and so what each node should say. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, product

from labctl.asterisk.device_state import HINTS, aggregate, hint
from labctl.checks.fault_reach import Reach, reach
from labctl.history.events import NOT_STARTED, Back, Began, Did, Event, FaultBegan, Gone, Healed, Looked, Ring, Said
from labctl.history.phone_events import IN_FRONT, WITHOUT_A_WORD, Unsure

EITHER = frozenset({"Idle", "Unavailable"})
"""What a node says by itself of a Custom device that nobody speaks for."""

ANY = frozenset(HINTS.values())
"""What a node may say where nobody knows what is so."""

Group = tuple[str, ...]


@dataclass(frozen=True)
class _Word:
    """What a node said of a device, and which others surely did not hear it. `states`: several where nobody knows which
    of them it was; none where it may be any."""

    states: tuple[str, ...]
    deaf: frozenset[str]


@dataclass
class Replay:
    """What is the case after the events so far.

    `ended`: the nodes that are gone as a whole, by themselves. `waiting`: those of `gone` that were never there.
    `ringless`: those of `gone` whose Corosync went too, until Asterisk is back.
    `last_words`: device -> node -> the last it said. `unsure`: device -> the nodes of which nobody knows what they have
    of it since then, and what that may be. `doubts`: device -> the last word of that nobody knows, until it is known to
    be there again. `astray`: the devices of phones that registered since then, and nothing tells where. `registrars`: a
    phone's device -> where it registered last. `rings`: node -> its members, as Corosync told them since anything was
    mended last.
    """

    began: Began
    last_words: dict[str, dict[str, Said]] = field(default_factory=dict)
    unsure: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    doubts: dict[str, Unsure] = field(default_factory=dict)
    astray: set[str] = field(default_factory=set)
    registrars: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    ringless: set[str] = field(default_factory=set)
    faults: dict[str, Reach] = field(default_factory=dict)
    rings: dict[str, frozenset[str]] = field(default_factory=dict)
    broken_until_s: float = float("-inf")
    _audible: dict[str, dict[str, list[_Word]]] = field(default_factory=dict)
    """Device -> node -> its last word while nothing was wrong with it, and all since: who departed may have been heard
    to say any of them."""
    _left_s: dict[str, float] = field(default_factory=dict)
    _surely_s: dict[str, float] = field(default_factory=dict)
    """Fault -> from when on it surely was in force: what is said until then may be heard, or not."""

    def take(self, event: Event) -> None:
        """Go one event further."""
        match event:
            case Said():
                self._say(event)
            case Unsure():
                self._doubt(event)
            case Did(what=what) if what.startswith("register "):
                self._registered(event)
            case Gone(node=node, at_s=at_s, whole=whole, what=what):
                self.gone.add(node)
                self.waiting |= {node} if what == NOT_STARTED else set()
                self.ended |= {node} if whole else set()
                self.ringless |= {node} if whole or self._is_absent(node) else set()
                self._left_s[node] = at_s
            case Back(node=node, at_s=at_s):
                self.gone.discard(node)
                self.waiting.discard(node)
                self.ended.discard(node)
                self.ringless.discard(node)
                self._mended(at_s)
            case FaultBegan(fault=name, nodes=nodes, at_s=at_s, surely_s=surely_s):
                self.faults[name] = reach(event, self.began.nodes)
                self.ringless |= self.faults[name].absent & self.gone
                self._surely_s[name] = at_s if surely_s is None else surely_s
                self._left_s |= dict.fromkeys(nodes, at_s)
            case Healed(fault=name, at_s=at_s):
                self.faults.pop(name, None)
                self._mended(at_s)
            case Ring(node=node, members=members):
                self.rings[node] = frozenset(members)
            case Looked(rings=rings):
                self.rings |= {node: frozenset(members) for node, members in rings.items() if members}
            case _:
                pass

    def _is_absent(self, node: str) -> bool:
        """Whether the node's Corosync does not run under a fault in force."""
        return any(node in fault.absent for fault in self.faults.values())

    def _mended(self, at_s: float) -> None:
        """Something is whole again: rings merge, and until they are told anew nobody knows them."""
        self.broken_until_s = at_s
        self.rings.clear()
        self._forget()

    def _doubt(self, doubt: Unsure) -> None:
        self.unsure.setdefault(doubt.device, {})[doubt.node] = doubt.may
        self.doubts[doubt.device] = doubt
        self.astray.discard(doubt.device)
        self.registrars[doubt.device] = doubt.node
        self._spoke(doubt.node, doubt.device, doubt.may, doubt.at_s)

    def _registered(self, step: Did) -> None:
        """A phone that nobody knew of has registered. Where it did an older history does not hold if it had calls."""
        phones = {*re.split(r"[\s,=]+", step.what)}
        doubts = ((device, doubt) for device, doubt in self.doubts.items() if doubt.at_s < step.began_s)
        self.astray |= {device for device, _ in doubts if device.partition("/")[2] in phones}

    def _say(self, word: Said) -> None:
        self.last_words.setdefault(word.device, {})[word.node] = word
        self.unsure.get(word.device, {}).pop(word.node, None)
        if word.state != "UNAVAILABLE":
            self.doubts.pop(word.device, None)
            self.astray.discard(word.device)
        self.registrars[word.device] = word.node
        self._spoke(word.node, word.device, (word.state,), word.at_s)

    def _spoke(self, speaker: str, device: str, states: tuple[str, ...], at_s: float) -> None:
        speakers = self._audible.setdefault(device, {})
        if not self.hurts(speaker):
            speakers[speaker] = [_Word(states, frozenset())]  # as _forget leaves it
            return
        others = (node for node in self.began.nodes if node != speaker)
        deaf = frozenset(node for node in others if not self._hears(node, speaker, at_s))
        anew = _Word(states, deaf)
        speakers[speaker] = [*(older for older in speakers.get(speaker, ()) if older != anew), anew]

    def _hears(self, listener: str, speaker: str, at_s: float) -> bool:
        """Whether what a node says then may reach another's Corosync."""
        sure = (fault for name, fault in self.faults.items() if at_s > self._surely_s[name])
        blocked = any((speaker, listener) in (fault.unheard or ()) for fault in sure)
        return not blocked and speaker in self.rings.get(listener, {speaker})

    def _forget(self) -> None:
        """While nothing is wrong with a node its last word takes the place of those before it, and all may hear it."""
        for speakers in self._audible.values():
            for node, words in speakers.items():
                if not self.hurts(node):
                    words[:] = [_Word(word.states, frozenset()) for word in words[-1:]]

    def hurts(self, node: str) -> bool:
        """Whether the node is gone, or a fault that is in force touches it."""
        return node in self.gone or any(node in fault.nodes for fault in self.faults.values())

    def silenced(self, node: str) -> bool:
        """Whether the node's Asterisk need not answer: it is gone, or a fault is in force that stops it, stands in its
        way, or took its Corosync from it."""
        return node in self.gone or any(
            node in fault.nodes and (node in fault.absent or fault.of_corosync or fault.pauses or fault.unheard is None)
            for fault in self.faults.values()
        )

    @property
    def has_rings(self) -> bool:
        """Whether state goes by Corosync. Else nodes are in no ring, and a look tells who hears whom by the faults."""
        return self.began.via == "corosync"

    def breaks_calls(self, nodes: Iterable[str]) -> bool:
        """Whether a call through these nodes may be lost now: one of them is gone or at fault, or two are cut apart."""
        through = set(nodes)
        cut = [pair for fault in self.faults.values() for pair in fault.uncalled or ()]
        at_fault = (fault.nodes for fault in self.faults.values() if fault.uncalled is None)
        return bool(
            through & self.gone
            or any(through & touched for touched in at_fault)
            or any({*pair} <= through for pair in cut)
        )

    def whole(self, at_s: float, settle_s: float) -> bool:
        """Whether nothing is broken, and has not been for `settle_s`. A node that was never there breaks nothing."""
        return not self.faults and self.gone <= self.waiting and at_s >= self.broken_until_s + settle_s

    def home(self, device: str) -> str:
        """The node of a phone: where it registered last, else its own."""
        return self.registrars.get(device) or self.began.homes.get(device, "")

    def out_of_sight(self, device: str) -> bool:
        """Whether it is not for its node to say what reaches a phone: that went without a word, and nothing tells that
        it is there again, or a server is in front of it."""
        return device in self.doubts and self.doubts[device].why in (WITHOUT_A_WORD, IN_FRONT)

    def cluster(self, node: str) -> tuple[str, ...]:
        """The nodes of a node's own cluster: of its site, where there are sites."""
        return next((nodes for nodes in self.began.clusters if node in nodes), (node,))

    def sides(self, node: str) -> set[Group]:
        """The groups that a node may be in: as its Corosync told last, and as the faults in force leave it; all of its
        cluster where neither tells otherwise."""
        cluster = self.cluster(node)
        absent = {name for fault in self.faults.values() for name in fault.absent}
        cut = {frozenset(pair) for fault in self.faults.values() for pair in fault.unheard or ()}
        left = {other for other in cluster if not {node, other} & absent and {node, other} not in cut}
        told = self.rings.get(node, {*cluster})
        return {tuple(name for name in cluster if name in {node, *group}) for group in (told, left)}

    def right(self, device: str, group: Iterable[str], silent: Collection[str] = ()) -> frozenset[str]:
        """What each node of a group may say of a device: the aggregate of what those of it that live said last.

        `silent`: members of its ring that could not be asked, of which nobody knows whether they still count.
        """
        living = [node for node in group if node not in self.gone]
        return self._right(device, living) | (self._right(device, [*living, *silent]) if silent else frozenset())

    def is_unsure(self, device: str, group: Iterable[str]) -> bool:
        """Whether one of a group that lives has something of a device that nobody knows at all."""
        unsure = self.unsure.get(device, {})
        return device in self.astray or any(not unsure.get(node, ("",)) for node in group if node not in self.gone)

    def _ways(self, device: str, living: Iterable[str]) -> list[tuple[str, ...]]:
        """What each that has said anything of a device may have of it, none where that may be anything."""
        by_node = self.last_words.get(device, {})
        unsure = self.unsure.get(device, {})
        has = {node: (word.state,) for node, word in by_node.items()} | unsure
        return [has[node] for node in living if node in has]

    def _right(self, device: str, living: Sequence[str]) -> frozenset[str]:
        if self.is_unsure(device, living):
            return ANY
        ways = self._ways(device, living)
        if ways:
            return frozenset(hint(aggregate(states)) for states in product(*ways))
        return frozenset({hint("INVALID")}) if device in self.began.homes else EITHER

    def departed(self, device: str, group: Group, silent: Collection[str] = ()) -> dict[str, list[str]]:
        """Of the group's cluster, who spoke of a device and left: the words of each that the group may have heard; ""
        is what may be any."""
        present = {*silent, *(node for node in group if node not in self.gone)}
        around = {other for node in group for other in self.cluster(node)} - present
        departed: dict[str, list[str]] = {}
        for node, words in self._audible.get(device, {}).items():
            heard = [word.states or ("",) for word in words if not word.deaf >= {*group} - {node}]
            if node in around and heard:
                departed[node] = [*dict.fromkeys(chain(*heard))]
        return departed

    def ghosts(self, device: str, group: Group, silent: Collection[str] = ()) -> frozenset[str]:
        """What a node of the group might say that has not forgotten some of those who departed.

        No more than two of their words ever matter: the most, or the two that come to RINGINUSE.
        """
        departed = list(self.departed(device, group, silent).values())
        living = [node for node in group if node not in self.gone]
        if self.is_unsure(device, living) or any("" in states for states in departed):
            return ANY
        alone = [(state,) for states in departed for state in states]
        pairs = [pair for one, other in combinations(departed, 2) for pair in product(one, other)]
        present = product(*self._ways(device, living))
        return frozenset(hint(aggregate([*own, *left])) for own, left in product(present, [*alone, *pairs]))

    def spoke_since(self, device: str, group: Iterable[str], departed: Iterable[str]) -> Said | None:
        """The last word that one of a group said of a device after all of these had left; None where nobody did."""
        by_node = self.last_words.get(device, {})
        left_s = max((self._left_s.get(node, float("-inf")) for node in departed), default=float("-inf"))
        words = [by_node[node] for node in group if node in by_node and by_node[node].at_s > left_s]
        return max(words, key=lambda word: word.at_s, default=None)


def groups(looked: Looked, unanswered: Collection[str] = ()) -> list[Group]:
    """The nodes that are connected: each has the same members in its ring, itself among them.

    `unanswered` are those whose Corosync told nothing though they have not left: they are in no group.
    """
    connected: dict[frozenset[str], list[str]] = {}
    alone: list[Group] = []
    asked = [node for node in looked.states if node not in unanswered]
    for node in asked:
        ring = frozenset(looked.rings.get(node, ()))
        if node in ring and all(frozenset(looked.rings.get(other, ())) == ring for other in ring if other in asked):
            connected.setdefault(ring, []).append(node)
        else:
            alone.append((node,))
    return [*(tuple(nodes) for nodes in connected.values()), *alone]


def unanswered_rings(looked: Looked, replay: Replay) -> tuple[str, ...]:
    """The nodes that were looked at and whose Corosync told nothing, though nothing says that they left their ring.

    No answer is none: it is evidence that a node left only where a fault keeps its Corosync down or its interface, or
    where no other of its cluster has it as a member.
    """
    return tuple(
        node
        for node in looked.states
        if not looked.rings.get(node) and node not in replay.gone and not _has_left(node, looked, replay)
    )


def _has_left(node: str, looked: Looked, replay: Replay) -> bool:
    kept_away = any(
        node in fault.absent or (fault.unheard is None and node in fault.nodes) for fault in replay.faults.values()
    )
    others = [looked.rings[other] for other in replay.cluster(node) if other != node and looked.rings.get(other)]
    return kept_away or bool(others and all(node not in members for members in others))


def silent_members(looked: Looked, group: Group, unanswered: Collection[str], gone: Collection[str]) -> tuple[str, ...]:
    """Those that live, and of which nobody knows whether the group hears them: members of its ring that could not be
    asked or have another ring of their own, and who has one of the group in its ring though that has not it."""
    own = group[0] if group[0] in looked.rings.get(group[0], ()) else ""
    members = {*looked.rings[own], *(node for node, ring in looked.rings.items() if own in ring)} if own else set()
    elsewhere = {node for node in members if node not in looked.states or node in unanswered or node not in group}
    return tuple(sorted(elsewhere - {*gone}))
