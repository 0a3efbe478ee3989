"""A shipped mend: with it the scenario that shows the fault is `fixed`; one for another source is refused with why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.engine import client as engines
from labctl.errors import PatchRefused
from labctl.images import builder
from labctl.images.builder import Options
from labctl.labfile.patch_files import read_patches, shipped_mends
from labctl.patch import Patch
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from tests.e2e.test_patch import unread
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

__all__ = ["unread"]


def test_with_its_mend_a_scenario_is_fixed(tmp_path: Path) -> None:
    flags = ("--folder", str(tmp_path), "--name", "e2e-mend", "-q", "-o", "json")
    done = labctl("run", "second-leave", "--patch", "second-leave", *flags)
    assert done.code == 0, done.out
    verdict = tmp_path / "latest" / "verdict.json"
    standings = {entry["verdict"]["check"]: entry["standing"] for entry in json.loads(verdict.read_text())["judged"]}
    assert standings["no_ghosts"] == "fixed"
    assert (verdict.parent / "patches/001-second-leave.mend").is_file()


def test_all_mends_together_compile() -> None:
    options = Options(patches=read_patches(shipped_mends()))
    assert builder.build(engines.connect(), find_stack("22"), options, Silent()).node_id


def test_a_mend_of_another_source_is_refused_with_the_way_out(unread: None) -> None:
    (mend,) = read_patches(["second-leave"])
    lines = mend.content.split(b"\n")
    lines = [b"# sha256: " + b"0" * 64 if line.startswith(b"# sha256: ") else line for line in lines]
    moved = Options(patches=(Patch(mend.source, b"\n".join(lines)),))
    with pytest.raises(PatchRefused) as caught:
        builder.build(engines.connect(), find_stack("22"), moved, Silent())
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith("second-leave.mend does not apply to asterisk 1:22.")
    assert "it is to be made anew, against this file" in caught.value.message
