"""Makes the images of a stack: what to build is decided in labctl.images, here it is done."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from labctl.engine import workshop
from labctl.engine.client import Engine
from labctl.errors import BuildError, HostError, PatchRefused, UsageError
from labctl.images import mirror, patches, systems
from labctl.images import recipes as images
from labctl.images.architecture import for_kernel
from labctl.images.compiling import Estimate
from labctl.images.mirror import Way
from labctl.images.recipes import Context, Images, Recipe, ServiceImage, System
from labctl.lab import Service
from labctl.lock import locked
from labctl.patch import Patch
from labctl.paths import images_folder
from labctl.progress import Progress, step
from labctl.stack.model import Stack

CONTENTS = "/opt/labctl/contents"

TAKES_LONG = "all of Asterisk, once: about ten minutes on two processors"


@dataclass(frozen=True)
class Options:
    """`mirror`: a Debian mirror other than the tools' own. `refresh`: build anew what is there already.

    `patches`: changes to Asterisk, applied one after the other. `insecure`: whether a base system may come
    about whose signatures cannot be checked. `services`: the servers beside the nodes, whose images are made too.
    """

    mirror: str = ""
    refresh: bool = False
    patches: tuple[Patch, ...] = ()
    insecure: bool = False
    services: tuple[Service, ...] = ()


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
    return _references(stack, recipes(stack, options), options)


def resolve(engine: Engine, stack: Stack, options: Options) -> Images:
    """The images of a stack, with the ids of those that are present. Builds nothing."""
    return _identified(engine, references(for_kernel(engine, stack), options), engine.images())


def plan(engine: Engine, stack: Stack, options: Options) -> list[Recipe]:
    """What is still to be built, in an order in which it could be."""
    return _missing(recipes(for_kernel(engine, stack), options), options, engine.images())


@dataclass(frozen=True)
class Ways:
    """How a system comes about, with its signatures checked and without (`insecure`); None where it cannot. `tried`:
    what was tried in vain to have it checked."""

    checked: Way | None
    tried: tuple[str, ...]
    insecure: Way | None


def ways(engine: Engine, stack: Stack) -> Ways | None:
    """How the system of a stack's nodes comes about where that comes at once. The mirror is asked once.

    None where it does not come at once, or where the container is not there yet that asks; nothing is built or pulled.
    """
    stack = for_kernel(engine, stack)
    system = images.at_once(stack)
    builder = recipes(stack, Options())[images.BUILDER].tag if system else ""
    if not system or not engine.image_id(builder):
        return None
    ask_mirror = cache(lambda: systems.ask(engine, builder, system, ""))
    checked, tried = systems.find_way(system, "", False, engine.ask_registry, ask_mirror)
    insecure = checked or systems.find_way(system, "", True, engine.ask_registry, ask_mirror)[0]
    return Ways(checked, tried, insecure)


def build(engine: Engine, stack: Stack, options: Options, progress: Progress) -> Images:
    """Make every image of the stack that is not there, and return those a lab runs.

    What may not be had from elsewhere is asked for first; what does not stand on each other is built side by side.
    Raises BuildError, HostError.
    """
    stack = for_kernel(engine, stack)
    all_recipes = recipes(stack, options)
    foreign = (stack.image, stack.phone_image, *(service.image for service in options.services))
    _fetch_foreign(engine, [image for image in foreign if image], progress)
    present = engine.images()
    if missing := _missing(all_recipes, options, present):
        making = _Making(engine, stack, all_recipes, options, progress)
        if any(recipe.name in OF_SOURCE for recipe in missing):
            _make_of_source(making)
        with locked("build"):  # and look again: somebody else may have built it meanwhile
            _make_missing(making)
        if images.CHANGED in all_recipes:
            _renew(making)
        present = engine.images()
    return _identified(engine, _references(stack, all_recipes, options), present)


OF_SOURCE = (images.SOURCE, images.TREE)
"""What takes minutes: nobody else's build waits for it."""


def _make_of_source(making: _Making) -> None:
    """Make what all of Asterisk is compiled in, where it is not there."""
    with locked("build-source"):
        with locked("build"):
            missing = _missing(making.recipes, making.options, making.engine.images())
            _make_all(making, [recipe for recipe in missing if recipe.name == images.BASE])
        _make_all(making, [recipe for recipe in missing if recipe.name in OF_SOURCE])


def prepare(engine: Engine, stack: Stack, progress: Progress) -> None:
    """Make the container that asks for a stack's base system, where that is of a suite that has ended and it is not
    there yet. Raises HostError."""
    stack = for_kernel(engine, stack)
    all_recipes = recipes(stack, Options())
    if images.BUILDER in all_recipes and not engine.image_id(all_recipes[images.BUILDER].tag):
        with locked("build"):
            making = _Making(engine, stack, all_recipes, Options(), progress)
            _make_all(making, _of_builder(_missing(all_recipes, Options(), engine.images())))


def build_source(engine: Engine, stack: Stack, options: Options, progress: Progress) -> str:
    """Make the image that has all of Asterisk's source, where it is not there; its tag. Raises UsageError for a stack
    of which none is compiled here, BuildError, HostError."""
    all_recipes = images.source_recipes(stack, contexts(), options.mirror)
    wanted = all_recipes[images.SOURCE].tag
    if options.refresh or not engine.image_id(wanted):
        with locked("build"):
            present = {} if options.refresh else engine.images()
            missing = [recipe for recipe in all_recipes.values() if recipe.tag not in present]
            _make_all(_Making(engine, stack, all_recipes, options, progress), missing)
    return wanted


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
    elsewhere = {images.BUILDER_BASE, images.BUILDER, *OF_SOURCE}
    elsewhere |= {images.CHANGED, images.NODE} if images.CHANGED in making.recipes else set()
    _make_all(making, [recipe for recipe in wanted if recipe.name not in elsewhere])


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
    way, tried = systems.find_way(
        system,
        mirror_option,
        insecure,
        take_image,
        lambda: systems.ask(making.engine, make_builder(), system, mirror_option),
    )
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
    return images.recipes(stack, contexts(), options.mirror, options.patches, options.services)


