"""What images a stack needs, and what each is made from. Pure.

A tag holds a hash of everything that goes into the image, so that an image is never taken for another:
change a file in images/, a package in the stack, or what the image stands on, and the tag is a new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, pairwise, takewhile
from pathlib import PurePath

from labctl.document import shown
from labctl.errors import InvalidFile, Problem, UsageError
from labctl.stack import Stack

REPOSITORY = "labctl"
LABEL_IMAGE = "labctl.image"
LABEL_CONTENTS = "labctl.contents"
LABEL_BASE = "labctl.base"
LABEL_SUITE = "labctl.suite"
LABEL_BUILT = "labctl.built"

BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE = "base", "corosync", "asterisk", "module", "node", "phone"
PATCHED = "patched"
SETTINGS = "root/opt/labctl/recipe"
"""Where the scripts of images/ read what to install."""
MODULE_SOURCE = "/usr/src/module"
PATCHES = "root/opt/labctl/modules/patches"
"""Where they find patches. What lies beside the module goes into the node with it."""
REFUSAL = "labctl: "
"""How images/patched begins to say why a patch cannot be built."""
REFUSAL_LINES = 25

FOLDERS = (BASE, COROSYNC, ASTERISK, MODULE, PATCHED, NODE, PHONE)

Context = Mapping[str, tuple[bytes, int]]
"""The files of a build context: path -> (content, mode)."""

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_GIT = re.compile(rb"diff --git (\S+) (\S+)")


@dataclass(frozen=True)
class Patch:
    """A change to the cluster module's source: a unified diff, and the file it comes from."""

    source: str
    content: bytes

    @property
    def name(self) -> str:
        """The file's name, in characters that mean nothing to a shell or a label."""
        return re.sub(r"^\.|[^A-Za-z0-9._+-]", "_", PurePath(self.source).name)

    def __str__(self) -> str:
        return f"{self.name}@{hashlib.sha256(self.content).hexdigest()[:12]}"


@dataclass(frozen=True)
class Recipe:
    """How one image is made, the names of the recipes it stands on, and labels that are known beforehand."""

    name: str
    tag: str
    context: Context
    needs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def recipes(
    stack: Stack, contexts: Mapping[str, Context], mirror: str = "", patches: tuple[Patch, ...] = ()
) -> dict[str, Recipe]:
    """The recipes of a stack that is built here, each after those it needs; none for one that is not.

    Raises UsageError for patches that cannot be for its cluster module.
    """
    _check(stack, patches)
    build = stack.build
    if build is None or stack.image:
        return {}
    made: dict[str, Recipe] = {}

    def add(name: str, files: Context, *needs: str) -> None:
        # What stands on the bare base gets the files of images/base too.
        common = contexts[BASE] if needs == (BASE,) else {}
        context = {**common, **contexts[name], **files}
        inputs = ([made[need].tag for need in needs], hashlib.sha256(pack(context)).hexdigest())
        tag = f"{REPOSITORY}/{stack.name}-{name}:{_short(json.dumps(inputs))}"
        labels = _patch_labels(stack, patches) if PATCHED in (name, *needs) else {}
        made[name] = Recipe(name, tag, context, needs, labels)

    def packages(names: tuple[str, ...], **more: str) -> Context:
        return _settings(PACKAGES=" ".join(names), MIRROR=mirror, **more)

    add(BASE, _settings(SUITE=stack.suite or "", MIRROR=mirror))
    add(COROSYNC, packages(build.corosync), BASE)
    add(ASTERISK, packages(build.asterisk), COROSYNC)
    add(PHONE, packages(build.phone.packages), BASE)
    if module := build.module:
        settings = {"SOURCE": module.source, "MODULE": stack.cluster_module, "LIBRARIES": " ".join(module.libraries)}
        add(MODULE, packages(module.packages, **settings), BASE)
        if patches:
            add(PATCHED, _patch_files(patches), MODULE)
        add(NODE, {}, ASTERISK, PATCHED if patches else MODULE)
    return made


def run_by_labs(made: Mapping[str, Recipe]) -> tuple[str, str]:
    """The names of the two recipes whose images a lab's containers run: a node's and the phones'."""
    return (NODE if NODE in made else ASTERISK, PHONE)


def _settings(**settings: str) -> Context:
    """Settings as a file for the shell to read."""
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    return {SETTINGS: ("".join(lines).encode(), 0o644)}


