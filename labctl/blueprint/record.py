"""What a lab's containers say of it: what the user asked for, beside what that came to. Pure.

The record stands as JSON on the label of the phones' container, since Docker is the only state. It is read back by the
reader below, and not as a lab file: what was right when the lab was made stays right.

Version 1, of labctl 0.1, has no number: it is {"lab": a lab file with every default filled in, "stack": …}.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from labctl import __version__
from labctl.errors import UsageError
from labctl.lab import Lab, Overrides, Version
from labctl.labfile import reader, writer
from labctl.labfile.defaults import fill
from labctl.labfile.entries import LabFile
from labctl.labfile.node_versions import with_versions
from labctl.labfile.patch_files import as_data, of_data
from labctl.patch import Patch
from labctl.plain_data import adapter
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document

VERSION = 4
"""Of the record. A record of a higher number was written by a later labctl."""

PATCH_BYTES = 256 << 10
"""A patch that is larger than this, compressed, stays with the lab by name and hash alone."""


@dataclass(frozen=True)
class Request:
    """What the user asked for: the data of the lab file, the flags over it, and how the images are made.

    `flags` has no name: the lab has. `lost_patches` are those whose content was too large to be kept, by name and hash.
    """

    document: Mapping[str, Any]
    flags: Overrides = field(default_factory=Overrides)
    image: str | None = None
    mirror: str = ""
    insecure: bool = False
    patches: tuple[Patch, ...] = ()
    lost_patches: tuple[str, ...] = ()

    @classmethod
    def of(cls, lab: Lab) -> Request:
        """The request for a lab that no file and no flags describe."""
        return cls(writer.to_data(lab))


@dataclass(frozen=True)
class LabRecord:
    """A lab as it was made, and by which labctl."""

    version: int
    labctl: str
    request: Request
    lab: Lab
    stack: Stack

    def refuse_later(self) -> None:
        """Raise UsageError where a later labctl made the lab: what this one does not know of it would be lost."""
        if self.version > VERSION:
            raise _of_another_labctl(self.lab.name, self.version, self.labctl, "changed")

    def with_flags(self, flags: Overrides, other_stack: Stack | None = None) -> LabRecord:
        """The record of the lab with new flags over the old ones.

        `other_stack` is the stack that `flags` name. An image and patches were made for the stack the lab has, so
        they do not go along to another. Raises InvalidFile where the lab file and the flags do not go together.
        """
        new = {key: value for key, value in vars(flags).items() if value is not None and key != "name"}
        merged = replace(self.request.flags, **new, name=None)
        if merged == self.request.flags:
            return self
        request = replace(self.request, flags=merged)
        if other_stack and other_stack.name != self.stack.name:
            request = replace(request, image=None, patches=(), lost_patches=())
        document = Document(f"lab {self.lab.name}", _document(self, other_stack))
        named = replace(merged, name=self.lab.name)
        own = {version.named: version.stack for version in self.lab.versions.values() if version.stack}
        main = other_stack or self.stack
        lab, stack = reader.resolve(document, lambda name: own.get(name, main), named)
        return replace(self, request=request, lab=lab, stack=stack)


def _document(record: LabRecord, other_stack: Stack | None) -> dict[str, Any]:
    """The lab file's data; of a record of version 1 without what came from the stack, where that is another now."""
    data = dict(record.request.document)
    if record.version > 1 or not other_stack:
        return data
    totem, default = data["totem"], record.stack.transports[0]
    if totem["transport"] == default and totem["encryption"] == (default in record.stack.encrypted_transports):
        data["totem"] = {"token": totem["token"]}
    return data


# Written


def dump(lab: Lab, stack: Stack, request: Request) -> str:
    """The text of a record, the same for the same lab."""
    asked = {
        "document": request.document,
        "flags": {key: value for key, value in vars(request.flags).items() if value is not None and key != "name"},
        "image": request.image,
        "mirror": request.mirror,
        "insecure": request.insecure,
        "patches": [_patch_data(patch) for patch in request.patches],
    }
    nodes = [asdict(replace(node, version=Version())) | _version_data(node.version) for node in lab.nodes]
    of_lab = asdict(replace(lab, nodes=())) | {"nodes": [_without(node, "host") for node in nodes]}
    of_lab = _without(of_lab, "docker_hosts")
    of_lab["totem"] = {key: value for key, value in of_lab["totem"].items() if value is not None}
    over_hosts = lab.docker_hosts or any(node.host for node in lab.nodes)
    version = VERSION if over_hosts else 3 if lab.versions else 2  # 2 has all else
    data = {"version": version, "labctl": __version__, "asked": asked, "lab": of_lab}
    return json.dumps({**data, "stack": stack.model_dump(mode="json")}, sort_keys=True)


