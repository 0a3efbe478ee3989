"""What of a packet is a SIP message: told by its first line, whatever its port. Pure."""

from __future__ import annotations

import re

_START = re.compile(rb"(?:\r?\n)*(?:SIP/2\.0 [1-6]\d\d(?: |\r?\n)|[A-Z]{3,20} [^ \r\n]{1,2048} SIP/2\.0\r?\n)")
_FIRST_BYTES = 2_100


def starts_message(data: bytes) -> bool:
    """Whether SIP begins here: a status line, or a request line (RFC 3261, 7.1 and 7.2)."""
    return _START.match(data, 0, _FIRST_BYTES) is not None


def text_of(data: bytes) -> str:
    """A message as text: empty lines before it are none of it (RFC 3261, 7.5)."""
    return data.lstrip(b"\r\n").decode("utf-8", "replace")
