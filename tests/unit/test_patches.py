"""Patches: another image for another patch, the quick way for the cluster module, and none for what is no patch."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import InvalidFile, UsageError
from labctl.images import patches
from labctl.images import recipes as images
from labctl.images.compiling import Estimate
from labctl.images.patch_context import PATCHES
from labctl.images.recipes import (
    ASTERISK,
    BUILT,
    CHANGED,
    DEBUG,
    MODULE,
    NODE,
    PATCHED,
    PHONE,
    SOURCE,
    TREE,
    Recipe,
)
from labctl.labfile import patch_files
from labctl.patch import Patch
from labctl.stack.model import Stack
from tests.unit.labs import stack
from tests.unit.test_images import CONTEXTS, changed

FILE = "res/res_corosync.c"
RENAMED = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n"
HUNK = "@@ -1,2 +1,2 @@\n-old\n+new\n \n"


def diff(path: str = FILE, hunk: str = HUNK, folders: tuple[str, str] = ("a/", "b/")) -> str:
    return f"--- {folders[0]}{path}\n+++ {folders[1]}{path}\n{hunk}"


def patch(text: str = diff(), source: str = "fix.patch") -> Patch:
    return Patch(source, text.encode())


def recipes(*patches: Patch, of: Stack | None = None) -> dict[str, Recipe]:
    return images.recipes(of or stack(), CONTEXTS, patches=patches)


def node(*patches: Patch) -> str:
    return recipes(*patches)[NODE].tag


def test_a_patch_changes_the_node_and_nothing_else() -> None:
    plain, patched = recipes(), recipes(patch())
    assert set(patched) - set(plain) == {PATCHED, DEBUG}
    assert [name for name in plain if plain[name].tag != patched[name].tag] == [NODE]


def test_another_patch_is_another_image() -> None:
    one, other = patch(), patch(diff(hunk="@@ -1 +1 @@\n-old\n+newer\n"))
    renamed = patch(source="mend.patch")
    tags = {node(), node(one), node(other), node(renamed), node(one, other), node(other, one)}
    assert len(tags) == 6
    assert node(one) == node(patch(source="/elsewhere/fix.patch"))


def test_a_patched_node_stands_on_the_patched_module() -> None:
    made = recipes(patch())
    assert images.build_args(made[PATCHED], made) == {"MODULE": made[MODULE].tag}
    assert images.build_args(made[NODE], made) == {"BASE": made[DEBUG].tag, "MODULE": made[PATCHED].tag}
    assert made[DEBUG].needs == (ASTERISK,)


def test_with_all_else_there_only_the_module_and_the_node_are_built() -> None:
    made = recipes(patch())
    present = {made[name].tag for name in (ASTERISK, MODULE, PHONE)}
    assert [recipe.name for recipe in images.missing(made, present)] == [DEBUG, PATCHED, NODE]


def test_the_images_say_which_patches_are_in_them() -> None:
    one, other = patch(), patch(source="0002 other.diff")
    made = recipes(one, other)
    label = {"labctl.contents.res_corosync.patches": f"{one}, {other}"}
    assert {name: recipe.labels for name, recipe in made.items() if recipe.labels} == {PATCHED: label, NODE: label}
    assert str(other).startswith("0002_other.diff@")


def test_patches_keep_their_order_and_their_names() -> None:
    made = recipes(patch(source="b.patch"), patch(source="a.patch"), patch(source="x/.$(reboot)\n.patch"))
    within = [path.removeprefix(PATCHES) for path in made[PATCHED].context if path.startswith(PATCHES)]
    assert within == ["/001/b.patch", "/002/a.patch", "/003/___reboot__.patch"]


@pytest.mark.parametrize(
    "text",
    [
        diff(),
        diff(folders=("asterisk.orig/", "asterisk/")),
        diff() + diff("res/a_header.h"),
        "--- /dev/null\n+++ b/res/new.h\n@@ -0,0 +1 @@\n+new\n" + diff(),
        f"--- a/{FILE}\t2026-01-01\n+++ b/{FILE}\t2026-01-02\n{HUNK}",
        diff().replace("\n", "\r\n"),
        f"From: me\n\n---\n 1 file changed\n\ndiff --git a/{FILE} b/{FILE}\nindex 1..2 100644\n{diff()}-- \n2.39\n",
        diff(hunk="@@ -1,2 +1,2 @@\n--- a/main/other.c\n+++ b/main/other.c\n \n"),
        diff(hunk="@@ -1 +1 @@\n-old\n\\ No newline at end of file\n+new\n\\ No newline at end of file\n"),
        diff(hunk="@@ -1 +1 @@\n-old\f\n+new\u2028\n"),
    ],
)
def test_a_patch_of_the_module_is_taken(text: str) -> None:
    assert PATCHED in recipes(patch(text))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["fix.patch:1: no change to res/res_corosync.c is in it"]),
        ("no patch\n", ["fix.patch:1: no change to"]),
        (HUNK, ["fix.patch:1: no change to res/res_corosync.c can be read in it: Unexpected hunk found"]),
        (
            diff(hunk="@@ -1,9 +1,9 @@\n-old\n+new\n"),
            ["fix.patch:1: no change to res/res_corosync.c can be read in it"],
        ),
        (f"diff --git a/{FILE} b/{FILE}\nold mode 100644\nnew mode 100755\n", ["fix.patch:1: no change to"]),
        (f"*** a/{FILE}\n--- b/{FILE}\n***************\n*** 1 ****\n", ["fix.patch:1: no change to"]),
        (diff() + diff("main/other.c"), ["fix.patch:7: a/main/other.c is not compiled here, res/res_corosync.c"]),
        (diff("x.c") + diff() + diff("y.c"), ["fix.patch:1: a/x.c is not", "fix.patch:13: a/y.c is not"]),
        (diff("res/res_other.c"), ["fix.patch:1: a/res/res_other.c is not"]),
        (diff("res/ares/a.h"), ["fix.patch:1: a/res/ares/a.h is not"]),
        (diff(folders=("", "")), ["fix.patch:1: res/res_corosync.c is without the folder in front"]),
        (
            f"{RENAMED}diff --git a/{FILE} b/{FILE}\n{diff()}",
            ["fix.patch:1: a/x is not", "fix.patch:1: b/y is not"],
        ),
        ("diff --git a/x.bin b/x.bin\nGIT binary patch\n", ["fix.patch:1: a/x.bin is not"]),
        (diff("res/\x1b[2J.c"), ["fix.patch:1: a/res/\\x1b[2J.c is not"]),
    ],
)
def test_what_is_no_patch_of_the_module_is_refused(text: str, lines: list[str]) -> None:
    with pytest.raises(InvalidFile) as caught:
        recipes(patch(text), of=changed(source=None))
    printed = caught.value.message.splitlines()
    assert [line[: len(start)] for line, start in zip(printed, lines, strict=True)] == lines
    assert all("in Asterisk's tree: git diff" in line for line in printed)
    assert caught.value.exit_code == 2


def test_a_patch_of_any_other_part_goes_by_the_whole_source() -> None:
    core, module = patch(diff("main/pbx.c")), patch()
    made, both = recipes(core), recipes(module, core)
    assert {SOURCE, TREE, CHANGED, BUILT} <= set(made)
    assert PATCHED not in both
    assert [made[name].tag == both[name].tag for name in (SOURCE, TREE, BUILT, CHANGED, NODE)] == [True] * 3 + [
        False
    ] * 2
    assert images.build_args(made[CHANGED], made) == {"BASE": made[TREE].tag}
    assert images.build_args(made[NODE], made) == {"BASE": made[BUILT].tag, "MODULE": made[CHANGED].tag}
    assert made[NODE].labels == {"labctl.contents.asterisk.patches": str(core)}


def test_once_asterisk_is_built_a_change_builds_what_it_touches() -> None:
    made = recipes(patch(diff("main/pbx.c")))
    present = {recipe.tag for name, recipe in made.items() if name not in (CHANGED, NODE)}
    assert [recipe.name for recipe in images.missing(made, present)] == [CHANGED, NODE]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["fix.patch:1: no change to Asterisk's tree is in it"]),
        (HUNK, ["fix.patch:1: no change to Asterisk's tree can be read in it: Unexpected hunk found"]),
        (
            diff("main/pbx.c", folders=("", "")),
            ["fix.patch:1: main/pbx.c is without the folder in front, as in a/main"],
        ),
        (diff("pbx.c", folders=("", "")), ["fix.patch:1: pbx.c is without the folder in front, as in a/main"]),
        (diff("../../etc/passwd"), ["fix.patch:1: a/../../etc/passwd leads out of Asterisk's tree"]),
        (diff("main/pbx.c") + diff("configure.ac"), ["fix.patch:7: a/configure.ac is read only when Asterisk is conf"]),
        (diff("third-party/pjproject/patches/config_site.h"), ["fix.patch:1: a/third-party/pjproject/patches/config"]),
        (diff("debian/rules"), ["fix.patch:1: a/debian/rules is read only when"]),
    ],
)
def test_what_is_no_patch_of_asterisk_is_refused(text: str, lines: list[str]) -> None:
    with pytest.raises(InvalidFile) as caught:
        recipes(patch(text))
    printed = caught.value.message.splitlines()
    assert [line[: len(start)] for line, start in zip(printed, lines, strict=True)] == lines
    assert all("in Asterisk's tree: git diff" in line for line in printed)


@pytest.mark.parametrize("values", [{"module": None, "source": None}, {"image": "registry.example/asterisk:1"}])
def test_a_stack_that_does_not_compile_its_module_takes_no_patch(values: dict[str, str | None]) -> None:
    with pytest.raises(UsageError, match=r"fix\.patch: res_corosync of the stack 22 is not compiled here"):
        recipes(patch(), of=changed(**values))


def test_of_a_folder_all_patches_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("2.patch", "10.diff", "1.patch", "series", "1.patch~"):
        (tmp_path / name).write_text(name)
    (tmp_path / "more.patch").touch()
    read = patch_files.read_patches([str(tmp_path / "series"), str(tmp_path)])
    assert [patch.name for patch in read] == ["series", "1.patch", "10.diff", "2.patch", "more.patch"]
    assert read[1].content == b"1.patch"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    large = tmp_path / "large.patch"
    large.write_bytes(bytes(patch_files.PATCH_LIMIT + 1))
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, why in ((large, "larger than 1 MiB"), (empty, "no patch"), (tmp_path / "none", "No such file")):
        with pytest.raises(UsageError, match=f"{path}: {why}"):
            patch_files.read_patches([str(path)])


def test_why_patches_were_not_built_is_what_their_script_said() -> None:
    output = [
        "Step 3/4 : COPY root/ /",
        " ---> f53930420672",
        "Step 4/4 : RUN build-patched",
        " ---> Running in a07f312aefcc",
        "patching file res/res_corosync.c",
        "labctl: fix.patch does not apply:",
        "Hunk #1 FAILED at 311.",
        "Removing intermediate container a07f312aefcc",
        "The command '/bin/sh -c build-patched' returned a non-zero code: 1",
    ]
    assert patches.refusal(output) == "fix.patch does not apply:\n  Hunk #1 FAILED at 311."
    assert patches.last_layer(output) == "f53930420672"
    assert (patches.refusal(output[:5]), patches.last_layer(output[:1])) == ("", "")


def test_a_build_says_how_far_it_is_and_how_long_it_takes() -> None:
    clock = iter((0.0, 100.0, 160.0, 460.0))
    estimate = Estimate(lambda: next(clock))
    assert estimate.shown("checking for gcc... yes") == "checking for gcc... yes"
    assert estimate.shown("labctl-files: 400\n") == "labctl-files: 400\n"
    assert estimate.shown("   [CC] pbx.c -> pbx.o\n" * 40) == "compiled 40 of about 400 files, about 9 min left"
    assert estimate.shown("   [CC] a.c -> a.o\n   [LD] a.o -> a.so\n" * 360).startswith(
        "compiled 400 of about 400 files"
    )


def test_a_long_reason_is_cut() -> None:
    lines = patches.refusal(["labctl: it does not compile:", *["error"] * 100]).splitlines()
    assert lines[-1] == f"  ... and {101 - patches.REFUSAL_LINES} lines more"
    assert len(lines) == patches.REFUSAL_LINES + 1
