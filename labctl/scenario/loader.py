"""Finds scenarios: those that are shipped, by name, and a user's own, by path or from standard input."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.labfile.patch_files import with_patches
from labctl.paths import LABS, SCENARIOS
from labctl.scenario.reader import Scenario, read
from labctl.stack.loader import find_stack, shipped_stacks
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, parse, shown
from labctl.yamlfile.source import find_path, read_standard_input, read_text, shipped_names, shipped_path


def shipped_scenarios() -> list[str]:
    """The names of the scenarios that come with labctl."""
    return shipped_names(SCENARIOS)


def family(name: str) -> str:
    """What a shipped scenario is about, in a word: the folder that it lies in. Raises KeyError."""
    return shipped_path(SCENARIOS, name).parent.name


def scenario_text(name: str) -> str:
    """The text of a scenario's file, by its path or the name of a shipped one. Raises UsageError."""
    return read_text(find_path("scenario", name, Path(), SCENARIOS))


def find_scenario(file: str, overrides: Overrides) -> Scenario:
    """A scenario by path, `-` for standard input, or the name of a shipped one. Raises UsageError, InvalidFile.

    It comes to no other stack than those that are shipped, unless a flag says so: a stack may ask for any image and
    for any capability, and a scenario may be a stranger's. No code of it runs on the host; what it has nodes or
    services run, by its `config:`, steps and patches, runs in containers, and wants `--trust` (inline_commands.py).
    """
    if file == "-":
        text, folder = read_standard_input(), Path()
    else:
        path = find_path("scenario", file, Path(), SCENARIOS)
        text, folder = read_text(path), path.parent
    return read_scenario(text, file, folder, overrides)


def read_scenario(text: str, source: str, folder: Path, overrides: Overrides) -> Scenario:
    """The scenario of a text, as `find_scenario` reads it; the lab that it names lies in `folder`, or is shipped."""

    def lab_file(name: str) -> Document:
        path = find_path("lab", name, folder, LABS)
        return with_patches(parse(read_text(path), str(path)), path.parent)

    def safe_stack(name: str) -> Stack:
        if name not in shipped_stacks() and name != overrides.stack:
            known = ", ".join(shipped_stacks())
            raise UsageError(f"no stack `{shown(name)}` for a scenario", f"shipped: {known}; or --stack with a path")
        return find_stack(name)

    return read(text, source, lab_file, safe_stack, overrides, lambda document: with_patches(document, folder))
