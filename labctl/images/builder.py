"""Makes the images of a stack: what to build is decided in labctl.images, here it is done."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labctl.engine.client import Engine
from labctl.errors import BuildError, HostError, PatchRefused, UsageError
from labctl.images import mirror, mmdebstrap, patches
from labctl.images import recipes as images
from labctl.images.mirror import Mirror, Way
from labctl.images.patches import Patch
from labctl.images.recipes import Context, Images, Recipe, System
from labctl.lock import locked
from labctl.paths import images_folder
from labctl.progress import Progress, step
from labctl.stack.model import Stack

CONTENTS = "/opt/labctl/contents"

PATCH_LIMIT = 1 << 20
"""Bytes. What is larger was not meant as a patch of one module."""
PATCH_SUFFIXES = (".patch", ".diff")


@dataclass(frozen=True)
class Options:
    """`mirror`: a Debian mirror other than the tools' own. `refresh`: build anew what is there already.

    `patches`: changes to the cluster module, applied one after the other. `insecure`: whether a base system may come
    about whose signatures cannot be checked.
    """

    mirror: str = ""
    refresh: bool = False
    patches: tuple[Patch, ...] = ()
    insecure: bool = False


def read_patches(paths: Iterable[str]) -> tuple[Patch, ...]:
    """The patches that files hold; of a folder all of them, in the order of their names. Raises UsageError."""
    return tuple(Patch(str(file), _read_patch(file)) for path in paths for file in _patch_files(Path(path)))


def _patch_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for suffix in PATCH_SUFFIXES for each in path.glob(f"*{suffix}"))
    if not found:
        raise UsageError(f"{path}: no patch is in it", "its files *.patch and *.diff are taken")
    return found


def _read_patch(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(PATCH_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "does the path lead to a patch that you may read?") from None
    if len(content) > PATCH_LIMIT:
        raise UsageError(f"{path}: larger than {PATCH_LIMIT >> 20} MiB", "is it a patch?")
    return content


def contexts() -> dict[str, Context]:
    """The build contexts of images/, read from disk."""
    return {name: _read_context(images_folder() / name) for name in images.FOLDERS}


def _read_context(folder: Path) -> Context:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def references(stack: Stack, options: Options) -> Images:
    """The images of a stack by name alone, asking no engine."""
    return _references(stack, recipes(stack, options))


def resolve(engine: Engine, stack: Stack, options: Options) -> Images:
    """The images of a stack, with the ids of those that are present. Builds nothing."""
    return _identified(engine, references(stack, options), engine.images())


def plan(engine: Engine, stack: Stack, options: Options) -> list[Recipe]:
    """What is still to be built, in an order in which it could be."""
    return _missing(recipes(stack, options), options, engine.images())


def build(engine: Engine, stack: Stack, options: Options, progress: Progress) -> Images:
    """Make every image of the stack that is not there, and return those a lab runs.

    What may not be had from elsewhere is asked for first; what does not stand on each other is built side by side.
    Raises BuildError, HostError.
    """
    made = recipes(stack, options)
    _fetch_foreign(engine, stack, progress)
    present = engine.images()
    if _missing(made, options, present):
        way = _find_way(engine, stack, made, options, progress)
        with locked("build"):  # and look again: somebody else may have built it meanwhile
            _make_all(_Making(engine, stack, made, options, way, progress))
        present = engine.images()
    return _identified(engine, _references(stack, made), present)


@dataclass(frozen=True)
class _Making:
    """What every step of a build knows. `way`: how the system of a node comes about that comes at once."""

    engine: Engine
    stack: Stack
    made: Mapping[str, Recipe]
    options: Options
    way: Way
    progress: Progress


def _find_way(engine: Engine, stack: Stack, made: Mapping[str, Recipe], options: Options, progress: Progress) -> Way:
    """How the system of a node comes about that comes at once; any for another. Raises BuildError within seconds."""
    system = images.at_once(stack)
    if not system or images.SYSTEM not in [each.name for each in _missing(made, options, engine.images())]:
        return Way()

    def take_image(reference: str) -> None:
        if not engine.image_id(reference):
            with step(progress, f"base system: pull {reference}"):
                engine.pull(reference)

    way, tried = mirror.find(system, options.mirror, options.insecure, take_image)
    if not way:
        raise mirror.refusal(stack.name, system, tried)
    return way


def _make_all(making: _Making) -> None:
    running: dict[str, Future[None]] = {}

    def make(recipe: Recipe) -> None:
        for need in recipe.needs:
            if need in running:
                running[need].result()
        if not any(each.done() and each.exception() for each in list(running.values())):  # raised below
            _make(making, recipe)

    wanted = _missing(making.made, making.options, making.engine.images())
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        for recipe in wanted:
            running[recipe.name] = pool.submit(make, recipe)
    for future in running.values():
        future.result()


def recipes(stack: Stack, options: Options) -> dict[str, Recipe]:
    """The recipes of a stack, from the files of images/. Raises UsageError for a mirror that it cannot have."""
    if mirror.is_folder(options.mirror) and stack.build and not stack.build.at_once:
        raise UsageError(
            f"--mirror {options.mirror}: the packages of the stack {stack.name} are installed within Docker, "
            "which does not see a folder of this machine",
            f"python3 -m http.server --directory {options.mirror} serves it: --mirror http://ADDRESS:8000",
        )
    return images.recipes(stack, contexts(), options.mirror, options.patches)


def _references(stack: Stack, made: Mapping[str, Recipe]) -> Images:
    node, phone = (recipe.tag if recipe else "" for recipe in images.run_by_labs(made))
    node = stack.image or node
    return Images(node, stack.phone_image or phone or node)


def _identified(engine: Engine, named: Images, present: Mapping[str, str]) -> Images:
    node_id = present.get(named.node) or engine.image_id(named.node)
    return Images(named.node, named.phone, node_id, present.get(named.phone) or engine.image_id(named.phone))


def _missing(made: Mapping[str, Recipe], options: Options, present: Mapping[str, str]) -> list[Recipe]:
    return images.missing(made, set() if options.refresh else set(present))


def _fetch_foreign(engine: Engine, stack: Stack, progress: Progress) -> None:
    """Images that were built elsewhere: they are here, or a registry has them. Raises HostError."""
    for reference in filter(None, (stack.image, stack.phone_image)):
        if engine.image_id(reference):
            continue
        try:
            with step(progress, f"pull {reference}"):
                engine.pull(reference)
        except HostError as error:
            why = error.message.splitlines()[0].removeprefix(f"pull {reference}: ")
            raise HostError(
                f"the image {reference} is not here, and no registry gives it: {why}",
                "docker load brings one in; images/README.md says what must be in a node's",
            ) from None


def _make(making: _Making, recipe: Recipe) -> None:
    if recipe.system:
        _make_system(making, recipe, recipe.system)
        return
    what = f"build {recipe.tag}"
    with step(making.progress, what):
        raw = f"{recipe.tag}-unlabelled"
        args = images.build_args(recipe, making.made)
        said: list[str] = []
        try:
            for text in making.engine.build(images.pack(recipe.context), raw, args, {}, fresh=making.options.refresh):
                said += text.splitlines()
                making.progress.detail(what, text)
        except BuildError:
            _refuse_patches(making.engine, making.stack, said, making.made)
            raise  # for anything else
        _label(making.engine, recipe, images.ground(recipe, making.made), raw)


def _refuse_patches(engine: Engine, stack: Stack, said: list[str], made: Mapping[str, Recipe]) -> None:
    """Raise PatchRefused with the reason where a build failed for its patches, and leave nothing of it behind."""
    reason, layer = patches.refusal(said), patches.last_layer(said)
    if not reason:
        return
    with suppress(HostError):  # that something stands on it
        engine.remove_image(layer)
    source = f"{images.MODULE_SOURCE}/res/{stack.cluster_module}.c"
    raise PatchRefused(reason, f"docker run --rm {made[images.MODULE].tag} cat {source} shows what is patched")


def _label(engine: Engine, recipe: Recipe, ground: Recipe, raw: str) -> None:
    """Give the image its tag, and labels that say what is in it: only the finished image knows."""
    base = (engine.image_labels(ground.tag) or {}).get(images.LABEL_BASE, "")
    idle = engine.create_idle(raw)
    try:
        contents = images.parse_contents(engine.read_file(idle, CONTENTS))
        labels = {f"{images.LABEL_CONTENTS}.{name}": version for name, version in contents.items()}
        labels |= {
            images.LABEL_IMAGE: recipe.name,
            images.LABEL_BASE: base,
            images.LABEL_SUITE: ground.system.suite if ground.system else "",
            images.LABEL_BUILT: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **recipe.labels,
        }
        engine.commit(idle, recipe.tag, labels)
    finally:
        engine.remove_idle(idle)
    engine.remove_image(raw)


def _make_system(making: _Making, recipe: Recipe, system: System) -> None:
    """A Debian: a bare one is pulled where a registry has it; one with a node's packages comes as was found out."""
    if system.packages:
        way = making.way
        labels = {images.LABEL_SIGNATURES: f"checked with {system.keyring or 'the keyring of the tools'}"}
        if not way.checked:
            labels = {images.LABEL_SIGNATURES: images.UNCHECKED}
        with step(making.progress, f"base system: {system.suite} {way}"):
            if way.image:
                settings = {**recipe.context, **images.settings(system, way.mirror.url)}
                _build_on(making.engine, way.image, settings, recipe.tag, labels)
            else:
                _bootstrap(making.engine, system, recipe.tag, way, labels)
        return
    refused = "the stack names none"
    if system.base and not system.mirror:
        try:
            with step(making.progress, f"base system: pull {system.base}, else mmdebstrap"):
                making.engine.pull(system.base)
        except HostError as error:
            refused = error.message.splitlines()[0]
        else:
            _build_on(making.engine, system.base, {"Dockerfile": (b"ARG BASE\nFROM ${BASE}\n", 0o644)}, recipe.tag, {})
            return
    if not shutil.which(mmdebstrap.TOOL):
        raise HostError(
            f"no base system: {system.base} cannot be pulled ({refused}), and mmdebstrap is not installed",
            "apt-get install mmdebstrap, or make the registry reachable",
        )
    with step(making.progress, f"base system: not pulled, so mmdebstrap {system.suite}"):
        _bootstrap(making.engine, system, recipe.tag, Way("", Mirror(system.mirror, "--mirror")), {})


def _build_on(engine: Engine, base: str, context: Context, tag: str, labels: dict[str, str]) -> None:
    labels = {images.LABEL_BASE: f"pulled {base}", **labels}
    for _ in engine.build(images.pack(context), tag, {"BASE": base}, labels):
        pass


def _bootstrap(engine: Engine, system: System, tag: str, way: Way, labels: dict[str, str]) -> None:
    dpkg_options = images_folder() / images.BASE / mmdebstrap.DPKG_OPTIONS
    command = mmdebstrap.command(system, way.mirror.url, dpkg_options, checked=way.checked)
    with mmdebstrap.archive(command, system) as archive:
        engine.import_image(archive, tag, {images.LABEL_BASE: f"mmdebstrap {system.suite}", **labels})
