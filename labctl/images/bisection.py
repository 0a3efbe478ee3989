"""Looks for the change that broke something, by git bisect (git-bisect(1)): over commits of a working tree, or over
patches that stand on each other. The user's own working tree is left as it is."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import HostError, LabError, UsageError
from labctl.images.working_tree import AS_LABCTL, commit_id, first_commit, git
from labctl.patch import Patch

SERIES = "series"

_JUDGED = "; code=$?; [ $code -lt 2 ] || [ $code -ge 125 ] || code=125; exit $code"
"""Git takes 1 to 124 for a commit that is bad: what is no verdict must be 125, which leaves the commit out."""

AT_COMMIT = f'"$@" --source "$0@$(git rev-parse --verify BISECT_HEAD)"{_JUDGED}'
"""$0 is the working tree: git says which commit it is at by a reference of its own."""

AS_IT_IS = f'"$@"{_JUDGED}'


@dataclass(frozen=True)
class Bisection:
    """A repository in which git bisects, from `good` to `bad`, and what to add to a command of labctl so that it runs
    the commit that is to be judged. `at_commit`: that addition names the commit."""

    folder: Path
    good: str
    bad: str
    addition: tuple[str, ...]
    at_commit: bool = False


@contextmanager
def over_commits(source: Path, good: str, bad: str) -> Iterator[Bisection]:
    """Over the commits of a working tree of `labctl source`. Raises UsageError."""
    first_commit(source)
    ends = commit_id(source, good), commit_id(source, bad)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bisect"
        git(source, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(folder), ends[1])
        try:
            yield Bisection(folder, *ends, ("--source", str(source.resolve())), at_commit=True)
        finally:
            git(source, "worktree", "remove", "--force", str(folder), may_fail=True)


@contextmanager
def over_patches(patches: Sequence[Patch], good: str, bad: str) -> Iterator[Bisection]:
    """Over patches that are applied one after the other: `good` and `bad` are the last one that is applied, by its name
    or number; 0 is none. Raises UsageError."""
    ends = _place(patches, good or "0"), _place(patches, bad or str(len(patches)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        git(folder, "init", "--quiet", "--initial-branch", "main")
        git(folder, *AS_LABCTL, "commit", "--quiet", "--allow-empty", "--message", "no patch")
        commits = [commit_id(folder, "HEAD")]
        (folder / SERIES).mkdir()
        for number, patch in enumerate(patches, 1):
            (folder / SERIES / f"{number:03}-{patch.name}.patch").write_bytes(patch.content)
            git(folder, "add", "--all")
            git(folder, *AS_LABCTL, "commit", "--quiet", "--message", patch.source)
            commits.append(commit_id(folder, "HEAD"))
        yield Bisection(folder, commits[ends[0]], commits[ends[1]], ("--patch", str(folder / SERIES)))


def _place(patches: Sequence[Patch], name: str) -> int:
    """The number of a patch, from 1."""
    if name.isdecimal() and int(name) <= len(patches):
        return int(name)
    places = [number for number, patch in enumerate(patches, 1) if name in (patch.name, patch.source)]
    if not places:
        known = ", ".join(patch.name for patch in patches)
        raise UsageError(f"no patch `{name}` among these: {known}", f"a name, or a number from 0 to {len(patches)}")
    return places[0]


def search(bisection: Bisection, command: Sequence[str]) -> str:
    """Have git bisect run a command of labctl, which prints as it goes; the commit that it found, by id and message.

    Raises UsageError for ends between which there is nothing to look for, LabError where it came to no end.
    """
    ancestor = ["git", "merge-base", "--is-ancestor", bisection.good, bisection.bad]
    if bisection.good == bisection.bad or _do(bisection.folder, ancestor):
        raise UsageError("nothing lies between --good and --bad", "--good comes before --bad, and is another")
    start = [
        "git",
        "bisect",
        "start",
        *(["--no-checkout"] if bisection.at_commit else []),
        bisection.bad,
        bisection.good,
    ]
    if _do(bisection.folder, start):
        raise LabError("git bisect could not begin", "what it said stands above")
    run = ["sh", "-c", AT_COMMIT if bisection.at_commit else AS_IT_IS, bisection.addition[-1], *command]
    if not bisection.at_commit:
        run += bisection.addition
    ended = _do(bisection.folder, ["git", "bisect", "run", *run])
    found = git(bisection.folder, "rev-parse", "refs/bisect/bad").decode().strip()
    if ended:
        raise LabError(
            f"git bisect ended with {ended}: between {bisection.good[:12]} and {found[:12]}, not closer",
            "what could not be judged may be with --retries",
        )
    return git(bisection.folder, "log", "-1", "--format=%h %s", found).decode().strip()


def _do(folder: Path, command: list[str]) -> int:
    """Run a command in a folder, with labctl's own output streams; its exit code."""
    try:
        return subprocess.run(command, cwd=folder, check=False).returncode
    except FileNotFoundError:
        raise HostError("git is not installed", "on Debian: apt-get install git") from None
