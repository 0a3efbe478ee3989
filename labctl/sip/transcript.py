"""What SIPp tells: the messages that an agent sent and received, what their bodies say, and how it ended. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

CALLING, RINGING, TALKING, OVER = "calling", "ringing", "talking", "over"
"""How far a call is."""

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


_REASONS = ("Warning", "Reason")
"""The headers that say why: RFC 3261, 20.43, and RFC 3326."""

_USER = re.compile(r"sips?:([^@;>]+)@")
_CHALLENGES = (401, 407)
_CREDENTIALS = ("Authorization", "Proxy-Authorization")


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

    @property
    def peer(self) -> str:
        """Who is at the other end: whom a request goes to, or whom it came from. "" where that cannot be told."""
        user = _USER.search(self.start if self.sent else self.header("From"))
        return user[1] if user else ""

    @property
    def request_key(self) -> tuple[str, str]:
        """What a request and the responses to it have in common: the Call-ID, and the CSeq (RFC 3261, 8.1.1.5)."""
        return self.header("Call-ID"), self.header("CSeq")

    @property
    def status_line(self) -> str:
        """The status of a response as its sender words it, with its reasons: `488 Not Acceptable Here (Warning: …)`."""
        reasons = [f"{name}: {self.header(name)}" for name in _REASONS if self.header(name)]
        return self.start.removeprefix("SIP/2.0 ") + (f" ({', '.join(reasons)})" if reasons else "")

    def header(self, name: str) -> str:
        """The first header of that name, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Transcript:
    """What a user agent sent and received so far, in order. Written by one thread, read by others."""

    def __init__(self) -> None:
        self.messages: list[SipMessage] = []
        self._transactions: set[tuple[str, str]] = set()
        self._signed: set[tuple[str, str]] = set()
        self._dialogs: dict[str, list[SipMessage]] = {}
        self._calls: list[str] = []

    def add(self, message: SipMessage) -> bool:
        """Whether a message is new. A request that came in before is not: it comes again where its answer was lost,
        and tells what was, not what is (RFC 3261, 17.2.3)."""
        transaction = (message.header("Via"), message.method)
        if message.method and not message.sent:
            if transaction in self._transactions:
                return False
            self._transactions.add(transaction)
        if message.sent and any(message.header(name) for name in _CREDENTIALS):
            self._signed.add(message.request_key)
        self.messages.append(message)
        call_id = message.header("Call-ID")
        self._dialogs.setdefault(call_id, []).append(message)
        if message.method == "INVITE" and self._calls[-1:] != [call_id]:
            self._calls.append(call_id)
        return True

    def received(self, method: str) -> list[SipMessage]:
        """The requests of that method that came in so far, in order."""
        return [message for message in list(self.messages) if not message.sent and message.method == method]

    def responses(self, method: str) -> list[SipMessage]:
        """What its own requests of that method were answered so far, in order."""
        messages = list(self.messages)
        return [message for message in messages if not message.sent and message.status and message.about == method]

    def final_answers(self, method: str) -> list[SipMessage]:
        """The final responses to its own requests of that method so far, in order, without challenges.

        A challenge is a 401 or 407 to a request without credentials. A node that got such a request twice challenges
        it twice; only a 401 to a signed request, told by its CSeq, is a refusal (RFC 3261, 22.2).
        """
        final = [response for response in self.responses(method) if response.status >= 200]
        return [response for response in final if not self._is_challenge(response)]

    def _is_challenge(self, response: SipMessage) -> bool:
        return response.status in _CHALLENGES and response.request_key not in self._signed

    def answers(self, method: str) -> list[int]:
        """The status codes of `final_answers`."""
        return [response.status for response in self.final_answers(method)]

    def is_worked_on(self, method: str) -> bool:
        """Whether its node has answered a signed request of that method, if only with 100, or has refused it."""
        answered = any(response.request_key in self._signed for response in self.responses(method))
        return answered or bool(self.final_answers(method))

    # The call

    @property
    def call(self) -> str:
        """The Call-ID of its call, its own or one that came in: of several the last that goes on, else the last.

        "" if there was none.
        """
        calls = self._calls[::-1]
        return next((call for call in calls if not self._end_of(call)), next(iter(calls), ""))

    @property
    def peer(self) -> str:
        """Who is at the other end of that call; "" if there was none."""
        return next((message.peer for message in self._messages_of(self.call) if message.method == "INVITE"), "")

    @property
    def talking(self) -> bool:
        """Whether that call is answered and acknowledged, and goes on with nothing under way."""
        messages = [message for message in self._messages_of(self.call) if message.about != "INFO"]
        last = messages[-2:]
        return len(last) == 2 and last[1].method == "ACK" and self.call_state == TALKING

    @property
    def call_state(self) -> str:
        """How far that call is: CALLING, RINGING, TALKING or OVER; "" if there was none."""
        call = self.call
        if self._end_of(call):
            return OVER
        messages = self._messages_of(call)
        invite_statuses = [message.status for message in messages if message.about == "INVITE" and message.status]
        if any(200 <= status < 300 for status in invite_statuses):
            return TALKING
        if any(100 < status < 200 for status in invite_statuses):
            return RINGING
        return CALLING if messages else ""

    @property
    def call_end(self) -> str:
        """Why that call is over: the status that refused it, with its reasons, or who hung up; "" as it goes on."""
        return self._end_of(self.call)

    def _end_of(self, call: str) -> str:
        answered = False
        for message in self._messages_of(call):
            if message.method in ("BYE", "CANCEL"):
                verb = "hung up" if message.method == "BYE" else "gave up"
                reason = f" (Reason: {message.header('Reason')})" if message.header("Reason") else ""
                return f"it {verb}" if message.sent else f"its node {verb}{reason}"
            if message.about != "INVITE" or not message.status:
                continue
            if message.status >= 300 and not answered and not (not message.sent and self._is_challenge(message)):
                return message.status_line
            answered = answered or 200 <= message.status < 300
        return ""

    def _messages_of(self, call: str) -> list[SipMessage]:
        return list(self._dialogs.get(call, ())) if call else []

    # What it was told

    @property
    def dialog_states(self) -> list[str]:
        """What each NOTIFY about dialogs said, in order: terminated, early, confirmed (RFC 4235)."""
        return [dialog_state(notification.body) for notification in self._notifications("dialog") if notification.body]

    @property
    def mailbox(self) -> MessageSummary | None:
        """What the last NOTIFY said about the mailbox (RFC 3842), or None before the first."""
        notifications = self._notifications("message-summary")
        return message_summary(notifications[-1].body) if notifications else None

    def _notifications(self, event: str) -> list[SipMessage]:
        notifications = self.received("NOTIFY")
        return [message for message in notifications if message.header("Event").partition(";")[0] == event]


