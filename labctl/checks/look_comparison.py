"""What is wrong in a look: connected nodes that differ, or all say what is not so, or tell of who has left. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from labctl.checks.disturbance import Losses, shadows
from labctl.checks.evidence import STATES, LogSince
from labctl.checks.expected import EITHER, Group, Replay, groups, silent_members, unanswered_rings
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.handling import asks
from labctl.checks.reading import once
from labctl.history.events import Back, Did, Event, Gone, Line, Looked, Said, Seen, beginning

Rule = Literal["agreement", "truth", "no_ghosts"]
RULES: tuple[Rule, ...] = ("agreement", "truth", "no_ghosts")


@dataclass
class LookComparison:
    """What came of all looks: the findings by rule, and how many things each rule compared."""

    findings: dict[Rule, list[Finding]] = field(default_factory=lambda: {rule: [] for rule in RULES})
    compared: dict[Rule, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))
    looks: int = 0

    def verdict(self, rule: Rule) -> Verdict:
        """The verdict of one rule."""
        compared = self.compared[rule]
        return verdict(rule, self.findings[rule], compared, {"compared": compared, "looks": self.looks})


@dataclass(frozen=True)
class _Place:
    """What the nodes of a group say of an extension in a look, and all that bears on it.

    `spoken`: whether this history tells who says what of its device. Of others, such as a queue, nobody but the nodes
    knows what is right: they are held against each other alone.
    """

    look: Looked
    group: Group
    silent: tuple[str, ...]
    extension: str
    device: str
    states: Mapping[str, str]
    replay: Replay
    spoken: bool = True

    @property
    def right(self) -> frozenset[str]:
        return self.replay.right(self.device, self.group, self.silent)

    @property
    def known(self) -> bool:
        """Whether it is known what is right."""
        return self.spoken and not self.replay.is_unsure(self.device, [*self.group, *self.silent])

    @property
    def wrong(self) -> dict[str, str]:
        if not self.spoken:
            return {}
        return {node: state for node, state in self.states.items() if state not in self.right}

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """The extension, on the nodes of a cluster."""
        return self.extension, self.replay.cluster(self.group[0])

    @property
    def differs(self) -> bool:
        return len(set(self.states.values())) > 1

    @property
    def haunted(self) -> bool:
        """Whether words of who has left explain all that is wrong."""
        ghosts = self.replay.ghosts(self.device, self.group, self.silent)
        return bool(self.wrong) and all(state in ghosts for state in self.wrong.values())


@dataclass
class _Told:
    """Which extensions a node has told a change of, since all that are in the lab were there.

    Until then who has such a thing as a queue says Idle, and the others may say Unavailable: nobody told them of it.
    """

    extensions: set[str] = field(default_factory=set)

    def take(self, event: Event) -> None:
        """Go one event further."""
        if isinstance(event, Seen):
            self.extensions.add(event.extension)
        elif isinstance(event, Gone | Back):
            self.extensions.clear()

    def alike(self, extension: str, states: Mapping[str, str]) -> bool:
        """Whether what differs is no more than that."""
        return extension not in self.extensions and {*states.values()} <= EITHER


@dataclass(frozen=True)
class _Later:
    """What was told and said in all of a history, to see what came soon after a look."""

    events: Sequence[Event]
    within_s: float

    def tells_right(self, place: _Place) -> bool:
        """Whether each node that is wrong told what is right soon after the look, though nobody had said it anew."""
        return bool(place.wrong) and all(self._told(place, node) in place.right for node in place.wrong)

    def _told(self, place: _Place, node: str) -> str:
        """What a node told next of the extension of a place; "" where nothing came soon, or somebody spoke first."""
        since_s = place.look.at_s
        first = bisect_right(self.events, since_s, key=lambda event: event.at_s)
        for event in islice(self.events, first, None):
            if event.at_s > since_s + self.within_s or (isinstance(event, Said) and event.device == place.device):
                return ""
            if isinstance(event, Seen) and (event.node, event.extension) == (node, place.extension):
                return event.state
        return ""


@once
def compare(events: Sequence[Event], limits: Limits) -> LookComparison:
    """Hold every look against what was said until then."""
    comparison, replay = LookComparison(), Replay(beginning(events))
    losses = Losses(shadows(events, limits))
    lines, told, later = LogSince(STATES), _Told(), _Later(events, limits.late_s)
    asked: dict[str, set[str]] = {}
    for event in events:
        replay.take(event)
        told.take(event)
        if isinstance(event, Line):
            lines.take(event)
        elif isinstance(event, Said):
            losses.said(event.device, event.at_s, event.node)
        elif isinstance(event, Did):
            for node in [node for node in asked if asks(event, node)]:
                del asked[node]  # what it has may be other things now
        elif isinstance(event, Gone):
            losses.left(event.node)
            asked.pop(event.node, None)
        elif isinstance(event, Looked):
            comparison.looks += 1
            for finding in _untold(event, replay, asked):
                for rule in RULES:
                    comparison.findings[rule].append(finding)
            _look(event, replay, losses, lines, told, later, comparison)
    return comparison


def _look(
    look: Looked,
    replay: Replay,
    losses: Losses,
    lines: LogSince,
    told: _Told,
    later: _Later,
    comparison: LookComparison,
) -> None:
    unanswered = unanswered_rings(look, replay)
    for node in unanswered:
        for rule in RULES:
            comparison.findings[rule].append(_no_answer(look, node))
    for place in _places(look, replay, unanswered):
        if not place.spoken and told.alike(place.extension, place.states):
            continue
        comparison.compared["agreement"] += len(place.states) > 1
        comparison.compared["truth"] += len(place.states) * place.known
        comparison.compared["no_ghosts"] += len(place.states) * place.known
        if place.wrong or place.differs:
            doubt = losses.reason(place.device, look.at_s, (*place.wrong,) or place.group)
            late = later.tells_right(place)
            for rule, finding in _wrongs(place, lines.quotes(place.key, place.group)):
                comparison.findings[rule].append(replace(finding, late=late).doubted(doubt))
        else:
            losses.was_right(place.device, look.at_s, place.states)
            lines.was_right(place.key)


def _no_answer(look: Looked, node: str) -> Finding:
    text = f"+{look.at_s:.3f} s: whom {node} is connected to is not known"
    finding = Finding(text, look.at_s, (node,))
    return finding.doubted(f"its Corosync tool printed nothing, and no sign says that {node} left its ring")


def _untold(look: Looked, replay: Replay, asked: dict[str, set[str]]) -> Iterator[Finding]:
    """What a node that lives did not tell in a look, though it, or another of its cluster, has told it in this or in an
    earlier one: no answer is none. `asked`: node -> what those of its cluster have told so far, since the node was
    there and the scenario had it do anything."""
    known = replay.began.extensions.keys() | replay.began.hints.keys()
    for nodes in replay.began.clusters:
        told = {extension for node in nodes for extension in look.states.get(node, {})} & known
        for node in nodes:
            asked.setdefault(node, set()).update(told)
            missing = sorted(asked[node] - look.states.get(node, {}).keys())
            if missing and not replay.silenced(node):
                text = f"+{look.at_s:.3f} s: what {node} has of {', '.join(missing)} is not known"
                yield Finding(text, look.at_s, (node,)).doubted("its manager interface did not tell")


def _places(look: Looked, replay: Replay, unanswered: Sequence[str]) -> Iterator[_Place]:
    began = replay.began
    devices = {*began.extensions.values()}
    for group in groups(look, unanswered):
        silent = silent_members(look, group, unanswered, replay.gone)
        for extension, device in (began.extensions | began.hints).items():
            states = {node: look.states[node][extension] for node in group if extension in look.states[node]}
            if states:
                yield _Place(look, group, silent, extension, device, states, replay, device in devices)


def _wrongs(place: _Place, lines: tuple[str, ...]) -> Iterator[tuple[Rule, Finding]]:
    """What is wrong of an extension. Nodes that differ break agreement, whatever explains it; what all say alike and
    wrongly is a ghost where the words of who left explain it, else it is untrue."""
    where = f"+{place.look.at_s:.3f} s: {place.extension} ({place.device})"
    should = " or ".join(sorted(place.right)) if place.known else "what only the nodes know"
    at_s, extension = place.look.at_s, place.extension
    if place.differs:
        cause = f"; {_departed(place)}, which explains it" if place.haunted else ""
        text = f"{where} is {_listed(place.states)}; right is {should}{cause}"
        yield "agreement", Finding(text, at_s, tuple(place.states), lines, extension, wrong=tuple(place.wrong))
    if place.haunted:
        text = (
            f"{where} is still {_listed(place.wrong)}, though only who left has said so ({_departed(place)}); "
            f"right is {should}{_kind_of_ghost(place)}"
        )
        yield "no_ghosts", Finding(text, at_s, tuple(place.wrong), lines, extension)
    elif not place.differs:
        text = f"{where} is {_listed(place.states)}, but should be {should}: {_speakers(place)}"
        yield "truth", Finding(text, at_s, tuple(place.wrong), lines, extension)


def _kind_of_ghost(place: _Place) -> str:
    """Which of two faults it is: that a node was not told anew when another left, or that it counts who left for good.

    What is said anew has every node work it out again: who is wrong even then has not forgotten.
    """
    word = place.replay.spoke_since(place.device, place.group, _left(place))
    if word is None:
        return "; nothing was said of it since"
    return f"; still counted when {word.node} said {word.state} at +{word.at_s:.3f} s"


def _left(place: _Place) -> dict[str, list[str]]:
    return place.replay.departed(place.device, place.group, place.silent)


def _departed(place: _Place) -> str:
    words = ((node, [state or "what nobody knows" for state in states]) for node, states in _left(place).items())
    return ", ".join(f"{node} said {', then '.join(states)}" for node, states in words)


def _speakers(place: _Place) -> str:
    around = {other for node in place.group for other in place.replay.cluster(node)}
    words = place.replay.last_words.get(place.device, {})
    spoken = [f"{node} said {word.state}" for node, word in words.items() if node in around]
    return ", ".join(spoken) or "nobody spoke"


def _listed(states: Mapping[str, str]) -> str:
    return ", ".join(f"{state} on {node}" for node, state in states.items())
