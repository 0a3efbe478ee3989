"""Ladders as mermaid's sequence diagrams, which GitHub draws where they stand in an issue. Pure.

What stands in a message may be anything, and mermaid has words and signs of its own: every character that could be one
is written as an entity (https://mermaid.js.org, "Entity codes to escape characters").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labctl.report.ladder import Across, Arrow, Ladder
from labctl.shortening import shortened

LONGEST = 48_000
"""Characters of a diagram: mermaid draws none of 50,000 or more (its configuration, maxTextSize)."""

LONGEST_TEXT = 120

_HARMLESS = re.compile(r"[A-Za-z0-9 .,/+()_-]")
_WORDS = re.compile(r"\b(end|wrap|nowrap)", re.IGNORECASE)


def diagram(ladder: Ladder) -> str:
    """A ladder as a sequence diagram, in the fence that GitHub wants. What there is no room for is counted."""
    lines = ["sequenceDiagram"]
    lines += [f"    participant p{number} as {escaped(name)}" for number, name in enumerate(ladder.columns)]
    lines.append(_note(ladder, ladder.title))
    room = LONGEST - sum(len(line) + 1 for line in lines)
    for number, line in enumerate(_rows(ladder)):
        room -= len(line) + 1
        if room < 0:
            lines.append(_note(ladder, f"{len(ladder.rows) - number} more are left out"))
            break
        lines.append(line)
    return "\n".join(["```mermaid", *lines, "```"])


def _rows(ladder: Ladder) -> Iterator[str]:
    for row in ladder.rows:
        if isinstance(row, Across):
            yield _note(ladder, f"{row.at_s:.3f} s {row.text}")
        else:
            yield _arrow(row)


def _arrow(arrow: Arrow) -> str:
    sign = "-->>" if arrow.status else "->>"
    return f"    p{arrow.source}{sign}p{arrow.target}: {escaped(f'{arrow.at_s:.3f} {arrow.label}')}"


def _note(ladder: Ladder, text: str) -> str:
    last = len(ladder.columns) - 1
    over = f"p0,p{last}" if last else "p0"
    return f"    Note over {over}: {escaped(text)}"


def escaped(text: str) -> str:
    """A text that mermaid shows as it is, and takes for nothing else; one that is too long is cut."""
    text = shortened(text, LONGEST_TEXT)
    text = "".join(
        letter if _HARMLESS.match(letter) else f"#{ord(letter)};" if letter.isprintable() else "#65533;"
        for letter in text
    )
    return _WORDS.sub(lambda word: f"#{ord(word[0][0])};{word[0][1:]}", text) or "-"
