"""Turns what the nodes and the phones of a lab say into the events of a history, as they say it."""

from __future__ import annotations

import math
import re
import threading

from labctl.asterisk import output
from labctl.asterisk.output import Message
from labctl.checks import disturbance
from labctl.cluster.connections import LAB_CONTEXT
from labctl.corosync import daemon
from labctl.corosync.membership import Membership
from labctl.history.events import Lamp, Line, Notified, Said, Seen
from labctl.history.events import Ring as RingEvent
from labctl.history.journal import Journal
from labctl.lab import Lab
from labctl.sip import transcript
from labctl.sip.phone_state import PhoneLines
from labctl.sip.transcript import SipMessage
from labctl.stack.model import Stack


class Recorder:
    """Listens everywhere, and writes to the journal. Called from many threads."""

    def __init__(self, journal: Journal, lab: Lab, stack: Stack) -> None:
        self._journal = journal
        self._lab = lab
        self._stack = stack
        self._names = {node.nodeid: node.name for node in lab.nodes}
        self._lines = PhoneLines(lab, stack.sip_channel)
        self._said: dict[str, str] = {}
        self._lag_s = math.inf
        self._lock = threading.Lock()

    def device(self, phone: str) -> str:
        """The name of a phone's device, such as PJSIP/alice."""
        return f"{self._stack.sip_channel}/{phone}"

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
        telling = any(word in line for word in self._stack.telling_lines)
        if telling or disturbance.tells(line) or daemon.starts(line):
            self._journal.write(Line(at_s, node, line))

    def phone_said(self, phone: str, message: SipMessage) -> None:
        """A message that a phone sent or received."""
        with self._lock:
            at_s = self._when(message)
            for name, state in self._lines.feed(phone, message).items():
                self._tell(name, state, at_s)
        if message.method == "NOTIFY" and not message.sent:
            self._notified(phone, message, at_s)

    def node_lost_calls(self, node: str) -> None:
        """The node's Asterisk has gone, and with it the calls of its phones."""
        with self._lock:
            names = [phone.name for phone in self._lab.phones_on(self._lab.node(node))]
            self._lines.drop_calls(names)
            for name in names:
                if name in self._said:
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
        if self._said.get(phone) != state:
            self._said[phone] = state
            self._journal.write(Said(at_s, self._lab.phone(phone).node, self.device(phone), state))

    def _notified(self, phone: str, message: SipMessage, at_s: float) -> None:
        event = message.header("Event").partition(";")[0]
        if event == "message-summary" and message.body:
            summary = transcript.message_summary(message.body)
            self._journal.write(Lamp(at_s, phone, summary.new, summary.old))
        elif event == "dialog" and message.body:
            watched = re.search(r"sip:([^@>]+)@", message.header("From"))
            extension = watched[1] if watched else ""
            self._journal.write(Notified(at_s, phone, extension, transcript.dialog_state(message.body)))
