"""Where lab files and stacks come from: a path, standard input, or what is shipped."""

from __future__ import annotations

import codecs
import re
import sys
from pathlib import Path
from typing import BinaryIO

from labctl.build import images_folder
from labctl.document import MAX_SIZE, shown
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
    name = file or DEFAULT_LAB
    path = Path(name)
    if name in shipped_labs() and (file is None or not path.is_file()):
        path = _labs() / f"{name}.yaml"
    elif re.fullmatch(r"[\w-]{1,100}", name) and not path.exists():
        raise UsageError(f"no lab file `{name}`", f"a path, or one that is shipped: {', '.join(shipped_labs())}")
    return read(read_text(path), file or str(path), find_stack, overrides)


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


def _labs() -> Path:
    return Path(__file__).parent / "labs"


def _stacks() -> Path:
    return images_folder() / "stacks"


def _templates() -> list[str]:
    return sorted(path.name for path in (Path(__file__).parent / "templates").iterdir() if path.is_file())
