"""Options from the environment: for one command, and for all that have them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from labctl import cli
from labctl.cluster import lifecycle as verbs
from labctl.cluster import status
from labctl.engine import client


def run(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


def lab_name(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The name of the lab that `labctl config` tells of."""
    assert run("config", "-o", "json", *arguments) == 0
    return str(json.loads(capsys.readouterr().out)["name"])


@pytest.fixture
def timeouts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long `labctl wait` is to wait, each time."""
    found: list[float] = []
    monkeypatch.setattr(client, "connect", lambda: None)
    monkeypatch.setattr(verbs, "load", lambda *_: None)
    monkeypatch.setattr(status, "wait", lambda *given: found.append(given[-1]))
    return found


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
