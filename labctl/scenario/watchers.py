"""What the phones of a run watch by subscriptions of their own, and what they are told of keys and mailboxes."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.errors import LabError, UsageError
from labctl.history.events import Watching
from labctl.history.journal import Journal
from labctl.sip.phones import Phones
from labctl.sip.user_agent import UserAgent
from labctl.timing import PATIENCE

UNSUBSCRIBE_S = 10.0
"""How long a phone may take to end a subscription; it takes milliseconds."""


def line_of(phone: str, lines: Mapping[str, UserAgent]) -> UserAgent:
    """The agent of a phone that is on. Raises UsageError."""
    if phone not in lines:
        raise UsageError(f"{phone} is not registered", "register it first")
    return lines[phone]


class Watchers:
    """The agents by which phones watch, by phone and number: an extension, or `*` and a mailbox. `lines` are the phones
    that are on, which are told of their mailboxes unasked."""

    def __init__(self, journal: Journal, lines: Mapping[str, UserAgent]) -> None:
        self._journal = journal
        self._lines = lines
        self._agents: dict[tuple[str, str], UserAgent] = {}
        self._mailboxes: set[tuple[str, str]] = set()

    def watch(self, agents: Phones, phone: str, extension: str) -> None:
        """Have a phone watch an extension. Raises LabError where its node does not take that."""
        self._write(phone, extension)
        try:
            self._agents[phone, extension] = agents.watch(phone, extension)
        except LabError:
            self._write(phone, extension, ended=True)
            raise

    def watch_mailbox(self, agents: Phones, phone: str, mailbox: str) -> None:
        """Have a phone watch a mailbox. Raises LabError where its node does not take that."""
        self._agents[phone, f"*{mailbox}"] = agents.watch(phone)
        self._mailboxes.add((phone, f"*{mailbox}"))
        self._write(phone, f"*{mailbox}")

    def unwatch(self, phone: str) -> None:
        """End all that a phone watches. Raises UsageError where that is nothing, LabError where it does not end."""
        ended = self.lose(phone)
        if not ended:
            raise UsageError(f"{phone} watches nothing", "watch comes first")
        for agent in ended:
            agent.nudge()
            agent.finish(PATIENCE.deadline(UNSUBSCRIBE_S))

    def lose(self, phone: str) -> list[UserAgent]:
        """The agents by which a phone has watched: what they are told from here on is not looked at."""
        keys = [key for key in list(self._agents) if key[0] == phone]
        for key in keys:
            self._write(*key, ended=True)
        self._mailboxes -= {*keys}
        return [self._agents.pop(key) for key in keys]

    def lamps(self) -> dict[str, tuple[int, int]]:
        """What each phone that is on, or has subscribed to it, was told last of its mailbox: new and old messages."""
        told = {**self._lines, **self._of_mailboxes()}
        summaries = {name: agent.mailbox for name, agent in told.items() if agent.ending is None}
        return {name: (summary.new, summary.old) for name, summary in summaries.items() if summary}

    def lamp_missing(self, phone: str, lamp: int) -> str:
        """ "" once a phone was told last of that many new messages; else what it was told. Raises UsageError."""
        summary = (self._of_mailboxes().get(phone) or line_of(phone, self._lines)).mailbox
        if summary and summary.new == lamp:
            return ""
        return f"{phone} was told of {summary.new if summary else 'no'} messages, not {lamp}"

    def dialog_missing(self, phone: str, dialog: str) -> str:
        """ "" once a phone was told last of such a dialog; else what it was told."""
        keys = [(key, agent) for key, agent in tuple(self._agents.items()) if key not in self._mailboxes]
        last_told = [agent.dialog_states[-1:] for (name, _), agent in keys if name == phone]
        return "" if [dialog] in last_told else f"{phone} was last told {last_told}, not {dialog}"

    def _of_mailboxes(self) -> dict[str, UserAgent]:
        """The agent of each phone that watches its mailbox."""
        return {key[0]: agent for key, agent in tuple(self._agents.items()) if key in self._mailboxes}

    def _write(self, phone: str, number: str, *, ended: bool = False) -> None:
        self._journal.write(Watching(self._journal.now_s(), phone, number, ended=ended))
