"""YAML in; plain data, the line of every value, and every mistake at once out. Pure.

Scalars stay text (only null is known), so `0101` is an extension and `1.10` a version; the models
that read the data turn text into numbers where they want numbers.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from labctl.errors import InvalidFile, Problem

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """Parsed data with the line (from 1) on which each path of it stands."""

    source: str
    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Iterable[str | int]) -> int:
        """The line of `path`, or of the nearest thing around it that has one."""
        known = tuple(path)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def problem(self, path: Iterable[str | int], what: str, fix: str = "") -> Problem:
        """A Problem at the line of `path`."""
        return Problem(self.line(path), what, fix)


class _Reader:
    """Turns a YAML node tree into plain data, noting lines and mistakes on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES} values", problem_mark=node.start_mark)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        is_null = node.style is None and node.value in ("", "~", "null", "Null", "NULL")
        return None if is_null else node.value

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(line, "a key must be a plain word", "quote it or take it out"))
                continue
            key = str(key_node.value)
            if key in result:
                first = self.lines[(*path, key)]
                self.problems.append(
                    Problem(line, f"`{key}` stands here a second time", f"the first is on line {first}")
                )
                continue
            self.lines[(*path, key)] = line
            result[key] = self.read(value_node, (*path, key))
        return result


def parse(text: str, source: str) -> Document:
    """Read YAML. Raises InvalidFile for what is not YAML, or not one mapping."""
    if len(text) > MAX_BYTES:
        raise InvalidFile(source, [Problem(1, f"the file is larger than {MAX_BYTES >> 10} KiB")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise InvalidFile(source, [Problem(1, "the file is empty", "at least `name: my-lab`")])
        reader = _Reader()
        data = reader.read(root, ())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InvalidFile(source, [Problem(line, f"a character YAML does not allow: {error.reason}")]) from None
    except yaml.MarkedYAMLError as error:
        raise InvalidFile(source, [_syntax_problem(error)]) from None
    except RecursionError:
        raise InvalidFile(source, [Problem(1, "nested too deep, or a value that contains itself")]) from None
    if reader.problems:
        raise InvalidFile(source, reader.problems)
    if not isinstance(data, dict):
        raise InvalidFile(source, [Problem(1, "a mapping is wanted at the top", "lines of the form `key: value`")])
    return Document(source, data, reader.lines)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = " ".join(part for part in (error.context, error.problem) if part)
    fix = "indent with spaces, not tabs" if "\\t" in what else ""
    return Problem(mark.line + 1 if mark else 1, f"not YAML: {what}", fix)


def validate(model: type[Model], document: Document) -> Model:
    """Check the data against a pydantic model. Raises InvalidFile with every mistake and its line."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [_problem(model, document, details) for details in error.errors(include_url=False)]
        raise InvalidFile(document.source, problems) from None


def _problem(model: type[BaseModel], document: Document, details: Any) -> Problem:
    path: Path = tuple(details["loc"])
    name = _dotted(path)
    if details["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        return document.problem(path, f"unknown key `{name}`", suggestion(str(path[-1]), known))
    if details["type"] == "missing":
        return document.problem(path[:-1], f"`{name}` is missing")
    given = details["input"]
    shown = f", not {given!r}" if isinstance(given, str | int | float) and len(str(given)) < 60 else ""
    message = str(details["msg"]).removeprefix("Value error, ")
    fix = str(details.get("ctx", {}).get("fix", ""))
    return document.problem(path, f"`{name}`: {message[:1].lower()}{message[1:]}{shown}", fix)


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def suggestion(word: str, known: Iterable[str]) -> str:
    """What the user may have meant: the nearest known word, else all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(words)


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model knows at `path`."""
    here: type[BaseModel] | None = model
    for part in path:
        if here is None:
            return []
        if isinstance(part, str) and part in here.model_fields:
            here = _model_within(here.model_fields[part].annotation)
    return list(here.model_fields) if here else []


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    found = (_model_within(inner) for inner in typing.get_args(annotation))
    return next((inner for inner in found if inner), None)
