"""What a lab file may say: its keys, the form of each value, and what is so by default."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

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

from labctl.lab import MAX_NODES, Carrier
from labctl.labfile.config_form import ConfigForm
from labctl.labfile.service_entries import ImageName, ServiceEntry, ServiceName
from labctl.stack.model import LabPath
from labctl.yamlfile.document import NAME, NAME_FIX, Form, Given, Strict, Text, wrong

MAX_PHONES = 64
FEW_NODES, LARGE_PREFIX = 30, 25
"""A lab of so many nodes fits into a /26; a larger one wants a /25 (blueprint/addresses.py)."""
MAX_DEVICES = 1000
DEFAULT_STACK = "22"
DEFAULT_NODES = 3
FIRST_EXTENSION = 101

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
NodeName = Annotated[str, Form("name", NAME, NAME_FIX, r"^(all|phones(-\d+)?)$")]
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
        r"^[A-Za-z][A-Za-z0-9_-]{0,24}$",
        "letters, digits, `_` and `-`, a letter first, 25 at most: Asterisk lists no more of a hint's name",
        r"^[Pp][Rr][Oo][Oo][Ff]-.*$",
    ),
]
HintName = Annotated[
    str,
    Form(
        "extension of a hint",
        r"^[A-Za-z0-9*][A-Za-z0-9*_-]{0,24}$",
        "digits, letters, `*`, `_` and `-`, no `_` or `-` first, 25 at most: Asterisk lists no more of it",
        r"^([Pp][Rr][Oo][Oo][Ff]-.*|[hitsT])$",
        types=("string", "integer"),
    ),
]
_HINT_PART = r"[A-Za-z][A-Za-z0-9_]*[:/][\w.@*+:/-]{1,60}"
HintDevice = Annotated[
    str,
    Form(
        "device of a hint",
        rf"^(?=.{{1,200}}$){_HINT_PART}(&{_HINT_PART})*$",
        "such as Queue:support, park:701@lab or PJSIP/alice, several with `&` between",
    ),
]
Number = Annotated[str, Form("number to dial", _DIGITS, "2 to 10 digits", types=("string", "integer"))]
HOST = r"^([a-zA-Z0-9][a-zA-Z0-9_.+-]{0,62}|(ssh|tcp|unix)://[^\s,]{1,250})$"
"""The name of a Docker context (docker/cli, cli/context/store, restrictedNamePattern), or an address."""
HOST_FIX = "the name of a Docker context, or ssh://…, tcp://… or unix://…"
HostName = Annotated[str, Form("host", HOST, HOST_FIX)]
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


class _ByPath:
    """Marks a list of patches, each of which stands in a file as its path; whoever reads the file has put in what is
    there (patch_files.py)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        path = {"type": "string", "minLength": 1}
        return {"anyOf": [path, {"type": "array", "items": path, "minItems": 1}, handler(core) | {"minItems": 1}]}

    def _check(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, str) or (isinstance(value, list) and any(isinstance(item, str) for item in value)):
            raise wrong("no file is read here", fix="a file's own folder is where its patches are looked for")
        return handler(value)


