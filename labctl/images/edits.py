"""Mends: patches in which no line of Asterisk's stands, only line numbers and lines of one's own. Pure.

The text is that of `diff -n` (RCS, rcsfile(5)) under a head, for one file or several:

    # labctl-mend: 1
    # What it is for, and its licence: comments, as many as one likes
    # file: res/res_corosync.c
    # sha256: (of that file as it was, in 64 hexadecimal digits)
    d12 2
    a13 1
    a line of one's own, after line 13 of the file as it was

`dLINE COUNT` takes lines away, `aLINE COUNT` puts in the COUNT lines that follow it. All line numbers are those of the
file as it was, and rise. So mends of the same file need not know of each other: they are joined, and applied at once
(images/edits), before patches of other forms.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labctl.errors import Problem, UsageError
from labctl.patch import MEND, Patch
from labctl.yamlfile.document import shown

LINE_LIMIT = 200_000
"""Lines. No source file of Asterisk has nearly as many."""
MAKE_ANEW = "diff -n OLD NEW, under `# file:` and `# sha256:` of OLD"
_FILE, _SHA256 = "# file: ", "# sha256: "
_COMMAND = re.compile(r"([ad])(0|[1-9]\d{0,9}) ([1-9]\d{0,9})")


class Deletion(NamedTuple):
    """Lines of the file as it was that are taken away, first to last; `at` is the script's line that says so."""

    first: int
    last: int
    at: int


class Insertion(NamedTuple):
    """Lines that are put in after line `after` of the file as it was, 0 for its top."""

    after: int
    lines: tuple[str, ...]
    at: int


@dataclass
class FileEdits:
    """What is changed in one file. `sha256` is the file's as it was, `at` the script's line that names it."""

    path: str
    at: int
    sha256: str = ""
    deletions: list[Deletion] = field(default_factory=list)
    insertions: list[Insertion] = field(default_factory=list)


class _Mistake(Exception):
    def __init__(self, line: int, what: str, fix: str = MAKE_ANEW) -> None:
        super().__init__(what)
        self.problem = Problem(line, what, fix)


def read(patch: Patch) -> tuple[list[FileEdits], list[Problem]]:
    """What a mend changes, by file, and the first mistake in it, after which nothing is read."""
    files: list[FileEdits] = []
    try:
        files.extend(_Reader(_text(patch.content)).files())
    except _Mistake as mistake:
        return files, [mistake.problem]
    return files, []


def _text(content: bytes) -> list[str]:
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _Mistake(content[: error.start].count(b"\n") + 1, "not UTF-8", "a mend is a text") from None
    for number, line in enumerate(lines, 1):
        if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line):
            raise _Mistake(number, f"the character {shown(control[0])}", "a mend is a text, with lines that end in LF")
    if lines.pop():
        raise _Mistake(len(lines) + 1, "the last line has no end", "end it: perhaps the file is not whole")
    return lines


