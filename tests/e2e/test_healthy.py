"""An error that a node logs, and that nothing explains, fails a run of real nodes; one that is known does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.history import lines
from labctl.history.process_events import Complained, Measured
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

SCENARIO = """
title: A node complains
lab:
  nodes: 1
  phones: 1
  config:
    all:
      asterisk/extensions.conf: |
        [lab]
        exten = 77,1,Log(ERROR,it is out of luck)
         same = n,Answer()
         same = n,Echo()
steps:
  - call: {caller: alice, callee: "77"}
  - talk: alice
  - hang_up: alice
  - settle
expect: [calls]
"""
KNOWN = """known:
  - {stack: "22", check: healthy, nodes: [n1], finding: out of luck, reason: it says so}
"""


def run(folder: Path, text: str) -> tuple[int, str, Path]:
    """The exit code of a run, what it said, and its folder."""
    path = folder / "complains.yaml"
    path.write_text(text, "utf-8")
    result = labctl("run", str(path), "--folder", str(folder / "runs"), "--name", "e2e-healthy", "--no-capture")
    return result.code, result.out + result.err, folder / "runs" / "latest"


def test_error_that_nothing_explains_fails_the_run_unless_it_is_known(tmp_path: Path) -> None:
    code, said, folder = run(tmp_path, SCENARIO)
    assert code == 1, said
    assert "n1 logged an error: " in said
    assert "it is out of luck" in said
    events = lines.parse((folder / "history.jsonl").read_text("utf-8"), "")
    assert [event.node for event in events if isinstance(event, Complained)] == ["n1"]
    measured = [event for event in events if isinstance(event, Measured)]
    assert {event.daemon for event in measured} == {"asterisk", "corosync"}
    assert len(measured) >= 4
    code, said, _ = run(tmp_path, SCENARIO + KNOWN)
    assert code == 0, said
    assert "it says so" in said
