"""Facts as text for people and as data for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from labctl.cluster.views import Crossing, Route


def as_json(value: Any) -> str:
    """Dataclasses, and lists and dictionaries of them, as indented JSON."""
    return json.dumps(_plain(value), indent=2)


def as_json_line(value: Any) -> str:
    """The same in one line, for what goes on and on."""
    return json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def duration(seconds: int) -> str:
    """1d 2h, 3m 4s: the two largest units."""
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def proof(proven: Sequence[Crossing], routes: Sequence[Route]) -> str:
    """What the proof showed, in a line."""
    if not routes:
        return crossings(proven)
    slowest = max(routes, key=lambda route: route.took_ms)
    by_dundi = (
        f"each site found a phone of each other by DUNDi, the slowest {slowest.asker} in {slowest.took_ms:.0f} ms"
    )
    return f"{crossings(proven)}; {by_dundi}"


def crossings(proven: Sequence[Crossing]) -> str:
    """What the proof of the crossings showed, in a line."""
    if not proven:
        return "nothing to prove: the lab has one node alone, or shares no device state"
    slowest = max(proven, key=lambda crossing: crossing.delay_ms)
    nodes = len({crossing.origin for crossing in proven})
    rounds = max(crossing.round for crossing in proven)
    late = f" in round {rounds} (of {rounds - 1} before, changes were lost)" if rounds > 1 else ""
    return (
        f"proven{late}: a change on each of {nodes} nodes was seen on every other, "
        f"the slowest {slowest.origin} to {slowest.observer} in {slowest.delay_ms:.1f} ms"
    )


def listed(words: Sequence[str]) -> str:
    """Words as a sentence has them: `agreement, truth and calls`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
