"""The shipped stacks: what each holds, and whether its images are here or can be built."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.images import builder, mmdebstrap, recipes
from labctl.stack.loader import find_stack, shipped_stacks
from labctl.stack.model import Stack
from labctl.timing import LookPool

HERE, CAN, CANNOT, UNASKED = "here", "can be built", "cannot be built here", "not known yet"


@dataclass(frozen=True)
class Standing:
    """A shipped stack. `proven`: whether labctl has run it; `proof`: whose build of it, and when. `images` is one of
    HERE, CAN, CANNOT, UNASKED; `how`: the node image's tag, by what it can be built, or why it cannot."""

    name: str
    title: str
    suite: str
    proven: bool
    images: str
    how: str
    proof: str = ""


def standings(engine: Engine | None) -> list[Standing]:
    """Every shipped stack, looked at side by side within seconds. Without an engine nothing is here."""
    names = shipped_stacks()
    with LookPool(max_workers=len(names) or 1) as pool:
        return list(pool.map(lambda name: _standing(engine, find_stack(name)), names))


def _standing(engine: Engine | None, stack: Stack) -> Standing:
    images, how = (CANNOT, "no Docker Engine answers") if engine is None else _images(engine, stack)
    proof = str(stack.proven or "")
    return Standing(stack.name, stack.title, stack.suite or "", bool(proof), images, how, proof)


def _images(engine: Engine, stack: Stack) -> tuple[str, str]:
    named = builder.resolve(engine, stack, builder.Options())
    if named.node_id and named.phone_id:
        unchecked = (engine.image_labels(named.node) or {}).get(recipes.LABEL_SIGNATURES) == recipes.UNCHECKED
        return HERE, named.node + (", no signature checked" if unchecked else "")
    system = recipes.at_once(stack)
    if named.node_id or not system:
        return _layers(engine, stack)
    ways = builder.ways(engine, stack)
    if not ways:
        return UNASKED, "labctl build first makes the container that asks for it"
    if ways.checked:
        return CAN, str(ways.checked)
    return CANNOT, ways.tried[-1] + (f"; with --insecure {ways.insecure}" if ways.insecure else "")


def _layers(engine: Engine, stack: Stack) -> tuple[str, str]:
    """Of a stack whose own apt still installs packages, or of which but the phones are missing."""
    build = stack.build
    base = (build.phone.base if build and build.at_once else stack.base) or "no image of a base system"
    try:
        engine.ask_registry(base)
    except HostError:
        if shutil.which(mmdebstrap.TOOL):
            return CAN, "by mmdebstrap"
        return CANNOT, f"no registry gives {base}, and mmdebstrap is not installed"
    return CAN, f"from the image {base}"
