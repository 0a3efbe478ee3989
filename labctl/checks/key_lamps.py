"""Lamps of keys (BLF): what a phone was told of an extension that it watches, against what its node has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.checks.disturbance import Shadows, shadows
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits
from labctl.checks.message_lamps import Lit
from labctl.history.events import Event, FaultBegan, Gone, Looked, Notified, Over, Seen, Watching, beginning

DIALOGS = {
    "Idle": {"terminated"},
    "Unavailable": {"terminated"},
    "Ringing": {"early"},
    "InUse": {"confirmed"},
    "Busy": {"confirmed"},
    "Hold": {"confirmed"},
    "InUse&Ringing": {"early", "confirmed"},
}
"""What each state of a hint is in a NOTIFY (state_notify_build_xml, channels/chan_sip.c of 1.8; and
ast_sip_presence_exten_state_to_str, res/res_pjsip/presence_xml.c of 22)."""


@dataclass
class _Key:
    """A key that is watched: since when, what its phone was told last, and what it is yet to be told.

    `dark`: what was found last because it was never told anything, with the doubt about that. `has`: what its node told
    of the extension last; `told_s`: when its phone was told last.
    """

    phone: str
    extension: str
    home: str
    since_s: float
    dialog: str = ""
    due: Seen | None = None
    dark: Finding | None = None
    has: str = ""
    told_s: float = 0.0


@dataclass
class _Keys:
    """Every key, and what came of it so far."""

    replay: Replay
    limits: Limits
    shadows: Shadows
    watched: dict[tuple[str, str], _Key] = field(default_factory=dict)
    result: Lit = field(default_factory=Lit)
    dialogs: dict[tuple[str, str], str] = field(default_factory=dict)
    looked_s: float = float("-inf")

    def take(self, event: Event) -> None:
        """Go one event further."""
        self._overdue(event.at_s)
        self.replay.take(event)
        match event:
            case Watching(phone=phone, extension=extension) if not extension.startswith("*"):
                self._watch(event, (phone, extension))
            case Notified(phone=phone, extension=extension, state=state):
                self.dialogs[phone, extension] = state
                if key := self.watched.get((phone, extension)):
                    self._notified(key, state, event.at_s)
            case Seen():
                self._seen(event)
            case Looked() | Over():
                for key in self.watched.values():
                    self.result.findings += self._judge(key, event)
                self.looked_s = event.at_s
            case Gone(node=node):
                self._forget({node})
            case FaultBegan(nodes=nodes):
                self._forget({node for node in nodes if self.replay.breaks_calls([node])})
            case _:
                pass

    def _watch(self, event: Watching, name: tuple[str, str]) -> None:
        if event.ended:
            self.watched.pop(name, None)
            self.dialogs.pop(name, None)
            return
        dialog = self.dialogs.get(name, "")  # it may come before its step ends
        self.watched[name] = _Key(*name, self._home(event.phone), event.at_s, dialog)

    def _home(self, phone: str) -> str:
        """The node that tells a phone: where it registered last, else its own."""
        device = self.replay.began.device(phone)
        words = self.replay.last_words.get(device, {}).values()
        last = max(words, key=lambda word: word.at_s, default=None)
        return last.node if last else self.replay.began.homes.get(device, "")

    def _notified(self, key: _Key, dialog: str, at_s: float) -> None:
        key.dialog, key.told_s, key.dark = dialog, at_s, None
        if key.due and dialog in DIALOGS[key.due.state]:
            key.due = None

    def _seen(self, event: Seen) -> None:
        """What a node has of an extension it is to tell to its own phones that watch it."""
        for key in self.watched.values():
            if (key.home, key.extension) == (event.node, event.extension) and event.state in DIALOGS:
                self.result.compared += 1
                key.has = event.state
                key.due = None if key.dialog in DIALOGS[event.state] else event

    def _overdue(self, now_s: float) -> None:
        """A phone that was to be told, and was not in time."""
        for key in self.watched.values():
            if key.due and now_s > key.due.at_s + self.limits.delay_ms / 1000:
                text = f"{key.phone} was told {key.dialog or 'nothing'}, but {key.home} had {key.due.state}"
                self.result.findings.append(self._finding(key, text, key.due.at_s, since_s=key.due.at_s))
                key.due = None

    def _judge(self, key: _Key, event: Looked | Over) -> Iterator[Finding]:
        """Hold a key against a look. At the end of a run: whether it was ever lit, if there was time for that, and
        what it was told after the last look, against what its node told then."""
        state = event.states.get(key.home, {}).get(key.extension, "") if isinstance(event, Looked) else key.has
        bound_s = self.limits.delay_ms / 1000
        if event.at_s <= key.since_s + bound_s:
            return
        if not key.dialog:
            yield from self._dark(key, event.at_s)
            return
        if isinstance(event, Over) and not self.looked_s < key.told_s < event.at_s - bound_s:
            return
        self.result.compared += bool(state)
        if state in DIALOGS and key.dialog not in DIALOGS[state] and not key.due:
            since_s = key.told_s if isinstance(event, Over) else None
            yield self._finding(key, f"was last told {key.dialog}, but {key.home} has {state}", event.at_s, since_s)

    def _dark(self, key: _Key, at_s: float) -> Iterator[Finding]:
        """A key whose phone was never told anything: that is said once, and once more when nothing excuses it."""
        finding = self._finding(key, "was never told anything", at_s)
        found = self.shadows.doubt(finding)
        if key.dark is None or (key.dark.doubt and not found.doubt):
            key.dark = found
            self.result.compared += 1
            yield finding

    def _finding(self, key: _Key, text: str, at_s: float, since_s: float | None = None) -> Finding:
        where = f"+{at_s:.3f} s: {key.phone}, which watches {key.extension}, "
        text = text.removeprefix(f"{key.phone} ")
        return Finding(where + text, at_s, (key.home,), extension=key.extension, since_s=since_s)

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
