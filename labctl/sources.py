"""Where lab files and stacks come from: a path, standard input, or what is shipped."""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.build import images_folder
from labctl.errors import UsageError
from labctl.labfile import Overrides, read
from labctl.spec import Lab
from labctl.stack import Stack, parse_stack

DEFAULT_LAB = "three-node"


def shipped_labs() -> list[str]:
    """The names of the lab files that come with labctl."""
    return sorted(path.stem for path in _labs().glob("*.yaml"))


def shipped_stacks() -> list[str]:
    """The names of the stacks that come with labctl."""
    return sorted(path.stem for path in _stacks().glob("*.yaml"))


def find_stack(name: str) -> Stack:
    """A shipped stack, or that of a file. Raises LookupError with the shipped names, InvalidFile."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return parse_stack(read_text(Path(name)), name)
    if name not in shipped_stacks():
        raise LookupError(*shipped_stacks())
    path = _stacks() / f"{name}.yaml"
    return parse_stack(read_text(path), str(path))


def find_lab(file: str | None, overrides: Overrides) -> tuple[Lab, Stack]:
    """A lab file by path, `-` for standard input, or the name of a shipped one; three-node by default."""
    if file == "-":
        return read(sys.stdin.read(), "-", find_stack, overrides)
    path = Path(file) if file else _labs() / f"{DEFAULT_LAB}.yaml"
    if file in shipped_labs() and not path.is_file():
        path = _labs() / f"{file}.yaml"
    elif not path.exists() and "/" not in str(file) and "." not in str(file):
        raise UsageError(f"no lab file `{file}`", f"a path, or one that is shipped: {', '.join(shipped_labs())}")
    return read(read_text(path), file or str(path), find_stack, overrides)


def read_text(path: Path) -> str:
    """The text of a file. Raises UsageError where that cannot be read."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "does the path lead to a file that you may read?") from None


def _labs() -> Path:
    return Path(__file__).parent / "labs"


def _stacks() -> Path:
    return images_folder() / "stacks"
