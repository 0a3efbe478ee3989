"""Mends: what is read of one, what is refused and where, and that the images' program makes the same of it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.bundle.packing import _changes as changes_of
from labctl.errors import InvalidFile, UsageError
from labctl.images import recipes as images
from labctl.images import working_tree
from labctl.images.builder import contexts
from labctl.images.edits import LINE_LIMIT, applied, as_text, joined
from labctl.images.patch_context import EDITS, PATCHES, TREE_PATCHES
from labctl.images.recipes import CHANGED, NODE, PATCHED, Recipe
from labctl.labfile import patch_files
from labctl.labfile.patch_files import read_patches, shipped_mends
from labctl.patch import Patch
from labctl.paths import MENDS, images_folder
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document
from tests.unit.labs import stack
from tests.unit.test_images import CONTEXTS, changed

FILE = "res/res_corosync.c"
OLD = "one\ntwo\nthree\nfour\nfive\n"
SUM = hashlib.sha256(OLD.encode()).hexdigest()
OTHER_SUM = hashlib.sha256(b"").hexdigest()
PROGRAM = images_folder() / EDITS / "root/usr/local/sbin/apply-edits"


def mend(commands: str, name: str = "x.mend", *, file: str = FILE, sha256: str = SUM, end: str = "") -> Patch:
    text = f"# labctl-mend: 1\n# what it is for\n# file: {file}\n# sha256: {sha256}\n{commands}{end}"
    return Patch(name, text.encode())


def recipes(*patches: Patch, of: Stack | None = None) -> dict[str, Recipe]:
    return images.recipes(of or stack(), CONTEXTS | {EDITS: contexts()[EDITS]}, patches=patches)


def new(*mends: Patch, old: str = OLD) -> str:
    return applied(old.encode(), FILE, joined(mends)[FILE]).decode()


@pytest.mark.parametrize(
    ("commands", "text"),
    [
        ("a0 1\nzero\n", "zero\none\ntwo\nthree\nfour\nfive\n"),
        ("a5 2\n\nd1 1\n", "one\ntwo\nthree\nfour\nfive\n\nd1 1\n"),
        ("d1 5\n", ""),
        ("d2 2\na3 1\nTWO\n# of a file\nd5 1\n", "one\nTWO\nfour\n"),
        ("a1 1\n# file: x\nd2 1\na2 1\n\tü \n", "one\n# file: x\n\tü \nthree\nfour\nfive\n"),
    ],
)
def test_lines_go_and_come_by_the_numbers_that_they_had(commands: str, text: str) -> None:
    assert new(mend(commands)) == text
    assert PATCHED in recipes(mend(commands))


def test_mends_of_the_same_file_are_joined_by_the_numbers_of_the_file_as_it_was() -> None:
    first, second = mend("a1 1\nA\nd4 1\n", "a.mend"), mend("a1 1\nB\nd2 2\na3 1\nC\n", "b.mend")
    assert new(first, second) == "one\nA\nB\nC\nfive\n"
    assert new(second, first) == "one\nB\nA\nC\nfive\n"


@pytest.mark.parametrize(
    ("commands", "line"),
    [("d2 1\n", 2), ("d1 5\n", 2), ("d3 1\n", 3), ("a2 1\nX\n", 2)],
)
def test_mends_that_change_the_same_line_are_refused(commands: str, line: int) -> None:
    first, second = mend("d2 2\na4 1\nX\n", "a.mend"), mend(commands, "b.mend")
    with pytest.raises(UsageError, match=rf"^b\.mend:5: a\.mend changes line {line} of {FILE} too$") as caught:
        recipes(first, second)
    assert caught.value.hint == "take one of the two"


def test_what_is_put_in_where_another_takes_away_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^b\.mend:5: a\.mend changes line 4"):
        recipes(mend("a4 1\nX\n", "a.mend"), mend("d3 3\n", "b.mend"))


def test_mends_that_were_made_for_other_states_of_a_file_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^b\.mend:3: made for another res/res_corosync\.c than a\.mend$"):
        recipes(mend("d1 1\n", "a.mend"), mend("d3 1\n", "b.mend", sha256=OTHER_SUM))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("# labctl-mend: 2\n", "1: not a mend of the form that is known here: # labctl-mend: 2 (# labctl-mend: 1)"),
        ("# labctl-mend: 1\n", "1: no file is changed"),
        ("# labctl-mend: 1\nd1 1\n", "2: d1 1 is of no file"),
        (f"# labctl-mend: 1\n# file: {FILE}\nd1 1\n", f"2: {FILE} has no SHA-256"),
        (mend("").content, f"3: nothing is changed in {FILE}"),
        (mend("", sha256="x").content, f"4: x: not one SHA-256 of {FILE}"),
        (mend("", sha256=f"{SUM}\n# sha256: {SUM}").content, f"5: {SUM[:40]}"),
        (mend("s/one/two/\n").content, "5: s/one/two/ is neither"),
        (mend("!reboot\n").content, "5: !reboot is neither"),
        (mend("d1\n").content, "5: d1 is neither"),
        (mend("d1 0\n").content, "5: d1 0 is neither"),
        (mend("d-1 1\n").content, "5: d-1 1 is neither"),
        (mend("d0 1\n").content, "5: d0 1 is not behind"),
        (mend("d1 99999999999999999999\n").content, "5: d1 99999999999999999999 is neither"),
        (mend("d1 999999999\n").content, f"5: d1 999999999 is beyond {LINE_LIMIT} lines"),
        (mend("a999999999 1\nx\n").content, f"5: a999999999 1 is beyond {LINE_LIMIT} lines"),
        (mend("a1 3\nx\n").content, "5: a1 3: only 1 lines follow"),
        (mend("d3 1\nd2 1\n").content, "6: d2 1 is not behind"),
        (mend("d2 2\nd3 1\n").content, "6: d3 1 is not behind"),
        (mend("a2 1\nx\na2 1\ny\n").content, "7: a2 1 is not behind"),
        (mend("a2 1\nx\nd2 1\n").content, "7: d2 1 is not behind"),
        (mend("a1 1\nx").content, "6: the last line has no end"),
        (mend("a1 1\nx\0\n").content, "6: the character "),
        (mend("a1 1\r\nx\r\n").content, "5: the character "),
        (mend("a1 1\n\x1b[2J\n").content, "6: the character "),
        (b"# labctl-mend: 1\n\xff\xfe\n", "2: not UTF-8"),
        (mend("d1 1\n", file="../../etc/passwd").content, "3: ../../etc/passwd is no path in Asterisk's tree"),
        (mend("d1 1\n", file="res/../../x").content, "3: res/../../x is no path"),
        (mend("d1 1\n", file="/etc/passwd").content, "3: /etc/passwd is no path"),
        (mend("d1 1\n", file="-rf/x").content, "3: -rf/x is no path"),
        (mend("d1 1\n", file="res/$(reboot)").content, "3: res/$(reboot) is no path"),
        (mend("d1 1\n", file="").content, "3:  is no path"),
        (mend("d1 1\n", file="debian/rules").content, "3: debian/rules is read only when Asterisk is configured"),
        (
            mend("d1 1\n", end=f"# file: {FILE}\n# sha256: {SUM}\nd2 1\n").content,
            f"6: {FILE} is named twice",
        ),
    ],
)
def test_what_is_no_mend_is_refused_with_its_line(text: str | bytes, mistake: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        recipes(Patch("x.mend", text.encode() if isinstance(text, str) else text))
    assert caught.value.message.startswith(f"x.mend:{mistake}")
    assert caught.value.exit_code == 2


def test_where_only_the_module_is_compiled_another_file_is_refused() -> None:
    with pytest.raises(InvalidFile, match=r"^x\.mend:3: main/pbx\.c is not compiled here"):
        recipes(mend("d1 1\n", file="main/pbx.c"), of=changed(source=None))


def test_a_mend_of_another_part_goes_by_the_whole_source_and_is_applied_before_patches() -> None:
    diff = Patch("b.patch", f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1 +1 @@\n-one\n+ONE\n".encode())
    core = mend("d1 1\n", "c.mend", file="main/pbx.c")
    files = recipes(diff, mend("d2 1\n"), core)[CHANGED].context
    beside = TREE_PATCHES.removesuffix("patches")
    assert files[f"{beside}mends"][0] == b"x.mend, c.mend"
    heads = [content.splitlines()[:2] for path, (content, _) in files.items() if path.startswith(f"{beside}{EDITS}/")]
    assert heads == [[b"# of: x.mend", f"# file: {FILE}".encode()], [b"# of: c.mend", b"# file: main/pbx.c"]]
    assert [path for path in files if path.startswith(TREE_PATCHES)] == [f"{TREE_PATCHES}/001/b.patch"]
    assert any(path.endswith("/apply-edits") for path in files)


def test_a_patch_alone_has_nothing_of_mends_in_its_image() -> None:
    diff = Patch("b.patch", f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1 +1 @@\n-one\n+ONE\n".encode())
    assert [path for path in recipes(diff)[PATCHED].context if path != "Dockerfile"] == [f"{PATCHES}/001/b.patch"]


def test_another_mend_is_another_image() -> None:
    tags = {recipes(*mends)[NODE].tag for mends in ([mend("d1 1\n")], [mend("d2 1\n")], [mend("d1 1\n", "y.mend")])}
    assert len(tags) == 3


def apply_by_program(folder: Path, old: str, *mends: Patch) -> subprocess.CompletedProcess[str]:
    tree, edits = folder / "tree", folder / "edits"
    (tree / "res").mkdir(parents=True, exist_ok=True)
    edits.mkdir(exist_ok=True)
    (tree / FILE).write_text(old)
    (edits / "001").write_text(as_text(FILE, joined(mends)[FILE]))
    command = ["sh", str(PROGRAM), "asterisk 1:1.0", str(edits)]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_the_images_program_joins_them_as_labctl_does(tmp_path: Path) -> None:
    mends = (mend("a0 2\n\\n%s\n\nd5 1\n", "a.mend"), mend("a0 1\n&\nd1 2\na2 1\n  x\na4 1\ny\n", "b.mend"))
    said = apply_by_program(tmp_path, OLD, *mends)
    assert said.returncode == 0, said.stdout
    assert (tmp_path / "tree" / FILE).read_text() == new(*mends) == "\\n%s\n\n&\n  x\nthree\nfour\ny\n"


LINES = st.lists(st.text("ab#d1 \\%&\t", max_size=4), max_size=12)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(old=LINES.filter(bool), wanted=LINES)
def test_what_diff_writes_is_what_they_read(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], wanted: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, wanted))
    (folder / "old").write_text(before)
    (folder / "new").write_text(after)
    diff = subprocess.run(["diff", "-n", "old", "new"], cwd=folder, capture_output=True, text=True, check=False).stdout
    if not diff:
        return
    made = mend(diff, sha256=hashlib.sha256(before.encode()).hexdigest())
    assert new(made, old=before) == after
    assert apply_by_program(folder, before, made).returncode == 0
    assert (folder / "tree" / FILE).read_text() == after


def test_a_source_that_has_moved_is_told_with_the_way_out(tmp_path: Path) -> None:
    said = apply_by_program(tmp_path, f"zero\n{OLD}", mend("d1 1\n"), mend("d2 1\n", "y.mend"))
    assert said.returncode == 1
    assert said.stdout.startswith(f"labctl: x.mend, y.mend does not apply to asterisk 1:1.0: its {FILE} is another")
    assert said.stdout.splitlines()[-1].endswith("it is to be made anew, against this file")
    with pytest.raises(UsageError, match="made for another"):
        new(mend("d1 1\n"), old=f"zero\n{OLD}")


def test_a_mend_of_lines_that_the_file_has_not_is_refused(tmp_path: Path) -> None:
    said = apply_by_program(tmp_path, OLD, mend("d5 2\n"))
    assert (said.returncode, said.stdout) == (
        1,
        f"labctl: x.mend does not apply to asterisk 1:1.0: {FILE} has fewer lines than it changes\n",
    )
    assert (tmp_path / "tree" / FILE).read_text() == OLD
    with pytest.raises(UsageError, match="fewer lines"):
        new(mend("a6 1\nx\n"))


def test_a_working_tree_takes_mends_before_patches(tmp_path: Path) -> None:
    (tmp_path / "res").mkdir()
    (tmp_path / FILE).write_text(OLD)
    working_tree.git(tmp_path, "init", "--quiet")
    working_tree.git(tmp_path, "add", "--all")
    diff = Patch("b.patch", f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1,2 +1,2 @@\n-ONE\n+1\n two\n".encode())
    working_tree.commit_patches(tmp_path, (diff, mend("d1 1\na1 1\nONE\n")))
    assert (tmp_path / FILE).read_text() == OLD.replace("one", "1")
    assert working_tree.git(tmp_path, "status", "--porcelain") == b""
    with pytest.raises(UsageError, match=r"^x\.mend: there is no main/pbx\.c in "):
        working_tree.commit_patches(tmp_path, (mend("d1 1\n", file="main/pbx.c"),))
    with pytest.raises(InvalidFile, match=r"^x\.mend:3: \.\./x is no path"):
        working_tree.commit_patches(tmp_path, (mend("d1 1\n", file="../x"),))


def test_a_working_tree_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(OLD)
    tree = tmp_path / "tree"
    (tree / "res").mkdir(parents=True)
    (tree / FILE).symlink_to(outside)
    with pytest.raises(UsageError, match="there is no"):
        working_tree.commit_patches(tree, (mend("d1 1\n"),))
    assert outside.read_text() == OLD


def test_a_shipped_mend_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = read_patches(["partition-heal"])
    assert (found.name, found.is_mend) == ("partition-heal.mend", True)
    (tmp_path / "partition-heal").write_text("mine")
    assert read_patches(["partition-heal"])[0].content == b"mine"
    with pytest.raises(UsageError, match=r"^no-such: No such file") as caught:
        read_patches(["no-such"])
    assert "Mends that are shipped: corosync-crash, " in caught.value.hint


def test_a_folder_gives_its_mends_too(tmp_path: Path) -> None:
    for name in ("a.patch", "b.mend", "c.diff", "d.txt"):
        (tmp_path / name).write_text(name)
    assert [patch.name for patch in read_patches([str(tmp_path)])] == ["a.patch", "b.mend", "c.diff"]


def test_a_file_may_name_a_shipped_mend(tmp_path: Path) -> None:
    data = {"versions": {"n1": {"patch": "partition-heal"}}}
    document = patch_files.with_patches(Document("lab.yaml", data), tmp_path)
    (patch,) = document.data["versions"]["n1"]["patch"]
    assert patch["source"] == "partition-heal.mend"


def test_a_bundle_keeps_a_mend_whole() -> None:
    text = mend("a1 1\n--- x\n").content.decode()
    assert changes_of(text) == text


@pytest.mark.parametrize("name", shipped_mends())
def test_what_is_shipped_is_whole_and_says_its_licence(name: str) -> None:
    (shipped,) = read_patches([name])
    assert b"\n# SPDX-License-Identifier: GPL-2.0-only\n" in shipped.content
    assert PATCHED in recipes(shipped)
    assert f"`{name}`" in (MENDS / "README.md").read_text("utf-8")


def test_all_that_is_shipped_goes_together() -> None:
    assert PATCHED in recipes(*read_patches(shipped_mends()))
    assert len(shipped_mends()) >= 4
