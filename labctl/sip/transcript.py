"""What SIPp tells: the messages that an agent sent and received, what their bodies say, and how it ended. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from labctl.sip_message import SipMessage, parse_message

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


_TAG = re.compile(r";tag=([^;>\s]+)")
_AUDIO = re.compile(r"^m=audio (\d+)", re.MULTILINE)
_FRAGMENT = re.compile(r"SIP/2\.0 (\d{3})")

KEPT_CALLS = 50
"""So many of the calls of a phone that are over are kept at least."""

_CHALLENGES = (401, 407)
_CREDENTIALS = ("Authorization", "Proxy-Authorization")


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
            self._forget_calls()
        return True

    def _forget_calls(self) -> None:
        """Of the calls that are over keep the last KEPT_CALLS, where there are twice as many: a phone that is on for
        hours has thousands, and each look at its calls goes through all of them."""
        over = [call for call in self.calls if self.end_of(call)]
        if len(over) < 2 * KEPT_CALLS:
            return
        gone = {*over[:-KEPT_CALLS]}
        for call in gone:
            del self._dialogs[call]
        self._calls = [call for call in self._calls if call not in gone]
        self.messages = [message for message in self.messages if message.header("Call-ID") not in gone]

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
    def calls(self) -> list[str]:
        """The Call-IDs of its calls, made or come in, in the order in which they began."""
        return [*dict.fromkeys(list(self._calls))]

    @property
    def ringing(self) -> list[str]:
        """Those that wait for an answer, in the order in which they began."""
        return [call for call in self.calls if self.state_of(call) in (CALLING, RINGING)]

    @property
    def call(self) -> str:
        """The Call-ID of its call, its own or one that came in: of several the last that goes on, else the last.

        "" if there was none.
        """
        calls = self._calls[::-1]
        return next((call for call in calls if not self.end_of(call)), next(iter(calls), ""))

    @property
    def peer(self) -> str:
        """Who is at the other end of that call; "" if there was none."""
        return self.peer_of(self.call)

    @property
    def talking(self) -> bool:
        """Whether that call is answered and acknowledged, and goes on with nothing under way."""
        return self.talks_in(self.call)

    @property
    def call_state(self) -> str:
        """How far that call is: CALLING, RINGING, TALKING or OVER; "" if there was none."""
        return self.state_of(self.call)

    @property
    def call_end(self) -> str:
        """Why that call is over: the status that refused it, with its reasons, or who hung up; "" as it goes on."""
        return self.end_of(self.call)

    # Each of several calls, by its Call-ID

    def began_s(self, call: str) -> float:
        """When a call began, in seconds since 1970."""
        return next((message.at_s for message in self._messages_of(call)), 0.0)

    def peer_of(self, call: str) -> str:
        """Who is at the other end of a call; "" if there was none."""
        return next((message.peer for message in self._messages_of(call) if message.method == "INVITE"), "")

    def talks_in(self, call: str) -> bool:
        """Whether a call is answered and acknowledged, and goes on with nothing under way."""
        changing = [message for message in self._messages_of(call) if message.about in ("INVITE", "ACK")]
        return self.state_of(call) == TALKING and changing[-1].method == "ACK"

    def state_of(self, call: str) -> str:
        """How far a call is: CALLING, RINGING, TALKING or OVER; "" if there was none."""
        if self.end_of(call):
            return OVER
        messages = self._messages_of(call)
        invite_statuses = [message.status for message in messages if message.about == "INVITE" and message.status]
        if any(200 <= status < 300 for status in invite_statuses):
            return TALKING
        if any(100 < status < 200 for status in invite_statuses):
            return RINGING
        return CALLING if messages else ""

    def end_of(self, call: str) -> str:
        """Why a call is over: the status that refused it, with its reasons, or who hung up; "" as it goes on."""
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

    def end_is_taken(self, call: str) -> bool:
        """Whether a call that was answered, or came in, is over and its node has acknowledged that, where the phone
        ended it: it has answered the BYE, or acknowledged the refusal (RFC 3261, 15 and 17.1.1.3)."""
        messages = self._messages_of(call)
        own = [message for message in messages if message.sent]
        got = [message for message in messages if not message.sent]
        if not self.end_of(call):
            return False
        if any(message.method == "BYE" for message in own):
            return any(message.about == "BYE" for message in got)
        refuses = any(message.about == "INVITE" and message.status >= 300 for message in own)
        return not refuses or any(message.method == "ACK" for message in got)

    def was_answered(self, call: str) -> bool:
        """Whether somebody has answered a call, also where it is over since."""
        return any(message.about == "INVITE" and 200 <= message.status < 300 for message in self._messages_of(call))

    def tags_of(self, call: str) -> tuple[str, str]:
        """The tags of a call that was answered: its own, and its node's (RFC 3261, 12)."""
        answer = next(
            message for message in self._messages_of(call) if message.about == "INVITE" and message.status == 200
        )
        ends = [tag[1] if (tag := _TAG.search(answer.header(name))) else "" for name in ("From", "To")]
        return (ends[1], ends[0]) if answer.sent else (ends[0], ends[1])

    def media_port(self, call: str) -> int:
        """At which port it takes the audio of a call, as it said last; 0 where it has not said."""
        said = (_AUDIO.search(message.body) for message in reversed(self._messages_of(call)) if message.sent)
        return next((int(audio[1]) for audio in said if audio), 0)

    def answers_in(self, call: str, method: str) -> list[SipMessage]:
        """The final responses to its own requests of that method in a call, the first to each, in order, without
        challenges. One that comes again, as its acknowledgement was late, answers no other request."""
        answers: dict[tuple[str, str], SipMessage] = {}
        for answer in self.final_answers(method):
            if answer.header("Call-ID") == call:
                answers.setdefault(answer.request_key, answer)
        return [*answers.values()]

    def transfer_state(self, call: str) -> int:
        """What its node said last of the transfer that it asked for last in a call, as a status (RFC 3515, 2.4.4); 0
        before it has said anything."""
        messages = self._messages_of(call)
        asked = [message.request_key if message.method == "REFER" else None for message in messages]
        last = next((key for key in reversed(asked) if key), None)
        since = messages[asked.index(last) :] if last else messages  # SIPp may have sent it more than once
        told = [message for message in since if message.method == "NOTIFY"][::-1]
        fragments = (_FRAGMENT.match(message.body) for message in told if message.header("Event").startswith("refer"))
        return next((int(fragment[1]) for fragment in fragments if fragment), 0)

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
            at_s = datetime.fromisoformat(head[1].decode()).replace(tzinfo=UTC).timestamp()  # a container's time
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