class _OrVersion:
    """Marks the name of a node, which stands in a file also with what that runs (node_versions.py)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: object) -> object:
        if isinstance(value, dict):
            raise wrong("a node has a name", fix="`n2`, or `{name: n2, stack: …}`")
        return value

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        name = handler(core)
        texts = {key: {"type": "string", "minLength": 1} for key in ("stack", "image", "host")}
        patch = {"anyOf": [{"type": "string"}, {"type": "array"}]}
        properties = {"name": name, **texts, "patch": patch}
        properties["stack"] = {"type": ["string", "number"]}
        version = {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}
        return {"anyOf": [name, version]}


class PatchEntry(Strict):
    """A patch as a whole: its name, and what is in it."""

    source: Annotated[Text, StringConstraints(min_length=1)]
    text: str


PatchEntries = Annotated[list[PatchEntry], _ByPath(), Given]
NodeItem = Annotated[NodeName, _OrVersion()]

_Kind = Literal["device_state", "mwi"]
_KINDS: list[_Kind] = ["device_state", "mwi"]
NODES = _CountOrList(1, MAX_NODES)
PHONES = _CountOrList(0, MAX_PHONES)
DEVICES = _CountOrList(0, MAX_DEVICES)


class VersionEntry(Strict):
    """What a node runs other than the lab, and where."""

    ways_out: ClassVar[Mapping[str, str]] = {
        "packages": "an image of your own that has them, `image:`: one FROM the node's; services have `packages:`",
        "files": "`config: {all: {/etc/odbc.ini: …}}`, by node or for all",
    }

    stack: Annotated[StackName | None, Given] = Field(
        default=None, description="A shipped stack, or the path of a stack file"
    )
    image: Annotated[ImageName | None, Given] = Field(default=None, description="A node image that was built elsewhere")
    patch: Annotated[PatchEntries | None, Given] = Field(
        default=None, description="Patches of Asterisk, by path, beside the lab's own"
    )
    host: Annotated[HostName | None, Given] = Field(
        default=None, description="The Docker host that it is on, one of `hosts`"
    )


class PhoneEntry(Strict):
    """A SIP phone."""

    name: PhoneName
    node: Name = Field(description="The node it registers with")
    registrar: Text | None = Field(
        default=None,
        description="What it registers with in place of its node: a service in front of it, or `lab.virtual`",
    )
    also: list[Name] = Field(
        default=[], max_length=15, description="Nodes that know it too, in the order in which it turns to them"
    )
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
    node: Name = Field(
        description="The node that stores the messages; one number on several nodes is a box of which the first is the "
        "one that counts, and the others have copies"
    )


class TotemEntry(Strict):
    """Corosync's totem settings (corosync.conf(5))."""

    token: int = Field(default=1000, ge=200, le=60000, description="ms until a silent member is lost")
    token_coefficient: int | None = Field(
        default=None, ge=0, le=60000, description="ms more for each node beyond two; Corosync's own 650 by default"
    )
    consensus: int | None = Field(
        default=None, ge=240, le=3600000, description="ms until who does not join is left out; 1.2 times the token's"
    )
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
    nodes: Annotated[list[NodeItem] | int, NODES] = Field(
        default=DEFAULT_NODES,
        description="How many servers, or their names; one that runs something else than the "
        "others as {name: n2, stack: …, image: …, patch: …}",
    )
    versions: dict[Name, VersionEntry] = Field(
        default_factory=dict, description="The same by the names of nodes, where `nodes` is a count"
    )
    sites: dict[SiteName, Annotated[list[NodeItem] | int, NODES]] | None = Field(
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
    devices: Annotated[list[DeviceName] | int, DEVICES] = Field(
        default=["mystate"],
        description="Custom devices, each with a hint of its own name; or how many, d1 and so on",
    )
    without: list[Name] = Field(
        default=[],
        description="Nodes that are part of the lab, and are not started: it is not whole at first",
    )
    hints: dict[HintName, HintDevice] = Field(
        default_factory=dict,
        description="Hints of your own, on every node: the extension, and the device whose state it has, such as "
        "`600: Queue:support`",
    )
    totem: TotemEntry = Field(default_factory=TotemEntry)
    follows_corosync: bool | None = Field(
        default=None, description="Whether Asterisk is restarted when Corosync was; what the stack needs by default"
    )
    modules: Literal["used", "all"] = Field(
        default="used", description="Asterisk loads what the lab uses, or all that is installed"
    )
    config: dict[Name, dict[LabPath, Annotated[Any, ConfigForm()]]] = Field(
        default_factory=dict,
        description="Files below /etc, by node (or `all`) and path: a text is added (`asterisk/rtp.conf: |`), a "
        "mapping edits sections and keys (`asterisk/pjsip.conf: {alice: {max_contacts: 2}}`, null takes out); of "
        "others, such as /etc/odbc.ini, a text is all that is in it",
    )
    services: dict[ServiceName, ServiceEntry] = Field(
        default_factory=dict,
        description="Servers of other kinds beside the nodes, by name: `db: {packages: [postgresql], command: …}`",
    )
    hosts: list[HostName] = Field(
        default=[],
        max_length=MAX_NODES,
        description="Docker hosts that the lab is made over, by context or address: members of one Swarm",
    )
    subnet: Subnet | None = Field(default=None, description="An IPv4 network in 198.18.0.0/15; a free /24 by default")


def site_nodes(sites: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each site's nodes."""
    return {
        site: nodes if isinstance(nodes, list) else [f"{site}{number}" for number in range(1, int(nodes) + 1)]
        for site, nodes in sites.items()
    }


def device_names(devices: list[str] | int) -> list[str]:
    """The names of the devices, where they are listed or only their number is given."""
    return devices if isinstance(devices, list) else [f"d{number}" for number in range(1, devices + 1)]


def node_names(count: int) -> list[str]:
    """The names of the nodes where only their number is given."""
    return [f"n{nodeid}" for nodeid in range(1, count + 1)]
