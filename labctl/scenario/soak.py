"""Soak runs: random steps and faults on one lab for some minutes, then everything healed, looked at and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labctl.checks.judgement import Result
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError, LabError
from labctl.lab import Overrides
from labctl.progress import Progress
from labctl.scenario import runner
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.loader import find_scenario
from labctl.scenario.random_steps import Chaos, Move
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.timing import Deadline

DEFAULT = Path(__file__).parent / "soak.yaml"
"""The scenario whose lab, limits and known failures a soak run has where none is named; its steps begin it."""

FAILING_MOVES = 30
"""So many moves in a row that fail mean that the lab is beyond use: no fault makes every kind of move fail, and after
three moves of 18 (WEIGHTS, random_steps.py) comes one that heals."""


def find(file: str | None, overrides: Overrides) -> Scenario:
    """The scenario that a soak run begins with: by path, by shipped name, or the default."""
    return find_scenario(str(DEFAULT) if file is None else file, overrides)


def soak(engine: Engine, scenario: Scenario, how: RunOptions, minutes: float, progress: Progress) -> Result:
    """Do the scenario's steps, then random things for that many minutes; heal, settle, look, and judge.

    A step that fails while something is broken is no failure of the cluster: the checks judge what was seen. An engine
    that is gone ends the run without a verdict.
    """

    def act(stage: LiveLab) -> None:
        runner.do_steps(stage, scenario, how)
        chaos, deadline, failing = Chaos(scenario.lab, how.seed or 0), Deadline(minutes * 60), 0
        while not deadline.passed:
            refusal = attempt(engine, stage, chaos.next(stage.gone, stage.in_force))
            failing = failing + 1 if refusal else 0
            if failing >= FAILING_MOVES:
                raise LabError(f"{failing} random moves in a row failed, the last with: {refusal}")
        stage.heal()
        stage.settle()

    return runner.run(engine, scenario, replace(how, owner="soak"), progress, act)


def attempt(engine: Engine, stage: LiveLab, move: Move) -> str:
    """Do the steps of a move until one fails; why it did, or nothing.

    Raises HostError where the engine answers no more: every move after that would fail at once, and for ever.
    """
    try:
        for verb, arguments in move.steps:
            getattr(stage, verb)(**arguments)
    except HostError as error:
        engine.observe()  # raises what is the matter, if the engine is gone
        return error.message
    except LabctlError as error:
        return error.message
    return ""
