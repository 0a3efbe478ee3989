"""A long scenario that shows the state which is lost when a partition heals comes down to that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario

pytestmark = pytest.mark.docker

NAME = f"e2e-shrink-{os.getpid()}"

STEPS = """\
title: Much goes on, and one thing of it is wrong
keep_going: true
steps:
  - register: [alice, bob, carol]
  - call: {caller: alice, callee: bob}
  - answer: bob
  - hang_up: alice
  - set_state: {node: n1, device: mystate, state: NOT_INUSE}
  - settle
  - call: {caller: bob, callee: carol}
  - partition: {groups: [[n1, n2], [n3]], name: split}
  - settle
  - set_state: {node: n1, device: mystate, state: BUSY}
  - leave_voicemail: {caller: alice, mailbox: 101, duration: 300ms}
  - settle
  - heal: split
  - settle
  - set_state: {node: n2, device: mystate, state: INUSE}
expect: [agreement]
"""


def labctl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, to its end."""
    command = [sys.executable, "-m", "labctl", *words]
    repository = str(Path(__file__).parent.parent.parent)
    environment = os.environ | {"PYTHONPATH": repository, "LABCTL_TIMEOUT": "180s"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )


def test_what_a_soak_run_did_comes_down_to_the_lost_state(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.yaml").write_text(STEPS, "utf-8")
    words = ("shrink", f"{NAME}.yaml", "--check", "agreement", "-n", NAME)
    for tries in range(5):  # a node that is slow enough speaks when the ring is whole again, and is heard
        folder = f"tries-{tries}"
        done = labctl(tmp_path, *words, "--folder", folder, "-o", "smallest.yaml")
        if "there is nothing to shrink for" not in done.stderr:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "smallest.yaml\n"
    assert "15 steps came down to" in done.stderr
    assert "still fails" in done.stderr
    smallest = find_scenario(str(tmp_path / "smallest.yaml"), Overrides())
    assert len(smallest.steps) <= 5
    assert {"partition", "set_state", "heal"} <= {step.verb for step in smallest.steps}
    assert smallest.known == ()
    again = labctl(tmp_path, *words, "--folder", folder, "-o", "again.yaml")
    assert "still fails" not in again.stderr, "it was run again"
    assert (tmp_path / "again.yaml").read_text("utf-8") == (tmp_path / "smallest.yaml").read_text("utf-8")


def test_what_does_not_fail_is_not_shrunk(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.yaml").write_text("title: Nothing\nsteps: [settle]\n", "utf-8")
    done = labctl(tmp_path, "shrink", f"{NAME}.yaml", "-n", NAME)
    assert done.returncode == 2
    assert "there is nothing to shrink for" in done.stderr
