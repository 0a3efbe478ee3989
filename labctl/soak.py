"""Soak runs: random steps and faults on one lab for some minutes, then everything healed, looked at and judged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from labctl import runs
from labctl.chaos import Chaos
from labctl.engine import Engine
from labctl.errors import LabctlError
from labctl.judgement import Result
from labctl.progress import Progress
from labctl.runs import RunOptions
from labctl.scenario import Scenario
from labctl.sources import find_scenario
from labctl.spec import Overrides
from labctl.stage import Stage
from labctl.wait import Deadline

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
        runs.do_steps(stage, scenario, how)
        chaos, deadline = Chaos(scenario.lab, how.seed or 0), Deadline(minutes * 60)
        while not deadline.passed:
            with suppress(LabctlError):
                for verb, arguments in chaos.next(stage.gone, stage.in_force).steps:
                    getattr(stage, verb)(**arguments)
        stage.heal()
        stage.settle()

    return runs.run(engine, scenario, how, progress, act)
