"""A bundle as what `replay` makes of it: read as data, by the readers of all other files. Nothing is unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from labctl.bundle import archive as archives
from labctl.bundle import images
from labctl.bundle.archive import Archive
from labctl.bundle.layout import IMAGES, Manifest, refused
from labctl.checks.judgement import Result
from labctl.errors import UsageError
from labctl.images import builder
from labctl.lab import Overrides
from labctl.labfile.loader import shipped_labs
from labctl.labfile.patch_files import PATCH_LIMIT
from labctl.patch import Patch
from labctl.paths import LABS
from labctl.plain_data import adapter
from labctl.scenario import reader
from labctl.scenario.made_with import NODES, PATCHES, STACK, patch_name
from labctl.scenario.reader import Scenario
from labctl.scenario.run_folder import SCENARIO, VERDICT
from labctl.stack.loader import find_stack, read_stack, shipped_stacks
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, parse, shown
from labctl.yamlfile.source import read_text


@dataclass(frozen=True)
class Bundle:
    """What was sent. `result` is what the run came to where it was run; `scenario` is on a stack of this labctl's.

    `own_stack`: the stack as the bundle has it, where it is none of this labctl's, or on an image from elsewhere.
    `files`: the text of each file of each node, by its path in the bundle. `images`: the roles whose image is in it.
    """

    source: str
    manifest: Manifest
    result: Result
    scenario: Scenario
    stack: Stack | None
    patches: tuple[Patch, ...]
    files: Mapping[str, str]
    images: tuple[str, ...]

    @property
    def foreign_stack(self) -> Stack | None:
        """The stack of the bundle where it is none of labctl's own, or has nodes of an image from elsewhere."""
        foreign = self.stack and (self.stack.name not in shipped_stacks() or self.stack.image)
        return self.stack if foreign else None

    @property
    def programs(self) -> tuple[str, ...]:
        """What of it would run a stranger's programs, or commands, in the lab's containers."""
        return tuple(self._programs())

    def _programs(self) -> Iterator[str]:
        yield from self.scenario.commands
        for patch in self.patches:
            yield f"the patch {patch.name} of {self.scenario.stack.cluster_module}: {len(patch.content)} bytes"
        if stack := self.foreign_stack:
            what = f"nodes of the image {shown(stack.image)}" if stack.image else "packages of its own"
            limits = f"{stack.limits.processes} processes and {stack.limits.memory} MiB a node"
            rights = ", ".join(map(shown, stack.capabilities)) or "none"
            yield f"the stack {stack.name}: {what}, {limits}, capabilities: {rights}"


def read(path: Path, name: str | None = None) -> Bundle:
    """Read a bundle, whose lab is to be of that name. Raises UsageError and InvalidFile, with nothing left behind."""
    with archives.opened(path) as archive:
        archive.verify()
        return _bundle(archive, name)


def _bundle(archive: Archive, name: str | None) -> Bundle:
    manifest = archive.manifest
    if SCENARIO not in archive:
        raise UsageError(
            f"{archive.source}: no scenario is in it, so that it cannot be replayed", "unzip shows the rest"
        )
    stack = _stack(archive)
    scenario = _scenario(archive, stack, name)
    patches = _patches(archive, scenario.stack)
    files = {path: archive.text(path) for path in archive.paths if path.startswith(f"{NODES}/")}
    roles = tuple(role for role, place in IMAGES.items() if place in archive)
    for role in roles:
        images.check(archive, role)
    return Bundle(archive.source, manifest, _result(archive), scenario, stack, patches, files, roles)


def _result(archive: Archive) -> Result:
    if VERDICT not in archive:
        raise refused(archive.source, f"no {VERDICT} is in it")
    try:
        return adapter(Result).validate_json(archive.data(VERDICT))
    except (ValidationError, RecursionError, ValueError):
        raise refused(archive.source, f"{VERDICT} is no verdict of a run") from None


def _stack(archive: Archive) -> Stack | None:
    return read_stack(archive.text(STACK), f"{archive.source}/{STACK}") if STACK in archive else None


def _scenario(archive: Archive, stack: Stack | None, name: str | None) -> Scenario:
    """The scenario, whose lab and stack are in it, or shipped: no file of this machine is read for it."""

    def find_lab(lab: str) -> Document:
        if lab not in shipped_labs():
            raise UsageError(f"the lab `{shown(lab)}` is not in the bundle", "labctl bundle writes the lab into it")
        return parse(read_text(LABS / f"{lab}.yaml"), lab)

    def find(wanted: str) -> Stack:
        if wanted in shipped_stacks():
            return find_stack(wanted)
        if stack and stack.name == wanted:
            return stack
        known = ", ".join(shipped_stacks())
        raise UsageError(f"no stack `{shown(wanted)}` in the bundle", f"shipped: {known}")

    plain = re.sub("[^a-z0-9]+", "-", archive.manifest.run.scenario.lower()[:60]).strip("-") or "scenario"
    flags = Overrides(name=name or f"replay-{plain}"[:31].rstrip("-"))
    source = f"{archive.source}/{SCENARIO}"
    scenario = reader.read(archive.text(SCENARIO), source, find_lab, find, flags)
    return replace(scenario, name=plain)


def _patches(archive: Archive, stack: Stack) -> tuple[Patch, ...]:
    """The patches, in order. Raises UsageError, InvalidFile for what is no patch of the stack's module."""
    paths = [path for path in archive.paths if path.startswith(f"{PATCHES}/")]
    if large := next((path for path in paths if archive.size(path) > PATCH_LIMIT), None):
        raise refused(archive.source, f"{large} is too large for a patch")
    patches = tuple(Patch(patch_name(path), archive.data(path)) for path in paths)
    builder.recipes(stack, builder.Options(patches=patches))
    return patches
