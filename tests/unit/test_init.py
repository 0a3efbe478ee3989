"""`labctl init` writes scenarios that are right, whatever is asked for, and overwrites nothing."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from labctl import cli
from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.scenario.first_scenario import STATES, TROUBLES, State, Trouble, first_scenario
from labctl.scenario.loader import read_scenario


@pytest.mark.parametrize(("state", "trouble"), [*product(STATES, TROUBLES)])
@pytest.mark.parametrize("node", [None, "n2"])
def test_every_one_is_a_scenario(state: State, trouble: Trouble, node: str | None) -> None:
    text = first_scenario(state, trouble, 3, node)
    scenario = read_scenario(text, "first.yaml", Path(), Overrides())
    assert len(scenario.lab.nodes) == 3
    broken = [step for step in scenario.steps if step.verb == trouble]
    assert len(broken) == (trouble != "nothing")
    assert all((node or "n3") in str(step) for step in broken)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="the state changes on n1"):
        first_scenario("device", "pause", 3, "n1")
    with pytest.raises(UsageError, match="two nodes that nothing is wrong with"):
        first_scenario("call", "kill", 2)


def test_it_is_written_once_and_says_how_to_run_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    command = ["init", str(file), "--state", "lamp", "--wrong", "pause"]
    first = CliRunner().invoke(cli.command_line, command)
    assert (first.exit_code, first.stdout) == (0, f"{file}\n")
    text = file.read_text("utf-8")
    again = CliRunner().invoke(cli.command_line, command)
    assert isinstance(again.exception, UsageError)
    assert "there already" in again.exception.message
    assert file.read_text("utf-8") == text


def test_without_a_terminal_options_are_wanted(tmp_path: Path) -> None:
    asked = CliRunner().invoke(cli.command_line, ["init", str(tmp_path / "mine.yaml")])
    assert isinstance(asked.exception, UsageError)
    assert asked.exception.hint == "one of: call, device, lamp"
    assert not (tmp_path / "mine.yaml").exists()
