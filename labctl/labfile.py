"""The lab file: a short YAML in, a Lab with every default filled in (or every mistake) out. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from labctl.document import ANY, Document, Form, Text, parse, shown, wrong
from labctl.errors import InvalidFile, UsageError
from labctl.review import Review
from labctl.spec import EVERY_NODE, ExtraConfig, Lab, Mailbox, Node, Phone, Totem
from labctl.stack import ConfigPath, Stack

MAX_NODES = 16
MAX_PHONES = 64
DEFAULT_STACK = "22"
DEFAULT_NODES = 3
FIRST_EXTENSION = 101
PHONE_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
ECHO = "600"
"""*600 is the echo test, and *NUMBER a mailbox, so none can have this number."""

LAB_NETWORKS = ipaddress.IPv4Network("198.18.0.0/15")
"""RFC 2544, section C.2.2: set aside for tests of devices, so it never meets a user's own network."""

_NAME = r"^[a-z][a-z0-9-]{0,30}$"
_NAME_FIX = "small letters, digits and `-`, a letter first, 31 at most"
_DIGITS = r"^[0-9]{2,10}$"


def _check_subnet(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise wrong("{why}", why=str(error), fix="such as 198.18.7.0/24") from None
    if not network.subnet_of(LAB_NETWORKS) or not 16 <= network.prefixlen <= 26:
        raise wrong("no lab network", fix=f"a /16 to /26 within {LAB_NETWORKS}")
    return str(network)


# Reserved are the words that name a container, a section of Asterisk's files or of ours, or a device of ours.
Name = Annotated[str, Form("name", _NAME, _NAME_FIX)]
NodeName = Annotated[str, Form("name", _NAME, _NAME_FIX, r"^(all|phones)$")]
PhoneName = Annotated[str, Form("name", _NAME, _NAME_FIX, r"^(general|authentication|udp|phone|node|node-.*)$")]
DeviceName = Annotated[
    str,
    Form(
        "name of a device",
        r"^[a-z][a-z0-9-]{0,24}$",
        "small letters, digits and `-`, a letter first, 25 at most: Asterisk lists no more of a hint's name",
        r"^proof-.*$",
    ),
]
Number = Annotated[str, Form("number to dial", _DIGITS, "2 to 10 digits", types=("string", "integer"))]
Subnet = Annotated[str, AfterValidator(_check_subnet)]
StackName = Annotated[
    Text, StringConstraints(min_length=1), WithJsonSchema({"type": ["string", "number"], "minLength": 1})
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


@dataclass(frozen=True)
class _CountOrList:
    """Marks a list that may also be given as a count. Whether a list is too long, `_check` says."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_list, _ = get_args(source)
        return core_schema.no_info_wrap_validator_function(self._check, handler.generate_schema(as_list))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        count = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [count, handler(core) | {"minItems": self.least, "maxItems": self.most}]}

    def _check(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, list):
            return handler(value)
        if isinstance(value, str | int) and re.fullmatch("[0-9]{1,4}", str(value)):
            count = int(value)
            if self.least <= count <= self.most:
                return count
        span = f"{self.least} to {self.most}"
        raise wrong("a list, or a count from {span}, is wanted", span=span)


_NODES = _CountOrList(1, MAX_NODES)
_PHONES = _CountOrList(0, MAX_PHONES)


class PhoneEntry(_Strict):
    """A SIP phone."""

    name: PhoneName
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
    transport: Text | None = Field(default=None, description="knet, udpu or udp; the stack's first by default")
    encryption: bool | None = Field(default=None, description="on by default where the transport can")


class LabFile(_Strict):
    """A labctl lab: servers of one Asterisk cluster and the phones on them."""

    name: Name = Field(default="lab", description="The lab's name; the file's own by default")
    stack: StackName = Field(default=DEFAULT_STACK, description="A shipped stack, or the path of a stack file")
    nodes: Annotated[list[NodeName] | int, _NODES] = Field(
        default=DEFAULT_NODES, description="How many servers, or their names"
    )
    share: list[Literal["device_state", "mwi"]] = Field(
        default=["device_state", "mwi"], description="What the nodes tell each other"
    )
    phones: Annotated[list[PhoneEntry] | int, _PHONES] | None = Field(
        default=None, description="How many phones, or which; one a node by default"
    )
    mailboxes: list[MailboxEntry] | None = Field(
        default=None, description="One for each phone, kept on the first node, by default"
    )
    devices: list[DeviceName] = Field(
        default=["mystate"], description="Custom devices, each with a hint of its own name"
    )
    totem: TotemEntry = Field(default_factory=TotemEntry)
    modules: Literal["used", "all"] = Field(
        default="used", description="Asterisk loads what the lab uses, or all that is installed"
    )
    config: dict[Name, dict[ConfigPath, Text]] = Field(
        default_factory=dict,
        description="Text to add to files below /etc, by node (or `all`) and path: asterisk/rtp.conf: |",
    )
    subnet: Subnet | None = Field(default=None, description="An IPv4 network in 198.18.0.0/15; a free /24 by default")


@dataclass(frozen=True)
class Overrides:
    """What flags say, over what the file says. None where a flag was not given."""

    name: str | None = None
    stack: str | None = None
    nodes: int | None = None


def read(
    text: str, source: str, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """Read a lab file. `find_stack` turns the stack's name into a Stack, or raises UsageError.

    Raises InvalidFile with every mistake in the file, UsageError for one in the flags.
    """
    return resolve(parse(text, source), find_stack, overrides)


def resolve(
    document: Document, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """As `read`, for what is no text any more."""
    flags = overrides or Overrides()
    if flags.name is not None and not re.fullmatch(_NAME, flags.name):
        raise UsageError(f"--name: not a name: {shown(flags.name)}", _NAME_FIX)
    given = {key: value for key, value in vars(flags).items() if value is not None}
    if "name" not in document.data:
        stem = PurePosixPath(document.source).stem.lower()
        given.setdefault("name", stem if re.fullmatch(_NAME, stem) else "lab")
    review = Review(replace(document, data=document.data | given))
    entry = review.fit(LabFile)
    stack: Stack | None = None
    refused: UsageError | None = None
    if not review.doubts("stack"):
        name = next((name for _, name in review.values("stack")), DEFAULT_STACK)
        try:
            stack = find_stack(name)
        except UsageError as error:
            refused = error
            if not flags.stack and not isinstance(error, InvalidFile):
                review.say(("stack",), error.message, error.hint)
    _check(review, stack)
    review.settle(refused)
    if refused:
        raise refused
    assert entry
    assert stack
    return _fill(entry, stack), stack


def _check(review: Review, stack: Stack | None) -> None:
    """What no single value shows: names that lead nowhere, doubles, too much of something."""
    data = review.document.data
    for key, span in (("nodes", _NODES), ("phones", _PHONES)):
        count = len(data[key]) if isinstance(data.get(key), list) else span.least
        if not span.least <= count <= span.most:
            review.say((key,), f"{count} {key}", f"{span.least} to {span.most} can be")
    for pattern in ("nodes *", "phones * name", "phones * extension", "mailboxes * number", "devices *"):
        review.each_once(*pattern.split())

    nodes = _known_nodes(review)
    review.known("node", review.values("phones", ANY, "node"), nodes)
    review.known("node", review.values("mailboxes", ANY, "node"), nodes)
    review.known("node", review.keys("config"), nodes and [EVERY_NODE, *nodes])
    review.known("phone", review.values("phones", ANY, "watches", ANY), review.all("phones", ANY, "name"))

    given = data.get("mailboxes") is not None or review.doubts("mailboxes")
    numbers = ("mailboxes", ANY, "number") if given else ("phones", ANY, "extension")
    review.known("mailbox", review.values("phones", ANY, "mailbox"), review.all(*numbers))
    for path, number in review.values(*numbers):
        if number == ECHO:
            review.say(path, f"no mailbox can be `{ECHO}`", f"*{ECHO} is the echo test")
    if stack:
        _check_totem(review, stack)


def _known_nodes(review: Review) -> list[str] | None:
    """The names of the nodes; None if they are in doubt, or if there are none at all."""
    given = review.document.data.get("nodes", DEFAULT_NODES)
    if isinstance(given, list):
        return review.all("nodes", ANY) or None
    return None if review.doubts("nodes") else _node_names(int(given))


def _check_totem(review: Review, stack: Stack) -> None:
    review.known("transport", review.values("totem", "transport"), stack.transports)
    if review.doubts("totem"):
        return
    entry = TotemEntry.model_validate(review.document.data.get("totem", {}))
    transport = entry.transport or stack.transports[0]
    if entry.encryption and transport in stack.transports and transport not in stack.encrypted_transports:
        able = ", ".join(stack.encrypted_transports) or "none of this stack"
        review.say(("totem", "encryption"), f"{transport} does not encrypt", f"transports that do: {able}")


def _fill(entry: LabFile, stack: Stack) -> Lab:
    """The lab, with every default filled in."""
    names = _node_names(entry.nodes) if isinstance(entry.nodes, int) else entry.nodes
    given = len(names) if entry.phones is None else entry.phones
    phones = [_default_phone(index, names) for index in range(given)] if isinstance(given, int) else given
    mailboxes = entry.mailboxes
    if mailboxes is None:
        mailboxes = [MailboxEntry(number=phone.extension, node=names[0]) for phone in phones]
    transport = entry.totem.transport or stack.transports[0]
    encryption = entry.totem.encryption
    if encryption is None:
        encryption = transport in stack.encrypted_transports
    return Lab(
        name=entry.name,
        stack=entry.stack,
        nodes=tuple(Node(name, nodeid) for nodeid, name in enumerate(names, 1)),
        share=tuple(dict.fromkeys(entry.share)),
        phones=tuple(_phone(phone, phones, mailboxes) for phone in phones),
        mailboxes=tuple(Mailbox(mailbox.number, mailbox.node) for mailbox in mailboxes),
        devices=tuple(entry.devices),
        totem=Totem(entry.totem.token, transport, encryption),
        modules=entry.modules,
        config=tuple(
            ExtraConfig(scope, path, text) for scope, files in entry.config.items() for path, text in files.items()
        ),
        subnet=entry.subnet,
    )


def _phone(entry: PhoneEntry, phones: list[PhoneEntry], mailboxes: list[MailboxEntry]) -> Phone:
    others = [other.name for other in phones if other.name != entry.name]
    watches = tuple(dict.fromkeys(others if entry.watches is None else entry.watches))
    own = entry.extension if entry.extension in [mailbox.number for mailbox in mailboxes] else None
    return Phone(entry.name, entry.node, entry.extension, watches, entry.mailbox or own)


def _node_names(count: int) -> list[str]:
    return [f"n{nodeid}" for nodeid in range(1, count + 1)]


def _default_phone(index: int, nodes: list[str]) -> PhoneEntry:
    name = PHONE_NAMES[index] if index < len(PHONE_NAMES) else f"phone{index + 1}"
    return PhoneEntry(name=name, node=nodes[index % len(nodes)], extension=str(FIRST_EXTENSION + index))


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
        "modules": lab.modules,
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
