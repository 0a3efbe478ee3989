"""A Docker host of a lab that is over several, what is to be there, and the label of the lab's containers that names
all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Host:
    """`name` is what the user calls it, a context or an address; `url` where it answers; `id` its engine's own; `parts`
    the nodes, services and phones that are on it."""

    name: str
    url: str = ""
    id: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacedImage:
    """An image that is to be on a host. `id` is what the engine calls it on which it was made; "": any of that name."""

    host: str
    reference: str
    id: str = ""


def dump(hosts: Iterable[Host]) -> str:
    """The text of the label."""
    return json.dumps([asdict(host) for host in hosts])


def parse(text: str) -> tuple[Host, ...]:
    """What `dump` gave; none of any other text."""
    with suppress(ValueError, KeyError, TypeError):
        return tuple(
            Host(str(host["name"]), str(host["url"]), str(host["id"]), tuple(map(str, host["parts"])))
            for host in json.loads(text)
        )
    return ()
