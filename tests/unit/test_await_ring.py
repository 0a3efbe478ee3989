"""The script that a node waits for its ring with, on what Corosync logged."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from labctl.paths import images_folder
from labctl.timing import Deadline
from tests.unit.test_captures import capture

SCRIPT = images_folder() / "corosync/root/usr/local/sbin/await-ring"
LOGS = {"1": capture("corosync-1.2.1-start"), "3": capture("corosync-3-log")}
PATIENCE_S = 60.0
"""Long enough for a busy machine; what fails here never ends."""
GOING_ON = "going on all the same\n"


def await_ring(
    folder: Path, log: str, members: str, limit: str = "0.3", configured: int | None = 3
) -> subprocess.Popen[str]:
    """The script, at work on a log. `configured`: the ring's members by a file of their own, or by corosync.conf."""
    (folder / "corosync").mkdir(exist_ok=True)
    (folder / "log").write_text(log)
    (folder / "corosync/corosync.conf").write_text("nodelist {\n" + "    nodeid: 1\n" * 3 + "}\n")
    if configured is not None:
        (folder / "corosync/members").write_text(f"{configured}\n")
    environment = {"AWAIT_RING_ETC": str(folder), "AWAIT_RING_LOG": str(folder / "log"), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(["sh", str(SCRIPT), members, limit], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("dialect", LOGS)
@pytest.mark.parametrize(("members", "configured"), [("any", 9), ("3", 9), ("1", 9), ("all", 3), ("all", None)])
def test_a_ring_that_was_formed_is_waited_for_no_more(
    dialect: str, members: str, configured: int | None, tmp_path: Path
) -> None:
    waiting = await_ring(tmp_path, LOGS[dialect], members, "30", configured)
    assert waiting.communicate(timeout=PATIENCE_S)[0] == ""


@pytest.mark.parametrize(
    ("log", "members"),
    [
        ("", "any"),
        ("\n".join(LOGS["1"].splitlines()[:20]), "any"),  # one member is listed, but the services are not ready
        ("\n".join(LOGS["1"].splitlines()[:-2]), "3"),
        (LOGS["1"], "4"),
        (LOGS["3"], "2"),
        (LOGS["3"].replace("QUORUM", "ASTERISK"), "any"),
    ],
)
def test_no_other_ring_is_taken_for_it_and_the_node_comes_up_alone(log: str, members: str, tmp_path: Path) -> None:
    said, _ = await_ring(tmp_path, log, members).communicate(timeout=PATIENCE_S)
    assert said.endswith(GOING_ON)


def test_a_log_that_is_begun_anew_is_read_anew(tmp_path: Path) -> None:
    waiting = await_ring(tmp_path, "", "any", "0")
    following = (tmp_path / "log").resolve()
    await_true(lambda: following in opened(offspring(waiting.pid, "tail")))
    (tmp_path / "log").unlink()
    (tmp_path / "log").write_text(LOGS["1"])
    assert waiting.communicate(timeout=PATIENCE_S)[0] == ""


def test_where_there_is_no_ring_nothing_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "service/corosync").mkdir(parents=True)
    (tmp_path / "service/corosync/down").touch()
    assert await_ring(tmp_path, "", "all", "30").communicate(timeout=PATIENCE_S)[0] == ""


def test_it_ends_with_whoever_waits_and_leaves_nothing(tmp_path: Path) -> None:
    """As where runit restarts the service that waits: in 0.1 the script, its `tail` and its FIFO stayed for ever."""
    (tmp_path / "corosync").mkdir()
    (tmp_path / "corosync/members").write_text("3\n")
    environment = {"AWAIT_RING_ETC": str(tmp_path), "AWAIT_RING_LOG": str(tmp_path / "log"), "PATH": "/usr/bin:/bin"}
    command = ["sh", "-c", f"sh {SCRIPT} all 0; true"]
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        await_true(lambda: offspring(service.pid, "tail"))
        follower = offspring(service.pid, "tail")
        fifo = Path(f"/proc/{follower}/fd/1").readlink()
    finally:
        service.kill()
        service.wait()  # as runit does: what nobody waits for is a process still
    assert service.communicate(timeout=PATIENCE_S)[0] == ""  # at its end nobody holds its output any more
    assert not Path(f"/proc/{follower}").exists()
    assert fifo.name.startswith("await-ring.")
    assert not fifo.with_name(fifo.name.removesuffix(" (deleted)")).exists()


def await_true(condition: Callable[[], object]) -> None:
    """Look until something is so, with a rest in between that leaves the processor to those it is about."""
    deadline = Deadline(PATIENCE_S)
    while not condition():
        assert not deadline.passed
        time.sleep(0.01)


def opened(process: int | None) -> set[Path]:
    """The files that a process has open."""
    with suppress(OSError):  # it may have ended meanwhile
        return {link.readlink() for link in Path(f"/proc/{process}/fd").iterdir()}
    return set()


def offspring(process: int, program: str) -> int | None:
    """The process below another that runs a program, if there is one yet."""
    with suppress(OSError):  # it may have ended meanwhile
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(program.encode()):
                return int(child)
            if below := offspring(int(child), program):
                return below
    return None
