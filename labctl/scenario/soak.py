"""Soak runs: random steps and faults on one lab for some minutes, then everything healed, looked at and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labctl.checks.judgement import Result
from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.faults.registry import FAULTS
from labctl.lab import Overrides
from labctl.progress import Progress
from labctl.scenario import runner
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.loader import find_scenario
from labctl.scenario.random_steps import Chaos, Move
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.scenario.step_registry import Step
from labctl.scenario.steps_done import StepsDone
from labctl.timing import Deadline

DEFAULT = Path(__file__).parent / "soak.yaml"
"""The scenario whose lab, limits and known failures a soak run has where none is named; its steps begin it."""

FAILING_MOVES = 30
"""So many moves in a row that fail mean that the lab is beyond use: no fault makes every kind of move fail, and after
three moves of 18 (WEIGHTS, random_steps.py) comes one that heals."""


def find(file: str | None, overrides: Overrides) -> Scenario:
    """The scenario that a soak run begins with: by path, by shipped name, or the default."""
    return find_scenario(str(DEFAULT) if file is None else file, overrides)


def soak(
    engine: Engine, scenario: Scenario, how: RunOptions, minutes: float, progress: Progress, steps: int | None = None
) -> Result:
    """Do the scenario's steps, then random things for that many minutes, or until there were so many `steps` of them;
    heal, settle, look, and judge. What was done is in the run's folder as a scenario.

    A step that fails while something is broken is no failure of the cluster: the checks judge what was seen. An engine
    that is gone ends the run without a verdict.
    """
    done = StepsDone(scenario)

    def act(stage: LiveLab) -> None:
        runner.do_steps(stage, scenario, how)
        chaos, deadline, failing = Chaos(scenario.lab, how.seed or 0), Deadline(minutes * 60), 0
        while not deadline.passed and not how.stop.is_set() and (steps is None or done.random_steps < steps):
            refusal = attempt(stage, chaos.next(stage.gone, stage.in_force), done)
            failing = failing + 1 if refusal else 0
            if failing >= FAILING_MOVES:
                raise LabError(f"{failing} random moves in a row failed, the last with: {refusal}")
        stage.heal()
        stage.settle()

    return runner.run(engine, scenario, replace(how, owner="soak"), progress, act, done.as_scenario)


def attempt(stage: LiveLab, move: Move, done: StepsDone) -> str:
    """Do the steps of a move until one fails; why it did, or nothing. Raises HostError where the engine is gone."""
    for verb, arguments in move.steps:
        step = Step(verb, arguments)
        done.begun(step)
        outcome, refusal = runner.attempt_step(stage, step)
        if refusal:
            done.refused()
            return refusal
        if verb in FAULTS:
            done.in_force(outcome)
    return ""
