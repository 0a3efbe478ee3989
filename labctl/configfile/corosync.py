"""Corosync's files edited: sections in braces, one within the other, and lines of `key: value`. Pure.

Its parser wants a statement a line, and `{` at the end of its line (corosync.conf(5)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.configfile.edit import Edited, Edits, Miss, Where, listed, parse_name

_OPENS = re.compile(r"^\s*(?P<name>[\w.]+)\s*\{\s*$")
_CLOSES = re.compile(r"^\s*\}\s*$")
_KEY = re.compile(r"^\s*(?P<key>[\w.]+)\s*:\s*(?P<value>.*?)\s*$")
INDENT = "    "


@dataclass
class _Section:
    """A section: what is in it is lines and sections. That of the whole file has no name."""

    name: str = ""
    depth: int = -1
    parts: list[str | _Section] = field(default_factory=list)

    def places(self, key: str) -> list[int]:
        """Where in it a key of its own stands."""
        return [index for index, part in enumerate(self.parts) if isinstance(part, str) and _key(part)[0] == key]

    def value(self, key: str) -> str:
        """The value of a key of its own; "" where it has none."""
        return next((_key(part)[1] for part in self.parts if isinstance(part, str) and _key(part)[0] == key), "")

    @property
    def sections(self) -> list[_Section]:
        """The sections in it."""
        return [part for part in self.parts if isinstance(part, _Section)]


def edit(text: str, edits: Edits) -> Edited:
    """The text of a file with all edits made that can be. What is not there yet is added, but nothing taken out."""
    whole = _read(text)
    misses = tuple(_edit_all(whole, edits, ()))
    return Edited("".join(_written(whole)), misses)


def _read(text: str) -> _Section:
    around = [_Section()]
    for line in text.splitlines(keepends=True):
        opens = _OPENS.match(line)
        if opens:
            section = _Section(opens["name"], len(around) - 1)
            around[-1].parts.append(section)
            around.append(section)
        elif _CLOSES.match(line) and len(around) > 1:
            around.pop()
        else:
            around[-1].parts.append(line)
    return around[0]


def _written(section: _Section) -> Iterator[str]:
    if section.name:
        yield f"{INDENT * section.depth}{section.name} {{\n"
    for part in section.parts:
        if isinstance(part, str):
            yield part
        else:
            yield from _written(part)
    if section.name:
        yield f"{INDENT * section.depth}}}\n"


def _key(line: str) -> tuple[str, str]:
    match = _KEY.match(line)
    return (match["key"], match["value"]) if match else ("", "")


def _edit_all(section: _Section, edits: Mapping[str, Any], where: Where) -> Iterator[Miss]:
    for text, wanted in edits.items():
        here = (*where, text)
        name = parse_name(text)
        of_name = [inner for inner in section.sections if inner.name == name.name]
        meant = [inner for inner in of_name if not name.key or inner.value(name.key) == name.value]
        if not where and isinstance(wanted, str):
            yield from _replace_body(meant, here, wanted)
        elif isinstance(wanted, Mapping):
            yield from _edit_section(section, meant, here, wanted)
        elif wanted is None and meant:
            section.parts[:] = [part for part in section.parts if not any(part is inner for inner in meant)]
        else:
            yield from _edit_key(section, here, wanted)


def _edit_section(section: _Section, meant: Sequence[_Section], where: Where, wanted: Edits) -> Iterator[Miss]:
    name = parse_name(where[-1])
    if len(meant) > 1:
        choices = ", ".join(f"{name.name}({key}={inner.value(key)})" for inner in meant for key in _telling(inner))
        yield Miss(where, f"`{name.name}` are {len(meant)} sections", f"say which: {choices}", absent=False)
        return
    if name.key and not meant:
        yield Miss(where, f"no section `{name}` is there", "one that has such a key and value")
        return
    if not meant:
        section.parts.append(_Section(name.name, section.depth + 1))
        meant = section.sections[-1:]
    yield from _edit_all(meant[0], wanted, where)


def _telling(section: _Section) -> list[str]:
    return [key for key in ("name", "nodeid", "linknumber", "ringnumber", "subsys") if section.value(key)][:1]


def _replace_body(meant: Sequence[_Section], where: Where, text: str) -> Iterator[Miss]:
    if len(meant) != 1:
        yield Miss(where, f"`{where[-1]}` is no section of this file's", "a new one is added as text")
        return
    meant[0].parts[:] = list(_read("".join(f"{INDENT}{line}\n" for line in text.splitlines())).parts)


def _edit_key(section: _Section, where: Where, value: object) -> Iterator[Miss]:
    key = where[-1]
    places = section.places(key)
    if value is None and not places:
        around = f"`{where[-2]}`" if len(where) > 1 else "this file"
        yield Miss(where, f"no `{key}` in {around} to take out", "a key or a section that is there")
        return
    indent = INDENT * (section.depth + 1)
    new = [] if value is None else [f"{indent}{key}: {item}\n" for item in listed(value)]
    kept = [part for index, part in enumerate(section.parts) if index not in places]
    at = places[0] if places else _end(section)
    section.parts[:] = [*kept[:at], *new, *kept[at:]]


def _end(section: _Section) -> int:
    """Behind the last key of a section, before the sections in it."""
    return max(
        (index + 1 for index, part in enumerate(section.parts) if isinstance(part, str) and _key(part)[0]), default=0
    )
