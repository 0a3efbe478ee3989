"""The types of what a step takes: names of things in a lab, durations, states, counts. Pure.

A type carries what a value must look like, what an editor is told of it, and which kind of thing in the lab it names.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from labctl.asterisk.output import DEVICE_STATES, EXTENSION_STATES
from labctl.faults.fault import Argument, NodeName
from labctl.lab import Lab
from labctl.yamlfile.document import Form, Strict, Text, wrong
from labctl.yamlfile.pattern import filled, mistake_in

DIALED = r"\*?[0-9]{1,32}(\*[0-9]{1,2})?"
"""What a phone can dial: digits, or `*` and a mailbox, and behind another `*` the number of a node that stores it."""


class Arguments(Strict):
    """What a step takes. An argument that may be left out and has no default is None."""


@dataclass(frozen=True)
class StateWord:
    """Marks one of Asterisk's words for a state, in any case."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        any_case = [re.sub("[A-Za-z]", lambda it: f"[{it[0].upper()}{it[0].lower()}]", word) for word in self.words]
        return {"anyOf": [{"enum": list(self.words)}, {"type": "string", "pattern": f"^({'|'.join(any_case)})$"}]}

    def _read(self, value: object) -> str:
        for word in self.words:
            if isinstance(value, str) and value.lower() == word.lower():
                return word
        raise wrong("no such state", fix=", ".join(self.words))


@dataclass(frozen=True)
class OrOne:
    """Marks a list that may be given as its only item. Editors are told so; `long_form` makes it a list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


Kind = Literal[
    "phone",
    "node",
    "service",
    "host",
    "registrar",
    "extension",
    "mailbox",
    "device",
    "number",
    "callee",
    "docker_host",
]


@dataclass(frozen=True)
class NameOf:
    """Marks the name of a thing in the lab. `in_use`: a phone that is registered, or has called, by then."""

    kind: Kind
    in_use: bool = False

    @property
    def word(self) -> str:
        """What the thing is called in a message."""
        words = {"callee": "phone", "host": "node", "registrar": "node", "docker_host": "Docker host"}
        return words.get(self.kind, self.kind)

    def known(self, lab: Lab) -> list[str]:
        """The names that things of this kind have in a lab."""
        extensions = [phone.extension for phone in lab.phones]
        mailboxes = list(lab.mailbox_numbers)
        phones = [phone.name for phone in lab.phones]
        by_kind: dict[Kind, list[str]] = {
            "phone": phones,
            "callee": phones,
            "node": [node.name for node in lab.nodes],
            "service": [service.name for service in lab.services],
            "host": [*lab.hosts],
            "docker_host": [*lab.docker_hosts],
            "registrar": [*(node.name for node in lab.nodes), *lab.fronts],
            "extension": [*lab.extensions],
            "mailbox": mailboxes,
            "device": [*lab.devices],
            "number": [*extensions, *(f"*{number}" for number in mailboxes)],
        }
        return by_kind[self.kind]

    def is_told_by(self, lab: Lab) -> bool:
        """Whether a lab says which there are: it may leave its Docker hosts to LABCTL_HOSTS."""
        return self.kind != "docker_host" or bool(lab.docker_hosts)

    def allows(self, name: str) -> bool:
        """Whether the name is right in every lab: any number can be dialled."""
        return self.kind == "callee" and bool(re.fullmatch(DIALED, name))


_NODE = NameOf("node")
_HOST = NameOf("host")
_DOCKER_HOST = NameOf("docker_host")


def _of_fault(mark: Any) -> Any:
    """A mark in the words of faults in those of steps: that a text names a node, a service or a Docker host."""
    if not isinstance(mark, Argument):
        return mark
    if mark.docker_host:
        return _DOCKER_HOST
    return (_HOST if mark.service else _NODE) if mark.node else mark


def markers(annotation: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """Every mark in a type, with how many lists it is within."""
    inner = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from ((depth, _of_fault(mark)) for mark in inner[1:])
        yield from markers(inner[0], depth)
    elif origin is tuple:
        yield from markers(inner[0], depth + 1)
    elif origin in (typing.Union, types.UnionType):
        for way in inner:
            yield from markers(way, depth)


def _check_pattern(text: str) -> str:
    if mistake := mistake_in(filled(text, lambda _name: "x")):
        raise wrong("{mistake}", mistake=mistake, fix="Python's syntax (re); two repetitions, none of a group")
    return text


_LooksLikeNumber = WithJsonSchema({"type": ["string", "integer"]})
"""An editor reads `102` as a number; the reader of a scenario keeps it as text."""

Pattern = Annotated[Text, AfterValidator(_check_pattern)]
Variable = Annotated[
    str, Form("name of a variable", r"^[a-z]\w{0,30}$", "letters, digits and `_`, a small letter first, 31 at most")
]
PhoneName = Annotated[Text, NameOf("phone")]
PhoneInUse = Annotated[Text, NameOf("phone", in_use=True)]
PhoneNames = Annotated[tuple[PhoneName, ...], Field(min_length=1), OrOne()]
PhonesInUse = Annotated[tuple[PhoneInUse, ...], Field(min_length=1), OrOne()]
NodeNames = Annotated[tuple[NodeName, ...], Field(min_length=1), OrOne()]
RegistrarName = Annotated[Text, NameOf("registrar")]
"""A node, a service in front of nodes, or `lab.virtual`."""

Extension = Annotated[Text, _LooksLikeNumber, NameOf("extension")]
Mailbox = Annotated[Text, _LooksLikeNumber, NameOf("mailbox")]
Number = Annotated[Text, _LooksLikeNumber, NameOf("number")]
Callee = Annotated[
    Text, _LooksLikeNumber, NameOf("callee"), Field(description="A phone's name, or a number, or `*` and a number")
]
Device = Annotated[Text, NameOf("device"), Field(description="One of the lab's `devices`")]
DeviceState = Annotated[str, StateWord(DEVICE_STATES)]
ExtensionState = Annotated[str, StateWord(tuple(EXTENSION_STATES.values()))]
DialogState = Literal["terminated", "early", "confirmed"]
Rate = Annotated[float, Field(gt=0, le=500, allow_inf_nan=False, description="A second")]
Count = Annotated[int, Field(ge=1, le=20000)]
