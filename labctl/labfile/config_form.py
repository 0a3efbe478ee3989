"""The `config:` of a lab file: texts and edits of files, by node and path; and what is wrong with their form. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from labctl.labfile.variables import VARIABLE, unknown
from labctl.yamlfile.document import Path, shown
from labctl.yamlfile.review import Review

KEY = r"^[@A-Za-z_][\w.@/ -]{0,60}\+?$"
SECTION = r"^[\w.@*+/: -]{1,60}(\([\w-]{1,40}=[\w.@*+/: -]{0,60}\))?$"

_VALUE: dict[str, Any] = {
    "anyOf": [
        {"type": ["string", "number", "boolean", "null"]},
        {"type": "array", "items": {"type": ["string", "number"]}},
    ]
}
_SECTION_EDIT: dict[str, Any] = {
    "anyOf": [
        {"type": ["string", "null"]},
        {"type": "object", "additionalProperties": {"anyOf": [*_VALUE["anyOf"], {"type": "object"}]}},
    ]
}
_EDIT: dict[str, Any] = {"type": "object", "additionalProperties": _SECTION_EDIT}
_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        _EDIT,
        {"type": "array", "items": {"anyOf": [{"type": "string"}, _EDIT]}, "minItems": 1},
    ]
}


class ConfigForm:
    """Marks what a file gets: text, a mapping that edits it, or several of both. `check` says what is wrong with it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _SCHEMA


def parts(value: Any) -> list[tuple[tuple[int, ...], Any]]:
    """The texts and mappings of what a file gets, each with where in it that stands."""
    return [((index,), part) for index, part in enumerate(value)] if isinstance(value, list) else [((), value)]


def check(review: Review, nodes: Collection[str] | None) -> None:
    """Note what is wrong with the form of each text and edit; `nodes` are those that variables may name."""
    config = review.document.data.get("config")
    if not isinstance(config, dict) or review.doubts("config"):
        return
    for scope, files in config.items():
        for file, value in files.items() if isinstance(files, dict) else ():
            check_file(review, ("config", scope, file), file, value, nodes)


def check_file(review: Review, path: Path, file: str, value: Any, nodes: Collection[str] | None) -> None:
    """The same for what one file gets, which stands at `path`."""
    if value == []:
        review.refuse(path, f"`{shown(file)}` gets nothing", "a text, or a mapping of sections")
    for index, part in parts(value):
        here = (*path, *index)
        if isinstance(part, str):
            _check_text(review, here, part, nodes)
        elif isinstance(part, dict):
            _check_edit(review, here, file, part, nodes)
        else:
            what = "has no value" if part is None else "is neither a text nor a mapping"
            review.refuse(here, f"`{shown(file)}` {what}", "a text is added to the file; a mapping edits its sections")


def _check_text(review: Review, path: Path, text: str, nodes: Collection[str] | None) -> None:
    odd = next((letter for letter in text if not (letter.isprintable() or letter in "\n\t")), None)
    if odd is not None:
        review.refuse(path, f"a text cannot hold the character {odd!a}")
    check_names(review, path, text, nodes)


def check_names(review: Review, path: Path, text: str, nodes: Collection[str] | None) -> None:
    """Note each name in a text that stands for nothing, at its line."""
    for line, what, fix in unknown(text, nodes) if nodes is not None else ():
        first = review.document.lines.get((*path, 0))
        review.say_at(first + line if first else review.document.line(path), what, fix)


def _check_edit(review: Review, path: Path, file: str, edits: Mapping[str, Any], nodes: Collection[str] | None) -> None:
    if file.startswith("/") or (not file.startswith("corosync/") and not file.endswith(".conf")):
        review.refuse(path, f"`{shown(file)}` has no sections to edit", "a text is added to it")
        return
    for name, wanted in edits.items():
        here = (*path, name)
        _check_text(review, here, name, nodes)
        _check_word(review, here, SECTION, name, "section", "its name, or name(key=value), in one line")
        if isinstance(wanted, str):
            _check_text(review, here, wanted, nodes)
            _check_body(review, here, file, wanted)
        elif isinstance(wanted, dict):
            _check_keys(review, here, wanted, nodes, nested=file.startswith("corosync/"), dialplan=_is_dialplan(file))
        elif wanted is not None:
            review.refuse(
                here, f"`{shown(name)}` is a list", "a mapping of its keys, a text for all that is in it, or null"
            )


