"""Patches from files: those that flags name, and those that a lab file or a step of a scenario names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.errors import Problem, UsageError
from labctl.patch import Patch
from labctl.paths import MENDS
from labctl.yamlfile.document import Document, shown
from labctl.yamlfile.document import Path as Place

PATCH_LIMIT = 1 << 20
"""Bytes. What is larger was not meant as a patch."""
MEND_SUFFIX = ".mend"
PATCH_SUFFIXES = (".patch", ".diff", MEND_SUFFIX)


def shipped_mends() -> list[str]:
    """The names of the mends that come with labctl."""
    return sorted(path.stem for path in MENDS.glob(f"*{MEND_SUFFIX}"))


def read_patches(paths: Iterable[str]) -> tuple[Patch, ...]:
    """The patches that files hold; of a folder all of them, in the order of their names; by its name a mend that is
    shipped, where no file of that name is. Raises UsageError."""
    return tuple(patch for path in paths for patch in _patches(path, Path()))


def _patches(name: str, folder: Path) -> list[Patch]:
    """The patches by a path from a folder, or the shipped mend of that name."""
    if name in shipped_mends() and not (folder / name).exists():
        file = f"{name}{MEND_SUFFIX}"
        return [Patch(file, _read_patch(MENDS / file))]
    return [Patch(str(file), _read_patch(file)) for file in _patch_files(folder / name)]


def _patch_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    patch_files = sorted(file for suffix in PATCH_SUFFIXES for file in path.glob(f"*{suffix}"))
    if not patch_files:
        taken = ", ".join(f"*{suffix}" for suffix in PATCH_SUFFIXES)
        raise UsageError(f"{path}: no patch is in it", f"its files {taken} are taken")
    return patch_files


def _read_patch(path: Path) -> bytes:
    readable = f"does it lead to a patch that you may read? Mends that are shipped: {', '.join(shipped_mends())}"
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"{path}: no file", readable)
        with path.open("rb") as stream:
            content = stream.read(PATCH_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", readable) from None
    except ValueError:  # what no path can hold, such as a NUL
        raise UsageError(f"{shown(str(path))}: not a path", readable) from None
    if len(content) > PATCH_LIMIT:
        raise UsageError(f"{path}: larger than {PATCH_LIMIT >> 20} MiB", "is it a patch?")
    return content


def with_patches(document: Document, folder: Path) -> Document:
    """The document with each patch that it names by a path, from `folder`, as {source, text}: what is read on stands in
    it as a whole. One that cannot be read is left out, and is a mistake in the document."""
    problems: list[Problem] = []

    def read(name: str, place: Place) -> list[dict[str, str]]:
        try:
            return [as_data(patch) for patch in _patches(name, _around(folder, name))]
        except (UsageError, UnicodeDecodeError) as error:
            what = error.message if isinstance(error, UsageError) else f"{folder / name}: not UTF-8"
            fix = error.hint if isinstance(error, UsageError) else "--patch takes any"
            problems.append(Problem(document.line(place), what, fix))
            return []

    data = _written_out(document.data, (), read)
    return replace(document, data=data, problems=(*document.problems, *problems))


def _around(folder: Path, name: str) -> Path:
    """The folder of a file that names a path: that leads beside it or below, for it may be a stranger's. Raises
    UsageError."""
    try:
        if (folder / name).resolve().is_relative_to(folder.resolve()):
            return folder
    except (OSError, ValueError):
        raise UsageError(f"{shown(name)}: not a path", "the path of a patch") from None
    raise UsageError(f"{shown(name)}: not beside the file that names it, nor below", "put it there; --patch takes any")


def as_data(patch: Patch) -> dict[str, str]:
    """A patch as YAML has it. Raises UnicodeDecodeError."""
    return {"source": patch.source, "text": patch.content.decode()}


def of_data(data: Iterable[Any]) -> tuple[Patch, ...]:
    """The patches of data in the form of `as_data`."""
    return tuple(Patch(entry["source"], entry["text"].encode()) for entry in data)


_AROUND = ("nodes", "sites", "versions", "lab", "steps", "upgrade", "repeat", "parallel", "for")
"""Keys that lead to patches, in a lab file or in a scenario."""


def _written_out(value: Any, place: Place, read: Callable[[str, Place], list[dict[str, str]]]) -> Any:
    if isinstance(value, list):
        return [_written_out(item, (*place, number), read) for number, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result = dict(value)
    for key, inner in value.items():
        here = (*place, key)
        if key == "patch" and place:
            places = [(*here, number) for number in range(len(inner))] if isinstance(inner, list) else [here]
            paths = inner if isinstance(inner, list) else [inner]
            if paths and all(isinstance(path, str) for path in paths):
                result[key] = [patch for path, at in zip(paths, places, strict=True) for patch in read(path, at)]
                if not result[key]:
                    del result[key]
        elif key in _AROUND or (place and place[-1] in ("sites", "versions")):
            result[key] = _written_out(inner, here, read)
    return result