class _Reader:
    """Reads the lines of a mend, once."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0  # lines that are read

    def files(self) -> Iterator[FileEdits]:
        if self._next() != MEND.decode():
            raise _Mistake(1, f"not a mend of the form that is known here: {shown(self._lines[0])}", MEND.decode())
        edits: FileEdits | None = self._file_head()
        while edits:
            following = self._commands(edits)
            yield edits
            edits = following

    def _next(self) -> str | None:
        if self._at == len(self._lines):
            return None
        self._at += 1
        return self._lines[self._at - 1]

    def _file_head(self) -> FileEdits:
        """Up to the first line that names a file."""
        while (line := self._next()) is not None:
            if line.startswith(_FILE):
                return FileEdits(line.removeprefix(_FILE), self._at)
            if not line.startswith("#"):
                raise _Mistake(self._at, f"{shown(line[:40])} is of no file", f"`{_FILE}res/…` first")
        raise _Mistake(max(self._at, 1), "no file is changed", f"`{_FILE}res/…`, then what is changed in it")

    def _commands(self, edits: FileEdits) -> FileEdits | None:
        """What is changed in a file, put into it; the next file that is named after it, if any."""
        following = None
        last, after_deletion = -1, False
        while following is None and (line := self._next()) is not None:
            if line.startswith(_FILE):
                following = FileEdits(line.removeprefix(_FILE), self._at)
            elif line.startswith(_SHA256):
                edits.sha256 = self._sum(line, edits)
            elif not line.startswith("#"):
                last, after_deletion = self._command(line, edits, last, after_deletion)
        _must_be_whole(edits)
        return following

    def _sum(self, line: str, edits: FileEdits) -> str:
        value = line.removeprefix(_SHA256)
        if edits.sha256 or not re.fullmatch("[0-9a-f]{64}", value):
            raise _Mistake(self._at, f"{shown(value[:80])}: not one SHA-256 of {shown(edits.path)}")
        return value

    def _command(self, line: str, edits: FileEdits, last: int, after_deletion: bool) -> tuple[int, bool]:
        """Read what one command changes. Returns the last line that it touches, and whether it takes that away."""
        matched = _COMMAND.fullmatch(line)
        if not matched:
            raise _Mistake(self._at, f"{shown(line[:40])} is neither `dLINE COUNT` nor `aLINE COUNT`")
        letter, first, count = matched[1], int(matched[2]), int(matched[3])
        if first + count > LINE_LIMIT:
            raise _Mistake(self._at, f"{line} is beyond {LINE_LIMIT} lines", "no file of Asterisk's is so long")
        if first < last or (first == last and not (after_deletion and letter == "a")) or line.startswith("d0"):
            raise _Mistake(self._at, f"{line} is not behind the change before it", "in the order of the file's lines")
        if letter == "d":
            edits.deletions.append(Deletion(first, first + count - 1, self._at))
            return first + count - 1, True
        begin = self._at
        added = tuple(self._lines[begin : begin + count])
        if len(added) < count:
            raise _Mistake(begin, f"{line}: only {len(added)} lines follow", "is the file whole?")
        self._at += count
        edits.insertions.append(Insertion(first, added, begin))
        return first, False


def _must_be_whole(edits: FileEdits) -> None:
    if not edits.sha256:
        raise _Mistake(edits.at, f"{shown(edits.path)} has no SHA-256", f"`{_SHA256}…` below: sha256sum tells it")
    if not edits.deletions and not edits.insertions:
        raise _Mistake(edits.at, f"nothing is changed in {shown(edits.path)}")


@dataclass
class Joined:
    """All that mends change in one file; `names` are theirs."""

    sha256: str
    names: list[str] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    insertions: list[Insertion] = field(default_factory=list)
    taken: dict[int, str] = field(default_factory=dict)
    """Each line that is taken away, and the mend that does so."""
    before_taken: dict[int, str] = field(default_factory=dict)
    """Each line behind which nothing can be put in, since it and the next are taken away at once."""
    put_in: dict[int, str] = field(default_factory=dict)
    """Each line behind which something is put in."""


def joined(mends: Sequence[Patch]) -> dict[str, Joined]:
    """What mends without mistakes change, by file. Raises UsageError for two that change the same lines, or that were
    made for other states of a file."""
    result: dict[str, Joined] = {}
    for mend in mends:
        for edits in read(mend)[0]:
            known = result.setdefault(edits.path, Joined(edits.sha256))
            if known.sha256 != edits.sha256:
                message = f"{mend.source}:{edits.at}: made for another {edits.path} than {known.names[0]}"
                raise UsageError(message, "make both for the same source")
            _join(known, mend, edits)
    return result


def _join(known: Joined, mend: Patch, edits: FileEdits) -> None:
    """Raises UsageError where a mend changes lines that one before it changes too."""
    for one in edits.deletions:
        for line in range(one.first, one.last + 1):
            _must_be_free(line, known.taken, mend, one.at, edits.path)
            if line < one.last:
                _must_be_free(line, known.put_in, mend, one.at, edits.path)
    for insertion in edits.insertions:
        _must_be_free(insertion.after, known.before_taken, mend, insertion.at, edits.path)
    known.names.append(mend.name)
    known.deletions += edits.deletions
    known.insertions += edits.insertions
    for one in edits.deletions:
        known.taken |= dict.fromkeys(range(one.first, one.last + 1), mend.name)
        known.before_taken |= dict.fromkeys(range(one.first, one.last), mend.name)
    known.put_in |= dict.fromkeys((one.after for one in edits.insertions), mend.name)


def _must_be_free(line: int, others: Mapping[int, str], mend: Patch, at: int, path: str) -> None:
    if line in others:
        message = f"{mend.source}:{at}: {others[line]} changes line {line} of {path} too"
        raise UsageError(message, "take one of the two")


def as_text(path: str, edits: Joined) -> str:
    """All that is changed in a file, as images/edits takes it: a mend in the order of the file's lines."""
    commands = [(float(one.first), f"d{one.first} {one.last - one.first + 1}\n") for one in edits.deletions]
    # What is put in after a line stands behind the deletion that ends there: sorting keeps the order of equals.
    commands += [
        (one.after + 0.5, f"a{one.after} {len(one.lines)}\n" + "".join(f"{line}\n" for line in one.lines))
        for one in edits.insertions
    ]
    head = f"# of: {', '.join(edits.names)}\n{_FILE}{path}\n{_SHA256}{edits.sha256}\n"
    return head + "".join(text for _, text in sorted(commands, key=lambda command: command[0]))


def applied(content: bytes, path: str, edits: Joined) -> bytes:
    """A file as mends have it. Raises UsageError where it is not the one that they were made for."""
    names = ", ".join(edits.names)
    if hashlib.sha256(content).hexdigest() != edits.sha256:
        raise UsageError(f"{names}: made for another {path} than this one", f"make it anew: {MAKE_ANEW}")
    lines = content.split(b"\n")
    end = lines.pop()
    touched = [one.last for one in edits.deletions] + [one.after for one in edits.insertions]
    if max(touched) > len(lines):
        raise UsageError(f"{names}: {path} has fewer lines than it changes", f"make it anew: {MAKE_ANEW}")
    result: list[list[bytes]] = [[], *([line] for line in lines)]
    for deletion in edits.deletions:
        for number in range(deletion.first, deletion.last + 1):
            result[number] = []
    for insertion in edits.insertions:
        result[insertion.after] += [line.encode() for line in insertion.lines]
    return b"\n".join([*(line for part in result for line in part), end])
