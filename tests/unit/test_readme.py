"""README's lists are those of the code: commands, steps, checks and faults."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import labctl
from labctl.cli import command_line
from labctl.scenario.entries import CHECKS
from labctl.scenario.steps import STEPS

README = (Path(labctl.__file__).parent.parent / "README.md").read_text("utf-8")


def part(begin: str, end: str) -> str:
    """What stands in README from one text to the next other."""
    assert README.count(begin) == 1, begin
    return README.split(begin)[1].split(end)[0]


def test_steps_are_all_named() -> None:
    steps = part("\nSteps: ", "`labctl scenarios --steps`")
    assert sorted(re.findall(r"`(\w+)`", steps)) == sorted(STEPS)


def test_checks_are_all_in_the_table() -> None:
    rows = part("| check | holds if |\n| --- | --- |\n", "\n\n").splitlines()
    checks = [check.strip() for row in rows for check in row.split("|")[1].split(",")]
    assert sorted(checks) == sorted(CHECKS)


def test_faults_are_all_shown() -> None:
    faults = command_line.commands["fault"]
    assert isinstance(faults, click.Group)
    shown = set(re.findall(r"^labctl fault ([\w-]+)", part("\n## Faults\n", "\n## "), re.M))
    assert shown == set(faults.list_commands(click.Context(faults)))


@pytest.mark.parametrize("command", command_line.commands)
def test_every_command_is_in_the_table(command: str) -> None:
    table = part("\n## Commands\n", "\nWhich lab:")
    assert re.search(rf"`labctl {command}[ `]", table)
