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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from labctl.errors import InvalidFile, UsageError
from labctl.images.edits import joined
from labctl.images.patch_context import EDITS, PATCHES, TREE_PATCHES, patch_files
from labctl.images.patches import is_of_module, problems
from labctl.lab import Service
from labctl.patch import Patch
from labctl.stack.model import Build, SourceBuild, Stack

REPOSITORY = "labctl"
LABEL_IMAGE = "labctl.image"
LABEL_CONTENTS = "labctl.contents"
LABEL_BASE = "labctl.base"
LABEL_SUITE = "labctl.suite"
LABEL_BUILT = "labctl.built"
LABEL_SIGNATURES = "labctl.signatures"
UNCHECKED = "not checked"
"""Whether the signatures of what is in it were checked; of images whose own apt could not."""

BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE = "base", "corosync", "asterisk", "module", "node", "phone"
SERVICE = "service"
PATCHED = "patched"
SOURCE, TREE, CHANGED, BUILT, DEBUG, RENEWED = "source", "tree", "changed", "built", "debug", "renewed"
SYSTEM, WHOLE, PHONE_BASE = "system", "whole", "phone-base"
BUILDER, BUILDER_BASE = "builder", "builder-base"
BUILDER_SYSTEM = ("bookworm", "debian:bookworm")
"""Suite and image of the Debian whose tools make the systems of suites that have ended: the apt of later ones (3.0)
checks signatures with sqv, which takes neither SHA-1 nor keys that have expired."""
BUILDER_PACKAGES = ("mmdebstrap", "debootstrap", "debian-archive-keyring", "gpgv", "ca-certificates", "arch-test")
SETTINGS = "root/opt/labctl/recipe"
"""Where the scripts of images/ read what to install."""
MODULE_SOURCE = "/usr/src/module"
TREE_SOURCE = "/usr/src/asterisk"
BUILD_CHANGED = "/usr/local/sbin/build-changed"
BUILT_ARCHIVE = "/built.tar"
"""All of Asterisk's source; what builds patches of it, and where that leaves what they change."""

FOLDERS = (
    *(BASE, SYSTEM, COROSYNC, ASTERISK, MODULE, PATCHED, SOURCE, TREE, CHANGED, DEBUG, BUILT, NODE, WHOLE, PHONE),
    *(RENEWED, BUILDER, SERVICE, EDITS),
)

Context = Mapping[str, tuple[bytes, int]]
"""The files of a build context: path -> (content, mode)."""


@dataclass(frozen=True)
class System:
    """A Debian that images stand on: bare, or with all packages of a node in it at once.

    `base`: an image of it that a registry may have. `keyring`: what its signatures are checked with, a file's name in
    /usr/share/keyrings or a path. `mirror`: where its packages come from. "" is the tools' own, of either.
    `architecture`: Debian's name of it, "" for the engine's own.
    """

    suite: str
    base: str = ""
    packages: tuple[str, ...] = ()
    keyring: str = ""
    mirror: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class Recipe:
    """How one image is made, the names of the recipes it stands on, and labels that are known beforehand.

    What has a `system` stands on none: it is that Debian. `made_in`: the recipe whose image has the tools to make it.
    """

    name: str
    tag: str
    context: Context
    needs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    system: System | None = None
    made_in: str = ""


@dataclass(frozen=True)
class Images:
    """The images that a lab's containers are made from: references, and ids where they are present. `own`: those of
    nodes that run another than the rest, by node."""

    node: str
    phone: str
    node_id: str = ""
    phone_id: str = ""
    services: tuple[ServiceImage, ...] = ()
    own: Mapping[str, Images] = field(default_factory=dict)

    def of(self, node: str) -> tuple[str, str]:
        """The image of a node: its reference and id."""
        images = self.own.get(node, self)
        return images.node, images.node_id

    def of_service(self, name: str) -> ServiceImage:
        """The image of a service. Raises KeyError."""
        return {service.name: service for service in self.services}[name]


@dataclass(frozen=True)
class ServiceImage:
    """The image of a service, by the service's name; the id is "" where it is not present."""

    name: str
    reference: str
    id: str = ""


