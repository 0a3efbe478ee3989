"""Bad input and a bad machine end each command with the right code and a way out, before a lab is made for nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labctl import lock
from labctl.bench import comparison
from labctl.checks.judgement import Terms
from labctl.engine import client
from labctl.errors import HostError
from labctl.history.events import Over
from labctl.history.journal import Journal
from labctl.scenario import run_folder, runner, soak
from tests.unit.bundles import keep_run
from tests.unit.commands import run

FULL = Path("/dev/full")
"""A device on which there is never room (full(4))."""


@pytest.fixture(autouse=True)
def _no_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "connect", lambda **_: None)
    monkeypatch.setattr(runner, "run_many", lambda *_: pytest.fail("a scenario was run"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "-n", "", "pause"),
        ("soak", "-n", ""),
        ("soak", "-f", ""),
        ("up", "-f", ""),
        ("up", "--stack", ""),
        ("down", "-f", ""),
        ("ps", "-f", ""),
        ("config", "-f", ""),
        ("run", ""),
        ("run", "pause", "--stack", ""),
        ("build", "--stack", ""),
        ("run", "pause", "--junit", ""),
        ("soak", "--minutes", "nan"),
        ("soak", "--minutes", "-nan"),
        ("wait", "--timeout", "99999999999999h"),
        ("fault", "pause", "n1", "--for", f"{'9' * 400}h"),
        ("down", "--older-than", "99999999999999h"),
        ("run", "pause", "--junit", "/nonexistent/report.xml"),
        ("soak", "--junit", "/nonexistent/report.xml"),
        ("compare", "--junit", "/nonexistent/report.xml", "pause"),
        ("run", "pause", "--dry-run", "--junit", "/nonexistent/report.xml"),
        ("shrink", "pause", "-o", "/nonexistent/smallest.yaml"),
        ("ladder", "x" * 300),
        ("shrink", "x" * 300),
    ],
)
def test_what_is_empty_or_leads_nowhere_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2


@pytest.mark.parametrize("address", ["tcp://[::", "tcp://127.0.0.1:99999", "nonsense"])
def test_an_address_that_is_none_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("DOCKER_HOST", address)
    assert run("ps") == 4
    assert "DOCKER_HOST" in capsys.readouterr().err


def test_a_journal_on_a_full_disk_stops_nobody_and_tells() -> None:
    journal = Journal(FULL)
    journal.write(Over(1.0, ""))
    journal.write(Over(2.0, ""))
    journal.close()
    assert len(journal.events) == 2
    assert "No space left" in str(journal.failure)


def test_a_journal_that_cannot_be_begun_is_an_error_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        Journal(tmp_path / "gone" / "history.jsonl")


def test_a_run_folder_on_a_full_disk_is_an_error_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / run_folder.TERMS).symlink_to(FULL)
    with pytest.raises(HostError, match="No space left") as full:
        run_folder.write_terms(tmp_path, Terms("pause", "", "22", 1000.0, (), (), "corosync"))
    assert "--folder" in full.value.hint


def test_a_lock_that_cannot_be_had_is_an_error_of_the_machine() -> None:
    with pytest.raises(HostError, match="no lock"), lock.locked("no/such/folder"):
        pytest.fail("it was held")


def test_output_that_has_no_room_is_an_error_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FULL.open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stdout", full)
        assert run("schema") == 4
        monkeypatch.undo()
    assert "No space left" in capsys.readouterr().err


@pytest.mark.long
def test_who_is_asked_to_end_while_it_is_loaded_ends_without_a_word() -> None:
    script = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupter:
    def find_spec(self, name, *_):
        if name == "labctl.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
from labctl.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_asked_to_end_tidies_up_first(number: signal.Signals) -> None:
    script = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):  # who runs the tests in the background has them ignored
    signal.signal(number, signal.SIG_DFL)
from labctl import cli
from labctl.cluster import status
from labctl.cluster import lifecycle
from labctl.engine import client
client.connect = lambda **_: None
lifecycle.load = lambda *_: None
def wait(*_):
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        sys.stdin.read()
    finally:
        print("tidied up", flush=True)
status.wait = wait
cli.main(["wait", "-n", "office"])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(int(number))], input="", capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "tidied up\n")
    assert "interrupted" in ended.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "text", ["title: x\nsteps: []\n", "title: x\nsteps: [settle]\nlab: {nodes: 70}\n", "nonsense: ["]
)
def test_a_scenario_with_mistakes_is_compared_to_nothing(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "compare", lambda *_: pytest.fail("a lab was made"))
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    assert run("compare", str(tmp_path / "mine.yaml")) == 2
    assert run("compare", str(tmp_path / "gone.yaml")) == 2


@pytest.mark.parametrize("verb", ["run", "compare", "soak"])
def test_a_scenario_that_runs_commands_wants_trust(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "compare", lambda *_: pytest.fail("a lab was made"))
    monkeypatch.setattr(soak, "soak", lambda *_: pytest.fail("a lab was made"))
    file = tmp_path / "mine.yaml"
    file.write_text(
        "title: x\nlab:\n  config:\n    all:\n      asterisk/cli.conf: '!System ls'\nsteps: [settle]\n", "utf-8"
    )
    assert run(verb, *(["-f"] if verb == "soak" else []), str(file)) == 2
    assert f"{file}:5: all: asterisk/cli.conf: System" in (message := capsys.readouterr().err)
    assert "--trust" in message


@pytest.mark.long
@pytest.mark.parametrize("again_s", [0.01, 0.0])
def test_an_interrupt_that_python_passes_over_comes_again(again_s: float) -> None:
    """As an object goes Python tells of an exception, and goes on: `up` went on after Ctrl-C, and ended with 0. So it
    did where it came again before Python was done, as on a busy machine, and here where it is asked at once."""
    script = f"""\
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from labctl import cli
cli.INTERRUPTED_AGAIN_S = {again_s}
from labctl.cluster import lifecycle, status
from labctl.engine import client
client.connect = lambda **_: None
lifecycle.load = lambda *_: None
class Going:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        list(range(1000))
def wait(*_):
    Going()
    threading.Event().wait(60)
status.wait = wait
cli.main(["wait", "-n", "office"])
"""
    ended = subprocess.run([sys.executable, "-c", script], input="", capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.strip()) == (130, "labctl: interrupted")


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [("version", ">&-", 0), ("show no-such-run", "2>&-", 2), ("show no-such-run", ">&- 2>&- <&-", 2)],
)
def test_the_code_is_right_also_where_a_stream_is_closed(words: str, closed: str, code: int) -> None:
    """Without standard output each verb ended with two tracebacks and 1, without standard error with 1."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m labctl {words} {closed}"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr + done.stdout) == (code, False)


@pytest.mark.long
def test_what_an_encoding_lacks_is_shown_as_an_escape(tmp_path: Path) -> None:
    """A history that a stranger sent was told as a bug in labctl."""
    folder = keep_run(tmp_path / "run")
    history = folder / run_folder.HISTORY
    lines = history.read_text("utf-8").splitlines()
    lines[-1] = json.dumps({**json.loads(lines[-1]), "error": "it is \ud800 and …"})
    history.write_text("\n".join([*lines, ""]), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "labctl", "show", str(folder)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\ud800 and \\u2026" in done.stdout
