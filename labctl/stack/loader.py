"""Finds stacks: those that are shipped, by name, and a user's own, by path."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError
from labctl.paths import TEMPLATES, images_folder
from labctl.stack.model import Stack, parse_stack
from labctl.yamlfile.document import shown
from labctl.yamlfile.source import read_text, shipped_names


def shipped_stacks() -> list[str]:
    """The names of the stacks that come with labctl."""
    return shipped_names(images_folder() / "stacks")


def find_stack(name: str) -> Stack:
    """A shipped stack, or that of a file. Raises UsageError, InvalidFile."""
    templates = sorted(path.name for path in TEMPLATES.iterdir() if path.is_file())
    if "/" in name or name.endswith((".yaml", ".yml")):
        return parse_stack(read_text(Path(name)), name, templates)
    if name not in shipped_stacks():
        known = ", ".join(shipped_stacks())
        raise UsageError(f"no stack `{shown(name)}`", f"shipped: {known}; or the path of a stack file")
    path = images_folder() / "stacks" / f"{name}.yaml"
    return parse_stack(read_text(path), str(path), templates)
