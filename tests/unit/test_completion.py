"""What the shell is offered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from labctl import cli
from labctl.blueprint.running_lab import Running
from labctl.cluster import lifecycle as verbs
from labctl.engine import client
from labctl.engine.observation import Container, Observation
from labctl.errors import HostError
from tests.unit.labs import lab, stack


def offered(*words: str) -> list[str]:
    """What completes the last word."""
    completion = ShellComplete(cli.command_line, {}, "labctl", "_LABCTL_COMPLETE")
    items = completion.get_completions([*words[:-1]], words[-1])
    assert all(isinstance(item.value, str) for item in items)
    return [item.value for item in items if item.type == "plain"]


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The names of the labs that were asked for; each is there."""
    names: list[str | None] = []

    def load(_: object, name: str | None) -> Running:
        names.append(name)
        return Running(lab("nodes: 2\n"), stack(), Observation())

    monkeypatch.setattr(client, "connect", lambda **_: None)
    monkeypatch.setattr(verbs, "load", load)
    return names


def test_phones_of_the_lab_that_is_named(loaded: list[str | None]) -> None:
    assert offered("call", "") == ["alice", "bob"]
    assert offered("call", "-n", "office", "alice", "b") == ["bob"]
    assert loaded == [None, "office"]


class Observing:
    """An engine that sees two nodes and a service."""

    def observe(self, _name: str | None) -> Observation:
        parts = [("node", "n1"), ("node", "n2"), ("service", "db"), ("phones", "phones")]
        return Observation((), tuple(Container(name, name, "lab", role, name, "running", "") for role, name in parts))


@pytest.mark.parametrize(
    ("word", "groups"), [("", ["db", "n1", "n2"]), ("n1,", ["n1,db", "n1,n2"]), ("n1,n2,d", ["n1,n2,db"])]
)
def test_nodes_and_services_of_a_group(word: str, groups: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "connect", lambda **_: Observing())
    assert offered("fault", "partition", word) == groups
    assert offered("fault", "partition", "n1", word) == groups


def test_conditions_and_their_states() -> None:
    assert offered("wait", "--for", "") == ["ready", "proven", "state="]
    assert "state=102:InUse&Ringing" in offered("wait", "--for", "state=1")
    assert offered("wait", "--for", "state=mystate:R") == [
        "state=mystate:Removed",
        "state=mystate:Ringing",
    ]


def test_stacks_that_are_shipped() -> None:
    assert "22" in offered("up", "--stack", "")
    assert offered("up", "--stack", "nothing") == []


def test_without_an_engine_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(**_: object) -> None:
        raise HostError("no Docker Engine answers")

    monkeypatch.setattr(client, "connect", connect)
    assert offered("call", "") == []
    assert offered("wait", "--for", "state=") == []


def test_what_is_shipped_and_files() -> None:
    assert offered("run", "part") == ["partition-heal"]
    assert offered("up", "-f", "tw") == ["two-sites"]
    assert offered("run", "x", "--patch", "part") == ["partition-heal"]


def test_files_to_validate_and_runs_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"totem-cut", "three-node", "two-sites"} <= {*offered("validate", "t")}
    monkeypatch.chdir(tmp_path)
    assert offered("show", "") == []
    (tmp_path / "labctl-runs" / "pause-20261126-160236").mkdir(parents=True)
    (tmp_path / "labctl-runs" / "latest").symlink_to("pause-20261126-160236")
    assert offered("show", "") == ["latest", "pause-20261126-160236"]
    assert offered("check", "la") == ["latest"]


IN_BASH = """
labctl() { "$PYTHON" -m labctl "$@"; }
eval "$(labctl completion bash)" 2> /dev/null
for line; do
    COMP_WORDS=(labctl $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _labctl_completion labctl 2> /dev/null
    echo "${COMPREPLY[@]}"
done
"""


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_is_offered_what_is_shipped(tmp_path: Path) -> None:
    lines = {"run partition-": "partition-heal", "up -f tw": "two-sites", "up --stack 1.": "1.8"}
    launcher = tmp_path / "labctl"
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m labctl "$@"\n')
    launcher.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", IN_BASH, "bash", *lines],
        env=os.environ | {"PYTHON": sys.executable, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    offers = [line.split() for line in done.stdout.splitlines()]
    assert [name in offer for name, offer in zip(lines.values(), offers, strict=True)] == [True] * 3, done
