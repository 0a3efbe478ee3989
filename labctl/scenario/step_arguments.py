"""The verbs of a scenario's steps, and the arguments that each takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from labctl.yamlfile.document import NAME, NAME_FIX, Form, Strict, Text, wrong

LONGEST_S = 600
EVERY = "all"
"""Of traffic and of faults: no fault may have this name."""

_UNITS_S = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_DURATION = r"^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$"


@dataclass(frozen=True)
class _Seconds:
    """Marks a duration: seconds, or a number with a unit."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": ["string", "number"], "pattern": _DURATION, "exclusiveMinimum": 0, "maximum": LONGEST_S}

    def _read(self, value: object) -> float:
        found = re.fullmatch(_DURATION, str(value))
        seconds = float(found[1]) * _UNITS_S[found[2] or ""] if found else 0
        if not 0 < seconds <= LONGEST_S:
            raise wrong("not a duration", fix="such as 500ms, 2s, 1.5m or plain seconds; 10m at most")
        return seconds


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


Duration = Annotated[float, _Seconds()]
_Dialed = Annotated[Text, WithJsonSchema({"type": ["string", "integer"]})]
_Names = Annotated[tuple[Text, ...], Field(min_length=1), _OrOne()]
_Group = Annotated[tuple[Text, ...], Field(min_length=1)]
_Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
_Rate = Annotated[float, Field(gt=0, le=500, allow_inf_nan=False, description="A second")]
_Count = Annotated[int, Field(ge=1, le=20000)]
_Traffic = Annotated[Literal["all", "totem", "sip", "dundi"], Field(description="The traffic that it is held to")]
_FaultName = Annotated[str, Form("name", NAME, NAME_FIX, f"^{EVERY}$")]


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


class _End(_Node):
    service: Literal["node", "corosync", "asterisk"] = "node"


class _Restart(_Node):
    service: Literal["corosync", "asterisk"]


class _Partition(Arguments):
    groups: tuple[_Group, ...] = Field(
        description="Only nodes that share a group hear each other; one in two groups is a bridge",
        json_schema_extra={"minItems": 2},
    )
    traffic: _Traffic = "all"
    name: _FaultName | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len(self.groups) < 2:
            raise wrong("two groups at least are wanted", fix="such as [[n1, n2], [n3]]")
        return self


class _IfaceDown(_Node):
    name: _FaultName | None = None


class _Cut(Arguments):
    sender: Text
    receiver: Text
    traffic: _Traffic = "all"
    name: _FaultName | None = None

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        if self.sender == self.receiver:
            raise wrong("a node cannot be cut off from itself", fix="name two nodes")
        return self


_WRONGS = ("loss", "delay", "duplicate", "rate")


class _Impair(_Node):
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [each]} for each in _WRONGS],
            "dependentRequired": {"jitter": ["delay"]},
        }
    )

    loss: _Percent | None = None
    delay: Duration | None = None
    jitter: Duration | None = None
    duplicate: _Percent | None = None
    rate: int | None = Field(default=None, ge=1, le=10_000_000, description="kbit/s")
    traffic: _Traffic = "all"
    name: _FaultName | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        given = [key for key in _WRONGS if getattr(self, key) is not None]
        if not given:
            raise wrong("nothing is wrong with this link", fix="at least one of loss, delay, duplicate and rate")
        if self.jitter and not self.delay:
            raise wrong("jitter is that of a delay", fix="say `delay` too")
        if self.traffic != EVERY and given != ["loss"]:
            raise wrong("only loss can be held to one kind of traffic", fix="leave `traffic` out")
        return self


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

    arguments: type[Arguments]
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


VERBS: Mapping[str, Verb] = {
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
    "kill": Verb(_End, "End a node, or one of its daemons, as a power cut does", "node"),
    "stop": Verb(_End, "End a node, or one of its daemons, in an orderly way", "node"),
    "start": Verb(_End, "Undo kill, stop or pause", "node"),
    "restart": Verb(_Restart, "End one of a node's daemons in an orderly way and start it again"),
    "pause": Verb(_Node, "Freeze a node: to the others it is silent, itself it notices nothing", "node"),
    "partition": Verb(_Partition, "Cut the network into groups by packet filter", "groups"),
    "cut": Verb(_Cut, "Cut one way: what the sender sends does not reach the receiver"),
    "iface_down": Verb(_IfaceDown, "Take a node's interface down", "node"),
    "impair": Verb(_Impair, "Make a node's link bad: loss and duplicates in percent, a rate in kbit/s"),
    "heal": Verb(_Heal, "Undo a fault by its name, or all", "fault"),
    "look_up": Verb(_LookUp, "Have a node ask other sites for the way to a number, by DUNDi"),
    "ask_state": Verb(_AskState, "Have a node ask other sites for the state of an extension, by DUNDi"),
    "storm": Verb(_Storm, "Register a phone again and again"),
    "load": Verb(_Load, "Have a phone call another again and again"),
}


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
