"""Soak runs end: where the engine is gone, where nothing works any more, and when their time is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import pytest

from labctl import cli
from labctl.checks.finding import Verdict
from labctl.checks.judgement import Judged, Result
from labctl.engine import client
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError, LabError, UsageError
from labctl.lab import Overrides
from labctl.progress import Silent
from labctl.scenario import runner, soak
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.runner import RunOptions
from labctl.scenario.shrink import search


class FakeEngine:
    """An engine that answers, until it is gone."""

    def __init__(self) -> None:
        self.gone = False

    def observe(self, lab: str | None = None) -> None:
        """What is there."""
        assert lab is None
        if self.gone:
            raise HostError("look for labs: connection refused")


class FakeStage:
    """A live lab each step of which comes to what it is told, one after the other; then to nothing wrong."""

    gone: tuple[str, ...] = ()
    in_force: tuple[str, ...] = ()

    def __init__(self, engine: FakeEngine, outcomes: Iterator[LabctlError | None]) -> None:
        self.engine, self._outcomes = engine, outcomes
        self.steps = 0

    def __getattr__(self, verb: str) -> Any:
        def step(**_arguments: Any) -> None:
            self.steps += 1
            outcome = next(self._outcomes)
            self.engine.gone = isinstance(outcome, HostError) and "refused" in outcome.message
            if outcome:
                raise outcome

        return step


def acted(monkeypatch: pytest.MonkeyPatch, outcomes: Iterator[LabctlError | None]) -> FakeStage:
    """A stage on which a soak run was done to its end."""
    engine = FakeEngine()
    stage = FakeStage(engine, outcomes)
    monkeypatch.setattr(
        runner, "run", lambda _engine, _scenario, _how, _progress, act, _done: act(cast(LiveLab, stage))
    )
    scenario = replace(soak.find(None, Overrides()), steps=())
    monkeypatch.setattr(runner, "do_steps", lambda *_: None)
    how = RunOptions(Path(), 60.0, seed=7)
    soak.soak(cast(Engine, engine), scenario, how, 60.0, Silent())
    return stage


def test_an_engine_that_is_gone_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = HostError("run in n1: connection refused")
    with pytest.raises(HostError, match="look for labs: connection refused"):
        acted(monkeypatch, chain([None] * 5, repeat(refused)))


def test_a_lab_on_which_nothing_works_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="30 random moves in a row failed, the last with: no connection to n1"):
        acted(monkeypatch, repeat(LabError("no connection to n1")))


def test_what_the_host_cannot_do_is_passed_over_while_the_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    cannot = HostError("this kernel has no netem")
    with pytest.raises(LabError, match="no netem"):
        acted(monkeypatch, chain([cannot] * 10, [None] * 10, repeat(cannot)))


def test_what_a_soak_came_to_is_told_though_it_cannot_be_made_smaller(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UsageError("30000 steps", "1 to 20000 can be")

    result = Result("soak", "Soak", "22", 9.0, (Judged(Verdict("agreement", "failed"), "failed"),), folder="runs/soak")
    monkeypatch.setattr(client, "connect", FakeEngine)
    monkeypatch.setattr(soak, "soak", lambda *_: result)
    monkeypatch.setattr(search, "failing_run", refuse)
    with pytest.raises(SystemExit) as ended:
        cli.main(["soak", "-q", "-o", "json"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "it was not made smaller: 30000 steps" in said.err
    assert json.loads(said.out)[0]["standing"] == "failed"
