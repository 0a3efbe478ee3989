"""Makes the images of a stack: what to build is decided in labctl.images, here it is done."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from labctl.engine.client import Engine
from labctl.errors import BuildError, HostError, PatchRefused, UsageError
from labctl.images import mirror, patches, systems
from labctl.images import recipes as images
from labctl.images.architecture import for_kernel
from labctl.images.mirror import Way
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
    patch_files = sorted(file for suffix in PATCH_SUFFIXES for file in path.glob(f"*{suffix}"))
    if not patch_files:
        raise UsageError(f"{path}: no patch is in it", "its files *.patch and *.diff are taken")
    return patch_files


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
    return _identified(engine, references(for_kernel(engine, stack), options), engine.images())


def plan(engine: Engine, stack: Stack, options: Options) -> list[Recipe]:
    """What is still to be built, in an order in which it could be."""
    return _missing(recipes(for_kernel(engine, stack), options), options, engine.images())


def ways(engine: Engine, stack: Stack, *, insecure: bool) -> tuple[Way | None, tuple[str, ...]] | None:
    """How the system of a stack's nodes comes about where that comes at once, and what was tried in vain.

    None where it does not come at once, or where the container is not there yet that asks; nothing is built or pulled.
    """
    stack = for_kernel(engine, stack)
    system = images.at_once(stack)
    builder = recipes(stack, Options())[images.BUILDER].tag if system else ""
    if not system or not engine.image_id(builder):
        return None
    return systems.find_way(engine, lambda: builder, system, "", insecure, engine.ask_registry)


def build(engine: Engine, stack: Stack, options: Options, progress: Progress) -> Images:
    """Make every image of the stack that is not there, and return those a lab runs.

    What may not be had from elsewhere is asked for first; what does not stand on each other is built side by side.
    Raises BuildError, HostError.
    """
    stack = for_kernel(engine, stack)
    all_recipes = recipes(stack, options)
    _fetch_foreign(engine, stack, progress)
    present = engine.images()
    if _missing(all_recipes, options, present):
        with locked("build"):  # and look again: somebody else may have built it meanwhile
            _make_missing(_Making(engine, stack, all_recipes, options, progress))
        present = engine.images()
    return _identified(engine, _references(stack, all_recipes), present)


def prepare(engine: Engine, stack: Stack, progress: Progress) -> None:
    """Make the container that asks for a stack's base system, where that is of a suite that has ended and it is not
    there yet. Raises HostError."""
    stack = for_kernel(engine, stack)
    all_recipes = recipes(stack, Options())
    if images.BUILDER in all_recipes and not engine.image_id(all_recipes[images.BUILDER].tag):
        with locked("build"):
            making = _Making(engine, stack, all_recipes, Options(), progress)
            _make_all(making, _of_builder(_missing(all_recipes, Options(), engine.images())))


def _of_builder(wanted: Iterable[Recipe]) -> list[Recipe]:
    return [recipe for recipe in wanted if recipe.name in (images.BUILDER_BASE, images.BUILDER)]


@dataclass(frozen=True)
class _Making:
    """What every step of a build knows. `way`: how the system of a node comes about that comes at once."""

    engine: Engine
    stack: Stack
    recipes: Mapping[str, Recipe]
    options: Options
    progress: Progress
    way: Way = field(default_factory=Way)


def _make_missing(making: _Making) -> None:
    """Make what is not there. Whether a system of a suite that has ended can be had is asked before all else."""
    wanted = _missing(making.recipes, making.options, making.engine.images())
    system = images.at_once(making.stack)
    if system and images.SYSTEM in [recipe.name for recipe in wanted]:
        making = replace(making, way=_find_way(making, system, wanted))
    builder = (images.BUILDER_BASE, images.BUILDER)
    _make_all(making, [recipe for recipe in wanted if recipe.name not in builder])


def _find_way(making: _Making, system: System, wanted: Iterable[Recipe]) -> Way:
    """How a system comes about, told by its builder, which is made for that. Raises BuildError where there is none."""

    def take_image(reference: str) -> None:
        if not making.engine.image_id(reference):
            with step(making.progress, f"base system: pull {reference}"):
                making.engine.pull(reference)

    def make_builder() -> str:
        _make_all(making, _of_builder(wanted))
        return making.recipes[images.BUILDER].tag

    mirror_option, insecure = making.options.mirror, making.options.insecure
    way, tried = systems.find_way(making.engine, make_builder, system, mirror_option, insecure, take_image)
    if not way:
        raise mirror.refusal(making.stack.name, system, tried)
    return way


def _make_all(making: _Making, wanted: Sequence[Recipe]) -> None:
    """Make images, each after those of them that it stands on, side by side otherwise."""
    running: dict[str, Future[None]] = {}

    def make(recipe: Recipe) -> None:
        for need in recipe.needs:
            if need in running:
                running[need].result()
        failed = any(future.done() and future.exception() for future in list(running.values()))
        if not failed:  # else the first failure is raised below
            _make(making, recipe)

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


def _references(stack: Stack, all_recipes: Mapping[str, Recipe]) -> Images:
    node, phone = (recipe.tag if recipe else "" for recipe in images.run_by_labs(all_recipes))
    node = stack.image or node
    return Images(node, stack.phone_image or phone or node)


def _identified(engine: Engine, named: Images, present: Mapping[str, str]) -> Images:
    node_id = present.get(named.node) or engine.image_id(named.node)
    return Images(named.node, named.phone, node_id, present.get(named.phone) or engine.image_id(named.phone))


def _missing(all_recipes: Mapping[str, Recipe], options: Options, present: Mapping[str, str]) -> list[Recipe]:
    return images.missing(all_recipes, set() if options.refresh else set(present))


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
    if recipe.system and recipe.system.packages:
        builder = making.recipes[images.BUILDER].tag
        systems.make_whole(making.engine, recipe, recipe.system, builder, making.way, making.progress)
        return
    if recipe.system:
        systems.make_bare(making.engine, recipe, recipe.system, making.progress)
        return
    what = f"build {recipe.tag}"
    with step(making.progress, what):
        raw = f"{recipe.tag}-unlabelled"
        args = images.build_args(recipe, making.recipes)
        output: list[str] = []
        try:
            for text in making.engine.build(images.pack(recipe.context), raw, args, {}, fresh=making.options.refresh):
                output += text.splitlines()
                making.progress.detail(what, text)
        except BuildError:
            _refuse_patches(making.engine, making.stack, output, making.recipes)
            raise  # for anything else
        _label(making.engine, recipe, images.ground(recipe, making.recipes), raw)


def _refuse_patches(engine: Engine, stack: Stack, output: list[str], all_recipes: Mapping[str, Recipe]) -> None:
    """Raise PatchRefused with the reason where a build failed for its patches, and leave nothing of it behind."""
    reason, layer = patches.refusal(output), patches.last_layer(output)
    if not reason:
        return
    with suppress(HostError):  # that something stands on it
        engine.remove_image(layer)
    source = f"{images.MODULE_SOURCE}/res/{stack.cluster_module}.c"
    raise PatchRefused(reason, f"docker run --rm {all_recipes[images.MODULE].tag} cat {source} shows what is patched")


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