def _patch_files(patches: tuple[Patch, ...]) -> Context:
    """A folder for each, so that they keep both their order and their names."""
    return {f"{PATCHES}/{number:03}/{patch.name}": (patch.content, 0o644) for number, patch in enumerate(patches, 1)}


def _patch_labels(stack: Stack, patches: tuple[Patch, ...]) -> dict[str, str]:
    return {f"{LABEL_CONTENTS}.{stack.cluster_module}.patches": ", ".join(map(str, patches))}


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
    return {"MODULE" if need in (MODULE, PATCHED) else "BASE": made[need].tag for need in recipe.needs}


def pack(context: Context) -> bytes:
    """The build context as a tar archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode) in sorted(context.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _check(stack: Stack, patches: tuple[Patch, ...]) -> None:
    """Raise UsageError for a stack whose module is not compiled here, InvalidFile for what is no patch of it."""
    if patches and (stack.image or not stack.build or not stack.build.module):
        raise UsageError(
            f"{patches[0].source}: {stack.cluster_module} of the stack {stack.name} is not compiled here",
            "that of a stack with `build.module` is, and takes patches",
        )
    for patch in patches:
        problems = _problems(patch, f"res/{stack.cluster_module}.c")
        if problems:
            raise InvalidFile(patch.source, problems)


def _problems(patch: Patch, file: str) -> list[Problem]:
    """What keeps a patch from being one of `file`, and of headers beside it: one problem a file."""
    named, changed = _named(patch.content)
    found: dict[str, Problem] = {}
    for name, line in named:
        _, _, path = name.partition("/")
        if name == file:
            what, fix = f"{name} is without the folder in front, as in a/{name}", "--src-prefix=a/ --dst-prefix=b/"
        elif path == file or re.fullmatch(r"res/[^/]+\.h", path):
            continue
        else:
            what, fix = f"{shown(name)} is not compiled here, {file} alone is", f"-- {file}"
        found.setdefault(path, Problem(line, what, f"in Asterisk's tree: git diff {fix}"))
    if not found and not (named and changed):
        return [Problem(1, f"no change to {file} is in it", f"in Asterisk's tree: git diff -- {file}")]
    return list(found.values())


def _named(content: bytes) -> tuple[list[tuple[str, int]], bool]:
    """The files that a unified diff names, each with its line, and whether it changes anything in them."""
    found: list[tuple[bytes, int]] = []
    changed = False
    old = new = 0
    for number, (line, following) in enumerate(pairwise([*content.split(b"\n"), b""]), 1):
        if old > 0 or new > 0:  # within a hunk anything may stand
            old -= not line.startswith((b"+", b"\\"))
            new -= not line.startswith((b"-", b"\\"))
        elif hunk := _HUNK.match(line):
            old, new = (int(count or 1) for count in hunk.groups())
            changed = True
        elif git := _GIT.match(line):  # all that tells of a rename, or of what is no text
            found += [(name, number) for name in git.groups()]
        elif line.startswith(b"--- ") and following.startswith(b"+++ "):
            found += [(each[4:].split(b"\t")[0], number) for each in (line, following)]
    names = ((name.strip().decode("utf-8", "replace"), number) for name, number in found)
    return [(name, number) for name, number in names if name != "/dev/null"], changed


def refusal(said: Sequence[str]) -> str:
    """Why patches could not be built, of what the builder said; "" where that is not why it failed."""
    why = list(dropwhile(lambda line: not line.startswith(REFUSAL), said))
    why = list(takewhile(lambda line: not line.startswith("Removing intermediate container"), why))
    if len(why) > REFUSAL_LINES:
        why[REFUSAL_LINES:] = [f"... and {len(why) - REFUSAL_LINES} lines more"]
    return "\n  ".join(why).removeprefix(REFUSAL)


def last_layer(said: Sequence[str]) -> str:
    """The id of the last image that the builder made, of what it said; "" where it made none."""
    found = (re.fullmatch(r" ---> ([0-9a-f]+)", line) for line in reversed(said))
    return next((match[1] for match in found if match), "")


def parse_contents(text: str) -> dict[str, str]:
    """/opt/labctl/contents of an image: `package=version`, a line each."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: version for name, equals, version in pairs if equals}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
