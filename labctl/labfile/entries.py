"""What a lab file may say: its keys, the form of each value, and what is so by default."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from labctl.lab import Carrier
from labctl.stack.model import ConfigPath
from labctl.yamlfile.document import NAME, NAME_FIX, Form, Strict, Text, wrong

MAX_NODES = 16
MAX_PHONES = 64
DEFAULT_STACK = "22"
DEFAULT_NODES = 3

LAB_NETWORKS = ipaddress.IPv4Network("198.18.0.0/15")
"""RFC 2544, section C.2.2: set aside for tests of devices, so it never meets a user's own network."""

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
Name = Annotated[str, Form("name", NAME, NAME_FIX)]
NodeName = Annotated[str, Form("name", NAME, NAME_FIX, r"^(all|phones)$")]
SiteName = Annotated[
    str,
    Form(
        "name of a site",
        r"^[a-z][a-z0-9-]{0,28}$",
        "small letters, digits and `-`, a letter first, 29 at most: its nodes may have its name and a number",
        r"^stranger$",
    ),
]
PhoneName = Annotated[str, Form("name", NAME, NAME_FIX, r"^(general|authentication|udp|phone|node|node-.*)$")]
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


_Kind = Literal["device_state", "mwi"]
_KINDS: list[_Kind] = ["device_state", "mwi"]
NODES = _CountOrList(1, MAX_NODES)
PHONES = _CountOrList(0, MAX_PHONES)


class PhoneEntry(Strict):
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


class MailboxEntry(Strict):
    """A voicemail box."""

    number: Number
    node: Name = Field(description="The node that stores the messages")


class TotemEntry(Strict):
    """Corosync's totem settings (corosync.conf(5))."""

    token: int = Field(default=1000, ge=200, le=60000, description="ms until a silent member is lost")
    transport: Text | None = Field(default=None, description="knet, udpu or udp; the stack's first by default")
    encryption: bool | None = Field(default=None, description="on by default where the transport can")


class ShareEntry(Strict):
    """What the nodes tell each other, and by which way."""

    events: list[_Kind] = Field(default=_KINDS, description="Kinds of events")
    via: Carrier = Field(
        default="corosync", description="The cluster module over Corosync, or PUBLISH from each node to each other"
    )


class DundiEntry(Strict):
    """How sites ask each other (dundi.conf)."""

    cache: int = Field(default=2, ge=0, le=3600, description="For how many seconds an answer is kept")


def _which(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | ShareEntry) else "<list>"


class LabFile(Strict):
    """A labctl lab: servers of one Asterisk cluster and the phones on them."""

    name: Name = Field(default="lab", description="The lab's name; the file's own by default")
    stack: StackName = Field(default=DEFAULT_STACK, description="A shipped stack, or the path of a stack file")
    nodes: Annotated[list[NodeName] | int, NODES] = Field(
        default=DEFAULT_NODES, description="How many servers, or their names"
    )
    sites: dict[SiteName, Annotated[list[NodeName] | int, NODES]] | None = Field(
        default=None,
        description="In place of `nodes`: clusters of their own, each with so many servers, or their names; "
        "they ask each other by DUNDi",
    )
    dundi: DundiEntry = Field(default_factory=DundiEntry)
    share: Annotated[
        Annotated[list[_Kind], Tag("<list>")] | Annotated[ShareEntry, Tag("<mapping>")], Discriminator(_which)
    ] = Field(default=_KINDS, description="What the nodes tell each other, and by which way")
    phones: Annotated[list[PhoneEntry] | int, PHONES] | None = Field(
        default=None, description="How many phones, or which; one a node by default"
    )
    mailboxes: list[MailboxEntry] | None = Field(
        default=None, description="One for each phone, kept on the first node, by default"
    )
    devices: list[DeviceName] = Field(
        default=["mystate"], description="Custom devices, each with a hint of its own name"
    )
    totem: TotemEntry = Field(default_factory=TotemEntry)
    follows_corosync: bool | None = Field(
        default=None, description="Whether Asterisk is restarted when Corosync was; what the stack needs by default"
    )
    modules: Literal["used", "all"] = Field(
        default="used", description="Asterisk loads what the lab uses, or all that is installed"
    )
    config: dict[Name, dict[ConfigPath, Text]] = Field(
        default_factory=dict,
        description="Text to add to files below /etc, by node (or `all`) and path: asterisk/rtp.conf: |",
    )
    subnet: Subnet | None = Field(default=None, description="An IPv4 network in 198.18.0.0/15; a free /24 by default")


def site_nodes(sites: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each site's nodes."""
    return {
        site: nodes if isinstance(nodes, list) else [f"{site}{number}" for number in range(1, int(nodes) + 1)]
        for site, nodes in sites.items()
    }


def node_names(count: int) -> list[str]:
    """The names of the nodes where only their number is given."""
    return [f"n{nodeid}" for nodeid in range(1, count + 1)]
