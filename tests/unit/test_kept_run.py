"""A run that Python code does, kept as `labctl run` keeps its own."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError, UsageError
from labctl.history import lines as history
from labctl.history.events import Began, Did, Event, Over
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.scenario import run_folder, run_record
from labctl.scenario.kept_run import KeptRun
from labctl.scenario.loader import find_scenario
from labctl.scenario.step_registry import Step
from tests.unit.test_runner import FakeEngine

ENGINE = cast(Engine, FakeEngine())


def kept(parent: Path, *events: Event, steps: tuple[Step, ...] = (), error: LabctlError | None = None) -> Path:
    """The folder of a run of these events and steps, once it has ended."""
    run = KeptRun(parent, "test_mine-2nodes", "test_mine[2nodes]", *find_lab(None, Overrides(name="office", nodes=2)))
    if events:
        run.history.write_text("".join(f"{history.to_line(event)}\n" for event in events), "utf-8")
    run.finish(ENGINE, events, steps, error)
    return run.folder


def test_a_test_that_failed_has_a_run_that_failed_and_can_be_run_again(tmp_path: Path) -> None:
    began = Began(0.0, "test_mine", "office", "22", ("n1", "n2"), {"mystate": "Custom:mystate"})
    why = "test_mine: AssertionError: assert 1 == 2"
    steps = (Step("set_state", {"node": "n1", "device": "mystate", "state": "BUSY"}), Step("settle", {}))
    folder = kept(tmp_path, began, Did(1.0, 1, "set_state n1 mystate BUSY", 0.5), Over(2.0, why), steps=steps)
    record = run_record.recall(folder)
    assert {"lab.yaml", "n1.log", "scenario.yaml", "terms.json", "made_with.json", "stack.yaml"} <= {*record.files}
    assert (record.result.standing, record.result.title) == ("failed", "test_mine[2nodes]")
    (course,) = [judged.verdict for judged in record.result.judged if judged.standing == "failed"]
    assert [finding.text for finding in course.findings] == [f"+2.000 s: {why}"]
    again = find_scenario(str(folder / run_folder.SCENARIO), Overrides())
    assert [(step.verb, step.arguments["state"]) for step in again.steps[:1]] == [("set_state", "BUSY")]
    assert len(again.lab.nodes) == 2
    assert (tmp_path / "latest").resolve() == folder.resolve()


def test_a_lab_that_did_not_come_up_is_told_with_its_logs(tmp_path: Path) -> None:
    folder = kept(tmp_path, error=LabError("n2 is not ready", "see its log"))
    record = run_record.recall(folder)
    assert (record.result.standing, record.result.lab_error) == ("error", "n2 is not ready\nsee its log")
    assert {"lab.yaml", "n1.log"} <= {*record.files}
    assert run_folder.SCENARIO not in record.files


def test_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        kept(tmp_path / "file")
