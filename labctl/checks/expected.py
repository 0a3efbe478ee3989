"""A history played again: who has said what, who is gone, who hears whom; and so what each node should say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product

from labctl.asterisk.device_state import aggregate, hint
from labctl.history.events import Back, Began, Event, Fault, Gone, Healed, Looked, Said

EITHER = frozenset({"Idle", "Unavailable"})
"""What a node says by itself of a Custom device that nobody speaks for."""

Group = tuple[str, ...]


@dataclass
class Replay:
    """What is the case after the events so far. `said`: device -> node -> the last it said.

    `lately`: device -> node -> its last word while nothing was broken, and all since: who departed may have been heard
    to say any of them.
    """

    began: Began
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    lately: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    faults: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unasked: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    uncalled: dict[str, tuple[tuple[str, str], ...] | None] = field(default_factory=dict)
    broken_until_s: float = float("-inf")

    def take(self, event: Event) -> None:
        """Go one event further."""
        match event:
            case Said(node=node, device=device, state=state):
                self.said.setdefault(device, {})[node] = state
                words = self.lately.setdefault(device, {}).setdefault(node, [])
                words[:] = [*(word for word in words if word != state), state]
                self._forget()
            case Gone(node=node):
                self.gone.add(node)
            case Back(node=node, at_s=at_s):
                self.gone.discard(node)
                self.broken_until_s = at_s
                self._forget()
            case Fault(fault=fault, nodes=nodes, unasked=unasked, uncalled=uncalled):
                self.faults[fault] = nodes
                self.uncalled[fault] = uncalled
                self.unasked[fault] = frozenset(unasked)
            case Healed(fault=fault, at_s=at_s):
                self.faults.pop(fault, None)
                self.unasked.pop(fault, None)
                self.uncalled.pop(fault, None)
                self.broken_until_s = at_s
                self._forget()
            case _:
                pass

    def _forget(self) -> None:
        """While nothing is broken a node's last word takes the place of those before it."""
        if not self.faults and not self.gone:
            for spoken in self.lately.values():
                for words in spoken.values():
                    del words[:-1]

    def breaks_calls(self, nodes: Iterable[str]) -> bool:
        """Whether a call through these nodes may be lost now: one of them is gone or at fault, or two are cut apart."""
        through = set(nodes)
        cut = [pair for pairs in self.uncalled.values() for pair in pairs or ()]
        at_fault = (touched for fault, touched in self.faults.items() if self.uncalled.get(fault) is None)
        return bool(
            through & self.gone
            or any(through & {*touched} for touched in at_fault)
            or any({*pair} <= through for pair in cut)
        )

    def whole(self, at_s: float, settle_s: float) -> bool:
        """Whether nothing is broken, and has not been for `settle_s`."""
        return not self.faults and not self.gone and at_s >= self.broken_until_s + settle_s

    def right(self, device: str, group: Iterable[str]) -> frozenset[str]:
        """What each node of a group may say of a device: the aggregate of what those of it that live said last."""
        said = self.said.get(device, {})
        words = [said[node] for node in group if node in said and node not in self.gone]
        if words:
            return frozenset({hint(aggregate(words))})
        return frozenset({hint("INVALID")}) if device in self.began.homes else EITHER

    def ghosts(self, device: str, group: Iterable[str]) -> frozenset[str]:
        """What a node of the group might say that has not forgotten some of those who departed.

        No more than two of their words ever matter: the most, or the two that come to RINGINUSE.
        """
        said = self.said.get(device, {})
        present = [node for node in group if node not in self.gone]
        words = [said[node] for node in present if node in said]
        departed = [self.lately[device][node] for node in said if node not in present]
        alone = [(word,) for spoken in departed for word in spoken]
        pairs = [pair for one, other in combinations(departed, 2) for pair in product(one, other)]
        return frozenset(hint(aggregate([*words, *each])) for each in [*alone, *pairs])


def groups(looked: Looked) -> list[Group]:
    """The nodes that are connected: each has the same members in its ring, itself among them."""
    found: dict[frozenset[str], list[str]] = {}
    alone: list[Group] = []
    for node in looked.states:
        ring = frozenset(looked.rings.get(node, ()))
        mutual = node in ring and all(
            frozenset(looked.rings.get(other, ())) == ring for other in ring if other in looked.states
        )
        if mutual:
            found.setdefault(ring, []).append(node)
        else:
            alone.append((node,))
    return [*(tuple(each) for each in found.values()), *alone]
