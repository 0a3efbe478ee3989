"""Patches of Asterisk: which files one is of, and what the builder said of it. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from itertools import dropwhile, takewhile

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from labctl.errors import Problem
from labctl.images.edits import read as edits_of
from labctl.patch import Patch
from labctl.yamlfile.document import shown

REFUSAL = "labctl: "
"""How images/patched and images/changed begin to say why a patch cannot be built."""
REFUSAL_LINES = 25


FIXED = ("debian/", "configure", "autoconf/", "menuselect/", "third-party/", "Xpjproject/", "Xamr/", "Xmp3/", "Xopus/")
"""What is read once, when the source is configured: a change there would change nothing."""


def is_of_module(patches: Sequence[Patch], file: str) -> bool:
    """Whether patches, all without problems, change `file` and headers beside it, and nothing else."""
    paths = {path for patch in patches for path in _paths(patch)}
    return file in paths and all(_is_near(path, file) for path in paths)


def _paths(patch: Patch) -> set[str]:
    """The files that a patch without problems changes."""
    if patch.is_mend:
        return {edits.path for edits in edits_of(patch)[0]}
    return {_path(name) for change in _changes(patch) for name in _names(change)}


def problems(patch: Patch, file: str, *, whole: bool) -> list[Problem]:
    """What keeps a patch from being one of `file`, and of headers beside it, or (`whole`) of any file of Asterisk's
    tree: one problem a file."""
    if patch.is_mend:
        return _problems_of_mend(patch, "" if whole else file)
    wanted = "Asterisk's tree" if whole else file
    way_out = "in Asterisk's tree: git diff" + ("" if whole else f" -- {file}")
    try:
        changes = _changes(patch)
    except UnidiffParseError as error:
        return [Problem(1, f"no change to {wanted} can be read in it: {shown(str(error).strip())}", way_out)]
    refused: dict[str, Problem] = {}
    for change in changes:
        for name in _names(change):
            path = _path(name)
            problem = _of_tree(name, path) if whole else _of_module(name, path, file)
            if problem:
                what, options = problem
                fix = f"in Asterisk's tree: git diff {options}"
                refused.setdefault(path, Problem(_line(change), what, fix))
    if not refused and not any(len(change) for change in changes):
        return [Problem(1, f"no change to {wanted} is in it", way_out)]
    return list(refused.values())


def _problems_of_mend(mend: Patch, module: str) -> list[Problem]:
    """What is wrong with a mend, which may change any part of Asterisk, or (`module`) that file alone."""
    files, mistakes = edits_of(mend)
    for number, edits in enumerate(files):
        name = f"a/{edits.path}"
        refused = _of_module(name, edits.path, module) if module else _of_tree(name, edits.path)
        if not re.fullmatch(r"\w[\w.+-]*(/\w[\w.+-]*)+", edits.path, re.ASCII):
            mistakes.append(Problem(edits.at, f"{shown(edits.path)} is no path in Asterisk's tree", "as in res/x.c"))
        elif refused:
            mistakes.append(
                Problem(edits.at, refused[0].replace(name, edits.path, 1), f"`# file: {module or 'main/…'}`")
            )
        elif any(edits.path == other.path for other in files[:number]):
            mistakes.append(Problem(edits.at, f"{edits.path} is named twice", "all of a file's changes below one head"))
    return mistakes


def _changes(patch: Patch) -> PatchSet:
    # Latin-1 has a character for every byte, and only a line feed ends a line.
    return PatchSet(io.StringIO(patch.content.decode("latin-1"), newline="\n"))


def _of_module(name: str, path: str, file: str) -> tuple[str, str] | None:
    if _is_near(path, file):
        return None
    if name == file:
        return f"{name} is without the folder in front, as in a/{name}", "--src-prefix=a/ --dst-prefix=b/"
    return f"{shown(name)} is not compiled here, {file} alone is", f"-- {file}"


def _is_near(path: str, file: str) -> bool:
    return path == file or re.fullmatch(r"res/[^/]+\.h", path) is not None


def _of_tree(name: str, path: str) -> tuple[str, str] | None:
    if not re.match(r"[^/]+/[^/]", name) or name.startswith(_FOLDERS):
        return f"{shown(name)} is without the folder in front, as in a/main/pbx.c", "--src-prefix=a/ --dst-prefix=b/"
    if ".." in path.split("/"):
        return f"{shown(name)} leads out of Asterisk's tree", ""
    if path.startswith(FIXED):
        return f"{shown(name)} is read only when Asterisk is configured, which is done once", "-- main res apps"
    return None


_FOLDERS = ("apps/", "bridges/", "channels/", "codecs/", "formats/", "funcs/", "include/", "main/", "pbx/", "res/")


def _path(name: str) -> str:
    return name.partition("/")[2]


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
