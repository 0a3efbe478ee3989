"""The lab file: a short YAML in, a Lab with every default filled in (or every mistake) out. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from labctl.document import Document, Path, parse, suggestion, validate
from labctl.errors import InvalidFile, Problem
from labctl.spec import EVERY_NODE, SHAREABLE, ExtraConfig, Lab, Mailbox, Node, Phone, Totem
from labctl.stack import Stack

MAX_NODES = 16
MAX_PHONES = 64
FIRST_EXTENSION = 101
PHONE_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
LAB_NETWORKS = ipaddress.IPv4Network("198.18.0.0/15")
"""RFC 2544, section C.2.2: set aside for tests of devices, so it never meets a user's own network."""

_NAME = r"^[a-z][a-z0-9-]{0,30}$"
_NUMBER = r"^[0-9]{2,10}$"


def _text(kind: str, pattern: str, fix: str) -> Any:
    """A validator for text of a form, with a message for people."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not re.match(pattern, value):
            raise PydanticCustomError("form", f"not a {kind}", {"fix": fix})
        return value

    return BeforeValidator(check)


def _as_schema(pattern: str, *types: str) -> Any:
    return WithJsonSchema({"type": list(types), "pattern": pattern})


Name = Annotated[
    str,
    _text("name", _NAME, "small letters, digits and `-`, a letter first, 31 at most"),
    WithJsonSchema({"type": "string", "pattern": _NAME}),
]
Number = Annotated[str, _text("number to dial", _NUMBER, "2 to 10 digits"), _as_schema(_NUMBER, "string", "integer")]
StackName = Annotated[
    str, StringConstraints(min_length=1), WithJsonSchema({"type": ["string", "number"], "minLength": 1})
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


@dataclass(frozen=True)
class _CountOrList:
    """Marks a list that may also be given as a count; a counted item is None until defaults are filled in."""

    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        count = {"type": "integer", "minimum": 1, "maximum": self.most}
        return {"anyOf": [count, handler(core)]}

    def _check(self, value: object) -> object:
        if isinstance(value, list) and 1 <= len(value) <= self.most:
            return value
        if isinstance(value, str | int) and re.fullmatch("[0-9]{1,4}", str(value)) and 1 <= int(value) <= self.most:
            return [None] * int(value)
        raise PydanticCustomError("count", "a list, or a count, from 1 to {most} is wanted", {"most": self.most})


class PhoneEntry(_Strict):
    """A SIP phone."""

    name: Name
    node: Name = Field(description="The node it registers with")
    extension: Number
    watches: list[Name] | None = Field(
        default=None, description="Phones whose state it subscribes to; all others by default"
    )
    mailbox: Number | None = Field(
        default=None, description="The mailbox whose lamp it has; that of its own extension by default"
    )


class MailboxEntry(_Strict):
    """A voicemail box."""

    number: Number
    node: Name = Field(description="The node that stores the messages")


class TotemEntry(_Strict):
    """Corosync's totem settings (corosync.conf(5))."""

    token: int = Field(default=1000, ge=200, le=60000, description="ms until a silent member is lost")
    transport: str | None = Field(default=None, description="knet, udpu or udp; the stack's first by default")
    encryption: bool | None = Field(default=None, description="on by default where the transport can")


class LabFile(_Strict):
    """A labctl lab: servers of one Asterisk cluster and the phones on them."""

    name: Name = Field(default="lab", description="The lab's name; the file's own by default")
    stack: StackName = Field(default="22", description="A shipped stack, or the path of a stack file")
    nodes: Annotated[list[Name | None], _CountOrList(MAX_NODES)] = Field(
        default=[None] * 3, description="How many servers, or their names", json_schema_extra={"default": 3}
    )
    share: list[Literal["device_state", "mwi"]] = Field(
        default=list(SHAREABLE), description="What the nodes tell each other"
    )
    phones: Annotated[list[PhoneEntry | None], _CountOrList(MAX_PHONES)] | None = Field(
        default=None, description="How many phones, or which; one a node by default"
    )
    mailboxes: list[MailboxEntry] | None = Field(
        default=None, description="One for each phone, kept on the first node, by default"
    )
    devices: list[Name] = Field(default=["mystate"], description="Custom devices, each with a hint of its own name")
    totem: TotemEntry = Field(default_factory=TotemEntry)
    config: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Text to add to files below /etc, by node (or `all`) and path: asterisk/rtp.conf: |",
    )
    subnet: str | None = Field(default=None, description="An IPv4 network in 198.18.0.0/15; a free /24 by default")


