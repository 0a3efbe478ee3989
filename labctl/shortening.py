"""Texts made fit for the place where they are shown: not too long, and nothing that a terminal obeys. Pure."""

from __future__ import annotations

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and line feed, and what turns the direction of a text."""


def shortened(text: str, most: int) -> str:
    """The text, of `most` characters at most: cut, with an ellipsis for what is gone, where it is longer."""
    return text if len(text) <= most else f"{text[: max(0, most - 1)].rstrip()}…"


def plain(text: str) -> str:
    """The lines of a text that may be a stranger's, without what a terminal would obey."""
    return _OBEYED.sub("\ufffd", text.replace("\r\n", "\n"))
