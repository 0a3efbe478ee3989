"""How commands end: where nobody reads on, and where there is no engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from labctl.cli import tools
from labctl.engine import client
from labctl.errors import HostError
from tests.unit.commands import run


@pytest.fixture
def unread() -> Iterator[int]:
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.long
@pytest.mark.parametrize("words", [["schema"], ["--help"]])
def test_a_process_whose_output_nobody_reads_ends_well(words: list[str], unread: int) -> None:
    command = [sys.executable, "-m", "labctl", *words]
    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["config"], ["up", "--help"], ["completion", "bash"]])
def test_output_that_nobody_reads_is_no_failure(
    words: list[str], unread: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = open(unread, "w", closefd=False)  # noqa: SIM115 - of a descriptor; what stays in it fails to close
    monkeypatch.setattr(sys, "stdout", output)
    assert run(*words) == 0
    assert capfd.readouterr().err == ""
    with suppress(BrokenPipeError):
        output.close()


def test_a_pipe_that_breaks_elsewhere_is_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_lab(*_: object) -> None:
        raise BrokenPipeError("to a node")

    monkeypatch.setattr(tools, "find_lab", find_lab)
    assert run("config") == 3
    assert "a connection broke off: to a node" in capfd.readouterr().err


def test_doctor_tells_what_it_can_without_an_engine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(**_: object) -> None:
        raise HostError("no Docker Engine answers", "start it")

    monkeypatch.setattr(client, "connect", connect)
    assert run("doctor", "-o", "json") == 4
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["engine"] == {
        "what": "engine",
        "level": "broken",
        "detail": "no Docker Engine answers",
        "fix": "start it",
    }
    assert findings["python"]["level"] == "ok"
