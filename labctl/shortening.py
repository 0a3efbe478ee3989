"""Texts that must not be longer than a place for them. Pure."""

from __future__ import annotations


def shortened(text: str, most: int) -> str:
    """The text, of `most` characters at most: cut, with an ellipsis for what is gone, where it is longer."""
    return text if len(text) <= most else f"{text[: max(0, most - 1)].rstrip()}…"
