"""Regular expressions of files that may be a stranger's: what is none, or may take for ever, is refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

MOST_REPETITIONS, MOST_CHOICES = 2, 8

_PLAIN = re.compile(r"\\.|\[\^?\]?[^\]]*\]|\(\?[:=!P<]+")
"""What holds none of the signs below: an escaped character, a set of characters, the begin of a special group."""

_NAME = re.compile(r"\\.|\$\{([A-Za-z_][\w.-]*)\}", re.DOTALL)
"""A name in a pattern that stands for a text, such as `${n1.address}`; what is escaped is none."""


def filled(pattern: str, text_of: Callable[[str], str | None]) -> str:
    """A pattern in which each name that stands for a text matches that text; one that stands for none stays."""

    def quoted(match: re.Match[str]) -> str:
        text = text_of(match[1]) if match[1] else None
        return match[0] if text is None else re.escape(text)

    return _NAME.sub(quoted, pattern)


def unfilled(pattern: str) -> Iterator[str]:
    """What is in each `${…}` of a pattern of what is left: it matches nothing, for `$` ends a line."""
    yield from re.findall(r"\$\{([^}]*)\}", _PLAIN.sub("", pattern))


def mistake_in(pattern: str) -> str:
    """What is the matter with a regular expression; "" where nothing is.

    Python's (re) goes back over what it has read: where what is repeated may itself be read in several ways, or many
    choices stand one behind the other, that may take for ever on some text. Some are refused that would not.
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    plain = _PLAIN.sub("x", pattern)
    repetitions, choices = len(re.findall(r"[*+{]", plain)), len(re.findall(r"[?|]", plain))
    if re.search(r"\)[*+?{]", plain) or repetitions > MOST_REPETITIONS or choices > MOST_CHOICES:
        return "a regular expression that may take for ever"
    return ""
