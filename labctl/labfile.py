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

from labctl.document import ANY, Document, Form, Text, parse, shown, wrong
from labctl.errors import InvalidFile, UsageError
from labctl.review import Review
from labctl.spec import EVERY_NODE, Carrier, ExtraConfig, Lab, Mailbox, Node, Overrides, Phone, Totem
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
SiteName = Annotated[
    str,
    Form(
        "name of a site",
        r"^[a-z][a-z0-9-]{0,28}$",
        "small letters, digits and `-`, a letter first, 29 at most: its nodes may have its name and a number",
        r"^stranger$",
    ),
]
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


_Event = Literal["device_state", "mwi"]
_EVENTS: list[_Event] = ["device_state", "mwi"]
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


class ShareEntry(_Strict):
    """What the nodes tell each other, and by which way."""

    events: list[_Event] = Field(default=_EVENTS, description="Kinds of events")
    via: Carrier = Field(
        default="corosync", description="The cluster module over Corosync, or PUBLISH from each node to each other"
    )


class DundiEntry(_Strict):
    """How sites ask each other (dundi.conf)."""

    cache: int = Field(default=2, ge=0, le=3600, description="For how many seconds an answer is kept")


def _which(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | ShareEntry) else "<list>"


class LabFile(_Strict):
    """A labctl lab: servers of one Asterisk cluster and the phones on them."""

    name: Name = Field(default="lab", description="The lab's name; the file's own by default")
    stack: StackName = Field(default=DEFAULT_STACK, description="A shipped stack, or the path of a stack file")
    nodes: Annotated[list[NodeName] | int, _NODES] = Field(
        default=DEFAULT_NODES, description="How many servers, or their names"
    )
    sites: dict[SiteName, Annotated[list[NodeName] | int, _NODES]] | None = Field(
        default=None,
        description="In place of `nodes`: clusters of their own, each with so many servers, or their names; "
        "they ask each other by DUNDi",
    )
    dundi: DundiEntry = Field(default_factory=DundiEntry)
    share: Annotated[
        Annotated[list[_Event], Tag("<list>")] | Annotated[ShareEntry, Tag("<mapping>")], Discriminator(_which)
    ] = Field(default=_EVENTS, description="What the nodes tell each other, and by which way")
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
    if flags.nodes is not None and document.data.get("sites") is not None:
        raise UsageError("--nodes: the nodes of this lab are those of its sites", "its file says how many")
    given = {key: value for key, value in vars(flags).items() if value is not None and key != "via"}
    if flags.via:
        given["share"] = _share_via(document.data.get("share"), flags.via)
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


def _share_via(share: Any, via: Carrier) -> Any:
    """What a file says of `share`, but for the way."""
    if isinstance(share, list):
        return {"events": share, "via": via}
    return {**share, "via": via} if isinstance(share, dict) else share if share is not None else {"via": via}


def _check(review: Review, stack: Stack | None) -> None:
    """What no single value shows: names that lead nowhere, doubles, too much of something."""
    data = review.document.data
    for key, span in (("nodes", _NODES), ("phones", _PHONES)):
        count = len(data[key]) if isinstance(data.get(key), list) else span.least
        if not span.least <= count <= span.most:
            review.say((key,), f"{count} {key}", f"{span.least} to {span.most} can be")
    for pattern in ("nodes *", "sites * *", "phones * name", "phones * extension", "mailboxes * number", "devices *"):
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
    _check_sites(review)
    _check_across(review)
    if data.get("dundi") is not None and data.get("sites") is None and not review.doubts("dundi"):
        review.say(
            ("dundi",), "no sites are here to ask each other", "`sites:` says which there are, in place of `nodes`"
        )
    if stack:
        _check_totem(review, stack)
        review.known("carrier", review.values("share", "via"), stack.carriers)
        if data.get("sites") and not stack.dundi:
            review.say(("sites",), f"the stack {stack.name} has no DUNDi", "leave `sites` out, or take another stack")


def _known_nodes(review: Review) -> list[str] | None:
    """The names of the nodes; None if they are in doubt, or if there are none at all."""
    if "sites" in review.document.data:
        doubts = review.doubts("sites") or not isinstance(review.document.data["sites"], dict)
        return (
            None
            if doubts
            else [name for names in _site_nodes(review.document.data["sites"]).values() for name in names]
        )
    given = review.document.data.get("nodes", DEFAULT_NODES)
    if isinstance(given, list):
        return review.all("nodes", ANY) or None
    return None if review.doubts("nodes") else _node_names(int(given))


def _check_sites(review: Review) -> None:
    sites = review.document.data.get("sites")
    for site in (site for site, nodes in (sites.items() if isinstance(sites, dict) else ()) if nodes == []):
        review.say(("sites", site), f"no node is in `{shown(site)}`", "one at least")
    if sites is None or review.doubts("sites"):
        return
    if "nodes" in review.document.data:
        review.say(("nodes",), "`nodes` and `sites` do not go together", "sites say which nodes there are")
    names = [name for names in _site_nodes(sites).values() for name in names]
    if len(sites) < 2:
        what = "one site alone" if sites else "no site"
        review.say(("sites",), what, "two at least; `nodes` is for one cluster")
    if len(names) > MAX_NODES:
        review.say(("sites",), f"{len(names)} nodes", f"{MAX_NODES} can be in all sites together")
    listed = [name for _, name in review.values("sites", ANY, ANY)]
    for name in sorted({name for name in names if names.count(name) > 1} - {n for n in listed if listed.count(n) > 1}):
        review.say(("sites",), f"two nodes are `{shown(name)}`", "list the nodes of these sites by name")


