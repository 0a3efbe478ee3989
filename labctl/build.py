"""Makes the images of a stack: what to build is decided in labctl.images, here it is done."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labctl import images
from labctl.blueprint import Images
from labctl.engine import Engine
from labctl.errors import BuildError, HostError, UsageError
from labctl.images import Context, Patch, Recipe
from labctl.lock import locked
from labctl.progress import Progress, step
from labctl.stack import Stack

CONTENTS = "/opt/labctl/contents"

PATCH_LIMIT = 1 << 20
"""Bytes. What is larger was not meant as a patch of one module."""
PATCH_SUFFIXES = (".patch", ".diff")


@dataclass(frozen=True)
class Options:
    """`mirror`: a Debian mirror other than the tools' own. `refresh`: build anew what is there already.

    `patches`: changes to the cluster module, applied one after the other.
    """

    mirror: str = ""
    refresh: bool = False
    patches: tuple[Patch, ...] = ()


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


def images_folder() -> Path:
    """images/, in a checkout beside the package, in an installation within it."""
    package = Path(__file__).parent
    within = package / "images"
    return within if within.is_dir() else package.parent / "images"


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

    What does not stand on each other is built side by side. Raises BuildError, HostError.
    """
    made = recipes(stack, options)
    present = engine.images()
    if _missing(made, options, present):
        with locked("build"):  # and look again: somebody else may have built it meanwhile
            _make_all(engine, stack, made, options, progress)
        present = engine.images()
    if not made:
        _fetch_foreign(engine, stack, progress)
    return _identified(engine, _references(stack, made), present)


def _make_all(engine: Engine, stack: Stack, made: Mapping[str, Recipe], options: Options, progress: Progress) -> None:
    running: dict[str, Future[None]] = {}

    def make(recipe: Recipe) -> None:
        for need in recipe.needs:
            if need in running:
                running[need].result()
        _make(engine, stack, recipe, made, options, progress)

    wanted = _missing(made, options, engine.images())
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        for recipe in wanted:
            running[recipe.name] = pool.submit(make, recipe)
    for future in running.values():
        future.result()


def recipes(stack: Stack, options: Options) -> dict[str, Recipe]:
    """The recipes of a stack, from the files of images/."""
    return images.recipes(stack, contexts(), options.mirror, options.patches)


def _references(stack: Stack, made: Mapping[str, Recipe]) -> Images:
    if not made:
        return Images(stack.image or "", stack.phone_image or stack.image or "")
    node, phone = (made[name].tag for name in images.run_by_labs(made))
    return Images(node, stack.phone_image or phone)


def _identified(engine: Engine, named: Images, present: Mapping[str, str]) -> Images:
    node_id = present.get(named.node) or engine.image_id(named.node)
    return Images(named.node, named.phone, node_id, present.get(named.phone) or engine.image_id(named.phone))


def _missing(made: Mapping[str, Recipe], options: Options, present: Mapping[str, str]) -> list[Recipe]:
    return images.missing(made, set() if options.refresh else set(present))


def _fetch_foreign(engine: Engine, stack: Stack, progress: Progress) -> None:
    """A stack whose images were built elsewhere: they are here, or a registry has them."""
    for reference in filter(None, (stack.image, stack.phone_image)):
        if not engine.image_id(reference):
            with step(progress, f"pull {reference}"):
                engine.pull(reference if ":" in reference else f"{reference}:latest")


def _make(
    engine: Engine,
    stack: Stack,
    recipe: Recipe,
    made: Mapping[str, Recipe],
    options: Options,
    progress: Progress,
) -> None:
    if recipe.name == images.BASE:
        _make_base(engine, stack, recipe, options, progress)
        return
    what = f"build {recipe.tag}"
    with step(progress, what):
        raw = f"{recipe.tag}-unlabelled"
        args = images.build_args(recipe, made)
        said: list[str] = []
        try:
            for text in engine.build(images.pack(recipe.context), raw, args, {}, fresh=options.refresh):
                said += text.splitlines()
                progress.detail(what, text)
        except BuildError:
            _refuse_patches(engine, stack, said, made)
            raise  # for anything else
        _label(engine, stack, recipe, made, raw)


