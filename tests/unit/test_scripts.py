"""The shell scripts around SIPp and tshark, run as they are on commands that stand in for both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.paths import SCRIPTS
from labctl.sip import kept_agents

WAITS = "echo ready >&3; exec sleep 60"
SPEAKS = 'printf "%s" "$*" >"${@: -1}"; echo oops >&2; exit 3'
"""Writes to the file that the last argument names, as SIPp does with its message log, and ends with 3."""

pytestmark = pytest.mark.skipif(not shutil.which("flock"), reason="needs flock, of util-linux")


def script(name: str, *arguments: str) -> subprocess.Popen[str]:
    """A script that runs, with both its ways open."""
    command = ["bash", str(SCRIPTS / f"{name}.sh"), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def bash(text: str) -> tuple[str, ...]:
    """A command that stands in for SIPp: a line of shell, which sees its arguments."""
    return ("bash", "-c", text, "sipp")


def listing(folder: Path) -> tuple[kept_agents.KeptAgent, ...]:
    """What is listed as left on."""
    text = subprocess.run(
        ["bash", str(SCRIPTS / "list-kept.sh"), str(folder)], capture_output=True, text=True, check=True
    )
    return kept_agents.parse(text.stdout)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """The folder of something that was left on, which waits; it is ended after the test."""
    folder = tmp_path / "6000"
    folder.mkdir()
    description = '{"phone": "alice", "activity": "phone", "port": 6000, "token": "t"}'
    (folder / "agent").write_text(description)
    script("keep-sipp", str(folder), str(SCRIPTS / "run-sipp.sh"), *bash(WAITS)).communicate(timeout=60)
    yield folder
    if listing(tmp_path)[0].running:
        attached = script("attach-sipp", str(folder))
        attached.communicate("kill\n", timeout=60)


def test_the_log_comes_first_then_the_code_and_the_errors() -> None:
    process = script("run-sipp", *bash(SPEAKS), "-sf", "x.xml")
    assert process.stdout
    out = process.stdout.read()
    process.communicate(timeout=60)
    log, _, rest = out.partition("\n=== end ")
    assert log.startswith("-sf x.xml -message_file /dev/fd/3")
    assert rest == "3\noops\n"


@pytest.mark.parametrize("orders", ["kill\n", ""], ids=["an order", "the end of its input"])
def test_it_is_killed_by_an_order_and_by_the_end_of_its_input(orders: str) -> None:
    out = script("run-sipp", *bash(WAITS)).communicate(orders, timeout=60)[0]
    assert out.endswith("\n=== end 137\n")


def test_an_order_to_drain_is_a_signal() -> None:
    text = "trap 'exit 5' USR1; echo ready >&3; while :; do read -r -t 0.05 <>/dev/null; done"
    process = script("run-sipp", *bash(text))
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    assert process.stdin
    process.stdin.write("drain\n")
    process.stdin.flush()
    assert "=== end 5" in process.stdout.read()
    process.communicate(timeout=60)


def test_what_is_kept_goes_on_when_who_started_it_has_ended(kept: Path) -> None:
    (agent,) = listing(kept.parent)
    assert (agent.phone, agent.running) == ("alice", True)


def test_what_is_kept_is_followed_from_its_first_word_and_left_running(kept: Path) -> None:
    for _ in range(2):
        attached = script("attach-sipp", str(kept))
        assert attached.stdout
        assert attached.stdout.readline() == "ready\n"
        attached.communicate(timeout=60)  # the end of its input
        assert listing(kept.parent)[0].running


@pytest.mark.long
def test_what_is_kept_takes_orders_and_tells_its_end(kept: Path) -> None:
    attached = script("attach-sipp", str(kept))
    assert attached.stdin
    assert attached.stdout
    attached.stdin.write("kill\n")
    attached.stdin.flush()
    assert "=== end 137" in attached.stdout.read()
    attached.communicate(timeout=60)
    (agent,) = listing(kept.parent)
    assert (agent.running, agent.log_bytes) == (False, (kept / "log").stat().st_size)


def test_where_nothing_was_left_on_nothing_is_listed(tmp_path: Path) -> None:
    assert listing(tmp_path) == ()
    assert listing(tmp_path / "missing") == ()


def test_a_capture_ends_with_its_input() -> None:
    process = script("capture", *bash("echo capturing; exec sleep 60"))
    assert process.stdout
    assert process.stdout.readline() == "capturing\n"
    process.communicate(timeout=60)
    assert process.returncode is not None
