"""Makes the Debians that images stand on: pulled, by this machine's mmdebstrap, or in a container of labctl's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from labctl.engine.client import Engine
from labctl.engine.workshop import opened, worked
from labctl.errors import HostError
from labctl.images import mirror, mmdebstrap
from labctl.images import recipes as images
from labctl.images.architecture import WHY_I386
from labctl.images.mirror import Reply, Way
from labctl.images.recipes import Context, Recipe, System
from labctl.paths import images_folder
from labctl.progress import Progress, step

LABEL_ARCHITECTURE = "labctl.architecture"


def find_way(
    system: System,
    mirror_option: str,
    insecure: bool,
    take_image: Callable[[str], None],
    ask_mirror: Callable[[], Reply],
) -> tuple[Way | None, tuple[str, ...]]:
    """How a system with its packages comes about, None where it cannot; and what was tried in vain, each with why.

    `mirror_option` is what --mirror was given. `take_image` sees to it that an image is here, or raises HostError.
    `ask_mirror` is called only where no image of the system is to be had.
    """
    way, why_no_image = mirror.from_image(system, mirror_option, insecure, take_image)
    if way:
        return way, ()
    way, why_no_mirror = mirror.from_mirror(system, ask_mirror(), insecure)
    return way, (why_no_image,) if way else (why_no_image, why_no_mirror)


def ask(engine: Engine, builder: str, system: System, mirror_option: str) -> Reply:
    """Whether a mirror gives a system, asked from the builder's container. Takes a few seconds at most."""
    with worked(
        engine, builder, mirror.question(system, mirror_option), _files(system), mirror.folder(mirror_option)
    ) as work:
        return mirror.parse_reply(work.text)


def _files(system: System) -> dict[str, bytes]:
    """What the builder must be given: a keyring that is the user's own."""
    own = Path(system.keyring)
    return {mmdebstrap.OWN_KEYRING: own.read_bytes()} if own.is_absolute() and own.is_file() else {}


def make_whole(engine: Engine, recipe: Recipe, system: System, builder: str, way: Way, progress: Progress) -> None:
    """A Debian with every package of a node, by the way that was found. Raises BuildError, HostError."""
    signatures = f"checked with {system.keyring or 'the keyring of the tools'}" if way.checked else images.UNCHECKED
    labels = {images.LABEL_SIGNATURES: signatures}
    if system.architecture:
        labels[LABEL_ARCHITECTURE] = system.architecture
    architecture = f" of {WHY_I386}," if system.architecture else ""
    with step(progress, f"base system: {system.suite}{architecture} {way}"):
        if way.image:
            settings = {**recipe.context, **images.settings(system, way.mirror.url)}
            _build_on(engine, way.image, settings, recipe.tag, labels)
            return
        command = mmdebstrap.whole_command(system, way.mirror.url, checked=way.checked)
        with worked(engine, builder, command, _files(system), mirror.folder(way.mirror.url)) as work:
            if work.code:
                raise mmdebstrap.failure(system, work.code, work.text)
            with opened(engine, work, mmdebstrap.OUTPUT) as archive:
                engine.import_image(archive, recipe.tag, {images.LABEL_BASE: f"mmdebstrap {system.suite}", **labels})


def make_bare(engine: Engine, recipe: Recipe, system: System, progress: Progress) -> None:
    """A bare Debian: pulled where a registry has it, else by this machine's mmdebstrap. Raises HostError."""
    refused = "the stack names none"
    if system.base and not system.mirror:
        try:
            with step(progress, f"base system: pull {system.base}, else mmdebstrap"):
                engine.pull(system.base)
        except HostError as error:
            refused = error.message.splitlines()[0]
        else:
            _build_on(engine, system.base, {"Dockerfile": (b"ARG BASE\nFROM ${BASE}\n", 0o644)}, recipe.tag, {})
            return
    if not shutil.which(mmdebstrap.TOOL):
        raise HostError(
            f"no base system: {system.base} cannot be pulled ({refused}), and mmdebstrap is not installed",
            "apt-get install mmdebstrap, or make the registry reachable",
        )
    with step(progress, f"base system: not pulled, so mmdebstrap {system.suite}"):
        dpkg_options = images_folder() / images.BASE / mmdebstrap.DPKG_OPTIONS
        command = mmdebstrap.bare_command(system, system.mirror, dpkg_options)
        with mmdebstrap.archive(command, system) as archive:
            engine.import_image(archive, recipe.tag, {images.LABEL_BASE: f"mmdebstrap {system.suite}"})


def _build_on(engine: Engine, base: str, context: Context, tag: str, labels: dict[str, str]) -> None:
    labels = {images.LABEL_BASE: f"pulled {base}", **labels}
    for _ in engine.build(images.pack(context), tag, {"BASE": base}, labels):
        pass
