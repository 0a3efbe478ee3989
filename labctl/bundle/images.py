"""Images that a bundle brings: looked into before the engine gets them, and kept apart from labctl's own.

An archive of images says itself which names its images are to have, so that a hostile one could take the place of any
image here. One with a name in it is refused: `labctl bundle` saves by id, and the name is given here.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from labctl.bundle import archive as archives
from labctl.bundle.archive import Archive
from labctl.bundle.layout import IMAGES, refused
from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.images.recipes import REPOSITORY, Images
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.scenario.made_with import ImageFacts, image_facts
from labctl.stack.model import Stack
from labctl.yamlfile.document import shown

MAX_MEMBERS = 1000
MAX_TEXT, MAX_TEXTS = 1 << 20, 16 << 20
"""Bytes of one description within an image's archive, and of all; layers are not read."""

DESCRIPTIONS = ("manifest.json", "repositories", "index.json")
"""What an engine reads first, by its kind and age."""

_NAMED = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Where an OCI layout has an image's name (image-spec, annotations.md; containerd's own)."""


def check(archive: Archive, role: str) -> None:
    """Raise UsageError where the image of a role is not the one that the manifest says, or has a name of its own."""
    path = IMAGES[role]
    for _chunk in archive.chunks(path):  # to its end: that checks its sum
        pass
    texts = _texts(archive, path)
    described = _described(texts, f"{archive.source}/{path}")
    facts = archive.manifest.images.get(role)
    config = texts.get(str(described.get("Config")), b"")
    if facts is None or facts.id != f"sha256:{hashlib.sha256(config).hexdigest()}":
        raise refused(archive.source, f"{path} is not the image that the manifest says")


def _texts(archive: Archive, path: str) -> dict[str, bytes]:
    """The descriptions in an image's archive, by name; each name is there once."""
    texts: dict[str, bytes] = {}
    names: set[str] = set()
    try:
        with archive.stream(path) as raw, tarfile.open(fileobj=_Bounded(raw), mode="r:") as members:
            for member in members:
                name = posixpath.normpath(member.name)
                if name in names or len(names) >= MAX_MEMBERS or name.startswith(("/", "..")):
                    raise refused(archive.source, f"{path} holds what no image does: {shown(member.name)}")
                if name in DESCRIPTIONS and not (member.isfile() and member.size <= MAX_TEXT):
                    raise refused(archive.source, f"{path} is not described as images are: {name}")
                names.add(name)
                if member.isfile() and member.size <= MAX_TEXT:
                    content = members.extractfile(member)
                    texts[name] = content.read() if content else b""
                if sum(map(len, texts.values())) > MAX_TEXTS:
                    raise refused(archive.source, f"{path} is described at too great length")
    except (tarfile.TarError, *archives.BROKEN, OSError) as error:
        raise refused(archive.source, f"{path} is no archive of an image: {shown(str(error))}") from None
    return texts


class _Bounded(io.RawIOBase):
    """A stream of which nobody reads much at once: an archive's header can say that a name has gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """As of any stream. Raises tarfile.ReadError."""
        if not 0 <= size <= 2 * MAX_TEXT:
            raise tarfile.ReadError("a header of it is too large")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any stream."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """As of any stream."""
        return self._stream.tell()


def _described(texts: Mapping[str, bytes], source: str) -> Mapping[str, Any]:
    """What the archive says of its one image. Raises UsageError where it is several, or has a name."""
    try:
        described = json.loads(texts.get("manifest.json", b""))
        repositories = json.loads(texts.get("repositories", b"{}"))
        index = json.loads(texts.get("index.json", b"{}"))
        (image,) = described
        named = [*(image.get("RepoTags") or []), *repositories]
        for entry in index.get("manifests", []):
            named += [entry["annotations"][key] for key in _NAMED if key in (entry.get("annotations") or {})]
        if named:
            raise refused(source, f"it would take the name {shown(str(named[0]))}")
        return dict(image)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise refused(source, "it does not describe one image") from None


# Used


def wanted(engine: Engine, facts: Mapping[str, ImageFacts], roles: Iterable[str], here: Images) -> dict[str, str]:
    """Which images of a bundle are to be used, by role, with their ids: of those `roles` that it brings, where there is
    none here, or one with other packages. `here` are the images that would be used otherwise."""
    references = {ROLE_NODE: (here.node, here.node_id), ROLE_PHONES: (here.phone, here.phone_id)}
    ids: dict[str, str] = {}
    for role in roles:
        reference, present = references[role]
        if not present or image_facts(engine, reference).packages != facts[role].packages:
            ids[role] = facts[role].id
    return ids


def with_bundled(engine: Engine, path: Path, stack: Stack, roles: Mapping[str, str]) -> Stack:
    """The stack on the images of a bundle, of these roles with these ids; each is loaded where it is not here yet."""
    references = {role: _load(engine, path, role, identity) for role, identity in roles.items()}
    names = {"image" if role == ROLE_NODE else "phone_image": name for role, name in references.items()}
    return stack.model_copy(update=names)


def _load(engine: Engine, path: Path, role: str, identity: str) -> str:
    """Have the engine load an image, by a name that no other has. Raises HostError where it then is another."""
    if not engine.image_id(identity):
        with archives.opened(path) as archive:
            check(archive, role)
            engine.load_image(archive.chunks(IMAGES[role]))
    if engine.image_id(identity) != identity:
        raise HostError(
            f"the engine has not loaded {identity[:19]}, the image of the {role}", "is it of this engine's kind?"
        )
    name = f"{REPOSITORY}/bundled-{role}:{identity.removeprefix('sha256:')[:12]}"
    engine.tag_image(identity, name)
    return name