def recipes(
    stack: Stack,
    contexts: Mapping[str, Context],
    mirror: str = "",
    patches: tuple[Patch, ...] = (),
    services: Collection[Service] = (),
) -> dict[str, Recipe]:
    """The recipes of what a stack has built here, each after those it needs; none for a stack without `build`.

    What was built elsewhere has none. Raises UsageError for patches that cannot be for its cluster module.
    """
    check_patches(stack, patches)
    build = stack.build
    if build is None:
        return {}
    # Where a node comes at once, the mirror is that of its own suite, and of no other that the phones may stand on.
    collected = _Recipes(contexts, "" if build.at_once else mirror)
    system = at_once(stack)
    if system:
        collected.whole(stack, system)
    elif not stack.image:
        collected.layers(stack, build, patches)
    if not stack.phone_image:
        collected.phone(stack, build)
    for service in services:
        if service.packages:
            collected.service(stack, build, service.packages)
    return collected.by_name


def service_recipe(packages: tuple[str, ...]) -> str:
    """The name of the recipe of a service's image: those of the same packages share it."""
    return f"{SERVICE}-{_short(' '.join(packages))}"


def source_recipes(stack: Stack, contexts: Mapping[str, Context], mirror: str = "") -> dict[str, Recipe]:
    """The recipes of the image that has all of a stack's Asterisk as source. Raises UsageError where there is none."""
    if stack.image or not stack.build or not stack.build.source:
        raise UsageError(
            f"the Asterisk of the stack {stack.name} is not compiled here", "that of a stack with `build.source` is"
        )
    collected = _Recipes(contexts, mirror)
    collected.source(stack, stack.build.source)
    return collected.by_name


def at_once(stack: Stack) -> System | None:
    """The Debian of a stack's nodes with all their packages in it, where it is made here and at once."""
    build = stack.build
    if not build or not build.at_once or stack.image:
        return None
    packages = (*build.corosync, *build.asterisk)
    return System(
        stack.suite or "", stack.base or "", packages, build.keyring or "", architecture=build.architecture or ""
    )


