"""Turns what the nodes and the phones of a lab say into the events of a history, as they say it."""

from __future__ import annotations

import math
import re
import threading
from collections import defaultdict, deque
from collections.abc import Callable

from labctl.asterisk import log_lines, output
from labctl.asterisk.output import Message
from labctl.checks import disturbance
from labctl.cluster.connections import LAB_CONTEXT
from labctl.corosync import daemon
from labctl.corosync.membership import Membership
from labctl.errors import HostError
from labctl.history.events import Lamp, Line, Notified, Said, Seen
from labctl.history.events import Ring as RingEvent
from labctl.history.journal import Journal
from labctl.history.phone_events import CALLS_ELSEWHERE, IN_FRONT, WITHOUT_A_WORD, Unsure
from labctl.history.process_events import Complained
from labctl.lab import Lab
from labctl.scenario.repeated_errors import RepeatedErrors
from labctl.scenario.sip_messages import Passed
from labctl.sip import transcript
from labctl.sip.phone_state import FREE, UNREGISTERED, PhoneLines
from labctl.sip_message import SipMessage
from labctl.stack.model import Stack

MOST_MESSAGES = 5_000
"""How many messages of phones are kept at most, the last: some 250 calls' worth, 10 MB. A run of hours has more."""

CUT_OFF = "a call of it ended without a word to its node"
"""Why what a node has of a phone is not known until the node loses its calls; all else is over once it registers."""


