"""Where a file comes from: a path, standard input, or what is shipped."""

from __future__ import annotations

import codecs
import re
import sys
from functools import cache
from pathlib import Path
from typing import BinaryIO

from labctl.errors import UsageError
from labctl.yamlfile.document import MAX_SIZE, nearest, shown


def shipped_names(folder: Path) -> list[str]:
    """The names of the YAML files in a folder that comes with labctl, and in the folders within it."""
    return sorted(_shipped(folder))


def shipped_path(folder: Path, name: str) -> Path:
    """Where the file of that name lies in it. Raises KeyError for one that is not shipped."""
    return _shipped(folder)[name]


@cache
def _shipped(folder: Path) -> dict[str, Path]:
    """What is shipped does not change while labctl runs."""
    return {path.stem: path for path in folder.rglob("*.yaml")}


def find_path(kind: str, name: str, folder: Path, shipped: Path) -> Path:
    """The path of a file by its path from a folder, or by the name of a shipped one. Raises UsageError."""
    if not name:
        raise UsageError(f"no {kind} file is named", "an empty text is no path")
    path = folder / name
    if name in shipped_names(shipped) and not path.is_file():
        return shipped_path(shipped, name)
    if re.fullmatch(r"[\w-]{1,100}", name) and not path.exists():
        known = shipped_names(shipped)
        near = nearest(name, [*known])
        fix = f"did you mean `{near[0]}`?" if near else f"a path, or one that is shipped: {', '.join(known)}"
        raise UsageError(f"no {kind} file `{name}`", fix)
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


def read_standard_input() -> str:
    """The text of standard input. Raises UsageError where it is not UTF-8."""
    return _decode(sys.stdin.buffer, "standard input")


def _decode(stream: BinaryIO, source: str) -> str:
    """The text of a stream, with every end of line as `\\n`; of one far too long only what shows that."""
    data = stream.read(4 * MAX_SIZE + 4)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=len(data) < 4 * MAX_SIZE)
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