@dataclass(frozen=True)
class Ending:
    """How a SIPp process ended: its exit code, what it wrote to standard error, and to standard output beside messages.

    `call_end` is why its call was over, where it had one and that did not go as it should (`Transcript.call_end`).
    """

    code: int
    errors: str
    output: str = ""
    call_end: str = ""

    def __str__(self) -> str:
        return self.call_end or f"SIPp: {ENDINGS.get(self.code, 'an exit code it does not document')} ({self.code})"


_HEAD = re.compile(rb"-{40,} (\S+)\n\w+ message (sent|received) \[(\d+)\] bytes:\n\n")
_END = re.compile(rb"=== end (\d+)\n")


class LogSplitter:
    """Cuts what scripts/run-sipp.sh prints into messages, and at last the ending."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[SipMessage]:
        """The messages that `data` completes."""
        self._rest += data
        messages = []
        while (head := _HEAD.search(self._rest)) and len(self._rest) >= head.end() + int(head[3]):
            stop = head.end() + int(head[3])
            text = self._rest[head.end() : stop].decode("utf-8", "replace")
            at_s = datetime.fromisoformat(head[1].decode()).timestamp()
            messages.append(parse_message(text, at_s, head[2] == b"sent"))
            self._rest = self._rest[stop:]
        return messages

    def ending(self) -> Ending:
        """How it ended, once there is no more to feed; without a word about that, code -1."""
        end = _END.search(self._rest)
        if not end:
            return Ending(-1, "")
        before, errors = (
            part.decode("utf-8", "replace") for part in (self._rest[: end.start()], self._rest[end.end() :])
        )
        return Ending(int(end[1]), errors, before)


def parse_message(text: str, at_s: float, sent: bool) -> SipMessage:
    """A SIP message (RFC 3261, 7)."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    start, *lines = head.split("\n")
    pairs = (line.partition(":") for line in lines)
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
    states = [element.text or "" for element in root.iter("{urn:ietf:params:xml:ns:dialog-info}state")]
    return max((state for state in states if state in order), key=order.index, default="terminated")


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
