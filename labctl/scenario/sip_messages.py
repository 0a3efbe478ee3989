"""The SIP messages that a scenario may expect: which of all that phones and nodes sent and received they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from labctl.capture.messages import Message
from labctl.sip_message import SipMessage

SENT, RECEIVED = "sent", "received"
Direction = Literal["sent", "received"]

_METHOD = "INVITE|ACK|BYE|CANCEL|REGISTER|OPTIONS|PRACK|SUBSCRIBE|NOTIFY|PUBLISH|INFO|REFER|MESSAGE|UPDATE"
"""Every method that is registered (IANA, Session Initiation Protocol parameters)."""

MESSAGE = rf"^({_METHOD}|(({_METHOD}) )?[1-6]([0-9]{{2}}|xx))$"
"""A request by its method, a response by its status, or by what it answers and its status; `4xx` is any of a class.

A method that nobody knows is none: that there is no message of it would say nothing.
"""

OWN_ORDERS = "<sip:labctl@localhost>"
"""What labctl tells its phones itself goes by SIP, from this address (sipp.nudge); it is no part of what they do."""


@dataclass(frozen=True)
class Passed:
    """A message that a phone or a node sent or received, at a time in seconds since the run began."""

    at_s: float
    sent: bool
    sip: SipMessage

    def __str__(self) -> str:
        return f"+{self.at_s:.3f} s {SENT if self.sent else RECEIVED} {self.sip.start} (CSeq {self.sip.header('CSeq')})"


@dataclass(frozen=True)
class SipPattern:
    """The messages that are meant: `message` is of the form MESSAGE; each pattern of `headers` and `body` is found."""

    message: str
    headers: Mapping[str, str]
    body: str | None
    direction: Direction | None

    def __str__(self) -> str:
        parts = [self.direction or "", self.message]
        parts += [f"{name}: /{pattern}/" for name, pattern in self.headers.items()]
        return " ".join([*filter(None, parts), *([f"body /{self.body}/"] if self.body else [])])

    def fits(self, passed: Passed) -> bool:
        """Whether a message is one of those."""
        return (
            self.direction in (None, SENT if passed.sent else RECEIVED)
            and self._is_kind(passed.sip)
            and all(self._header(passed.sip, name, pattern) for name, pattern in self.headers.items())
            and (self.body is None or bool(re.search(self.body, passed.sip.body, re.MULTILINE)))
        )

    def captured(self, sip: SipMessage) -> str:
        """What a step keeps of a message: the first group of the pattern of its body, else of the first of a header;
        all that matches where there is no group; the whole message where there is no pattern."""
        if self.body:
            match = re.search(self.body, sip.body, re.MULTILINE)
        elif self.headers:
            match = self._header(sip, *next(iter(self.headers.items())))
        else:
            return "\n".join([sip.start, *(f"{name}: {value}" for name, value in sip.headers), "", sip.body])
        return "" if match is None else (match[1] or "") if match.re.groups else match[0]

    def _is_kind(self, sip: SipMessage) -> bool:
        method, _, status = self.message.rpartition(" ")
        if status[0].isdigit():
            fits = re.fullmatch(status.replace("x", "[0-9]"), str(sip.status))
            return bool(fits) and method in ("", sip.about)
        return sip.method == self.message

    def _header(self, sip: SipMessage, name: str, pattern: str) -> re.Match[str] | None:
        return next((match for value in sip.all(name) if (match := re.search(pattern, value))), None)


def once(messages: Iterable[Passed]) -> Iterator[Passed]:
    """Without what labctl told its phones, and what was sent again: that tells what was, not what is."""
    known: set[tuple[object, ...]] = set()
    for passed in messages:
        sip = passed.sip
        key = (passed.sent, sip.start, sip.header("Via"), sip.header("To"), *sip.request_key)
        if key not in known and OWN_ORDERS not in sip.header("From"):
            known.add(key)
            yield passed


def of_address(messages: Iterable[Message], address: str) -> list[Passed]:
    """What an address sent and received on the wire, but for what was sent again."""
    ends = ((message, message.source.address == address) for message in messages if not message.again)
    return [
        Passed(message.at_s, sent, message.sip) for message, sent in ends if sent or message.target.address == address
    ]
