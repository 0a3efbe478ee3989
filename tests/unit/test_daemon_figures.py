"""What a node's daemons take, as its kept shell prints it, and who asks for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labctl.asterisk import log_lines
from labctl.cluster.daemon_figures import MeterAnswer, answers, parse
from labctl.corosync import daemon
from labctl.history.process_events import DaemonFigures
from labctl.paths import SCRIPTS

NODE = """page 4096
asterisk 1129.00 18 9 (asterisk) S 8 8 8 0 -1 4194560 11510 4786 156 24 23 9 4 5 20 0 42 0 112469 1153765376 14435 1844\
6744073709551615 1 1 0 0 0 0 0 4096 21053443 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0
corosync 1129.00 25 8 (corosync) S 7 7 7 0 -1 4194560 30031 0 0 0 9 3 0 0 20 0 9 0 112355 300000000 28000 1 0
.
"""
"""What the shell of a node printed, Asterisk 22 and Corosync 3."""


def test_figures_are_those_that_the_kernel_has() -> None:
    (answer,) = answers(iter(NODE.splitlines()))
    asterisk, corosync = answer.figures
    assert asterisk == DaemonFigures("asterisk", 9, 1129.0, 1124.69, 0.32, 57740, 18, 42)
    assert (corosync.daemon, corosync.process, corosync.memory_kb, corosync.threads) == ("corosync", 8, 112000, 9)


@pytest.mark.parametrize(
    "line",
    [
        "asterisk 1129.00 4 9 (run) S 8 8 8 0 -1 4194560 1 1 1 1 1 9 4 5 20 0 42 0 112469 1153765376 14435 0",
        "asterisk 1129.00 4 9 (asterisk) Z 8 8",
        "sh: 1: nonsense",
        "",
    ],
    ids=["its script", "cut off", "an error", "nothing"],
)
def test_what_is_no_daemon_has_no_figures(line: str) -> None:
    assert parse(line, 4096) is None


def test_pages_are_as_large_as_the_node_says() -> None:
    (answer,) = answers(iter(NODE.replace("page 4096", "page 16384").splitlines()))
    assert answer.figures[0].memory_kb == 57740 * 4


def test_shell_answers_each_time_it_is_asked_and_ends_with_its_input(tmp_path: Path) -> None:
    name = Path(f"/proc/{os.getpid()}/comm").read_text("ascii").strip()
    for service, pid in ((name, os.getpid()), ("gone", 4194304), ("never", 0)):
        (tmp_path / service / "supervise").mkdir(parents=True)
        if pid:
            (tmp_path / service / "supervise" / "pid").write_text(f"{pid}\n")
    ran = subprocess.run(
        ["sh", str(SCRIPTS / "measure-daemons.sh"), str(tmp_path)],
        input="\n\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    answered = [*answers(iter(ran.stdout.splitlines()))]
    (first,), (second,) = (answer.figures for answer in answered)
    assert first.process == second.process == os.getpid()
    assert first.memory_kb > 1000
    assert first.descriptors > 2
    assert first.threads >= 1
    assert first.started_s < first.clock_s <= second.clock_s
    if Path("/proc/self/schedstat").exists():
        assert (name, str(os.getpid())) in answered[0].waited_s
        assert 0 <= answered[1].longest_wait(answered[0])[1] < 600


def test_who_waited_longest_for_a_cpu_is_told_since_the_answer_before() -> None:
    first, second = (
        "waits asterisk 9:5000000000 10:0\nwaits corosync 8:100\n.\n",
        "waits asterisk 9:5100000000 11:400000000\nwaits corosync 8:x\n.\n",
    )
    before, after = answers(iter((first + second).splitlines()))
    assert before.longest_wait(None) == ("", 0.0)
    assert after.longest_wait(before) == ("asterisk", 0.4)
    assert MeterAnswer([], {}).longest_wait(before) == ("", 0.0)


# Errors that daemons log


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "[2026-11-26 22:12:54.700] ERROR[102]: res/res_corosync.c:911 f: Failed (2)",
            "res/res_corosync.c:911 f: Failed (2)",
        ),
        ("[2026-11-26 22:12:54.700] ERROR[102][C-00000001]: app.c:1 f: lost", "app.c:1 f: lost"),
        (
            "ERROR: utils.c:1230 ast_carefulwrite: write() returned error: Broken pipe",
            "utils.c:1230 ast_carefulwrite: write() returned error: Broken pipe",
        ),
        ("[2026-11-26 22:12:54.700] WARNING[102]: app.c:1 f: no ERROR[1]: here", ""),
        ("[2026-11-26 22:12:54.700] NOTICE[102]: chan.c:1 f: ERROR: said a phone", ""),
        ("[2026-11-26 22:12:54.700] VERBOSE[102]: ERRORS", ""),
    ],
)
def test_asterisks_errors_are_told_by_their_level(line: str, error: str) -> None:
    assert log_lines.error_of(line) == error


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("Nov 26 21:57:35.799 error   [TOTEM ] FAILED TO RECEIVE", "[TOTEM ] FAILED TO RECEIVE"),
        ("Nov 26 21:57:35.799 crit    [MAIN  ] no", "[MAIN  ] no"),
        ("Nov 26 21:57:35.799 warning [KNET  ] host: host: 2 has no active links", ""),
        ("Nov 26 21:57:35 corosync [TOTEM ] error", ""),
    ],
)
def test_corosyncs_errors_are_told_by_their_level(line: str, error: str) -> None:
    assert daemon.error_of(line) == error


def test_no_thread_waits_longer_than_there_was_time() -> None:
    """On a busy machine 117.2 s of 0.3 s were told of once, and all that came then would have been unknown."""
    before, after = (
        MeterAnswer([DaemonFigures("asterisk", 9, clock_s, 9685.39, 1.3, 67708, 19, 42)], waited_s)
        for clock_s, waited_s in (
            (9808.02, {("asterisk", "20"): 3.0}),
            (9808.34, {("asterisk", "20"): 3.25, ("asterisk", "77"): 117.169}),
        )
    )
    assert after.longest_wait(before) == ("asterisk", 0.25)