def _check_across(review: Review) -> None:
    """A phone hears only of what its own site has: of its phones, and of its mailboxes."""
    data = review.document.data
    if not data.get("sites") or any(review.doubts(key) for key in ("sites", "phones", "mailboxes")):
        return
    site = {name: key for key, names in _site_nodes(data["sites"]).items() for name in names}
    phones = data["phones"] if isinstance(data.get("phones"), list) else []
    at = {phone["name"]: site[phone["node"]] for phone in phones}
    boxes = {str(box["number"]): site[box["node"]] for box in data.get("mailboxes") or []}
    for index, phone in enumerate(phones):
        for number, other in enumerate(phone.get("watches") or []):
            if at[other] != at[phone["name"]]:
                review.say(
                    ("phones", index, "watches", number), f"{other} is at another site", "only its own can be watched"
                )
        box = str(phone.get("mailbox", ""))
        if boxes.get(box, at[phone["name"]]) != at[phone["name"]]:
            review.say(
                ("phones", index, "mailbox"), f"mailbox {box} is at another site", "only its own can light its lamp"
            )


def _site_nodes(sites: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each site's nodes."""
    return {
        site: nodes if isinstance(nodes, list) else [f"{site}{number}" for number in range(1, int(nodes) + 1)]
        for site, nodes in sites.items()
    }


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
    nodes = _nodes(entry)
    names = [node.name for node in nodes]
    given = len(names) if entry.phones is None else entry.phones
    phones = [_default_phone(index, names) for index in range(given)] if isinstance(given, int) else given
    mailboxes = entry.mailboxes
    if mailboxes is None:
        mailboxes = [MailboxEntry(number=phone.extension, node=_keeper(phone.node, nodes)) for phone in phones]
    transport = entry.totem.transport or stack.transports[0]
    encryption = entry.totem.encryption
    if encryption is None:
        encryption = transport in stack.encrypted_transports
    return Lab(
        name=entry.name,
        stack=entry.stack,
        nodes=nodes,
        share=tuple(dict.fromkeys(entry.share if isinstance(entry.share, list) else entry.share.events)),
        phones=tuple(_phone(phone, phones, mailboxes, nodes) for phone in phones),
        mailboxes=tuple(Mailbox(mailbox.number, mailbox.node) for mailbox in mailboxes),
        devices=tuple(entry.devices),
        totem=Totem(entry.totem.token, transport, encryption),
        modules=entry.modules,
        config=tuple(
            ExtraConfig(scope, path, text) for scope, files in entry.config.items() for path, text in files.items()
        ),
        subnet=entry.subnet,
        via="corosync" if isinstance(entry.share, list) else entry.share.via,
        cache_s=entry.dundi.cache if entry.sites else 0,
        follows_corosync=stack.follows_corosync if entry.follows_corosync is None else entry.follows_corosync,
    )


def _nodes(entry: LabFile) -> tuple[Node, ...]:
    """The nodes with their numbers, which are each its own in all sites together."""
    if entry.sites is not None:
        pairs = [(name, site) for site, names in _site_nodes(entry.sites).items() for name in names]
    else:
        pairs = [(name, "") for name in (_node_names(entry.nodes) if isinstance(entry.nodes, int) else entry.nodes)]
    return tuple(Node(name, nodeid, site) for nodeid, (name, site) in enumerate(pairs, 1))


def _keeper(node: str, nodes: tuple[Node, ...]) -> str:
    """The first node of a node's site."""
    site = {each.name: each.site for each in nodes}[node]
    return next(each.name for each in nodes if each.site == site)


def _phone(
    entry: PhoneEntry, phones: list[PhoneEntry], mailboxes: list[MailboxEntry], nodes: tuple[Node, ...]
) -> Phone:
    site = {each.name: each.site for each in nodes}
    others = [each.name for each in phones if each.name != entry.name and site[each.node] == site[entry.node]]
    watches = tuple(dict.fromkeys(others if entry.watches is None else entry.watches))
    near = [mailbox.number for mailbox in mailboxes if site[mailbox.node] == site[entry.node]]
    own = entry.extension if entry.extension in near else None
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
        **_nodes_data(lab),
        "share": {"events": list(lab.share), "via": lab.via},
        "phones": [_without_none(vars(phone) | {"watches": list(phone.watches)}) for phone in lab.phones],
        "mailboxes": [vars(mailbox) for mailbox in lab.mailboxes],
        "devices": list(lab.devices),
        "modules": lab.modules,
        "follows_corosync": lab.follows_corosync,
        "totem": {
            "token": lab.totem.token_ms,
            "transport": lab.totem.transport,
            "encryption": lab.totem.encryption,
        },
        "config": config,
        "subnet": lab.subnet,
    }
    return _without_none(data)


def node_names(data: Mapping[str, Any]) -> list[str]:
    """The names of all nodes in what `to_data` made."""
    return list(data["nodes"]) if "nodes" in data else [name for names in data["sites"].values() for name in names]


def _nodes_data(lab: Lab) -> dict[str, Any]:
    if not lab.sites:
        return {"nodes": [node.name for node in lab.nodes]}
    sites = {site: [node.name for node in lab.nodes if node.site == site] for site in lab.sites}
    return {"sites": sites, "dundi": {"cache": lab.cache_s}}


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def to_yaml(lab: Lab) -> str:
    """The lab as a lab file in which every default is filled in."""
    text: str = yaml.safe_dump(to_data(lab), sort_keys=False, default_flow_style=None, width=100)
    return text
