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
    if "/" in name or name.endswith((".yaml", ".yml")):
        return read_stack(read_text(Path(name)), name)
    if name not in shipped_stacks():
        known = ", ".join(shipped_stacks())
        raise UsageError(f"no stack `{shown(name)}`", f"shipped: {known}; or the path of a stack file")
    path = images_folder() / "stacks" / f"{name}.yaml"
    return read_stack(read_text(path), str(path))


def alike(stack: Stack) -> tuple[str, ...]:
    """The names of the shipped stacks whose known failures hold for a stack, until a run says otherwise: itself; of a
    user's own those with its cluster module, the newest first."""
    known = shipped_stacks()
    if stack.name in known:
        return (stack.name,)
    of_module = [name for name in known if find_stack(name).cluster_module == stack.cluster_module]
    return tuple(sorted(of_module, key=lambda name: [*map(int, name.split("."))], reverse=True))


def read_stack(text: str, source: str) -> Stack:
    """The stack of a text, which may name the templates that come with labctl. Raises InvalidFile."""
    return parse_stack(text, source, sorted(path.name for path in TEMPLATES.iterdir() if path.is_file()))
