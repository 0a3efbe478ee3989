"""What images a stack needs, and what each is made from. Pure.

A tag holds a hash of everything that goes into the image, so that an image is never taken for another:
change a file in images/, a package in the stack, or what the image stands on, and the tag is a new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from labctl.stack import Stack

REPOSITORY = "labctl"
LABEL_IMAGE = "labctl.image"
LABEL_CONTENTS = "labctl.contents"
LABEL_BASE = "labctl.base"
LABEL_SUITE = "labctl.suite"
LABEL_BUILT = "labctl.built"

BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE = "base", "corosync", "asterisk", "module", "node", "phone"
SETTINGS = "root/opt/labctl/recipe"
"""Where the scripts of images/ read what to install."""

FOLDERS = (BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE)

Context = Mapping[str, tuple[bytes, int]]
"""The files of a build context: path -> (content, mode)."""


@dataclass(frozen=True)
class Recipe:
    """How one image is made, and the names of the recipes it stands on."""

    name: str
    tag: str
    context: Context
    needs: tuple[str, ...] = ()


def recipes(stack: Stack, contexts: Mapping[str, Context], mirror: str = "") -> dict[str, Recipe]:
    """The recipes of a stack that is built here, each after those it needs; none for one that is not."""
    build = stack.build
    if build is None or stack.image:
        return {}
    made: dict[str, Recipe] = {}

    def add(name: str, settings: dict[str, str], *needs: str) -> None:
        # What stands on the bare base gets the files of images/base too.
        common = contexts[BASE] if needs == (BASE,) else {}
        context = {**common, **contexts[name]} | ({SETTINGS: (_shell(settings), 0o644)} if settings else {})
        inputs = ([made[need].tag for need in needs], hashlib.sha256(pack(context)).hexdigest())
        tag = f"{REPOSITORY}/{stack.name}-{name}:{_short(json.dumps(inputs))}"
        made[name] = Recipe(name, tag, context, needs)

    def packages(names: tuple[str, ...], **more: str) -> dict[str, str]:
        return {"PACKAGES": " ".join(names), "MIRROR": mirror, **more}

    add(BASE, {"SUITE": stack.suite or "", "MIRROR": mirror})
    add(COROSYNC, packages(build.corosync), BASE)
    add(ASTERISK, packages(build.asterisk), COROSYNC)
    add(PHONE, packages(build.phone), BASE)
    if build.module:
        module = build.module
        libraries = " ".join(module.libraries)
        settings = packages(module.packages, SOURCE=module.source, MODULE=stack.cluster_module, LIBRARIES=libraries)
        add(MODULE, settings, BASE)
        add(NODE, {}, ASTERISK, MODULE)
    return made


def run_by_labs(made: Mapping[str, Recipe]) -> tuple[str, str]:
    """The names of the two recipes whose images a lab's containers run: a node's and the phones'."""
    return (NODE if NODE in made else ASTERISK, PHONE)


def _shell(settings: Mapping[str, str]) -> bytes:
    """Settings as a file for the shell to read."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()).encode()


def missing(made: Mapping[str, Recipe], present: set[str]) -> list[Recipe]:
    """What must be built, each after those it needs, so that the two images a lab runs are there.

    What stands between is built for their sake alone: where they are present, nothing is missing.
    """
    wanted: set[str] = set()
    open_ = [name for name in run_by_labs(made) if name in made]
    while open_:
        name = open_.pop()
        if made[name].tag not in present and name not in wanted:
            wanted.add(name)
            open_.extend(made[name].needs)
    return [recipe for name, recipe in made.items() if name in wanted]


def build_args(recipe: Recipe, made: Mapping[str, Recipe]) -> dict[str, str]:
    """The Dockerfile's ARGs: the images it stands on."""
    return {"MODULE" if need == MODULE else "BASE": made[need].tag for need in recipe.needs}


def pack(context: Context) -> bytes:
    """The build context as a tar archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode) in sorted(context.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def parse_contents(text: str) -> dict[str, str]:
    """/opt/labctl/contents of an image: `package=version`, a line each."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: version for name, equals, version in pairs if equals}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
