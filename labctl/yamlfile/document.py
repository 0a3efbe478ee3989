"""YAML in; plain data, the line of every value, and every mistake at once out. Pure.

Scalars stay text (only null is known), so `0101` is an extension and `1.10` a version; the models
that read the data turn text into numbers where they want numbers.
"""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, LiteralString

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from labctl.errors import InvalidFile, Problem

MAX_SIZE = 1 << 20
"""Characters of a file. What a soak of seven hours did is less."""

MAX_ALIASED = 1 << 18
"""Characters and values of a file beyond its own text: each alias is counted as what it stands for."""

MAX_DEPTH = 32
"""libyaml's composer is recursive and has no limit of its own: deeper files would crash it."""

ANY = "*"
"""In a pattern of paths: whatever is there."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: ten times as fast."""

_FIXES = {"\t": "indent with spaces, not tabs", "*": "quote a text that begins with `*`"}
"""What is meant most likely where YAML stumbles over a character."""

_HALF = re.compile("[\ud800-\udfff]")
"""Half a character."""

_CORE_TAGS = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_CORE_TAGS}merge"

Path = tuple[str | int, ...]

NAME = r"^[a-z][a-z0-9-]{0,30}$"
NAME_FIX = "small letters, digits and `-`, a letter first, 31 at most"
"""The form of most names, and the way out in the message about a text that has another form."""


def _printable(text: str) -> str:
    unprintable = next((character for character in text if not (character.isprintable() or character in "\n\t")), None)
    if unprintable is not None:
        raise wrong("a text cannot hold the character {it}", it=ascii(unprintable))
    return text


Text = Annotated[str, AfterValidator(_printable)]
"""Text that may go into configuration files and onto terminals."""


