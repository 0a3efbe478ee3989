"""A document against its model: every mistake at once, and none that only follows from another. Pure."""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from labctl.errors import InvalidFile, Problem, UsageError
from labctl.yamlfile.document import ANY, Document, Path, Strict, nearest, shown, suggestion

Model = TypeVar("Model", bound=BaseModel)

_MESSAGES = {
    "model_type": "a mapping is wanted",
    "model_attributes_type": "a mapping is wanted",
    "dict_type": "a mapping is wanted",
    "list_type": "a list is wanted",
    "tuple_type": "a list is wanted",
    "string_type": "a text is wanted",
    "int_type": "a whole number is wanted",
    "int_parsing": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "float_type": "a number is wanted",
    "float_parsing": "a number is wanted",
    "bool_type": "yes or no is wanted",
    "bool_parsing": "yes or no is wanted",
    "string_too_short": "some text is wanted",
    "too_short": "at least one is wanted",
}
"""The messages of pydantic, by its error types (docs: Validation Errors), in words for people who write YAML."""


class Review:
    """Collects every mistake in a document, and none that only follows from another.

    A path becomes doubtful when its value is wrong, or when an unknown key may have been meant for it.
    What is doubtful is left out of `values`, and whoever looks something up asks `doubts` first.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems = list(document.problems)
        self._doubtful: set[Path] = set(document.doubtful)

    def say(self, path: Path, what: str, fix: str = "") -> None:
        """Note a mistake at the line of `path`."""
        self.problems.append(Problem(self.document.line(path), what, fix))

    def say_at(self, line: int, what: str, fix: str = "") -> None:
        """Note a mistake on a line of the file, as of a block of text."""
        self.problems.append(Problem(line, what, fix))

    def refuse(self, path: Path, what: str, fix: str = "") -> None:
        """Note a mistake in the value at `path`, which is in doubt from then on."""
        self.say(path, what, fix)
        self._doubtful.add(path)

    def fit(self, model: type[Model], at: Path = ()) -> Model | None:
        """The data at a path as a pydantic model, or None where it does not fit, with every mistake noted."""
        try:
            return model.model_validate(self._at(at))
        except ValidationError as error:
            mistakes = error.errors(include_url=False)
            # pydantic counts what is right in a list; too few it is only if it is empty
            self._note(
                model, [mistake for mistake in mistakes if mistake["type"] != "too_short" or not mistake["input"]], at
            )
            return None

    def values(self, *pattern: str) -> list[tuple[Path, str]]:
        """Every text at a path like `pattern`, with its path; those in doubt are left out."""
        return [(path, value) for path, value in self._find(pattern) if isinstance(value, str)]

    def keys(self, *pattern: str) -> list[tuple[Path, str]]:
        """Every key of a mapping at a path like `pattern`, as `values` gives texts."""
        return [(path, str(path[-1])) for path, _ in self._find((*pattern, ANY))]

    def all(self, *pattern: str) -> list[str] | None:
        """Every text at a path like `pattern`; None if any is in doubt, so that they are not all known."""
        return None if self.doubts(*pattern) else [value for _, value in self.values(*pattern)]

    def doubts(self, *pattern: str | int) -> bool:
        """Whether anything at, around or within a path like `pattern` is in doubt."""
        return any(
            all(part == wanted or ANY in (part, wanted) for wanted, part in zip(pattern, path, strict=False))
            for path in self._doubtful
        )

    def is_doubtful(self, path: Path) -> bool:
        """Whether the value at a path, or what is around it, is in doubt."""
        return any(path[:end] in self._doubtful for end in range(len(path) + 1))

    def each_once(self, *pattern: str) -> None:
        """Note every text at a path like `pattern` that stood there before."""
        earlier: set[str] = set()
        for path, value in self.values(*pattern):
            if value in earlier:
                self.say(path, f"`{value}` is here twice", "each once")
            earlier.add(value)

    def known(self, kind: str, values: Iterable[tuple[Path, str]], known: Collection[str] | None) -> None:
        """Note every value that is none of `known`; None says that these are in doubt themselves."""
        for path, value in values:
            if known is not None and value not in known:
                self.refuse(path, f"no {kind} `{shown(value)}`", suggestion(value, known))

    def settle(self, also: UsageError | None = None) -> None:
        """Raise InvalidFile if there is any mistake, with `also`, what another file or a flag has to say; or that."""
        if self.problems:
            raise InvalidFile(self.document.source, self.problems, also)
        if also:
            raise also

    def dotted(self, path: Path) -> str:
        """The path as people write it: phones[0].name, as the file has it."""
        parts = self.document.written(path)
        return shown("".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix("."))

    def _find(self, pattern: Iterable[str]) -> list[tuple[Path, Any]]:
        matches: list[tuple[Path, Any]] = [((), self.document.data)]
        for part in pattern:
            matches = [
                ((*path, key), value)
                for path, around in matches
                for key, value in _children(around, part)
                if (*path, key) not in self._doubtful
            ]
        return matches

    def _note(self, model: type[BaseModel], errors: list[Any], at: Path) -> None:
        meant: set[Path] = set()
        for details in errors:
            path = (*at, *_path(details))
            self._doubtful.add(path)
            if details["type"] == "extra_forbidden":
                inside, key = path[len(at) : -1], str(path[-1])
                known, around = _keys_at(model, inside), _around(model, path[len(at) :])
                fix = (
                    f"it belongs below: `{around}: {{{key}: …}}`"
                    if around
                    else _ways_out_at(model, inside).get(key, "")
                )
                self.say(path, f"unknown key `{self.dotted(path)}`", fix or suggestion(key, known))
                absent = [key for key in known if key not in self._at(path[:-1])]
                near = [around] if around else nearest(str(path[-1]), absent)
                meant.update((*path[:-1], key) for key in near)
                self._doubtful.update((*path[:-1], key) for key in near or absent)
        for details in errors:
            path = (*at, *_path(details))
            if details["type"] == "missing" and path not in meant:
                self.say(path[:-1], f"`{self.dotted(path)}` is missing")
            elif details["type"] not in ("missing", "extra_forbidden"):
                fix = details.get("ctx", {}).get("fix", "") or _meant(details)
                if details["type"] in ("model_type", "model_attributes_type"):
                    fix = f"of {', '.join(_keys_at(model, path[len(at) :]))}"
                self.say(path, f"`{self.dotted(path)}`{_message(details)}", fix)

    def _at(self, path: Path) -> Any:
        value = self.document.data
        for part in path:
            value = value[part]
        return value


def _path(details: Any) -> Path:
    """Where pydantic found it; it marks what is wrong with a key itself by one part more, and so do our own tags of
    the ways in which one value can be given, such as `<list>`."""
    return tuple(part for part in details["loc"] if part != "[key]" and not str(part).startswith("<"))


def _message(details: Any) -> str:
    what, value = str(_MESSAGES.get(details["type"], details["msg"])), details["input"]
    if value is None or details["type"] == "empty":
        return " has no value"
    if what.startswith("Input should be "):
        what = what.removeprefix("Input should be ") + " is wanted"
    if not isinstance(value, str | int | float):
        return f": {what}"
    return f": {what}" + (": " if details["type"] == "form" else ", not ") + f"'{shown(str(value))}'"


def _meant(details: Any) -> str:
    """Which of the words that are taken is near the one that is not; "" where none is, or it is another matter."""
    if details["type"] != "literal_error":
        return ""
    near = nearest(str(details["input"]), re.findall(r"'([^']+)'", details["ctx"]["expected"]))
    return f"did you mean `{near[0]}`?" if near else ""


def _children(around: Any, part: str) -> list[tuple[str | int, Any]]:
    if isinstance(around, list) and part == ANY:
        return list(enumerate(around))
    if isinstance(around, dict):
        return [(key, value) for key, value in around.items() if part in (key, ANY)]
    return []


def _around(model: type[BaseModel], path: Path) -> str:
    """The key below which an unknown one belongs; "" where nobody knows."""
    return model.misplaced.get(str(path[-1]), "") if len(path) == 1 and issubclass(model, Strict) else ""


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model knows at `path`."""
    here = _model_at(model, path)
    return list(here.model_fields) if here else []


def _ways_out_at(model: type[BaseModel], path: Path) -> Mapping[str, str]:
    """What is looked for at `path`, though the model does not know it, and how to have it."""
    here = _model_at(model, path)
    return here.ways_out if here and issubclass(here, Strict) else {}


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """What the model has at `path`."""
    here: type[BaseModel] | None = model
    for part in path:
        if here is None:
            return None
        if isinstance(part, str) and part in here.model_fields:
            here = _model_within(here.model_fields[part].annotation)
    return here


def _model_within(annotation: Any) -> type[BaseModel] | None:
    inner_ones = typing.get_args(annotation)
    if not inner_ones:
        return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    models = (_model_within(inner) for inner in inner_ones)
    return next((model for model in models if model), None)
