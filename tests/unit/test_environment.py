"""Options from the environment: for one command, and for all that have them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from labctl.cli.option_groups import Which
from labctl.cluster import lifecycle as verbs
from labctl.cluster import status
from labctl.engine import client
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import HostError
from labctl.lab import Overrides
from labctl.names import LABEL_SPEC, ROLE_NODE, ROLE_PHONES
from labctl.scenario import loader, soak
from labctl.scenario.reader import Scenario
from tests.unit.commands import run
from tests.unit.labs import draw


def lab_name(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The name of the lab that `labctl config` tells of."""
    assert run("config", "-o", "json", *arguments) == 0
    return str(json.loads(capsys.readouterr().out)["name"])


@pytest.fixture
def timeouts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long `labctl wait` is to wait, each time."""
    waits_s: list[float] = []
    monkeypatch.setattr(client, "connect", lambda: None)
    monkeypatch.setattr(verbs, "load", lambda *_: None)
    monkeypatch.setattr(status, "wait", lambda *arguments: waits_s.append(arguments[-1]))
    return waits_s


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Docker."""

    def connect(**_: object) -> None:
        raise HostError("no Docker Engine answers")

    monkeypatch.setattr(client, "connect", connect)


@pytest.mark.usefixtures("no_engine")
def test_a_name_for_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_NAME", "everywhere")
    assert lab_name(capsys) == "everywhere"
    monkeypatch.setenv("LABCTL_CONFIG_NAME", "here")
    assert lab_name(capsys) == "here"
    assert lab_name(capsys, "--name", "typed") == "typed"


def test_a_timeout_for_every_command(timeouts: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TIMEOUT", "500ms")
    assert run("wait", "-n", "lab") == 0
    assert run("wait", "-n", "lab", "--timeout", "3s") == 0
    assert timeouts == [0.5, 3.0]


def test_a_timeout_that_is_none_is_refused(timeouts: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TIMEOUT", "soon")
    assert run("wait", "-n", "lab") == 2
    assert timeouts == []


def test_what_is_empty_is_not_set(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_NAME", "")
    assert lab_name(capsys) == "three-node"


def test_every_lab_is_meant_whatever_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def plan_down(_: object, name: str | None) -> list[str]:
        asked.append(name)
        return []

    monkeypatch.setenv("LABCTL_NAME", "one")
    monkeypatch.setattr(client, "connect", SimpleNamespace)
    monkeypatch.setattr(verbs, "plan_down", plan_down)
    assert run("down", "--all", "--dry-run") == 0
    assert run("down", "--dry-run") == 0
    assert run("down", "--all", "--name", "two", "--dry-run") == 2
    assert asked == [None, "one"]


@pytest.mark.long
@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("variable", ["LABCTL_NAME", "LABCTL_SCENARIOS_NAME"])
def test_positional_arguments_take_nothing_from_the_environment(
    variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "office")
    assert run("scenarios", "-o", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) > 5


@pytest.mark.parametrize("variable", ["LABCTL_NAME", "LABCTL_RUN_NAME", "LABCTL_SOAK_NAME"])
@pytest.mark.parametrize("words", [["run", "partition-heal"], ["soak"]])
def test_the_environment_never_names_the_lab_of_a_run(
    variable: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labs: list[str] = []

    def connect() -> None:
        raise HostError("no Docker Engine answers")

    def find_scenario(file: str, flags: Overrides) -> Scenario:
        scenario = find(file, flags)
        labs.append(scenario.lab.name)
        return scenario

    find = loader.find_scenario
    monkeypatch.setattr(loader, "find_scenario", find_scenario)
    monkeypatch.setattr(soak, "find_scenario", find_scenario)
    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setenv(variable, "office")
    assert run(*words) == 4
    assert run(*words, "--name", "typed") == 4
    assert (len(labs), labs[0] != "office", labs[1]) == (2, True, "typed")


class Holding:
    """An engine that holds one lab."""

    def __init__(self, text: str) -> None:
        self._record = dict(draw(text).containers[-1].labels)[LABEL_SPEC]

    def observe(self, name: str) -> Observation:
        phones = Container(
            "1", "labctl-office-phones", "office", ROLE_PHONES, "phones", "created", "", spec=self._record
        )
        return Observation(containers=(phones,) if name == "office" else ())


def test_config_shows_the_lab_of_that_name_that_is_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nodes(*arguments: str) -> list[str]:
        assert run("config", "-o", "json", *arguments) == 0
        return list(json.loads(capsys.readouterr().out)["nodes"])

    monkeypatch.setattr(client, "connect", lambda: Holding("name: office\nnodes: [hq, branch]\n"))
    assert nodes("-n", "office") == ["hq", "branch"]
    assert nodes("-n", "office", "--via", "pjsip-publish") == ["hq", "branch"]
    assert nodes("-n", "other") == ["n1", "n2", "n3"]
    file = tmp_path / "file.yaml"
    file.write_text("nodes: [one]\n")
    assert nodes("-n", "office", "-f", str(file)) == ["one"]


@pytest.mark.parametrize("name", ["a/b", "", "a" * 300, "../x", "Ä"])
@pytest.mark.parametrize("words", [["down"], ["ps"], ["up"], ["config"], ["heal"], ["state"]])
def test_what_can_be_no_name_exits_2_with_what_can(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "connect", SimpleNamespace)
    assert run(*words, "--name", name) == 2
    error = capsys.readouterr().err
    assert "not a name" in error
    assert "31 at most" in error


def test_a_network_that_stays_behind_is_no_lab_but_goes_with_down(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("id", "labctl-rest", "rest", "198.18.9.0/24", "seed")
    node = Container("1", "labctl-office-n1", "office", ROLE_NODE, "n1", "running", "")
    there = SimpleNamespace(observe=lambda *_: Observation((network,), (node,)))
    empty = SimpleNamespace(observe=lambda *_: Observation((network,)))
    assert Which(None).name_in(cast(Engine, there)) == "office"
    assert Which(None).name_in(cast(Engine, empty)) is None
    assert Which(None).name_in(cast(Engine, empty), remnants=True) == "rest"