def _is_dialplan(file: str) -> bool:
    return file == "asterisk/extensions.conf"


_BODY_LINE = {
    "asterisk": re.compile(r"\s*($|;|#|--;|[^=]+=)"),
    "corosync": re.compile(r"\s*($|#|\}|[\w.]+\s*(:|\{\s*$))"),
}
"""What each line of a section looks like: a comment, what includes a file, a key with its value."""


def _check_body(review: Review, path: Path, file: str, text: str) -> None:
    """A text in place of a section's is of that section alone."""
    asterisk = file.startswith("asterisk/")
    opens = next((line for line in text.splitlines() if re.match(r"\s*\[", line)), "")
    line_form = _BODY_LINE["asterisk" if asterisk else "corosync"]
    odd = next((line for line in text.splitlines() if not line_form.match(line)), None)
    if opens and asterisk:
        fix = "this text is of one; add others as text"
        review.refuse(path, f"`{shown(opens.strip())}` begins another section", fix)
    elif odd is not None:
        fix = "a key stands in its section: `{general: {key: value}}`; a text is all lines of a section"
        review.refuse(path, f"`{shown(odd.strip())}` is no line of a section", fix)


def _check_keys(
    review: Review, path: Path, keys: Mapping[str, Any], nodes: Collection[str] | None, *, nested: bool, dialplan: bool
) -> None:
    for key, value in keys.items():
        here = (*path, key)
        _check_text(review, here, key, nodes)
        if key.endswith("+") and value is None:
            review.refuse(here, f"`{shown(key)}` adds nothing", "`null` takes out the key without `+`")
        if dialplan and key.lower().removesuffix("+") in ("exten", "same"):
            fix = "a text in place of the mapping is all of a section; or add to it by `[section](+)`"
            review.refuse(here, "lines of a dialplan are no keys", fix)
            continue
        _check_word(review, here, SECTION if nested else KEY, key, "key", "letters, digits, `_` and `-`, in one line")
        if isinstance(value, dict) and nested:
            _check_keys(review, here, value, nodes, nested=nested, dialplan=dialplan)
        elif isinstance(value, dict):
            review.refuse(here, f"`{shown(key)}` is a mapping", "a value, a list of them, or null")
        else:
            for place, text in _values(here, value):
                _check_value(review, place, text, nodes)


def _values(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list):
        yield from (((*path, index), item) for index, item in enumerate(value or [None]))
    elif value is not None:
        yield path, value


def _check_value(review: Review, path: Path, value: Any, nodes: Collection[str] | None) -> None:
    if not isinstance(value, str) or "\n" in value.strip("\n"):
        review.refuse(path, "a value is one line", "several lines are a list of values")
        return
    _check_text(review, path, value, nodes)


def _check_word(review: Review, path: Path, pattern: str, word: str, kind: str, fix: str) -> None:
    """Note a name that is none; names that stand for what a lab comes to may be in it."""
    if not re.fullmatch(pattern, VARIABLE.sub("x", word)):
        review.refuse(path, f"`{shown(word)}` is no {kind}", fix)


def texts(value: Any) -> Iterator[tuple[Path, str]]:
    """Each text that comes into a file, and where in it that stands: those of edits as lines of the file."""
    for index, part in parts(value):
        if isinstance(part, str):
            yield index, part
        elif isinstance(part, dict):
            for section, wanted in part.items():
                body = isinstance(wanted, str)
                yield from [((*index, section), wanted)] if body else _lines((*index, section), wanted or {})


def _lines(path: Path, keys: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The lines that keys of a section come to."""
    for key, wanted in keys.items():
        here = (*path, key)
        if isinstance(wanted, Mapping):
            yield from _lines(here, wanted)
        else:
            yield from ((place, f"{key.removesuffix('+')} = {item}") for place, item in _values(here, wanted))