def _without(data: dict[str, Any], key: str) -> dict[str, Any]:
    """The same without that where it is empty: a lab that does not have it is what it was before there was such."""
    return data if data[key] else {name: value for name, value in data.items() if name != key}


def _version_data(version: Version) -> dict[str, Any]:
    """What of a node is other than by default, as `asdict` would have it."""
    stack = version.stack.model_dump(mode="json") if version.stack else None
    patches = [as_data(patch) for patch in version.patches]
    data = {"stack": stack, "image": version.image, "patches": patches, "named": version.named}
    return {"version": data} if version else {}


def _version(data: Mapping[str, Any]) -> Version:
    stack = _stack(data["stack"]) if data["stack"] else None
    return Version(stack, str(data["image"]), of_data(data["patches"]), str(data["named"]))


def _patch_data(patch: Patch) -> dict[str, str]:
    data = {"source": patch.source, "sha256": hashlib.sha256(patch.content).hexdigest()}
    packed = zlib.compress(patch.content, 9)
    return data | ({"content": base64.b64encode(packed).decode()} if len(packed) <= PATCH_BYTES else {})


# Read


def parse(name: str, text: str) -> LabRecord:
    """The record of a lab of that name. Raises UsageError where another labctl wrote what this one cannot read."""
    version, labctl = 0, ""
    try:
        data = json.loads(text)
        version, labctl = int(data.get("version", 1)), str(data.get("labctl", "0.1"))
        return _first(data) if version == 1 else _current(data, version, labctl)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, zlib.error):
        raise _of_another_labctl(name, version, labctl, "read") from None


def _current(data: Mapping[str, Any], version: int, labctl: str) -> LabRecord:
    asked = data["asked"]
    request = Request(
        document=dict(asked["document"]),
        flags=adapter(Overrides).validate_python(asked["flags"]),
        image=asked["image"],
        mirror=str(asked["mirror"]),
        insecure=bool(asked["insecure"]),
        patches=tuple(_patch(patch) for patch in asked["patches"] if "content" in patch),
        lost_patches=tuple(
            f"{patch['source']} (sha256 {patch['sha256'][:12]})" for patch in asked["patches"] if "content" not in patch
        ),
    )
    versions = {node["name"]: _version(node.pop("version")) for node in data["lab"]["nodes"] if node.get("version")}
    lab = with_versions(adapter(Lab).validate_python(data["lab"]), versions)
    return LabRecord(version, labctl, request, lab, _stack(data["stack"]))


def _first(data: Mapping[str, Any]) -> LabRecord:
    """Version 1: the lab as a lab file."""
    stack = _stack(data["stack"])
    lab = fill(LabFile.model_validate(data["lab"]), stack)
    return LabRecord(1, "0.1", Request(data["lab"], image=None), lab, stack)


def _patch(data: Mapping[str, str]) -> Patch:
    return Patch(data["source"], zlib.decompress(base64.b64decode(data["content"], validate=True)))


def _stack(data: Mapping[str, Any]) -> Stack:
    """A stack, without what another labctl says of one and this one does not know."""
    try:
        return Stack.model_validate(data)
    except ValidationError as error:
        unknown = {problem["loc"][0] for problem in error.errors() if problem["type"] == "extra_forbidden"}
        return Stack.model_validate({key: value for key, value in data.items() if key not in unknown})


def glance(text: str) -> tuple[str, list[str]]:
    """The stack and the names of the nodes that a record tells of, whichever labctl wrote it; "" and none if it does
    not say."""
    try:
        lab = json.loads(text)["lab"]
        nodes = lab["nodes"] if "nodes" in lab else [node for nodes in lab["sites"].values() for node in nodes]
        return str(lab["stack"]), [node["name"] if isinstance(node, dict) else str(node) for node in nodes]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", []


def _of_another_labctl(name: str, version: int, labctl: str, what: str) -> UsageError:
    if version > VERSION:
        why = f"labctl {labctl} wrote it, as version {version} of the record on its containers; {VERSION} is known here"
    else:
        why = "the record on its containers is damaged, or was written by a labctl between two versions"
    return UsageError(
        f"the lab {name} cannot be {what} by this labctl ({__version__}): {why}",
        f"use the labctl that made it, or take the lab away: labctl down --name {name}",
    )