class Recorder:
    """Listens everywhere, and writes to the journal. Called from many threads."""

    def __init__(
        self, journal: Journal, lab: Lab, stack: Stack, stack_of: Callable[[str], Stack] | None = None
    ) -> None:
        self._journal = journal
        self._lab = lab
        self._stack_of = stack_of or (lambda _node: stack)
        self._channels = {phone.name: self._stack_of(phone.node).sip_channel for phone in lab.phones}
        self._names = {node.nodeid: node.name for node in lab.nodes}
        self._lines = PhoneLines(lab, stack.sip_channel, self._channels)
        self._places = {phone.name: phone.registrars[0] for phone in lab.phones}
        self._said: dict[str, str] = {}
        self._unsure: defaultdict[str, set[str]] = defaultdict(set)
        self._sip: deque[tuple[str, SipMessage]] = deque(maxlen=MOST_MESSAGES)
        self._lag_s = math.inf
        self._lock = threading.Lock()
        self._errors = RepeatedErrors()
        self._had_logged: dict[str, frozenset[str]] = {}
        journal.listen(self._errors.note)

    def device(self, phone: str) -> str:
        """The name of a phone's device, such as PJSIP/alice."""
        return f"{self._channels[phone]}/{phone}"

    def node_said(self, node: str, at_s: float, message: Message) -> None:
        """An AMI event of a node."""
        if message.get("Event") == "ExtensionStatus" and message.get("Context") == LAB_CONTEXT:
            state = output.extension_state(message["Status"])
            self._journal.write(Seen(self._journal.at_s(at_s), node, message["Exten"], state))

    def node_logged(self, node: str, at_s: float, line: str, ring: Membership | None) -> None:
        """A line of a node's log, and its ring where the line changed that."""
        at_s = self._journal.at_s(at_s)
        if ring:
            members = tuple(self._names[member] for member in ring.members if member in self._names)
            self._journal.write(RingEvent(at_s, node, members, ring.quorate))
        stack = self._stack_of(node)
        telling = any(word in line for word in stack.telling_lines)
        if telling or disturbance.tells(line) or daemon.starts(line):
            self._journal.write(Line(at_s, node, line))
        if line.strip() not in self._had_logged.get(node, ()):  # who follows a log may be behind
            self._note_error(node, at_s, line)

    def node_had_logged(self, node: str, log: str) -> None:
        """What a node logged before it was listened to: of that errors alone matter. Those of the ring, and of who
        joins it, do not: it was formed in the end. Where a node loads every module there is, those that the lab does
        not configure complain, and nothing is made of that."""
        lines = log.splitlines()
        self._had_logged[node] = frozenset(line.strip() for line in lines)
        if self._lab.modules == "all":
            return
        for line in lines:
            if not (daemon.error_of(line) or self._stack_of(node).is_of_joining(line)):
                self._note_error(node, 0.0, line)

    def _note_error(self, node: str, at_s: float, line: str) -> None:
        error = log_lines.error_of(line) or daemon.error_of(line)
        if error and not self._stack_of(node).is_usual(line) and self._errors.is_wanted(node, at_s, error):
            self._journal.write(Complained(at_s, node, error))

    def phone_said(self, phone: str, message: SipMessage) -> None:
        """A message that a phone sent or received."""
        if self._is_behind(phone) and IN_FRONT not in self._unsure[phone]:
            self.unsure(phone, IN_FRONT)
        with self._lock:
            at_s = self._when(message)
            self._sip.append((phone, message))
            for name, state in self._lines.feed(phone, message).items():
                self._tell(name, state, at_s)
        if message.method == "NOTIFY" and not message.sent:
            self._notified(phone, message, at_s)

    def messages(self, phone: str, since_s: float) -> list[Passed]:
        """What a phone sent and received since then, its times in seconds since the run began. Raises HostError where
        so much was sent since that not all of it is kept."""
        with self._lock:
            lag_s = self._lag_s
            all_kept = list(self._sip)
        kept = [message for name, message in all_kept if name == phone]
        if len(all_kept) == MOST_MESSAGES and all_kept[0][1].at_s + lag_s > since_s:
            raise HostError(f"of what phones sent and received the last {MOST_MESSAGES} messages alone are kept")
        passed = (Passed(round(message.at_s + lag_s, 6), message.sent, message) for message in kept)
        return [message for message in passed if message.at_s >= since_s]

    def unsure(self, phone: str, why: str, may: tuple[str, ...] = ()) -> None:
        """What a phone's node has of it is not known from here on, whatever the phone says: `sure` ends that. `may`:
        the states that it may have, any where there are none. Of one behind a server no node of its cluster is sure."""
        with self._lock:
            self._unsure[phone].add(why)
            self._said.pop(phone, None)
        if self._is_behind(phone):
            why, may = IN_FRONT, ()
        for node in self.nodes_of(phone)[::-1]:
            self._journal.write(Unsure(self._journal.now_s(), node, self.device(phone), why, may))

    def sure(self, phone: str) -> None:
        """From here on a phone's own messages tell again what its node has of it, unless that has calls of it that
        nobody ended, or a server is in front of that."""
        with self._lock:
            self._unsure[phone] &= {CUT_OFF, IN_FRONT} if self._is_behind(phone) else {CUT_OFF}

    def node_of(self, phone: str) -> str:
        """Where a phone registers; its own node where it does so with a server in front of that."""
        return self._lines.nodes[phone]

    def nodes_of(self, phone: str) -> tuple[str, ...]:
        """The nodes that what a phone does may go through, that where it registers first: where a server is in front,
        any of its cluster."""
        node = self._lines.nodes[phone]
        others = self._lab.cluster_of(node) if self._is_behind(phone) else ()
        return tuple(dict.fromkeys([node, *(other.name for other in others)]))

    def _is_behind(self, phone: str) -> bool:
        """Whether a phone registers with a server in front of its nodes."""
        return self._places[phone] in self._lab.fronts

    def registers_at(self, phone: str, place: str) -> None:
        """A phone that is off is about to register at a node, or a server in front of its own. What another node has
        of it is as it was.

        Of one that has left calls behind, whose end no message tells, its new node is written down at least.
        """
        self._places[phone] = place
        node = self._lab.phone(phone).node if self._is_behind(phone) else place
        with self._lock:
            if node != self._lines.nodes[phone]:
                self._lines.move(phone, node)
                self._said.pop(phone, None)
            lost = CUT_OFF in self._unsure[phone]
        if lost or self._is_behind(phone):
            self.unsure(phone, CALLS_ELSEWHERE if lost else IN_FRONT)

    def vanished(self, phone: str, in_call: bool) -> None:
        """A phone is gone without a word: its node has it as free until its registration is over, at a time that no
        message tells, and after that as unavailable; one that was in a call as anything."""
        with self._lock:
            self._lines.move(phone, self._lines.nodes[phone])
            self._unsure[phone] |= {CUT_OFF} if in_call else set()
        self.unsure(phone, WITHOUT_A_WORD, () if in_call else (FREE, UNREGISTERED))

    def cut_off(self, phone: str) -> None:
        """A call of a phone's has ended without a word to its node, which may have it for as long as it will."""
        self.unsure(phone, CUT_OFF)

    def node_lost_calls(self, node: str) -> None:
        """The node's Asterisk has gone, and with it the calls of its phones."""
        with self._lock:
            names = [name for name, home in self._lines.nodes.items() if home == node]
            self._lines.drop_calls(names)
            sure = {name for name in names if self._unsure[name] == {CUT_OFF}}
            for name in names:
                self._unsure[name].discard(CUT_OFF)
                if name in self._said or name in sure:
                    self._tell(name, self._lines.state(name), self._journal.now_s())

    def _when(self, message: SipMessage) -> float:
        """When a phone's message was sent or received, by the phones' own clock.

        labctl hears of it later; how much later varies with the load. What it has heard of soonest so far tells how
        far the two clocks are apart.
        """
        now_s = self._journal.now_s()
        self._lag_s = min(self._lag_s, now_s - message.at_s)
        return round(message.at_s + self._lag_s, 6)

    def _tell(self, phone: str, state: str, at_s: float) -> None:
        if self._said.get(phone) != state and not self._unsure[phone]:
            self._said[phone] = state
            self._journal.write(Said(at_s, self._lines.nodes[phone], self.device(phone), state))

    def _notified(self, phone: str, message: SipMessage, at_s: float) -> None:
        event = message.header("Event").partition(";")[0]
        if event == "message-summary" and message.body:
            summary = transcript.message_summary(message.body)
            self._journal.write(Lamp(at_s, phone, summary.new, summary.old))
        elif event == "dialog" and message.body:
            watched = re.search(r"sip:([^@>]+)@", message.header("From"))
            extension = watched[1] if watched else ""
            self._journal.write(Notified(at_s, phone, extension, transcript.dialog_state(message.body)))
