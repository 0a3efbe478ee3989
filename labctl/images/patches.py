"""Patches of the cluster module: which files one is of, and what the builder said of it. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise, takewhile
from pathlib import PurePath

from labctl.errors import Problem
from labctl.yamlfile.document import shown

REFUSAL = "labctl: "
"""How images/patched begins to say why a patch cannot be built."""
REFUSAL_LINES = 25

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_GIT = re.compile(rb"diff --git (\S+) (\S+)")


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
    named, changed = _named(patch.content)
    found: dict[str, Problem] = {}
    for name, line in named:
        _, _, path = name.partition("/")
        if name == file:
            what, fix = f"{name} is without the folder in front, as in a/{name}", "--src-prefix=a/ --dst-prefix=b/"
        elif path == file or re.fullmatch(r"res/[^/]+\.h", path):
            continue
        else:
            what, fix = f"{shown(name)} is not compiled here, {file} alone is", f"-- {file}"
        found.setdefault(path, Problem(line, what, f"in Asterisk's tree: git diff {fix}"))
    if not found and not (named and changed):
        return [Problem(1, f"no change to {file} is in it", f"in Asterisk's tree: git diff -- {file}")]
    return list(found.values())


def _named(content: bytes) -> tuple[list[tuple[str, int]], bool]:
    """The files that a unified diff names, each with its line, and whether it changes anything in them."""
    found: list[tuple[bytes, int]] = []
    changed = False
    old = new = 0
    for number, (line, following) in enumerate(pairwise([*content.split(b"\n"), b""]), 1):
        if old > 0 or new > 0:  # within a hunk anything may stand
            old -= not line.startswith((b"+", b"\\"))
            new -= not line.startswith((b"-", b"\\"))
        elif hunk := _HUNK.match(line):
            old, new = (int(count or 1) for count in hunk.groups())
            changed = True
        elif git := _GIT.match(line):  # all that tells of a rename, or of what is no text
            found += [(name, number) for name in git.groups()]
        elif line.startswith(b"--- ") and following.startswith(b"+++ "):
            found += [(each[4:].split(b"\t")[0], number) for each in (line, following)]
    names = ((name.strip().decode("utf-8", "replace"), number) for name, number in found)
    return [(name, number) for name, number in names if name != "/dev/null"], changed


def refusal(said: Sequence[str]) -> str:
    """Why patches could not be built, of what the builder said; "" where that is not why it failed."""
    why = list(dropwhile(lambda line: not line.startswith(REFUSAL), said))
    why = list(takewhile(lambda line: not line.startswith("Removing intermediate container"), why))
    if len(why) > REFUSAL_LINES:
        why[REFUSAL_LINES:] = [f"... and {len(why) - REFUSAL_LINES} lines more"]
    return "\n  ".join(why).removeprefix(REFUSAL)


def last_layer(said: Sequence[str]) -> str:
    """The id of the last image that the builder made, of what it said; "" where it made none."""
    found = (re.fullmatch(r" ---> ([0-9a-f]+)", line) for line in reversed(said))
    return next((match[1] for match in found if match), "")