@dataclass(frozen=True)
class Overrides:
    """What flags say, over what the file says. None where a flag was not given."""

    name: str | None = None
    stack: str | None = None
    nodes: int | None = None


def read(
    text: str, source: str, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """Read a lab file.

    `find_stack` turns the stack's name into a Stack; it raises LookupError, with the names it knows,
    for one it does not have. Raises InvalidFile with every mistake in the file.
    """
    document = parse(text, source)
    given = {key: value for key, value in vars(overrides or Overrides()).items() if value is not None}
    if "name" not in document.data:
        stem = PurePosixPath(source).stem.lower()
        given.setdefault("name", stem if re.match(_NAME, stem) else "lab")
    document = Document(source, {**document.data, **given}, document.lines)
    entry = validate(LabFile, document)
    check = _Check(document, entry)
    try:
        stack = find_stack(entry.stack)
    except LookupError as error:
        check.say(("stack",), f"no stack `{entry.stack}`", f"shipped: {', '.join(error.args)}; or a file's path")
        raise InvalidFile(source, check.problems) from None
    lab = check.resolve(stack)
    if check.problems:
        raise InvalidFile(source, check.problems)
    return lab, stack


class _Check:
    """Fills in the defaults, and collects what no single value shows: names that lead nowhere, doubles."""

    def __init__(self, document: Document, entry: LabFile) -> None:
        self.document = document
        self.entry = entry
        self.problems: list[Problem] = []

    def say(self, path: Path, what: str, fix: str = "") -> None:
        self.problems.append(self.document.problem(path, what, fix))

    def resolve(self, stack: Stack) -> Lab:
        nodes = self._nodes()
        phones = self._phones(nodes)
        return Lab(
            name=self.entry.name,
            stack=self.entry.stack,
            nodes=nodes,
            share=tuple(dict.fromkeys(self.entry.share)),
            phones=phones,
            mailboxes=self._mailboxes(nodes, phones),
            devices=self._unique(("devices",), self.entry.devices),
            totem=self._totem(stack),
            config=self._config(nodes),
            subnet=self._subnet(),
        )

    def _unique(self, path: Path, names: list[str], *suffix: str) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name in names[:index]:
                self.say((*path, index, *suffix), f"`{name}` is here twice", "each once")
        return tuple(names)

    def _known(self, path: Path, kind: str, name: str, known: list[str]) -> None:
        if name not in known:
            self.say(path, f"no {kind} `{name}`", suggestion(name, known))

    def _nodes(self) -> tuple[Node, ...]:
        names = [name or f"n{index}" for index, name in enumerate(self.entry.nodes, 1)]
        for index, name in enumerate(names):
            if name in (EVERY_NODE, "phones"):
                self.say(("nodes", index), f"a node cannot be called `{name}`", "that word has a meaning here")
        self._unique(("nodes",), names)
        return tuple(Node(name, nodeid) for nodeid, name in enumerate(names, 1))

    def _phones(self, nodes: tuple[Node, ...]) -> tuple[Phone, ...]:
        given = self.entry.phones if self.entry.phones is not None else [None] * len(nodes)
        entries = [entry or _default_phone(index, nodes) for index, entry in enumerate(given)]
        names = [entry.name for entry in entries]
        self._unique(("phones",), names, "name")
        self._unique(("phones",), [entry.extension for entry in entries], "extension")
        mailboxes = [entry.extension for entry in entries]
        if self.entry.mailboxes is not None:
            mailboxes = [entry.number for entry in self.entry.mailboxes]
        return tuple(self._phone(index, entry, names, mailboxes, nodes) for index, entry in enumerate(entries))

    def _phone(
        self, index: int, entry: PhoneEntry, names: list[str], mailboxes: list[str], nodes: tuple[Node, ...]
    ) -> Phone:
        path: Path = ("phones", index)
        self._known((*path, "node"), "node", entry.node, [node.name for node in nodes])
        for place, watched in enumerate(entry.watches or ()):
            self._known((*path, "watches", place), "phone", watched, names)
        if entry.mailbox:
            self._known((*path, "mailbox"), "mailbox", entry.mailbox, mailboxes)
        others = [name for name in names if name != entry.name]
        own = entry.extension if entry.extension in mailboxes else None
        watches = tuple(dict.fromkeys(others if entry.watches is None else entry.watches))
        return Phone(entry.name, entry.node, entry.extension, watches, entry.mailbox or own)

    def _mailboxes(self, nodes: tuple[Node, ...], phones: tuple[Phone, ...]) -> tuple[Mailbox, ...]:
        if self.entry.mailboxes is None:
            return tuple(Mailbox(phone.extension, nodes[0].name) for phone in phones)
        for index, entry in enumerate(self.entry.mailboxes):
            self._known(("mailboxes", index, "node"), "node", entry.node, [node.name for node in nodes])
        self._unique(("mailboxes",), [entry.number for entry in self.entry.mailboxes], "number")
        return tuple(Mailbox(entry.number, entry.node) for entry in self.entry.mailboxes)

    def _totem(self, stack: Stack) -> Totem:
        entry = self.entry.totem
        transport = entry.transport or stack.transports[0]
        self._known(("totem", "transport"), "transport", transport, list(stack.transports))
        can_encrypt = transport in stack.encrypted_transports
        if entry.encryption and not can_encrypt:
            able = ", ".join(stack.encrypted_transports) or "none of this stack"
            self.say(("totem", "encryption"), f"{transport} does not encrypt", f"transports that do: {able}")
        return Totem(entry.token, transport, can_encrypt if entry.encryption is None else entry.encryption)

    def _config(self, nodes: tuple[Node, ...]) -> tuple[ExtraConfig, ...]:
        scopes = [EVERY_NODE, *(node.name for node in nodes)]
        extra = []
        for scope, files in self.entry.config.items():
            self._known(("config", scope), "node", scope, scopes)
            for path, text in files.items():
                if not re.match(r"^(asterisk|corosync)(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$", path):
                    self.say(
                        ("config", scope, path),
                        f"`{path}` is not a file of Asterisk or Corosync",
                        "a path below /etc, such as asterisk/rtp.conf or corosync/corosync.conf",
                    )
                extra.append(ExtraConfig(scope, path, text))
        return tuple(extra)

    def _subnet(self) -> str | None:
        if self.entry.subnet is None:
            return None
        try:
            network = ipaddress.IPv4Network(self.entry.subnet)
        except ValueError as error:
            self.say(("subnet",), f"`subnet`: {error}", "such as 198.18.7.0/24")
            return None
        if not network.subnet_of(LAB_NETWORKS) or not 16 <= network.prefixlen <= 26:  # type: ignore[arg-type]
            self.say(("subnet",), f"`subnet`: {network} is no lab network", f"a /16 to /26 within {LAB_NETWORKS}")
        return str(network)


def _default_phone(index: int, nodes: tuple[Node, ...]) -> PhoneEntry:
    name = PHONE_NAMES[index] if index < len(PHONE_NAMES) else f"phone{index + 1}"
    return PhoneEntry(name=name, node=nodes[index % len(nodes)].name, extension=str(FIRST_EXTENSION + index))


def schema() -> str:
    """The JSON Schema of the lab file, for editors."""
    document = LabFile.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(document, indent=2)


def to_data(lab: Lab) -> dict[str, Any]:
    """The lab as the data of a lab file in which every default is filled in."""
    config: dict[str, dict[str, str]] = {}
    for extra in lab.config:
        config.setdefault(extra.scope, {})[extra.path] = extra.text
    data: dict[str, Any] = {
        "name": lab.name,
        "stack": lab.stack,
        "nodes": [node.name for node in lab.nodes],
        "share": list(lab.share),
        "phones": [_without_none(vars(phone) | {"watches": list(phone.watches)}) for phone in lab.phones],
        "mailboxes": [vars(mailbox) for mailbox in lab.mailboxes],
        "devices": list(lab.devices),
        "totem": {
            "token": lab.totem.token_ms,
            "transport": lab.totem.transport,
            "encryption": lab.totem.encryption,
        },
        "config": config,
        "subnet": lab.subnet,
    }
    return _without_none(data)


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def to_yaml(lab: Lab) -> str:
    """The lab as a lab file in which every default is filled in."""
    text: str = yaml.safe_dump(to_data(lab), sort_keys=False, default_flow_style=None, width=100)
    return text
