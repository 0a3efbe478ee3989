"""Finds lab files: those that are shipped, by name, and a user's own, by path or from standard input."""

from __future__ import annotations

from pathlib import Path

from labctl.lab import Lab, Overrides
from labctl.labfile.patch_files import with_patches
from labctl.labfile.reader import resolve
from labctl.paths import LABS
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, parse
from labctl.yamlfile.source import find_path, read_standard_input, read_text, shipped_names

DEFAULT_LAB = "three-node"


def shipped_labs() -> list[str]:
    """The names of the lab files that come with labctl."""
    return shipped_names(LABS)


def find_document(file: str | None) -> Document:
    """What a lab file says: by path, `-` for standard input, or the name of a shipped one; three-node by default.

    Raises UsageError where it cannot be read, InvalidFile where it is not YAML.
    """
    if file == "-":
        return with_patches(parse(read_standard_input(), "-"), Path())
    path = LABS / f"{DEFAULT_LAB}.yaml" if file is None else find_path("lab", file, Path(), LABS)
    return with_patches(parse(read_text(path), str(path) if file is None else file), path.parent)


def find_lab(file: str | None, overrides: Overrides) -> tuple[Lab, Stack]:
    """The lab of a lab file, found as `find_document` does, with what flags say over it. Raises UsageError."""
    return resolve(find_document(file), find_stack, overrides)
