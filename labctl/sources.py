"""Where lab files, scenarios and stacks come from: a path, standard input, or what is shipped."""

from __future__ import annotations

import codecs
import re
import sys
from pathlib import Path
from typing import BinaryIO

from labctl import scenario
from labctl.build import images_folder
from labctl.document import MAX_SIZE, Document, parse, shown
from labctl.errors import UsageError
from labctl.labfile import read
from labctl.scenario import Scenario
from labctl.spec import Lab, Overrides
from labctl.stack import Stack, parse_stack

DEFAULT_LAB = scenario.DEFAULT_LAB


def shipped_labs() -> list[str]:
    """The names of the lab files that come with labctl."""
    return _names(_labs())


def shipped_scenarios() -> list[str]:
    """The names of the scenarios that come with labctl."""
    return _names(_scenarios())


def shipped_stacks() -> list[str]:
    """The names of the stacks that come with labctl."""
    return _names(_stacks())


def find_stack(name: str) -> Stack:
    """A shipped stack, or that of a file. Raises UsageError, InvalidFile."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return parse_stack(read_text(Path(name)), name, _templates())
    if name not in shipped_stacks():
        known = ", ".join(shipped_stacks())
        raise UsageError(f"no stack `{shown(name)}`", f"shipped: {known}; or the path of a stack file")
    path = _stacks() / f"{name}.yaml"
    return parse_stack(read_text(path), str(path), _templates())


def find_lab(file: str | None, overrides: Overrides) -> tuple[Lab, Stack]:
    """A lab file by path, `-` for standard input, or the name of a shipped one; three-node by default."""
    if file == "-":
        return read(_decode(sys.stdin.buffer, "standard input"), "-", find_stack, overrides)
    path = _find("lab", file, Path(), _labs()) if file else _labs() / f"{DEFAULT_LAB}.yaml"
    return read(read_text(path), file or str(path), find_stack, overrides)


def scenario_text(name: str) -> str:
    """The text of a scenario's file, by its path or the name of a shipped one. Raises UsageError."""
    return read_text(_find("scenario", name, Path(), _scenarios()))


def find_scenario(file: str, overrides: Overrides) -> Scenario:
    """A scenario by path, `-` for standard input, or the name of a shipped one. Raises UsageError, InvalidFile.

    It comes to no other stack than those that are shipped, unless a flag says so: a stack may ask for any image and
    for any capability, and a scenario may be a stranger's.
    """
    if file == "-":
        text, folder = _decode(sys.stdin.buffer, "standard input"), Path()
    else:
        path = _find("scenario", file, Path(), _scenarios())
        text, folder = read_text(path), path.parent

    def lab_file(name: str) -> Document:
        path = _find("lab", name, folder, _labs())
        return parse(read_text(path), str(path))

    def safe_stack(name: str) -> Stack:
        if name not in shipped_stacks() and name != overrides.stack:
            known = ", ".join(shipped_stacks())
            raise UsageError(f"no stack `{shown(name)}` for a scenario", f"shipped: {known}; or --stack with a path")
        return find_stack(name)

    return scenario.read(text, file, lab_file, safe_stack, overrides)


def _find(kind: str, name: str, folder: Path, shipped: Path) -> Path:
    """The path of a file by its path from a folder, or by the name of a shipped one. Raises UsageError."""
    path = folder / name
    if name in _names(shipped) and not path.is_file():
        return shipped / f"{name}.yaml"
    if re.fullmatch(r"[\w-]{1,100}", name) and not path.exists():
        raise UsageError(f"no {kind} file `{name}`", f"a path, or one that is shipped: {', '.join(_names(shipped))}")
    return path


def read_text(path: Path) -> str:
    """The text of a file. Raises UsageError where that cannot be read."""
    try:
        with path.open("rb") as stream:
            return _decode(stream, str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "does the path lead to a file that you may read?") from None
    except ValueError:  # what no path can hold, such as a NUL
        raise UsageError(f"{shown(str(path))}: not a path", "does it lead to a file that you may read?") from None


def _decode(stream: BinaryIO, source: str) -> str:
    """The text of a stream, with every end of line as `\\n`; of one far too long only what shows that."""
    data = stream.read(4 * MAX_SIZE + 4)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=len(data) < 4 * MAX_SIZE)
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _names(shipped: Path) -> list[str]:
    return sorted(path.stem for path in shipped.glob("*.yaml"))


def _labs() -> Path:
    return Path(__file__).parent / "labs"


def _scenarios() -> Path:
    return Path(__file__).parent / "scenarios"


def _stacks() -> Path:
    return images_folder() / "stacks"


def _templates() -> list[str]:
    return sorted(path.name for path in (Path(__file__).parent / "templates").iterdir() if path.is_file())
