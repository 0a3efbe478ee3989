"""Patches of the cluster module: which files one is of, and what the builder said of it. Pure."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import PurePath

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from labctl.errors import Problem
from labctl.yamlfile.document import shown

REFUSAL = "labctl: "
"""How images/patched begins to say why a patch cannot be built."""
REFUSAL_LINES = 25


@dataclass(frozen=True)
class Patch:
    """A change to the cluster module's source: a unified diff, and the file it comes from."""

    source: str
    content: bytes

    @property
    def name(self) -> str:
        """The file's name, in characters that mean nothing to a shell or a label."""
        return re.sub(r"^\.|[^A-Za-z0-9._+-]", "_", PurePath(self.source).name)

    def __str__(self) -> str:
        return f"{self.name}@{hashlib.sha256(self.content).hexdigest()[:12]}"


def problems(patch: Patch, file: str) -> list[Problem]:
    """What keeps a patch from being one of `file`, and of headers beside it: one problem a file."""
    way_out = f"in Asterisk's tree: git diff -- {file}"
    try:
        # Latin-1 has a character for every byte, and only a line feed ends a line.
        changes = PatchSet(io.StringIO(patch.content.decode("latin-1"), newline="\n"))
    except UnidiffParseError as error:
        return [Problem(1, f"no change to {file} can be read in it: {shown(str(error).strip())}", way_out)]
    refused: dict[str, Problem] = {}
    for change in changes:
        for name in _names(change):
            _, _, path = name.partition("/")
            if path == file or re.fullmatch(r"res/[^/]+\.h", path):
                continue
            if name == file:
                what = f"{name} is without the folder in front, as in a/{name}"
                options = "--src-prefix=a/ --dst-prefix=b/"
            else:
                what, options = f"{shown(name)} is not compiled here, {file} alone is", f"-- {file}"
            refused.setdefault(path, Problem(_line(change), what, f"in Asterisk's tree: git diff {options}"))
    if not refused and not any(len(change) for change in changes):
        return [Problem(1, f"no change to {file} is in it", way_out)]
    return list(refused.values())


def _names(change: PatchedFile) -> list[str]:
    """The names that a change has for its file, before and after, as it is written, with the folder in front."""
    names = (change.source_file, change.target_file)
    return [name.strip().encode("latin-1").decode("utf-8", "replace") for name in names if name.strip() != "/dev/null"]


def _line(change: PatchedFile) -> int:
    """The line, from 1, at which a change begins to name its file, as near as the parser tells."""
    first = next((line.diff_line_no for hunk in change for line in hunk), None)
    return first - 3 if first else 1  # before the hunk's first line: ---, +++ and @@


def refusal(output: Sequence[str]) -> str:
    """Why patches could not be built, of what the builder printed; "" where that is not why it failed."""
    why = list(dropwhile(lambda line: not line.startswith(REFUSAL), output))
    why = list(takewhile(lambda line: not line.startswith("Removing intermediate container"), why))
    if len(why) > REFUSAL_LINES:
        why[REFUSAL_LINES:] = [f"... and {len(why) - REFUSAL_LINES} lines more"]
    return "\n  ".join(why).removeprefix(REFUSAL)


def last_layer(output: Sequence[str]) -> str:
    """The id of the last image that the builder made, of what it printed; "" where it made none."""
    matches = (re.fullmatch(r" ---> ([0-9a-f]+)", line) for line in reversed(output))
    return next((match[1] for match in matches if match), "")
