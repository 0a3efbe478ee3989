"""Nodes of one lab in several versions: read, drawn, written, kept, and undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.blueprint import drawing, record
from labctl.blueprint.record import Request
from labctl.errors import InvalidFile
from labctl.images import lab_images
from labctl.images.builder import Options
from labctl.lab import Lab, Overrides, Version
from labctl.labfile import reader, writer
from labctl.labfile.loader import find_lab
from labctl.labfile.node_versions import stack_of, with_versions
from labctl.patch import Patch
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack
from tests.unit.commands import run

DIFF = "--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1,0 +2 @@\n+ * one line\n"
MIXED = "name: mixed\nnodes: [n1, {name: n2, patch: fix.patch}, {name: n3, image: 'my/asterisk:1'}]\n"


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Lab, Stack]:
    """A lab of three nodes in three versions."""
    (tmp_path / "fix.patch").write_text(DIFF)
    (tmp_path / "mixed.yaml").write_text(MIXED)
    return find_lab(str(tmp_path / "mixed.yaml"), Overrides())


def test_what_a_node_runs_is_read_with_the_patch_in_it(mixed: tuple[Lab, Stack]) -> None:
    lab, stack = mixed
    versions = [node.version for node in lab.nodes]
    assert [bool(version) for version in versions] == [False, True, True]
    assert versions[1].patches[0].content.decode() == DIFF
    assert [str(version) for version in versions] == ["as the lab", "patch fix.patch", "image my/asterisk:1"]
    assert [stack_of(node, stack).image for node in lab.nodes] == [None, None, "my/asterisk:1"]


def test_written_and_read_again_it_is_the_same_and_reads_no_file(mixed: tuple[Lab, Stack]) -> None:
    lab, _ = mixed
    again, _ = reader.read(writer.to_yaml(lab), "again", find_stack)
    assert again == lab
    with pytest.raises(InvalidFile, match="no file is read here"):
        reader.read(MIXED, "mixed.yaml", find_stack)


def test_each_version_has_an_image_of_its_own(mixed: tuple[Lab, Stack]) -> None:
    images = lab_images.references(*mixed, Options())
    of = [images.of(node)[0] for node in ("n1", "n2", "n3")]
    assert len({*of}) == 3
    assert of[0] == images.node
    assert of[2] == "my/asterisk:1"


def test_patches_of_flags_are_the_labs_and_those_of_a_node_come_after(mixed: tuple[Lab, Stack]) -> None:
    lab, stack = mixed
    first = Patch("first.patch", DIFF.encode())
    _, options = lab_images.of_version(lab.node("n2").version, stack, Options(patches=(first,)))
    assert [patch.name for patch in options.patches] == ["first.patch", "fix.patch"]
    _, foreign = lab_images.of_version(lab.node("n3").version, stack, Options(patches=(first,)))
    assert foreign.patches == ()


def test_only_the_node_that_changes_is_another_container(mixed: tuple[Lab, Stack]) -> None:
    lab, stack = mixed
    other = with_versions(lab, {"n2": Version()})

    def containers(of: Lab) -> dict[str, str]:
        images = lab_images.references(of, stack, Options())
        drawn = drawing.draw(of, stack, images, "198.18.7.0/24", "seed")
        return {spec.hostname: dict(spec.labels)["labctl.config"] for spec in drawn.containers}

    before, after = containers(lab), containers(other)
    assert [name for name in before if before[name] != after[name]] == ["n2", "phones"]


def test_a_running_lab_remembers_it(mixed: tuple[Lab, Stack]) -> None:
    lab, stack = mixed
    text = record.dump(lab, stack, Request.of(lab))
    kept = record.parse("mixed", text)
    assert (kept.lab, kept.version) == (lab, 3)
    plain = with_versions(lab, {"n2": Version(), "n3": Version()})
    assert record.parse("mixed", record.dump(plain, stack, Request.of(plain))).version == 2


def test_nodes_of_sites_may_be_of_stacks_that_do_not_speak_to_each_other() -> None:
    lab, stack = reader.read(
        "sites: {east: [e1], west: [{name: w1, stack: '1.8'}]}\nphones: [{name: alice, node: w1, extension: 101}]\n",
        "sites.yaml",
        find_stack,
    )
    assert [stack_of(node, stack).name for node in lab.nodes] == ["22", "1.8"]
    images = lab_images.references(lab, stack, Options())
    drawn = drawing.draw(lab, stack, images, "198.18.7.0/24", "seed")
    paths = {spec.hostname: {file.path for file in spec.files} for spec in drawn.containers}
    assert "/etc/asterisk/pjsip.conf" in paths["e1"]
    assert "/etc/asterisk/sip.conf" in paths["w1"]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (
            "nodes: [{name: n1, patch: junk.patch}, n2]\n",
            ":1: junk.patch:1: no change to Asterisk's tree is in it (in Asterisk's tree: git diff)",
        ),
        ("nodes: 2\nversions: {n2: {patch: junk.patch}}\n", ":2: junk.patch:1: no change"),
        ("nodes: [n1, {name: n2, patch: junk.patch, stack: '1.6'}]\n", ":1: n2 and n1 cannot be in one ring"),
        (
            "title: It\nlab: {nodes: 2}\nsteps:\n  - settle\n  - upgrade: {node: n2, patch: junk.patch}\n",
            ":5: junk.patch:1: no change",
        ),
        (
            "nodes: [{name: n1, pach: junk.patch}]\nversions: {n1: {patch: junk.patch}}\n",
            ":2: n1 has a version twice (say all of it in one place: at its name, or in `versions`)",
        ),
    ],
)
def test_what_is_no_patch_is_refused_before_anything_is_made(
    text: str, refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.patch").write_text("junk\n")
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert run("validate", "mine.yaml") == 2
    assert f"mine.yaml{refused}" in capsys.readouterr().err
