"""Messages by their Call-ID, and how far what they are about has come. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from labctl.capture.messages import Message
from labctl.sip_message import SipMessage, user_of

CREDENTIALS = ("Authorization", "Proxy-Authorization")
CHALLENGES = (401, 407)
"""What a request without credentials gets where it needs some (RFC 3261, 22)."""

_BUSY = (486, 600)
_NOT_BEGINNING = ("ACK", "CANCEL")
_ENDS = re.compile(r"(?:^|;)\s*expires\s*=\s*0\s*(?:;|,|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Dialog:
    """The messages of a Call-ID, in order: a leg of a call, a registration, a subscription. There is at least one."""

    call_id: str
    messages: tuple[Message, ...]

    @cached_property
    def kind(self) -> str:
        """The method that began it."""
        methods = (message.sip.method or message.sip.about for message in self.messages)
        return next((method for method in methods if method not in _NOT_BEGINNING), self.messages[0].sip.about)

    @cached_property
    def opening(self) -> Message:
        """The request that began it, or else what there is first of it."""
        return next((message for message in self.messages if message.sip.method == self.kind), self.messages[0])

    @property
    def caller(self) -> str:
        """Whose request began it: the user of From, or its host where it names no user."""
        return _party(self.opening.sip.header("From"))

    @property
    def callee(self) -> str:
        """Whom it is for: the user of the request's URI, or of To."""
        return user_of(self.opening.sip.start) or _party(self.opening.sip.header("To"))

    @property
    def begin_s(self) -> float:
        """When its first message was sent."""
        return self.messages[0].at_s

    @property
    def is_over(self) -> bool:
        """Whether it is a call that has ended."""
        return self.kind == "INVITE" and self.state not in ("calling", "ringing", "in call")

    @cached_property
    def state(self) -> str:
        """How far it has come, in a word or two."""
        if self.kind == "INVITE":
            return _call_state(self.messages)
        if self.kind == "SUBSCRIBE":
            told = [message.sip.header("Subscription-State") for message in self.messages]
            last = next((state for state in reversed(told) if state), "")
            return last.partition(";")[0] or _answer(self.messages, self.kind)
        return _answer(self.messages, self.kind)


def dialogs(messages: Iterable[Message]) -> list[Dialog]:
    """The messages by their Call-ID, in the order in which they begin."""
    by_call: dict[str, list[Message]] = {}
    for message in messages:
        by_call.setdefault(message.sip.header("Call-ID"), []).append(message)
    return [Dialog(call_id, tuple(of_call)) for call_id, of_call in by_call.items()]


def is_signed(sip: SipMessage) -> bool:
    """Whether a request has credentials."""
    return any(sip.header(name) for name in CREDENTIALS)


def _party(header: str) -> str:
    """The user that a From or To names, or its host."""
    host = re.search(r"sips?:([^;>\s]{1,256})", header)
    return user_of(header) or (host[1] if host else "")


def _finals(messages: Sequence[Message], method: str) -> list[SipMessage]:
    """The final responses to requests of that method, without challenges that were answered."""
    signed = {message.sip.request_key for message in messages if is_signed(message.sip)}
    answered = bool(signed)
    finals = [message.sip for message in messages if message.sip.status >= 200 and message.sip.about == method]
    return [sip for sip in finals if not (sip.status in CHALLENGES and answered and sip.request_key not in signed)]


def _call_state(messages: Sequence[Message]) -> str:
    finals = [sip.status for sip in _finals(messages, "INVITE")]
    methods = {message.sip.method for message in messages}
    if any(200 <= status < 300 for status in finals):
        return "completed" if "BYE" in methods else "in call"
    if "CANCEL" in methods:
        return "cancelled"
    if finals:
        return "busy" if finals[-1] in _BUSY else f"rejected {finals[-1]}"
    rings = any(100 < message.sip.status < 200 for message in messages)
    return "ringing" if rings else "calling"


def _answer(messages: Sequence[Message], method: str) -> str:
    finals = _finals(messages, method)
    if not finals:
        return "no answer"
    last = finals[-1]
    if method != "REGISTER" or last.status >= 300:
        return last.start.removeprefix("SIP/2.0 ")[:40] if last.status < 300 else f"rejected {last.status}"
    asked = [message.sip for message in messages if message.sip.method and message.sip.request_key == last.request_key]
    ends = any(sip.header("Expires") == "0" or _ENDS.search(sip.header("Contact")) for sip in asked)
    return "unregistered" if ends else "registered"
