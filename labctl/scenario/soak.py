"""Soak runs: random steps and faults on one lab for some minutes, then everything healed, looked at and judged."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from labctl.checks.judgement import Result
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.lab import Overrides
from labctl.progress import Progress
from labctl.scenario import runner
from labctl.scenario.live_lab import Stage
from labctl.scenario.loader import find_scenario
from labctl.scenario.random_steps import Chaos
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.timing import Deadline

DEFAULT = Path(__file__).parent / "soak.yaml"
"""The scenario whose lab, limits and known failures a soak run has where none is named; its steps begin it."""


def find(file: str | None, overrides: Overrides) -> Scenario:
    """The scenario that a soak run begins with: by path, by shipped name, or the default."""
    return find_scenario(file or str(DEFAULT), overrides)


def soak(engine: Engine, scenario: Scenario, how: RunOptions, minutes: float, progress: Progress) -> Result:
    """Do the scenario's steps, then random things for that many minutes; heal, settle, look, and judge.

    A step that fails while something is broken is no failure of the cluster: the checks judge what was seen.
    """

    def act(stage: Stage) -> None:
        runner.do_steps(stage, scenario, how)
        chaos, deadline = Chaos(scenario.lab, how.seed or 0), Deadline(minutes * 60)
        while not deadline.passed:
            with suppress(LabctlError):
                for verb, arguments in chaos.next(stage.gone, stage.in_force).steps:
                    getattr(stage, verb)(**arguments)
        stage.heal()
        stage.settle()

    return runner.run(engine, scenario, replace(how, owner="soak"), progress, act)