class _Recipes:
    """Recipes as they are added. What only holds what a suite has is named by the suite, so that stacks share it."""

    def __init__(self, contexts: Mapping[str, Context], mirror: str) -> None:
        self.by_name: dict[str, Recipe] = {}
        self._contexts = contexts
        self._mirror = mirror

    def layers(self, stack: Stack, build: Build, patches: tuple[Patch, ...]) -> None:
        """A node whose own apt installs one thing after the other."""
        self._base(BASE, stack.suite, stack.base)
        self._layer(COROSYNC, stack.name, self._packages(build.corosync), BASE)
        self._layer(ASTERISK, stack.name, self._packages(build.asterisk), COROSYNC)
        if module := build.module:
            settings = {"SOURCE": module.source, "MODULE": stack.cluster_module}
            settings["LIBRARIES"] = " ".join(module.libraries)
            self._layer(MODULE, stack.name, self._packages(module.packages, **settings), BASE)
        if not patches:
            if build.module:
                self._layer(NODE, stack.name, {}, ASTERISK, MODULE)
            return
        self._layer(DEBUG, stack.name, self._packages(build.debugger), ASTERISK)
        if build.module and not (build.source and not is_of_module(patches, module_file(stack))):
            labels = _patch_labels(stack.cluster_module, patches)
            self._layer(PATCHED, stack.name, self._patch_files(patches, PATCHES), MODULE, labels=labels)
            self._layer(NODE, stack.name, {}, DEBUG, PATCHED, labels=labels)
        elif build.source:
            self.source(stack, build.source)
            self._layer(TREE, stack.name, _tree_settings(build.source), SOURCE)
            self._layer(BUILT, stack.name, {}, DEBUG, TREE)
            labels = _patch_labels("asterisk", patches)
            self._layer(CHANGED, stack.name, self._patch_files(patches, TREE_PATCHES), TREE, labels=labels)
            self._layer(NODE, stack.name, {}, BUILT, CHANGED, labels=labels, folder=RENEWED)

    def _patch_files(self, patches: tuple[Patch, ...], folder: str) -> Context:
        return patch_files(patches, folder, self._contexts[EDITS])

    def source(self, stack: Stack, source: SourceBuild) -> None:
        """All of Asterisk's source."""
        if BASE not in self.by_name:
            self._base(BASE, stack.suite, stack.base)
        self._layer(SOURCE, stack.name, self._packages(source.packages, SOURCE=source.package), BASE)

    def whole(self, stack: Stack, system: System) -> None:
        """A node whose packages come with its base system.

        The mirror is no part of it: packages whose signatures are checked are the same from everywhere.
        """
        common = self._contexts[BASE]
        self._base(BUILDER_BASE, *BUILDER_SYSTEM)
        self._layer(BUILDER, BUILDER_SYSTEM[0], self._packages(BUILDER_PACKAGES), BUILDER_BASE)
        files = {**common, **self._contexts[SYSTEM], **settings(system)}
        self._add(SYSTEM, system.suite, files, system=system, made_in=BUILDER)
        node = {**common, **self._contexts[COROSYNC], **self._contexts[ASTERISK], **self._contexts[WHOLE]}
        self._layer(WHOLE, stack.name, {**node, **settings(system)}, SYSTEM, labels={LABEL_IMAGE: NODE})

    def phone(self, stack: Stack, build: Build) -> None:
        """The phones' image, on the stack's own suite or on another."""
        name, suite = self._base_of_others(stack, build)
        self._layer(PHONE, suite, self._packages(build.phone.packages), name)

    def service(self, stack: Stack, build: Build, packages: tuple[str, ...]) -> None:
        """A service's image, on the Debian that the phones stand on: its own apt installs what there is today."""
        name, suite = self._base_of_others(stack, build)
        self._layer(SERVICE, suite, self._packages(packages), name, called=service_recipe(packages))

    def _base_of_others(self, stack: Stack, build: Build) -> tuple[str, str]:
        """The recipe and the suite of the Debian that is under all but nodes."""
        own = build.phone.suite in (None, stack.suite)
        suite, base = (stack.suite, stack.base) if own else (build.phone.suite, build.phone.base)
        name = BASE if own else PHONE_BASE
        if name not in self.by_name:
            self._base(name, suite, base)
        return name, suite or ""

    def _packages(self, names: tuple[str, ...], **more: str) -> Context:
        return _settings(PACKAGES=" ".join(names), MIRROR=self._mirror, **more)

    def _base(self, name: str, suite: str | None, base: str | None) -> None:
        system = System(suite or "", base or "", mirror=self._mirror)
        settings = _settings(SUITE=system.suite, MIRROR=self._mirror)
        self._add(name, system.suite, {**self._contexts[BASE], **settings}, system=system)

    def _layer(
        self,
        name: str,
        owner: str,
        files: Context,
        *needs: str,
        labels: Mapping[str, str] | None = None,
        called: str = "",
        folder: str = "",
    ) -> None:
        # What stands on the bare base gets the files of images/base too.
        bare = any(need in (BASE, PHONE_BASE, BUILDER_BASE) for need in needs)
        context = {**(self._contexts[BASE] if bare else {}), **self._contexts[folder or name], **files}
        self._add(called or name, owner, context, *needs, labels=labels, kind=name)

    def _add(
        self,
        name: str,
        owner: str,
        context: Context,
        *needs: str,
        labels: Mapping[str, str] | None = None,
        system: System | None = None,
        made_in: str = "",
        kind: str = "",
    ) -> None:
        tools = [self.by_name[made_in].tag] if made_in else []
        inputs = ([self.by_name[need].tag for need in needs] + tools, hashlib.sha256(pack(context)).hexdigest())
        kind = {PHONE_BASE: BASE, BUILDER_BASE: BASE, WHOLE: NODE}.get(kind or name, kind or name)
        tag = f"{REPOSITORY}/{owner}-{kind}:{_short(json.dumps(inputs))}"
        self.by_name[name] = Recipe(name, tag, context, needs, labels or {}, system, made_in)


