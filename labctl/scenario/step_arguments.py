"""The verbs of a scenario's steps, and the arguments that each takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from labctl.asterisk.output import DEVICE_STATES, EXTENSION_STATES
from labctl.faults.registry import FAULTS
from labctl.yamlfile.document import Strict, Text, wrong
from labctl.yamlfile.duration import Duration

EVERY = "all"
"""Of traffic and of faults: no fault may have this name."""


@dataclass(frozen=True)
class _Word:
    """Marks one of some words, in any case."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        any_case = [re.sub("[A-Za-z]", lambda it: f"[{it[0].upper()}{it[0].lower()}]", word) for word in self.words]
        return {"anyOf": [{"enum": list(self.words)}, {"type": "string", "pattern": f"^({'|'.join(any_case)})$"}]}

    def _read(self, value: object) -> str:
        found = [word for word in self.words if isinstance(value, str) and value.lower() == word.lower()]
        if not found:
            raise wrong("no such state", fix=", ".join(self.words))
        return found[0]


class _OrOne:
    """Tells editors that a list may be given as its only item; `long_form` makes it a list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


_Dialed = Annotated[Text, WithJsonSchema({"type": ["string", "integer"]})]
_Names = Annotated[tuple[Text, ...], Field(min_length=1), _OrOne()]
_Rate = Annotated[int, Field(ge=1, le=500, description="A second")]
_Count = Annotated[int, Field(ge=1, le=20000)]


class Arguments(Strict):
    """What a step says beside its verb. What is optional and not given is None."""


class _Phone(Arguments):
    phone: Text


class _Phones(Arguments):
    phones: _Names


class _Talk(_Phones):
    duration: Duration = 1.0


class _Watch(_Phone):
    extension: _Dialed


class _Call(Arguments):
    caller: Text
    callee: _Dialed = Field(description="A phone's name, or a number, or `*` and a number")


class _LeaveVoicemail(Arguments):
    caller: Text
    mailbox: _Dialed
    duration: Duration = 1.0


class _ClearVoicemail(Arguments):
    mailbox: _Dialed


class _SetState(Arguments):
    node: Text
    device: Text = Field(description="One of the lab's `devices`")
    state: Annotated[str, _Word(DEVICE_STATES)]


_WAITS = (
    *(("extension", "state"), ("extension", "state", "nodes")),
    *(("phone", "dialog"), ("phone", "lamp"), ("nodes", "members")),
)


class _WaitFor(Arguments):
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [*each], "propertyNames": {"enum": [*each, "timeout"]}} for each in _WAITS]
        }
    )

    extension: _Dialed | None = None
    state: Annotated[str, _Word(tuple(EXTENSION_STATES.values()))] | None = None
    nodes: _Names | None = Field(default=None, description="All that answer, by default")
    phone: Text | None = None
    dialog: Literal["terminated", "early", "confirmed"] | None = None
    lamp: int | None = Field(default=None, ge=0, le=10000, description="New messages that the phone was told of")
    members: int | None = Field(default=None, ge=0, le=16, description="How many members the nodes' ring has")
    timeout: Duration = 10.0

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = {key for key, value in self if value is not None} - {"timeout"}
        if given not in [set(each) for each in _WAITS]:
            ways = "extension and state, phone and dialog, phone and lamp, or nodes and members"
            raise wrong("one thing to wait for is wanted", fix=ways)
        return self


class _Settle(Arguments):
    timeout: Duration = 30.0


class _Node(Arguments):
    node: Text


class _Start(_Node):
    service: Literal["node", "corosync", "asterisk"] = "node"


class _Heal(Arguments):
    fault: Text = Field(default=EVERY, description="The `name` of a fault, or `all`")


class _LookUp(_Node):
    number: _Dialed = Field(description="A phone's extension, or `*` and a mailbox")
    found: bool | None = Field(default=None, description="Whether there must be a way; by the faults in force, else")


class _AskState(_Node):
    extension: _Dialed = Field(description="A phone's extension, or one of the lab's `devices`")
    found: bool | None = Field(default=None, description="Whether anybody must answer; by the faults in force, else")
    fresh: bool = Field(default=False, description="Pass by what is kept of earlier answers")


class _Storm(_Phone):
    rate: _Rate
    count: _Count


class _Load(_Call):
    rate: _Rate
    count: _Count
    duration: Duration = Field(default=0.1, description="Of each call")


# The verbs


@dataclass(frozen=True)
class Verb:
    """What a step can do. `short` is the argument that may be given as a bare value: `answer: bob`."""

    arguments: type[Strict]
    about: str
    short: str = ""

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
            default = "" if field.default is None else f"={_said(name, field.default)}"
            words.append(name if field.is_required() else f"[{name}{default}]")
        return " ".join(words)


_BEFORE_FAULTS: Mapping[str, Verb] = {
    "register": Verb(_Phones, "Switch phones on: each registers with its node and takes calls", "phones"),
    "unregister": Verb(_Phones, "Switch phones off: each takes its registration back", "phones"),
    "watch": Verb(_Watch, "Have a phone subscribe to an extension, as the lamp of a key does"),
    "unwatch": Verb(_Phone, "End all that a phone watches", "phone"),
    "call": Verb(_Call, "Have a phone call another, or a number"),
    "answer": Verb(_Phone, "Answer the call that rings at a phone", "phone"),
    "reject": Verb(_Phone, "Refuse the call that rings at a phone", "phone"),
    "hang_up": Verb(_Phone, "Hang up, or give up, at either end of a call", "phone"),
    "hold": Verb(_Phone, "Put the other end of a call on hold", "phone"),
    "resume": Verb(_Phone, "Take the other end of a call off hold", "phone"),
    "talk": Verb(_Talk, "Go on when each phone has heard that much more", "phones"),
    "leave_voicemail": Verb(_LeaveVoicemail, "Leave a message of that length in a mailbox"),
    "clear_voicemail": Verb(_ClearVoicemail, "Delete every message of a mailbox", "mailbox"),
    "set_state": Verb(_SetState, "Have a node say a state of a Custom device"),
    "wait_for": Verb(_WaitFor, "Wait for a state of an extension, a phone's dialog or lamp, or the members of rings"),
    "settle": Verb(_Settle, "Wait until the rings are whole and nothing is said, then look at everything", "timeout"),
}
_AFTER_FAULTS: Mapping[str, Verb] = {
    "start": Verb(_Start, "Undo kill, stop or pause", "node"),
    "heal": Verb(_Heal, "Undo a fault by its name, or all", "fault"),
    "look_up": Verb(_LookUp, "Have a node ask other sites for the way to a number, by DUNDi"),
    "ask_state": Verb(_AskState, "Have a node ask other sites for the state of an extension, by DUNDi"),
    "storm": Verb(_Storm, "Register a phone again and again"),
    "load": Verb(_Load, "Have a phone call another again and again"),
}


class _Verbs(Mapping[str, Verb]):
    """Every verb: those above, and between them one of each kind of fault, as far as these are known by now."""

    def __getitem__(self, verb: str) -> Verb:
        if verb in FAULTS:
            return Verb(FAULTS[verb], FAULTS[verb].about, FAULTS[verb].short)
        return _BEFORE_FAULTS[verb] if verb in _BEFORE_FAULTS else _AFTER_FAULTS[verb]

    def __iter__(self) -> Iterator[str]:
        return chain(_BEFORE_FAULTS, FAULTS, _AFTER_FAULTS)

    def __len__(self) -> int:
        return len(_BEFORE_FAULTS) + len(FAULTS) + len(_AFTER_FAULTS)


VERBS: Mapping[str, Verb] = _Verbs()


@dataclass(frozen=True)
class Step:
    """One thing to do: a verb and its arguments, defaults filled in; `line` is where it stands."""

    verb: str
    arguments: dict[str, Any]
    line: int = 1

    def __str__(self) -> str:
        """As people say it: `call alice -> bob`. What is as always is left out."""
        fields, short = VERBS[self.verb].arguments.model_fields, VERBS[self.verb].short
        said = {key: _said(key, value) for key, value in self.arguments.items() if value != fields[key].default}
        words = [self.verb]
        for one, other in (("caller", "callee"), ("sender", "receiver")):
            if one in said and other in said:
                words.append(f"{said.pop(one)} -> {said.pop(other)}")
        return " ".join([*words, *(text if key == short else f"{key}={text}" for key, text in said.items())])


def long_form(step: Any) -> Any:
    """A step with its arguments by name: `{answer: {phone: bob}}` of `{answer: bob}`. What is no step stays so."""
    step = {step: None} if isinstance(step, str) else step
    if not isinstance(step, dict) or len(step) != 1:
        return step
    name, given = next(iter(step.items()))
    verb = VERBS.get(name)
    if verb is None:
        return step
    if given is None:
        return {name: {} if verb.complete else None}
    if not isinstance(given, dict):
        given = {verb.short: given} if verb.short else given
    if isinstance(given, dict):
        lists = ("phones", "nodes")
        given = {key: [value] if key in lists and isinstance(value, str) else value for key, value in given.items()}
    return {name: given}


def _said(key: str, value: Any) -> str:
    if isinstance(value, tuple):
        nested = any(isinstance(each, tuple) for each in value)
        return (" | " if nested else ",").join(_said(key, each) for each in value)
    if isinstance(value, float):
        return f"{value:g}" + ("s" if key in ("duration", "timeout", "delay", "jitter") else "")
    return str(value)


def schema() -> dict[str, Any]:
    """The JSON Schema of a step."""
    wholes = [name for name, verb in VERBS.items() if verb.complete]
    step = {
        "type": "object",
        "properties": {name: _schema(verb) for name, verb in VERBS.items()},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": wholes}, step]}


def _schema(verb: Verb) -> dict[str, Any]:
    whole = verb.arguments.model_json_schema()
    ways = [whole, whole["properties"][verb.short]] if verb.short else [whole]
    return {"description": verb.about, "anyOf": [*ways, {"type": "null"}] if verb.complete else ways}
