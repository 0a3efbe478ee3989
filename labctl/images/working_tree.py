"""Asterisk's source as a git repository to work in, and what was changed in one since Debian's, as a patch.

Its first commit is the source as Debian has it (images/source/); all that comes after it, commits and what is not
committed yet, is a change. The host's git is asked; it is needed for this alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from labctl.errors import HostError, InvalidFile, UsageError
from labctl.images.edits import applied, joined
from labctl.images.patches import problems
from labctl.patch import Patch

DIFF = ("--no-color", "--no-ext-diff", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
AS_DEBIAN_HAS_IT = ", as Debian has it"
"""How the message of the first commit ends, after the package and its version."""
NAME = "source.diff"
AS_LABCTL = ("-c", "user.name=labctl", "-c", "user.email=labctl@localhost", "-c", "commit.gpgSign=false")
PLAIN = tuple(
    word
    for setting in (
        "core.excludesFile=/dev/null",
        "core.hooksPath=/dev/null",
        "core.autocrlf=false",
        "commit.gpgSign=false",
    )
    for word in ("-c", setting)
)
"""What a user's own settings of git are not to change: what is committed, and how."""
LAYS_OUT = "labctl source DIR lays one out"


def read_change(place: str) -> Patch | None:
    """What was changed in the working tree DIR since Debian's source, or (DIR@COMMIT) up to a commit of it, as a patch;
    None where nothing was. Raises UsageError, and HostError without git."""
    folder, _, commit = place.rpartition("@") if "@" in place and not Path(place).exists() else (place, "", "")
    path = Path(folder)
    first, version = first_commit(path)
    wanted = commit_id(path, commit) if commit else ""
    text = git(path, "diff", *DIFF, first, wanted) if wanted else _of_working_tree(path, first)
    if not text:
        return None
    return Patch(str(path / NAME), b"labctl-source: " + version.encode() + b"\n" + text)


def first_commit(folder: Path) -> tuple[str, str]:
    """The id of the first commit of a working tree, and the package and version that are in it. Raises UsageError for a
    folder that is none of `labctl source`."""
    if not folder.is_dir():
        raise UsageError(f"--source {folder}: no such folder", LAYS_OUT)
    said = git(folder, "rev-list", "--max-parents=0", "HEAD", may_fail=True).split()
    subject = git(folder, "log", "-1", "--format=%s", said[-1].decode()).decode().strip() if said else ""
    if not subject.endswith(AS_DEBIAN_HAS_IT):
        raise UsageError(f"--source {folder}: not a git repository that begins with Debian's source", LAYS_OUT)
    return said[-1].decode(), subject.removesuffix(AS_DEBIAN_HAS_IT)


def commit_id(folder: Path, name: str) -> str:
    """The id of a commit by any name of it. Raises UsageError."""
    commit = git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", may_fail=True)
    if not commit:
        raise UsageError(f"no commit `{name}` in {folder}", f"git -C {folder} log --oneline lists them")
    return commit.decode().strip()


def _of_working_tree(folder: Path, first: str) -> bytes:
    """The difference of all that is there, also what git was never told of, by an index of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        index = str(Path(temporary) / "index")
        git(folder, "read-tree", "HEAD", index=index)
        git(folder, "add", "--all", index=index)
        return git(folder, "diff", "--cached", *DIFF, first, index=index)


def unpack(archive: IO[bytes], folder: Path) -> None:
    """Write a folder that comes as a tar archive, without its name, into one that is empty or is not there yet.

    Raises UsageError where it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=archive, mode="r|") as members:
            for member in members:
                member.name = member.name.partition("/")[2] or "."
                members.extract(member, folder, set_attrs=not member.isdir(), filter="tar")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}", "can you write there, and is there room?") from None


def refuse_taken(folder: Path) -> None:
    """Raise UsageError where something is in a folder already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: something is there already", "another folder, or take it away")


def take_away(folder: Path) -> None:
    """Empty a folder in which a working tree was laid out."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def commit_patches(folder: Path, patches: tuple[Patch, ...]) -> None:
    """Apply patches in a working tree, mends first, and make one commit of them. Raises UsageError for one that does
    not apply."""
    _apply_mends(folder, [patch for patch in patches if patch.is_mend])
    for patch in patches:
        if patch.is_mend:
            continue
        said = _run(folder, ("apply", "--index", "--whitespace=nowarn", "-"), patch.content)
        if said.returncode:
            lines = "\n".join(f"  {line}" for line in said.stderr.decode("utf-8", "replace").splitlines())
            raise UsageError(f"{patch.source} does not apply:\n{lines}", "labctl source lays out what nodes run")
    names = ", ".join(patch.name for patch in patches)
    git(folder, *AS_LABCTL, "commit", "--quiet", "--message", names)


def _apply_mends(folder: Path, mends: list[Patch]) -> None:
    for mend in mends:
        if mistakes := problems(mend, "", whole=True):
            raise InvalidFile(mend.source, mistakes)
    for path, edits in joined(mends).items():
        file = folder / path
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
            raise UsageError(f"{', '.join(edits.names)}: there is no {path} in {folder}", "is it for another version?")
        file.write_bytes(applied(file.read_bytes(), path, edits))
        git(folder, "add", "--", path)


def git(folder: Path, *arguments: str, index: str = "", may_fail: bool = False) -> bytes:
    """What git prints in a folder; nothing where it fails and may. `index`: a file to use for git's own.

    Raises HostError.
    """
    said = _run(folder, arguments, index=index)
    if said.returncode and not may_fail:
        why = said.stderr.decode("utf-8", "replace").strip()
        raise HostError(f"git {arguments[0]} in {folder}: {why or said.returncode}", "is the repository whole?")
    return b"" if said.returncode else said.stdout


def _run(
    folder: Path, arguments: tuple[str, ...], data: bytes = b"", index: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run git, with an index of its own where one is named."""
    with_index = ["env", f"GIT_INDEX_FILE={index}"] if index else []
    try:
        return subprocess.run(
            [*with_index, "git", *PLAIN, "-C", str(folder), *arguments], input=data, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise HostError("git is not installed", "on Debian: apt-get install git") from None