@dataclass(frozen=True)
class Form:
    """Text of a form (a regular expression), other than some `reserved` words; the message is for people.

    `types` are those that the JSON Schema allows: what is text here may look like a number there.
    """

    kind: str
    pattern: str
    fix: str
    reserved: str = ""
    types: tuple[str, ...] = ("string",)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": list(self.types), "pattern": self.pattern}
        return schema | ({"not": {"pattern": self.reserved}} if self.reserved else {})

    def _check(self, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise wrong("not a {kind}", kind=self.kind, fix=self.fix)
        if self.reserved and re.fullmatch(self.reserved, value):
            raise wrong("a reserved word", fix="it has a meaning of its own here")
        return value


class Strict(BaseModel):
    """What a mapping may hold: its own keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    misplaced: ClassVar[Mapping[str, str]] = {}
    """Keys that belong below another, and that other one."""

    ways_out: ClassVar[Mapping[str, str]] = {}
    """What is looked for here and is none of the keys -> how to have it all the same."""


def json_schema(schema: dict[str, Any]) -> str:
    """The text of a JSON Schema, for editors."""
    return json.dumps(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"}, indent=2)


def wrong(message: LiteralString, **context: str) -> PydanticCustomError:
    """What a validator raises; `fix` in the context is the way out."""
    return PydanticCustomError("form", message, context)


def _has_value(value: Any) -> Any:
    if value is None or value in ("", []):
        raise PydanticCustomError("empty", "has no value", {"fix": EMPTY_FIX})
    return value


EMPTY_FIX = "leave the key out, or say something"
Given = BeforeValidator(_has_value)
"""Marks what has a value where its key is there: nobody writes a key in order to say nothing."""


@dataclass(frozen=True)
class Document:
    """Parsed data with the line (from 1) on which each path of it stands.

    A block of text has its first line at its own path and 0. `problems` are mistakes that did not keep it from being
    read; `doubtful` are the paths they touch. `moved`: what stands elsewhere in the file than here, and where.
    """

    source: str
    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    doubtful: tuple[Path, ...] = ()
    moved: Mapping[Path, Path] = field(default_factory=dict)

    def written(self, path: Path) -> Path:
        """The path of something as the file has it."""
        ends = (end for end in range(len(path), 0, -1) if path[:end] in self.moved)
        return next(((*self.moved[path[:end]], *path[end:]) for end in ends), path)

    def line(self, path: Iterable[str | int]) -> int:
        """The line of `path`, or of the nearest thing around it that has one."""
        known = tuple(path)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def within(self, key: str) -> Document:
        """What stands at a key, as a document of its own; mistakes go along where they leave anything in doubt."""
        lines = {path[1:]: line for path, line in self.lines.items() if path[:1] == (key,)}
        doubtful = tuple(path[1:] for path in self.doubtful if path[:1] == (key,))
        return Document(self.source, self.data[key], lines, self.problems if doubtful else (), doubtful)


class _Reader:
    """Turns a YAML node tree into plain data, noting lines and mistakes on the way."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.doubtful: list[Path] = []
        self._line_ends = [match.start() for match in re.finditer("\n", text.rstrip())]
        self._size = -len(text)
        self._around: set[int] = set()

    def line(self, mark: yaml.Mark) -> int:
        """As editors count: YAML ends lines at more characters, and finds mistakes after the last one."""
        return bisect_left(self._line_ends, mark.index) + 1

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, self.line(node.start_mark))
        self._enter(node)
        if not node.tag.startswith(_CORE_TAGS):
            self._say(node, path, f"the tag {shown(node.tag)} means nothing here", "take it out")
        value = self._value(node, path)
        self._around.remove(id(node))
        return value

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if node.style in ("|", ">"):
            self.lines.setdefault((*path, 0), self.line(node.start_mark) + 1)
        is_null = not node.style and node.value in ("", "~", "null", "Null", "NULL")
        return None if is_null else _whole(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_TAG:
                merged.append(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._say(key_node, (*path, ANY), "a key must be a plain word", "quote it or take it out")
                continue
            key = _whole(key_node)
            here = (*path, key)
            if key in result:
                fix = f"the first is on line {self.lines[here]}"
                self._say(key_node, here, f"`{shown(key)}` stands here a second time", fix)
                continue
            self.lines.setdefault(here, self.line(key_node.start_mark))
            result[key] = self.read(value_node, here)
        for value_node in merged:
            result = self._merged(value_node, path) | result
        return result

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What a merge key brings in (yaml.org/type/merge): one mapping, or several, of which the first goes before."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources or [node]:
            if not isinstance(source, yaml.MappingNode):
                self._say(source, (*path, "<<"), "`<<` takes a mapping, or a list of them", "such as `<<: *anchor`")
                continue
            self._enter(source)
            result = self._mapping(source, path) | result
            self._around.remove(id(source))
        return result

    def _enter(self, node: yaml.Node) -> None:
        """Count a node, and note that what is read from now on stands within it."""
        if id(node) in self._around:
            raise yaml.MarkedYAMLError(problem="a value that contains itself", problem_mark=node.start_mark)
        self._size += 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if self._size > MAX_ALIASED:
            raise yaml.MarkedYAMLError(problem="aliases make it far too large", problem_mark=node.start_mark)
        self._around.add(id(node))

    def _say(self, node: yaml.Node, path: Path, what: str, fix: str) -> None:
        self.problems.append(Problem(self.line(node.start_mark), what, fix))
        self.doubtful.append(path)


def _whole(node: yaml.ScalarNode) -> str:
    """The scalar's text. Half a character, which escapes can make, is none."""
    text = str(node.value)
    if not text.isascii() and _HALF.search(text):
        raise yaml.MarkedYAMLError(problem="an invalid Unicode escape", problem_mark=node.start_mark)
    return text


def parse(text: str, source: str, least: str = "name: my-lab") -> Document:
    """Read YAML, of which `least` would be enough. Raises InvalidFile for what is not YAML, or not one mapping."""

    def invalid(line: int, what: str, fix: str = "") -> InvalidFile:
        return InvalidFile(source, [Problem(line, what, fix)])

    if len(text) > MAX_SIZE:
        raise invalid(1, f"the file is larger than {MAX_SIZE >> 10} KiB")
    text = text.removeprefix("\ufeff")
    reader = _Reader(text)
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=_LOADER)
        data = reader.read(root, ()) if root else None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise invalid(line, f"a character YAML does not allow: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        if "maximum nesting depth" in what:  # libyaml's own limit, where it has one
            what = "nested too deep"
        at_mark = text[mark.index : mark.index + 1] if mark else ""
        raise invalid(reader.line(mark) if mark else 1, f"not YAML: {what}", _FIXES.get(at_mark, "")) from None
    except (ValueError, OverflowError):  # the loader in Python stumbles over "\UFFFFFFFF"
        line = text.count("\n", 0, max(0, text.find("\\U"))) + 1
        raise invalid(line, "not YAML: an invalid Unicode escape") from None
    if root is None:
        raise invalid(1, "the file is empty", f"at least `{least}`")
    if not isinstance(data, dict):
        raise invalid(reader.line(root.start_mark), "a mapping is wanted at the top", "lines of the form `key: value`")
    return Document(source, data, reader.lines, tuple(reader.problems), tuple(reader.doubtful))


def _check_depth(text: str) -> None:
    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)


def shown(text: str) -> str:
    """Text from a file as part of a message: one line, not long, nothing that a terminal obeys."""
    plain = text if text.isprintable() else ascii(text)[1:-1]
    return plain if len(plain) <= 60 else f"{plain[:59]}…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """What the user may have meant: the nearest known word, else all of them."""
    words = sorted(set(known))
    near = nearest(word, words)
    return f"did you mean `{near[0]}`?" if near else "known here: " + (", ".join(words) or "none")


def nearest(word: str, known: list[str]) -> list[str]:
    """The known word that the user may have meant; none if none is near."""
    return difflib.get_close_matches(word.lower()[:60], known, n=1, cutoff=0.6)