def _references(stack: Stack, all_recipes: Mapping[str, Recipe], options: Options) -> Images:
    node, phone = (recipe.tag if recipe else "" for recipe in images.run_by_labs(all_recipes))
    node = stack.image or node
    services = tuple(
        ServiceImage(service.name, service.image or all_recipes[images.service_recipe(service.packages)].tag)
        for service in options.services
    )
    return Images(node, stack.phone_image or phone or node, services=services)


def _identified(engine: Engine, named: Images, present: Mapping[str, str]) -> Images:
    def identity(reference: str) -> str:
        return present.get(reference) or engine.image_id(reference)

    services = tuple(replace(service, id=identity(service.reference)) for service in named.services)
    return Images(named.node, named.phone, identity(named.node), identity(named.phone), services)


def _missing(all_recipes: Mapping[str, Recipe], options: Options, present: Mapping[str, str]) -> list[Recipe]:
    return images.missing(all_recipes, set() if options.refresh else set(present))


def _fetch_foreign(engine: Engine, references: Iterable[str], progress: Progress) -> None:
    """Images that were built elsewhere: they are here, or a registry has them. Raises HostError."""
    for reference in references:
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
    what = f"build {recipe.tag}" + (f" ({TAKES_LONG})" if recipe.name == images.TREE else "")
    estimate = Estimate(time.monotonic)
    with step(making.progress, what):
        raw = f"{recipe.tag}-unlabelled"
        context, args = images.pack(recipe.context), images.build_args(recipe, making.recipes)
        output: list[str] = []
        try:
            for text in making.engine.build(context, raw, args, {}, fresh=making.options.refresh):
                output += text.splitlines()
                making.progress.detail(what, estimate.shown(text))
        except BuildError:
            _refuse_patches(making.engine, making.stack, output, making.recipes)
            raise  # for anything else
        _label(making.engine, recipe, images.ground(recipe, making.recipes), raw)


def _renew(making: _Making) -> None:
    """Make a node of which patches change parts other than the cluster module, where it is not there.

    What they touch is compiled in a container that is gone afterwards, and what came out of it put over the node that
    has all else: an image of all that was compiled would take far longer to keep than to make.
    """
    recipe, changed = making.recipes[images.NODE], making.recipes[images.CHANGED]
    what = f"build {recipe.tag}"
    with locked("build-source"):
        if making.engine.image_id(recipe.tag) and not making.options.refresh:
            return
        with step(making.progress, what), _compiled(making, changed, what) as archive:
            idle = making.engine.create_idle(making.recipes[images.BUILT].tag)
            try:
                making.engine.put_archive(idle, archive)
                making.engine.commit(idle, recipe.tag, _own_labels(recipe))
            finally:
                making.engine.remove_idle(idle)


@contextmanager
def _compiled(making: _Making, recipe: Recipe, what: str) -> Iterator[bytes]:
    """What patches change of what is built from source, as a tar archive. Raises PatchRefused, BuildError."""
    files = {path.removeprefix("root"): content for path, (content, _) in recipe.context.items() if path[:5] == "root/"}

    def tell(text: str) -> None:
        making.progress.detail(what, text.strip().rpartition("\n")[2])

    tree, command = making.recipes[images.TREE].tag, ["sh", images.BUILD_CHANGED]
    with workshop.compiled(making.engine, tree, command, files, tell) as work:
        lines = work.text.splitlines()
        if reason := patches.refusal(lines):
            way_out = f"labctl source --stack {making.stack.name} lays out the source that is patched"
            raise PatchRefused(reason, way_out)
        if work.code:
            raise BuildError(f"{what}:\n" + "\n".join(f"  {line}" for line in lines[-15:]))
        with workshop.opened(making.engine, work, images.BUILT_ARCHIVE) as archive:
            yield archive.read()


def _refuse_patches(engine: Engine, stack: Stack, output: list[str], all_recipes: Mapping[str, Recipe]) -> None:
    """Raise PatchRefused with the reason where a build failed for its patches, and leave nothing of it behind."""
    reason, layer = patches.refusal(output), patches.last_layer(output)
    if not reason:
        return
    with suppress(HostError):  # that something stands on it
        engine.remove_image(layer)
    source = f"{images.MODULE_SOURCE}/{images.module_file(stack)}"
    raise PatchRefused(reason, f"docker run --rm {all_recipes[images.MODULE].tag} cat {source} shows what is patched")


def _label(engine: Engine, recipe: Recipe, ground: Recipe, raw: str) -> None:
    """Give the image its tag, and labels that say what is in it: only the finished image knows."""
    base = (engine.image_labels(ground.tag) or {}).get(images.LABEL_BASE, "")
    idle = engine.create_idle(raw)
    try:
        contents = images.parse_contents(engine.read_file(idle, CONTENTS))
        labels = {f"{images.LABEL_CONTENTS}.{name}": version for name, version in contents.items()}
        labels |= {
            images.LABEL_BASE: base,
            images.LABEL_SUITE: ground.system.suite if ground.system else "",
            **_own_labels(recipe),
        }
        engine.commit(idle, recipe.tag, labels)
    finally:
        engine.remove_idle(idle)
    engine.remove_image(raw)


def _own_labels(recipe: Recipe) -> dict[str, str]:
    built = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {images.LABEL_IMAGE: recipe.name, images.LABEL_BUILT: built, **recipe.labels}
