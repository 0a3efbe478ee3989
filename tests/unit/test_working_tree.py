"""What was changed in a working tree since Debian's source, and which change broke something, by git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labctl.errors import LabError, UsageError
from labctl.images import bisection, working_tree
from labctl.patch import Patch


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=me", "-c", "user.email=me@localhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small source as `labctl source` lays one out."""
    folder = tmp_path / "asterisk"
    (folder / "main").mkdir(parents=True)
    (folder / "main" / "pbx.c").write_text("one\ntwo\nthree\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "asterisk 1:22, as Debian has it")
    return folder


def change(tree: Path, text: str, message: str = "") -> str:
    (tree / "main" / "pbx.c").write_text(text)
    if message:
        git(tree, "commit", "--quiet", "--all", "--message", message)
    return git(tree, "rev-parse", "HEAD")


def test_what_nobody_changed_is_no_patch(tree: Path) -> None:
    assert working_tree.read_change(str(tree)) is None


def test_all_that_was_changed_is_in_it_committed_or_not(tree: Path) -> None:
    change(tree, "one\n2\nthree\n", "Two")
    (tree / "main" / "new.c").write_text("new\n")
    before = git(tree, "status", "--porcelain")
    patch = working_tree.read_change(str(tree))
    assert patch
    text = patch.content.decode()
    assert text.startswith("labctl-source: asterisk 1:22\n")
    assert "-two\n+2\n" in text
    assert "+++ b/main/new.c" in text
    assert git(tree, "status", "--porcelain") == before  # git was told nothing of it


def test_a_commit_is_what_it_has_and_no_more(tree: Path) -> None:
    first = change(tree, "one\n2\nthree\n", "Two")
    change(tree, "one\n2\n3\n", "Three")
    patch = working_tree.read_change(f"{tree}@{first}")
    assert patch
    assert b"+3" not in patch.content
    with pytest.raises(UsageError, match="no commit `nothing`"):
        working_tree.read_change(f"{tree}@nothing")


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError) as refused:
            working_tree.read_change(str(folder))
        assert "labctl source DIR" in refused.value.hint


def test_patches_become_a_second_commit(tree: Path) -> None:
    text = b"--- a/main/pbx.c\n+++ b/main/pbx.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    working_tree.commit_patches(tree, (Patch("x/two.patch", text),))
    assert git(tree, "log", "--format=%s").splitlines() == ["two.patch", "asterisk 1:22, as Debian has it"]
    with pytest.raises(UsageError, match=r"x/two\.patch does not apply"):
        working_tree.commit_patches(tree, (Patch("x/two.patch", text),))


JUDGE = """\
import sys
from labctl.images.working_tree import read_change
place = sys.argv[sys.argv.index("--source") + 1]
text = (read_change(place) or type("", (), {"content": b""})).content
sys.exit(125 if b"+skip" in text else 1 if b"+bad" in text else 0)
"""


@pytest.mark.long
def test_the_commit_that_broke_it_is_found_and_the_tree_is_left_alone(tree: Path) -> None:
    good = git(tree, "rev-parse", "HEAD")
    change(tree, "one\n2\nthree\n", "Fine")
    bad = change(tree, "one\nbad\nthree\n", "Breaks it")
    change(tree, "zero\nbad\nthree\n", "Fine again")
    with bisection.over_commits(tree, good, "HEAD") as place:
        found = bisection.search(place, [sys.executable, "-c", JUDGE])
    assert found == f"{bad[:7]} Breaks it"
    assert git(tree, "worktree", "list").count("\n") == 0
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.long
def test_what_cannot_be_judged_is_told(tree: Path) -> None:
    good = git(tree, "rev-parse", "HEAD")
    change(tree, "one\nskip\nthree\n", "Does not compile")
    change(tree, "one\nbad\nthree\n", "Breaks it")
    with (
        bisection.over_commits(tree, good, "HEAD") as place,
        pytest.raises(LabError, match="git bisect ended with 2"),
    ):
        bisection.search(place, [sys.executable, "-c", JUDGE])


SERIES = """\
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--patch") + 1])
sys.exit(int(any("bad" in path.name for path in folder.iterdir())))
"""


def test_of_patches_the_one_that_broke_it_is_found() -> None:
    patches = [Patch(f"{name}.patch", name.encode()) for name in ("one", "bad", "three", "four")]
    with bisection.over_patches(patches, "", "") as place:
        assert bisection.search(place, [sys.executable, "-c", SERIES]).endswith(" bad.patch")
    with pytest.raises(UsageError, match="no patch `five`"), bisection.over_patches(patches, "0", "five"):
        pass


def test_settings_of_ones_own_change_nothing(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ignored").write_text("*.c\n")
    (tmp_path / "gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/ignored\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tree / "main" / "new.c").write_text("new\n")
    patch = working_tree.read_change(str(tree))
    assert patch
    assert b"+++ b/main/new.c" in patch.content


def test_what_was_laid_out_for_a_patch_that_does_not_apply_is_taken_away(tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to(tmp_path)
    working_tree.take_away(tree)
    assert list(tree.iterdir()) == []
    assert tmp_path.exists()
