"""What an edit of a configuration file says, and what comes of it. Pure.

    alice: {max_contacts: 2, qualify_frequency: null}     # keys replaced or added, and taken out
    carol: null                                           # the section is taken out
    support: "strategy = ringall"                         # a text: all that is in the section
    modules: {load+: [app_queue.so, res_parking.so]}      # lines added to those of a key

`null` takes out. A name may say which section of several is meant, by a key of it: `alice(type=aor)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Edits = Mapping[str, Any]
"""Section -> None, a text, or a mapping of its keys: key -> None, a text, or several; in Corosync's files also a
mapping, for what is in braces."""

Where = tuple[str, ...]
"""The section, and the key in it where it is of one."""

_SELECTED = re.compile(r"^(?P<name>[^()]+?)\s*\((?P<key>[^()=]+)=(?P<value>[^()]*)\)$")


@dataclass(frozen=True)
class Miss:
    """An edit that found nothing, or several, to be made on: where it stands, what is wrong, and the way out.

    `absent`: the file has nothing of that name, as may be right on one node of several.
    """

    where: Where
    what: str
    fix: str
    absent: bool = True


@dataclass(frozen=True)
class Edited:
    """The text with all edits that could be made, and those that could not."""

    text: str
    misses: tuple[Miss, ...] = ()


@dataclass(frozen=True)
class Name:
    """The name of a section, and the key and value that it has, where these are said."""

    name: str
    key: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name}({self.key}={self.value})" if self.key else self.name


def parse_name(text: str) -> Name:
    """What a name in an edit means."""
    match = _SELECTED.match(text.strip())
    if match is None:
        return Name(text.strip())
    return Name(match["name"].strip(), match["key"].strip(), match["value"].strip())


def listed(value: Any) -> list[str]:
    """The values of a key, of which there may be several."""
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
