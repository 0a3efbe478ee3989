"""What SIPp tells: the messages that an agent sent and received, what their bodies say, and how it ended. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

ENDINGS = {
    0: "every call went as the scenario says",
    1: "a call failed",
    97: "it was ended from inside, by a command or a time-out",
    99: "it ended without a call",
    137: "it was killed",
    143: "it was terminated",
    253: "the RTP check failed",
    254: "it could not bind its port",
    255: "a fatal error",
}
"""What SIPp's exit codes mean (its documentation, "Exit codes"), and 128 + signal of the shell."""


@dataclass(frozen=True)
class SipMessage:
    """A message that an agent sent or received, at a time in seconds since 1970."""

    at_s: float
    sent: bool
    start: str
    headers: tuple[tuple[str, str], ...]
    body: str

    @property
    def method(self) -> str:
        """The method of a request, "" for a response."""
        return "" if self.status else self.start.partition(" ")[0]

    @property
    def status(self) -> int:
        """The status code of a response, 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def about(self) -> str:
        """The method that CSeq names: of a response, what it answers."""
        return self.header("CSeq").rpartition(" ")[2]

    def header(self, name: str) -> str:
        """The first header of that name, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Transcript:
    """What a user agent sent and received so far, in order."""

    def __init__(self) -> None:
        self.messages: list[SipMessage] = []
        self._transactions: set[tuple[str, str]] = set()

    def add(self, message: SipMessage) -> bool:
        """Whether a message is new. A request that came in before is not: it comes again where its answer was lost,
        and tells what was, not what is (RFC 3261, 17.2.3)."""
        transaction = (message.header("Via"), message.method)
        if message.method and not message.sent:
            if transaction in self._transactions:
                return False
            self._transactions.add(transaction)
        self.messages.append(message)
        return True

    def received(self, method: str) -> list[SipMessage]:
        """The requests of that method that came in so far, in order."""
        return [each for each in list(self.messages) if not each.sent and each.method == method]

    def answers(self, method: str) -> list[int]:
        """The final status codes that its own requests of that method got so far, in order."""
        return [each.status for each in self.responses(method) if each.status >= 200]

    def responses(self, method: str) -> list[SipMessage]:
        """What its own requests of that method were answered so far, in order."""
        return [each for each in list(self.messages) if not each.sent and each.status and each.about == method]

    def answer_line(self, method: str) -> str:
        """The last status that its requests of that method got, such as "486 Busy Here"; "" before the first."""
        seen = self.responses(method)
        return seen[-1].start.removeprefix("SIP/2.0 ") if seen else ""

    @property
    def call(self) -> str:
        """The Call-ID of the last INVITE, its own or one that came in; "" if there was none."""
        return next((each.header("Call-ID") for each in reversed(self.messages) if each.method == "INVITE"), "")

    @property
    def talking(self) -> bool:
        """Whether that call is answered and acknowledged, and goes on with nothing under way."""
        mine = [each for each in list(self.messages) if each.header("Call-ID") == self.call]
        return [each.status or each.method for each in mine if each.about != "INFO"][-2:] == [200, "ACK"]

    @property
    def dialog_states(self) -> list[str]:
        """What each NOTIFY about dialogs said, in order: terminated, early, confirmed (RFC 4235)."""
        return [dialog_state(each.body) for each in self._notifications("dialog") if each.body]

    @property
    def mailbox(self) -> MessageSummary | None:
        """What the last NOTIFY said about the mailbox (RFC 3842), or None before the first."""
        told = self._notifications("message-summary")
        return message_summary(told[-1].body) if told else None

    def _notifications(self, event: str) -> list[SipMessage]:
        return [each for each in self.received("NOTIFY") if each.header("Event").partition(";")[0] == event]


@dataclass(frozen=True)
class Ending:
    """How a SIPp process ended: its exit code, what it wrote to standard error, and what it said beside messages."""

    code: int
    errors: str
    said: str = ""

    def __str__(self) -> str:
        return f"SIPp: {ENDINGS.get(self.code, 'an exit code it does not document')} ({self.code})"


_HEAD = re.compile(rb"-{40,} (\S+)\n\w+ message (sent|received) \[(\d+)\] bytes:\n\n")
_END = re.compile(rb"=== end (\d+)\n")


class LogSplitter:
    """Cuts what RUNNER prints into messages, and at last the ending."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[SipMessage]:
        """The messages that `data` completes."""
        self._rest += data
        messages = []
        while (found := _HEAD.search(self._rest)) and len(self._rest) >= found.end() + int(found[3]):
            stop = found.end() + int(found[3])
            text = self._rest[found.end() : stop].decode("utf-8", "replace")
            at_s = datetime.fromisoformat(found[1].decode()).timestamp()
            messages.append(parse_message(text, at_s, found[2] == b"sent"))
            self._rest = self._rest[stop:]
        return messages

    def ending(self) -> Ending:
        """How it ended, once there is no more to feed; without a word about that, code -1."""
        found = _END.search(self._rest)
        if not found:
            return Ending(-1, "")
        said, errors = (
            each.decode("utf-8", "replace") for each in (self._rest[: found.start()], self._rest[found.end() :])
        )
        return Ending(int(found[1]), errors, said)


def parse_message(text: str, at_s: float, sent: bool) -> SipMessage:
    """A SIP message (RFC 3261, 7)."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    start, *lines = head.split("\n")
    pairs = (each.partition(":") for each in lines)
    return SipMessage(at_s, sent, start, tuple((key.strip(), value.strip()) for key, _, value in pairs), body)


def dialog_state(body: str) -> str:
    """The state that an application/dialog-info+xml body tells (RFC 4235, 4.1.5): the dialog's that is furthest on.

    A body without a dialog says "terminated". Raises ValueError if it is no such body.
    """
    try:
        root = ET.fromstring(body)  # noqa: S314 - from a node of the lab
    except ET.ParseError as error:
        raise ValueError(f"not a dialog-info body: {error}") from None
    order = ("terminated", "trying", "proceeding", "early", "confirmed")
    states = [each.text or "" for each in root.iter("{urn:ietf:params:xml:ns:dialog-info}state")]
    return max((each for each in states if each in order), key=order.index, default="terminated")


@dataclass(frozen=True)
class MessageSummary:
    """What a message-summary body tells of a mailbox (RFC 3842): the lamp, and the counts of voice messages."""

    waiting: bool
    new: int
    old: int


def message_summary(body: str) -> MessageSummary:
    """Read an application/simple-message-summary body. Raises ValueError if it is none."""
    waiting = re.search(r"^Messages-Waiting:\s*(yes|no)\b", body, re.MULTILINE | re.IGNORECASE)
    if not waiting:
        raise ValueError("not a message-summary body: no Messages-Waiting")
    counts = re.search(r"^Voice-Message:\s*(\d+)/(\d+)", body, re.MULTILINE | re.IGNORECASE)
    new, old = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    return MessageSummary(waiting[1].lower() == "yes", new, old)
