"""Lamps of keys (BLF): what a phone was told of an extension that it watches, against what its node has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from labctl.checks.disturbance import Shadows, shadows
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits
from labctl.checks.key_states import Due, Had, LateWords, fits
from labctl.checks.message_lamps import Lit
from labctl.history.events import (
    AMI,
    Disturbed,
    Event,
    FaultBegan,
    Gone,
    Looked,
    Notified,
    Over,
    Seen,
    Watching,
    beginning,
)
from labctl.history.phone_events import Unsure


@dataclass
class _Key:
    """A key that is watched: since when, what its phone was told last, and since when that is not what its node has.

    `dark`: what was found last because it was never told anything, with the doubt about that. `answered`: whether it
    was told anything since it is watched. `late`: what is wrong and may yet turn out to be no more than late.
    """

    phone: str
    extension: str
    home: str
    since_s: float
    late: LateWords
    dialog: str = ""
    due: Due | None = None
    dark: Finding | None = None
    answered: bool = False


@dataclass
class _Keys:
    """Every key, and what came of it so far. `had`: what each node told of each extension."""

    replay: Replay
    limits: Limits
    shadows: Shadows
    watched: dict[tuple[str, str], _Key] = field(default_factory=dict)
    result: Lit = field(default_factory=Lit)
    dialogs: dict[tuple[str, str], str] = field(default_factory=dict)
    had: dict[tuple[str, str], Had] = field(default_factory=dict)

    @property
    def bound_s(self) -> float:
        """In which a phone is to be told."""
        return self.limits.delay_ms / 1000

    def take(self, event: Event) -> None:
        """Go one event further."""
        self._overdue(event.at_s)
        self.replay.take(event)
        match event:
            case Watching():
                self._watch(event)
            case Unsure():
                self._unsure(event)
            case Notified():
                self._told(event)
            case Seen():
                self._seen(event)
            case Looked() | Over():
                for key in self.watched.values():
                    self._judge(key, event)
                self._looked(event)
            case Disturbed(node=node, source=source) if source == AMI:
                self._unheard(node, event.at_s)
            case Gone(node=node):
                self._unheard(node, event.at_s)
                self._forget({node})
            case FaultBegan(nodes=nodes):
                self._forget({node for node in nodes if self.replay.breaks_calls([node])})
            case _:
                pass

    def _watch(self, event: Watching) -> None:
        name, device = (event.phone, event.extension), self.replay.began.device(event.phone)
        if event.ended:
            self._end(name)
        if event.ended or self.replay.began.is_mailbox(event.extension):
            return
        home = self.replay.home(device)
        if self.replay.breaks_calls([home]) or self.replay.out_of_sight(device) or device in self.replay.astray:
            return  # what lies between it and its phone; or nobody tells where the phone is
        dialog = self.dialogs.get(name, "")  # it may come before its step ends
        late = LateWords(self.result.findings, self.limits, self.shadows)
        self.watched[name] = _Key(*name, home, event.at_s, late, dialog)

    def _unsure(self, event: Unsure) -> None:
        """Of a phone that vanished, or is behind a server, nothing is judged that it watches any more."""
        hidden = event.device.partition("/")[2] if self.replay.out_of_sight(event.device) else ""
        for name in [name for name in self.watched if name[0] == hidden]:
            self._end(name)

    def _end(self, name: tuple[str, str]) -> None:
        """A key is watched no more, by its phone's own will or because that vanished."""
        self.watched.pop(name, None)
        self.dialogs.pop(name, None)

    def _told(self, event: Notified) -> None:
        name = event.phone, event.extension
        self.dialogs[name] = event.state
        if key := self.watched.get(name):
            self._notified(key, event.state, event.at_s)

    def _notified(self, key: _Key, dialog: str, at_s: float) -> None:
        """A phone is told. What it is told that its node does not have is wrong, unless that has it a moment later.

        What is told first is what its node had just then, and that need not be what it told last itself.
        """
        key.late.told(dialog, at_s)
        repeated, first = dialog == key.dialog, not key.answered
        key.dialog, key.answered, key.dark = dialog, True, None
        if key.due and fits(dialog, key.due.state):
            key.due = None
        had = self._had(key.home, key.extension)
        if key.due or fits(dialog, had.state):
            return
        if first:
            had.becomes("", at_s)
        elif not repeated:
            key.due = Due(at_s, had.state, wrongly=dialog, outdated=had.lately(dialog, at_s, self.limits.late_s))

    def _seen(self, event: Seen) -> None:
        """What a node has of an extension it is to tell to its own phones that watch it."""
        had = self._had(event.node, event.extension)
        anew = bool(had.state) and not had.is_like(event.state)
        had.becomes(event.state, event.at_s)
        for key in self._keys(event.node, event.extension):
            if not had.state:
                key.due = None
                continue
            self.result.compared += 1
            key.late.seen(event, anew=anew)
            key.due = None if fits(key.dialog, event.state) else Due(event.at_s, event.state)

    def _looked(self, event: Looked | Over) -> None:
        """A look tells what a node has, where that has not told it itself; where it told otherwise nobody knows."""
        for node, states in event.states.items() if isinstance(event, Looked) else ():
            for extension, state in states.items():
                had = self._had(node, extension)
                had.becomes(state if not had.state or had.is_like(state) else "", event.at_s)
                for key in self._keys(node, extension):
                    if key.due and key.due.wrongly and fits(key.dialog, state):
                        key.due = None

    def _unheard(self, node: str, at_s: float) -> None:
        """What a node has is not known until it is heard again."""
        for (name, _), had in self.had.items():
            if name == node:
                had.becomes("", at_s)
        for key in self.watched.values():
            if key.home == node and key.due and key.due.wrongly:
                key.due = None

    def _overdue(self, now_s: float) -> None:
        """A phone that was to be told, and was not in time; or was told what its node did not have in time."""
        for key in self.watched.values():
            if key.due and now_s > key.due.since_s + self.bound_s:
                text = f"was told {key.due.wrongly or key.dialog or 'nothing'}, but {key.home} had {key.due.state}"
                key.late.add(self._finding(key, text, key.due.since_s, self.bound_s), key.due)
                self.result.compared += bool(key.due.wrongly)
                key.due = None

    def _judge(self, key: _Key, event: Looked | Over) -> None:
        """Hold a key against a look; and at the end of a run, too, whether it was ever lit, if there was time."""
        state = event.states.get(key.home, {}).get(key.extension, "") if isinstance(event, Looked) else ""
        if isinstance(event, Over):
            key.late.over(key.home, event.at_s, "the run was over")
        if event.at_s <= key.since_s + self.bound_s:
            return
        if not key.dialog:
            self._dark(key, event.at_s)
            return
        self.result.compared += bool(state)
        if not fits(key.dialog, state) and not key.due:
            text = f"was last told {key.dialog}, but {key.home} has {state}"
            key.late.add(self._finding(key, text, event.at_s), Due(event.at_s, state))

    def _dark(self, key: _Key, at_s: float) -> None:
        """A key whose phone was never told anything: that is said once, and once more when nothing excuses it."""
        finding = self._finding(key, "was never told anything", at_s)
        if self.shadows.slowed(key.since_s, at_s, key.home, self.bound_s):
            finding = replace(finding, since_s=key.since_s, late=True)
        found = self.shadows.doubt(finding)
        if key.dark is None or (key.dark.doubt and not found.doubt):
            key.dark = found
            self.result.compared += 1
            self.result.findings.append(finding)

    def _finding(self, key: _Key, text: str, at_s: float, lasted_s: float | None = None) -> Finding:
        """What is wrong with a key at a time, as a look shows; or from then on for so long."""
        text = f"+{at_s:.3f} s: {key.phone}, which watches {key.extension}, {text}"
        since_s = None if lasted_s is None else at_s
        return Finding(text, at_s + (lasted_s or 0), (key.home,), extension=key.extension, since_s=since_s)

    def _had(self, node: str, extension: str) -> Had:
        return self.had.setdefault((node, extension), Had())

    def _keys(self, node: str, extension: str) -> Iterator[_Key]:
        """The keys of a node's phones that watch an extension."""
        return (key for key in self.watched.values() if (key.home, key.extension) == (node, extension))

    def _forget(self, nodes: set[str]) -> None:
        """What phones watch of a node that is gone, or that they may not reach, is not judged until they watch it anew.

        What keeps nodes from each other keeps no phone from its own.
        """
        self.watched = {name: key for name, key in self.watched.items() if key.home not in nodes}


def key_lamps(events: Sequence[Event], limits: Limits) -> Lit:
    """Hold what phones were told of the extensions they watch against what their nodes had of those."""
    keys = _Keys(Replay(beginning(events)), limits, shadows(events, limits))
    for event in events:
        keys.take(event)
    return keys.result
