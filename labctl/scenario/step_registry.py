"""What a step is: one function with typed arguments, and all that follows from it.

    @step(short="phones")
    def register(live: LiveLab, phones: PhoneNames) -> None:
        '''Switch phones on: each registers with its node and takes calls

        Example:
            - register: [alice, bob]
        '''

From its signature and its docstring follow what YAML takes, the JSON Schema, the method of the same name in Python, the
list of `labctl scenarios --steps`, and the line in the story of a run. The example is run by the tests.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ValidationError, create_model

from labctl.scenario.argument_types import Arguments, NameOf, OrOne, markers
from labctl.yamlfile.document import Strict
from labctl.yamlfile.duration import Seconds

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class StepKind:
    """What one verb does: `do` takes the live lab and the arguments. `short` is the argument that may be given as a
    bare value: `answer: bob`. `needs` is what a lab must have for it; `doc` is the docstring that it was made from. One
    that `looks_back` looks at what came of the step before it, and of itself nothing comes."""

    verb: str
    do: Callable[..., Any]
    arguments: type[Strict]
    about: str
    short: str = ""
    needs: Literal["", "sites", "hosts"] = ""
    doc: str = ""
    looks_back: bool = False

    @property
    def more(self) -> str:
        """What there is to say beyond `about`; "" where that is all."""
        return _parts(self.doc)[1]

    @property
    def example(self) -> str:
        """Steps in YAML that show it, on a lab with the phones alice and bob; "" where there are none."""
        return _parts(self.doc)[2]

    @cached_property
    def names(self) -> dict[str, tuple[int, NameOf]]:
        """The arguments that name something in the lab: within how many lists, and what."""
        return {argument: place for argument in self._types for place in self._marked(argument, NameOf)}

    @cached_property
    def lists(self) -> frozenset[str]:
        """The arguments that are lists, and may be given as their only item."""
        return frozenset(argument for argument in self._types if self._marked(argument, OrOne))

    @cached_property
    def durations(self) -> frozenset[str]:
        """The arguments that are seconds."""
        return frozenset(argument for argument in self._types if self._marked(argument, Seconds))

    @cached_property
    def _types(self) -> dict[str, Any]:
        """The type of each argument, with every mark that it has."""
        fields = self.arguments.model_fields
        return {key: Annotated[field.annotation, None, *field.metadata] for key, field in fields.items()}

    @property
    def signature(self) -> inspect.Signature:
        """How a program calls it: its arguments in order, each by position or by name."""
        parameters = []
        for name, field in self.arguments.model_fields.items():
            default = inspect.Parameter.empty if field.is_required() else field.default
            way = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters.append(inspect.Parameter(name, way, default=default, annotation=field.annotation))
        return inspect.Signature(parameters)

    def _marked(self, argument: str, kind: type[Any]) -> list[tuple[int, Any]]:
        return [(depth, mark) for depth, mark in markers(self._types[argument]) if isinstance(mark, kind)]

    @property
    def complete(self) -> bool:
        """Whether the verb alone is a step."""
        try:
            self.arguments()
        except ValidationError:
            return False
        return True

    @property
    def takes(self) -> str:
        """Its arguments, for people: what may be left out in brackets, with what is so then."""
        words = []
        for name, field in self.arguments.model_fields.items():
            default = "" if field.default is None else f"={self.shown(name, field.default)}"
            words.append(name if field.is_required() else f"[{name}{default}]")
        return " ".join(words)

    def shown(self, argument: str, value: Any) -> str:
        """A value of an argument as people write it."""
        if isinstance(value, list | tuple):
            nested = any(isinstance(item, list | tuple) for item in value)
            return (" | " if nested else ",").join(self.shown(argument, item) for item in value)
        if isinstance(value, dict) and {*value} == {"source", "text"}:
            return PurePath(value["source"]).name  # a patch
        if isinstance(value, dict):
            return ",".join(f"{key}={self.shown(argument, item)}" for key, item in value.items())
        if isinstance(value, float):
            return f"{value:g}" + ("s" if argument in self.durations else "")
        first, *more = str(value).splitlines() or [""]
        return f"{first} …" if more else first


class Registry(Mapping[str, StepKind]):
    """Every step by its verb: those that functions are, and those that follow from something else, such as faults."""

    def __init__(self) -> None:
        self._added: dict[str, StepKind] = {}
        self._sources: list[Callable[[], Mapping[str, StepKind]]] = []

    def __getitem__(self, verb: str) -> StepKind:
        if added := self._added.get(verb):
            return added
        for source in self._sources:
            if kind := source().get(verb):
                return kind
        raise KeyError(verb)

    def __iter__(self) -> Iterator[str]:
        return chain(self._added, *(source() for source in self._sources))

    def __len__(self) -> int:
        return len(self._added) + sum(len(source()) for source in self._sources)

    def follow(self, source: Callable[[], Mapping[str, StepKind]]) -> None:
        """Have whatever steps `source` tells of, each time it is asked."""
        self._sources.append(source)

    def add(self, kind: StepKind) -> None:
        """Make a step known. Raises ValueError for a verb that another has."""
        if kind.verb in self:
            raise ValueError(f"there is a step `{kind.verb}` already")
        self._added[kind.verb] = kind


STEPS = Registry()
"""Every step; the modules of `labctl.scenario.steps` fill it as they are imported."""


def step(
    *,
    short: str = "",
    needs: Literal["", "sites"] = "",
    form: type[Arguments] = Arguments,
    looks_back: bool = False,
    registry: Registry = STEPS,
) -> Callable[[Function], Function]:
    """Register a function as the step of its name. Its first parameter is the live lab, the others its arguments.

    `short`: the argument that may be given as a bare value. `form`: a base for the model of the arguments, with what
    must hold among several of them. `looks_back`: see StepKind.
    """

    def register(function: Function) -> Function:
        # The live lab's type is known to type checkers alone, so that reading a scenario loads no engine.
        hints = typing.get_type_hints(function, localns={"LiveLab": Any}, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        fields: dict[str, Any] = {
            parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
            for parameter in parameters
        }
        verb = function.__name__
        arguments = create_model(f"{verb}_arguments", __base__=form, **fields)
        doc = function.__doc__ or ""
        registry.add(StepKind(verb, function, arguments, _parts(doc)[0], short, needs, doc, looks_back))
        return function

    return register


def _parts(doc: str) -> tuple[str, str, str]:
    """The first sentence of a docstring, what else it says, and its example."""
    said, _, example = inspect.cleandoc(doc).partition("Example:\n")
    about, _, more = said.partition("\n")
    return about.rstrip("."), more.strip(), inspect.cleandoc(example)


@dataclass(frozen=True)
class Step:
    """One thing to do: a verb and its arguments, defaults filled in; `line` is where it stands.

    `branch`: of what goes side by side, the number of the block and of the branch in it (expansion.py).
    """

    verb: str
    arguments: dict[str, Any]
    line: int = 1
    branch: tuple[int, int] | None = None

    def __str__(self) -> str:
        """As people say it: `call alice -> bob`. What is as always is left out."""
        kind = STEPS[self.verb]
        fields = kind.arguments.model_fields
        texts = {
            key: kind.shown(key, value)
            for key, value in self.arguments.items()
            if value is not None and value != fields[key].default
        }
        words = [self.verb]
        for sender, receiver in (("caller", "callee"), ("sender", "receiver")):
            if sender in texts and receiver in texts:
                words.append(f"{texts.pop(sender)} -> {texts.pop(receiver)}")
        return " ".join([*words, *(text if key == kind.short else f"{key}={text}" for key, text in texts.items())])


def describe(verb: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """A step as a program called it: `set_state n1 mystate BUSY`."""
    words = [_shown(value) for value in positional]
    words += [f"{key}={_shown(value)}" for key, value in named.items() if value is not None]
    return " ".join([verb, *words])


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple) for item in value)
        return (" | " if nested else ",").join(_shown(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