def _refuse_patches(engine: Engine, stack: Stack, said: list[str], made: Mapping[str, Recipe]) -> None:
    """Raise BuildError with the reason where a build failed for its patches, and leave nothing of it behind."""
    reason, layer = images.refusal(said), images.last_layer(said)
    if not reason:
        return
    with suppress(HostError):  # that something stands on it
        engine.remove_image(layer)
    source = f"{images.MODULE_SOURCE}/res/{stack.cluster_module}.c"
    raise BuildError(reason, f"docker run --rm {made[images.MODULE].tag} cat {source} shows what is patched")


def _label(engine: Engine, stack: Stack, recipe: Recipe, made: Mapping[str, Recipe], raw: str) -> None:
    """Give the image its tag, and labels that say what is in it: only the finished image knows."""
    base = (engine.image_labels(made[images.BASE].tag) or {}).get(images.LABEL_BASE, "")
    idle = engine.create_idle(raw)
    try:
        contents = images.parse_contents(engine.read_file(idle, CONTENTS))
        labels = {f"{images.LABEL_CONTENTS}.{name}": version for name, version in contents.items()}
        labels |= {
            images.LABEL_IMAGE: recipe.name,
            images.LABEL_BASE: base,
            images.LABEL_SUITE: stack.suite or "",
            images.LABEL_BUILT: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **recipe.labels,
        }
        engine.commit(idle, recipe.tag, labels)
    finally:
        engine.remove_idle(idle)
    engine.remove_image(raw)


def _make_base(engine: Engine, stack: Stack, recipe: Recipe, options: Options, progress: Progress) -> None:
    """A bare Debian of the stack's suite: pulled where a registry has it, else made by mmdebstrap."""
    refused = "the stack names none"
    if stack.base and not options.mirror:
        try:
            with step(progress, f"base system: pull {stack.base}"):
                engine.pull(stack.base)
        except HostError as error:
            refused = error.message.splitlines()[0]
        else:
            labels = {images.LABEL_BASE: f"pulled {stack.base}"}
            for _ in engine.build(
                images.pack({"Dockerfile": (f"FROM {stack.base}\n".encode(), 0o644)}), recipe.tag, {}, labels
            ):
                pass
            return
    with step(progress, f"base system: not pulled, so mmdebstrap {stack.suite}"):
        _bootstrap(engine, stack, recipe.tag, options, refused)


def _bootstrap(engine: Engine, stack: Stack, reference: str, options: Options, refused: str) -> None:
    if not shutil.which("mmdebstrap"):
        raise HostError(
            f"no base system: {stack.base} cannot be pulled ({refused}), and mmdebstrap is not installed",
            "apt-get install mmdebstrap, or make the registry reachable",
        )
    command = [
        "mmdebstrap",
        "--variant=apt",
        f"--dpkgopt={images_folder() / images.BASE / 'root/etc/dpkg/dpkg.cfg.d/labctl'}",
        # A mirror may serve a Release file past its Valid-Until; apt checks its signature all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        str(stack.suite),
        "-",
        *([options.mirror] if options.mirror else []),
    ]
    # On disk first: an image is made only of a system that is whole.
    with tempfile.TemporaryFile() as archive, tempfile.TemporaryFile() as said:
        code = subprocess.run(command, stdout=archive, stderr=said, stdin=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            said.seek(0)
            tail = said.read().decode("utf-8", "replace").splitlines()[-8:]
            raise BuildError(
                f"mmdebstrap {stack.suite} ended with {code}:\n" + "\n".join(f"  {line}" for line in tail),
                "is a Debian mirror in reach? --mirror URL names another one",
            )
        archive.seek(0)
        engine.import_image(archive, reference, {images.LABEL_BASE: f"mmdebstrap {stack.suite}"})
