"""The files of a run as a page shows them: as text, as far as there is room for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape

from labctl.report.html import Whole, cut

ALL_SIZE, FILE_SIZE = 800_000, 200_000
"""Characters of HTML that all files and one file may take."""

MOST_FILES, DEEPEST = 1000, 8
"""So many files are named, and so many folders within each other are looked into."""

BINARY = {
    ".pcapng": "a capture: Wireshark opens it",
    ".labz": "a bundle: labctl replay runs it",
    ".gz": "a core, compressed: zcat, then gdb",
}
"""What is named and not shown, by the end of its name: what it is, and what is done with it."""

NODES = "nodes"
"""Where a run keeps the files that its lab rendered for each node."""


@dataclass(frozen=True)
class ShownFile:
    """A file of the run; `note` says what was left out of it, or why it is not shown."""

    name: str
    text: str
    note: str


@dataclass(frozen=True)
class FileGroup:
    """Files that belong together: of a node, of a folder, or, with the title "", of the run itself."""

    title: str
    files: tuple[ShownFile, ...]


def shown_files(folder: Path) -> list[FileGroup]:
    """The files of a run; links, and pages of labctl's own, are left out. Where room is short, logs and the history are
    cut before what people wrote."""
    names = sorted(_names(folder))[:MOST_FILES]
    room, shown = ALL_SIZE, {}
    for name in sorted(names, key=lambda name: (name.endswith((".log", ".jsonl", ".json")), name)):
        shown[name] = _shown(folder, name, min(room, FILE_SIZE))
        room -= min(room, len(escape(shown[name].text)))
    groups: dict[str, list[ShownFile]] = {"": []}
    for name in names:
        groups.setdefault(_title(name), []).append(shown[name])
    return [FileGroup(title, tuple(files)) for title, files in groups.items()]


def _title(name: str) -> str:
    first, *rest = name.split("/")
    return f"as rendered for {rest[0]}" if first == NODES and len(rest) > 1 else first if rest else ""


def _names(folder: Path) -> Iterator[str]:
    """The path of every file in a folder, from there."""
    for place, folders, files in os.walk(folder):
        here = Path(place).relative_to(folder)
        if len(here.parts) >= DEEPEST:
            folders.clear()
        for file in files:
            if not file.endswith(".html") and (Path(place) / file).is_file() and not (Path(place) / file).is_symlink():
                yield (here / file).as_posix()


def _shown(folder: Path, name: str, size: int) -> ShownFile:
    path = folder / name
    try:
        if path.suffix in BINARY:
            return ShownFile(name, "", f"{path.stat().st_size} bytes; {BINARY[path.suffix]}")
        text, length = _both_ends(path)
    except OSError as error:
        return ShownFile(name, "", f"it could not be read: {error.strerror}")
    shown, note = cut(text, size)
    if length > 2 * FILE_SIZE:
        note = f"{length} bytes; its begin and its end are shown"
    return ShownFile(name, Whole(shown), note)


def _both_ends(path: Path) -> tuple[str, int]:
    """The text of a file, of a large one, such as a core, no more than its ends; and its size in bytes."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        data = stream.read(FILE_SIZE)
        if size > 2 * FILE_SIZE:
            stream.seek(-FILE_SIZE, 2)
        data += stream.read(FILE_SIZE)
    return data.decode("utf-8", errors="replace"), size
