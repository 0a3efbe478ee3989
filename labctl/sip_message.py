"""A SIP message: its start line, its headers and its body (RFC 3261, 7). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_REASONS = ("Warning", "Reason")
"""The headers that say why: RFC 3261, 20.43, and RFC 3326."""

_USER = re.compile(r"sips?:([^@;>]{1,256})@")
_RESPONSE = re.compile(r"SIP/2\.0 (\d{3})(?: |$)")
_FOLDED = re.compile(r"\r?\n[ \t]+")

COMPACT = {
    "call-id": "i",
    "contact": "m",
    "content-encoding": "e",
    "content-length": "l",
    "content-type": "c",
    "event": "o",
    "from": "f",
    "refer-to": "r",
    "referred-by": "b",
    "subject": "s",
    "supported": "k",
    "to": "t",
    "via": "v",
}
"""The short names of headers (RFC 3261, 7.3.3 and 20; RFC 3515, 3892 and 6665)."""


@dataclass(frozen=True)
class SipMessage:
    """A message that an agent sent or received, at a time in seconds since 1970. On the wire all are sent."""

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
        response = _RESPONSE.match(self.start)
        return int(response[1]) if response else 0

    @property
    def about(self) -> str:
        """The method that CSeq names: of a response, what it answers."""
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def peer(self) -> str:
        """Who is at the other end: whom a request goes to, or whom it came from. "" where that cannot be told."""
        return user_of(self.start if self.sent else self.header("From"))

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
        """The first header of that name, or of its short one; "" if there is none."""
        return next(self.all(name), "")

    def all(self, name: str) -> Iterator[str]:
        """Every header of that name, or of its short one, in order."""
        names = (name.lower(), COMPACT.get(name.lower()))
        return (value for key, value in self.headers if key.lower() in names)


def user_of(text: str) -> str:
    """The user of the first SIP URI in a text that has one: `102` of `INVITE sip:102@198.18.0.11 SIP/2.0`; or ""."""
    user = _USER.search(text)
    return user[1] if user else ""


def parse_message(text: str, at_s: float, sent: bool) -> SipMessage:
    """A SIP message (RFC 3261, 7). A header that goes on in the next line is one (7.3.1)."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    start, *lines = _FOLDED.sub(" ", head).split("\n")
    pairs = (line.partition(":") for line in lines)
    return SipMessage(at_s, sent, start, tuple((key.strip(), value.strip()) for key, _, value in pairs), body)
