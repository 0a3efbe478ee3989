"""Asterisk's files edited: sections in brackets, lines of keys and values. Pure.

What is not edited stays as it is, comments and order too. Templates are looked at to tell sections of one name apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.configfile.edit import Edited, Edits, Miss, Name, listed, parse_name
from labctl.yamlfile.document import nearest

_HEADER = re.compile(r"^\s*\[(?P<name>[^\]]+)\]\s*(?:\((?P<options>[^)]*)\))?")
_LINE = re.compile(r"^\s*(?P<key>[^=;\[#]+?)\s*(?P<sign>=>?)\s*(?P<value>.*?)\s*$")

ADDS = "+"
"""Behind a key: the values are added to those that it has."""

TELLING = ("type", "context", "username")
"""Keys that tell sections of one name apart, the best first: pjsip.conf has several of each phone's name."""


@dataclass
class _Section:
    """A section: its first line, and those below it up to the next; the first of a file has none of its own."""

    header: str = ""
    name: str = ""
    options: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)

    def places(self, key: str) -> list[int]:
        """The lines on which a key of its own stands."""
        return [index for index, line in enumerate(self.lines) if _key(line) == key.lower()]

    def value(self, key: str, templates: Sequence[_Section]) -> str:
        """The value of a key, its own or of a template that it names; "" where it has none."""
        for line in reversed(self.lines):
            if _key(line) == key.lower():
                match = _LINE.match(line)
                return _plain(match["value"]) if match else ""
        above = [other for other in templates if other is not self and other.name in self.options]
        return next((value for other in above if (value := other.value(key, templates))), "")


def edit(text: str, edits: Edits) -> Edited:
    """The text of a file with all edits made that can be; a file that is empty gets the sections that they say."""
    sections = _read(text)
    misses: list[Miss] = []
    for name, wanted in edits.items():
        if not text.strip():
            misses += _write(sections, name, wanted)
        else:
            misses += _edit(sections, name, wanted)
    return Edited("".join(_written(sections)), tuple(misses))


def _read(text: str) -> list[_Section]:
    sections = [_Section()]
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header:
            options = tuple(option.strip() for option in (header["options"] or "").split(","))
            sections.append(_Section(line, header["name"], options))
        else:
            sections[-1].lines.append(line)
    return sections


def _written(sections: Sequence[_Section]) -> Iterator[str]:
    for section in sections:
        yield section.header
        yield from section.lines


def _key(line: str) -> str:
    match = _LINE.match(line)
    return match["key"].lower() if match else ""


def _plain(value: str) -> str:
    return value.partition(";")[0].strip()


def _write(sections: list[_Section], name: str, wanted: object) -> Iterator[Miss]:
    """A section of a file that is not there yet."""
    if wanted is None or (isinstance(wanted, dict) and None in wanted.values()):
        yield Miss((name,), f"nothing is there of `{name}` to take out", "the file is a new one")
        return
    section = _Section(f"[{parse_name(name).name}]\n", name)
    sections.append(section)
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            section.lines += [f"{key.removesuffix(ADDS)} = {item}\n" for item in listed(value)]
    else:
        section.lines += _body(str(wanted))


def _body(text: str) -> list[str]:
    return [f"{line}\n" for line in text.splitlines()]


def _edit(sections: list[_Section], text: str, wanted: object) -> Iterator[Miss]:
    name = parse_name(text)
    meant = _meant(sections, name)
    if not meant:
        yield _no_section(sections, text, name)
    elif wanted is None:
        sections[:] = [section for section in sections if not any(section is other for other in meant)]
    elif isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from _edit_key(sections, meant, (text, key), value)
    elif len(meant) > 1:
        yield _several(sections, meant, (text,))
    else:
        meant[0].lines[:] = [*_body(str(wanted)), "\n"]


def _meant(sections: Sequence[_Section], name: Name) -> list[_Section]:
    of_name = [section for section in sections if section.header and section.name == name.name]
    if not name.key:
        return of_name
    return [section for section in of_name if section.value(name.key, sections).lower() == name.value.lower()]


def _no_section(sections: Sequence[_Section], text: str, name: Name) -> Miss:
    of_name = _meant(sections, Name(name.name))
    if of_name:
        return Miss((text,), f"no section `{text}`", f"these are: {_choices(sections, of_name)}")
    near = nearest(name.name, sorted({section.name for section in sections if section.name}))
    fix = f"did you mean `{near[0]}`? A" if near else "a"
    return Miss((text,), f"no section `{name.name}` is there to edit", f"{fix} new one is added as text")


def _edit_key(
    sections: Sequence[_Section], meant: Sequence[_Section], where: tuple[str, str], value: object
) -> Iterator[Miss]:
    key = where[1].removesuffix(ADDS)
    adds = where[1].endswith(ADDS)
    having = [section for section in meant if section.places(key)]
    if len(having) > 1 or (not having and value is not None and len(meant) > 1):
        yield _several(sections, having or meant, where)
    elif value is None and not having:
        template = next((section for section in meant if section.value(key, sections)), None)
        fix = f"it is in a template: {', '.join(template.options)}" if template else _keys_of(meant)
        yield Miss(where, f"no key `{key}` in `{where[0]}` to take out", fix)
    elif adds or not having:
        _add((having or meant)[0], key, value)
    elif isinstance(value, str) and len(having[0].places(key)) > 1:
        fix = f"a list takes the place of all, `{key}{ADDS}` adds to them"
        yield Miss(where, f"`{key}` stands {len(having[0].places(key))} times in `{where[0]}`", fix, absent=False)
    else:
        _replace(having[0], key, value)


def _replace(section: _Section, key: str, value: object) -> None:
    places = section.places(key)
    first = _LINE.match(section.lines[places[0]])
    sign = first["sign"] if first else "="
    new = [] if value is None else [f"{key} {sign} {item}\n" for item in listed(value)]
    kept = [line for index, line in enumerate(section.lines) if index not in places[1:]]
    section.lines[:] = [*kept[: places[0]], *new, *kept[places[0] + 1 :]]


def _add(section: _Section, key: str, value: object) -> None:
    """Lines after the last one of a key, or else after the last one of a section that says something: comments at its
    end are of what comes next."""
    said = [index for index, line in enumerate(section.lines) if _key(line)]
    end = max(section.places(key) or said, default=-1) + 1
    section.lines[end:end] = [f"{key} = {item}\n" for item in listed(value)]


def _several(sections: Sequence[_Section], meant: Sequence[_Section], where: tuple[str, ...]) -> Miss:
    what = f"`{parse_name(where[0])}` are {len(meant)} sections"
    fix = f"say which: {_choices(sections, meant)}"
    return Miss(where, f"{what}, and `{where[1]}` may be of any" if len(where) > 1 else what, fix, absent=False)


def _choices(sections: Sequence[_Section], meant: Sequence[_Section]) -> str:
    """The sections as an edit names them one by one."""
    for key in TELLING:
        values = [section.value(key, sections) for section in meant]
        if all(values) and len(set(values)) == len(values):
            return ", ".join(f"{meant[0].name}({key}={value})" for value in values)
    return "by a key that it has, as name(key=value)"


def _keys_of(meant: Sequence[_Section]) -> str:
    keys = dict.fromkeys(key for section in meant for line in section.lines if (key := _key(line)))
    return f"it has: {', '.join(keys) or 'none'}"