def run_by_labs(all_recipes: Mapping[str, Recipe]) -> tuple[Recipe | None, Recipe | None]:
    """The two recipes whose images a lab's containers run, a node's and the phones': None for what is not made here."""
    node = next((all_recipes[name] for name in (WHOLE, NODE, ASTERISK) if name in all_recipes), None)
    return node, all_recipes.get(PHONE)


def services_of(all_recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """The recipes of services' images."""
    return [recipe for name, recipe in all_recipes.items() if name.startswith(f"{SERVICE}-")]


def ground(recipe: Recipe, all_recipes: Mapping[str, Recipe]) -> Recipe:
    """The Debian at the bottom of an image."""
    while recipe.needs:
        recipe = all_recipes[recipe.needs[0]]
    return recipe


def settings(system: System, mirror: str = "") -> Context:
    """The settings of a system with packages, as a file for the shell to read."""
    architecture = {"ARCHITECTURE": system.architecture} if system.architecture else {}
    packages = " ".join(system.packages)
    return _settings(SUITE=system.suite, PACKAGES=packages, KEYRING=system.keyring, MIRROR=mirror, **architecture)


def _settings(**values: str) -> Context:
    """Settings as a file for the shell to read."""
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return {SETTINGS: ("".join(lines).encode(), 0o644)}


def _tree_settings(source: SourceBuild) -> Context:
    lists = {"CONFIGURE": source.configure, "ENABLE": source.enable, "DISABLE": source.disable}
    return _settings(FLAGS=source.flags, **{name: " ".join(values) for name, values in lists.items()})


def _patch_labels(of: str, patches: tuple[Patch, ...]) -> dict[str, str]:
    return {f"{LABEL_CONTENTS}.{of}.patches": ", ".join(map(str, patches))}


def module_file(stack: Stack) -> str:
    """The file of Asterisk's tree that is the cluster module of a stack."""
    return f"res/{stack.cluster_module}.c"


def missing(all_recipes: Mapping[str, Recipe], present: set[str]) -> list[Recipe]:
    """What must be built, each after those it needs, so that the images a lab runs are there.

    What stands between is built for their sake alone: where they are present, nothing is missing.
    """
    wanted: set[str] = set()
    open_ = [recipe.name for recipe in (*run_by_labs(all_recipes), *services_of(all_recipes)) if recipe]
    while open_:
        name = open_.pop()
        if all_recipes[name].tag not in present and name not in wanted:
            wanted.add(name)
            open_ += [*all_recipes[name].needs, *filter(None, [all_recipes[name].made_in])]
    return [recipe for name, recipe in all_recipes.items() if name in wanted]


def build_args(recipe: Recipe, all_recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """The Dockerfile's ARGs: the images it stands on."""
    names = ("MODULE",) if recipe.name == PATCHED else ("BASE", "MODULE")
    return {name: all_recipes[need].tag for name, need in zip(names, recipe.needs, strict=False)}


def pack(context: Context) -> bytes:
    """The build context as a tar archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode) in sorted(context.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def check_patches(stack: Stack, patches: tuple[Patch, ...]) -> None:
    """Raise UsageError for a stack of which nothing is compiled here, InvalidFile for what is no patch of that."""
    build = None if stack.image else stack.build
    if patches and not (build and (build.module or build.source)):
        raise UsageError(
            f"{patches[0].source}: {stack.cluster_module} of the stack {stack.name} is not compiled here",
            "a stack with `build.module` takes patches of that, one with `build.source` of any part",
        )
    for patch in patches:
        mistakes = problems(patch, module_file(stack), whole=bool(build and build.source))
        if mistakes:
            raise InvalidFile(patch.source, mistakes)
    joined([patch for patch in patches if patch.is_mend])


def parse_contents(text: str) -> dict[str, str]:
    """/opt/labctl/contents of an image: `package=version`, a line each."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: version for name, equals, version in pairs if equals}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
