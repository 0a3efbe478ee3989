"""What is kept of the memory of a daemon that crashed, and what is said where that is not to be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.engine.commands import Output
from labctl.errors import LabError
from labctl.history.events import BY_ITSELF, Core, Event, Gone, Line
from labctl.history.journal import Journal
from labctl.scenario import cores

STARTS = Line(1.0, "n1", "[MAIN  ] Corosync Cluster Engine 3.1.10 starting up")
CRASH = Gone(1.0, "n2", BY_ITSELF, "signal 11")
HERE = "pattern core\ncore 107954176 /var/crash/asterisk/core\n"
PIPE = "pattern |/usr/lib/systemd/systemd-coredump %P %u\n"


class Stream:
    """What a command prints, in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.closed = pieces, False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed = True


class Nodes:
    """Nodes that say what lies where daemons run, and print it."""

    def __init__(self, listing: str, *pieces: bytes) -> None:
        self.asked: list[str] = []
        self.streams: list[Stream] = []
        self._listing, self._pieces = listing, pieces

    def run(self, container: str, command: list[str]) -> Output:
        self.asked.append(f"{container}: {command[-1]}")
        if not self._listing:
            raise LabError(f"run `sh` in {container}: container is not running")
        return Output(0, self._listing)

    def open_stream(self, _container: str, command: list[str]) -> Stream:
        self.asked.append(" ".join(command[4:]))
        self.streams.append(Stream([*self._pieces]))
        return self.streams[-1]


def kept(nodes: Nodes, folder: Path | None, *events: Event) -> list[Core]:
    """What the history tells of cores after these events."""
    journal = Journal(folder / "history.jsonl" if folder else None)
    for event in events:
        journal.write(event)
    cores.keep(cast(Engine, nodes), "lab", journal)
    journal.close()
    return [event for event in journal.events if isinstance(event, Core)]


def test_where_nothing_crashed_nothing_is_asked(tmp_path: Path) -> None:
    nodes = Nodes(HERE)
    assert kept(nodes, tmp_path, Gone(1.0, "n2", "kill"), Gone(1.0, "n3", BY_ITSELF, whole=True)) == []
    assert kept(nodes, None, CRASH) == []
    assert nodes.asked == []


def test_what_was_kept_before_the_node_was_upgraded_is_not_asked_for_again(tmp_path: Path) -> None:
    before = Core(1.5, "n2", "asterisk", ("n2.asterisk.core.gz",))
    nodes = Nodes(HERE)
    assert kept(nodes, tmp_path, CRASH, before) == [before]
    assert nodes.asked == []


def test_a_core_is_kept_compressed(tmp_path: Path) -> None:
    nodes = Nodes(HERE, b"gz", b"ip")
    (core,) = kept(nodes, tmp_path, CRASH)
    assert (core.node, core.daemon, core.files, core.lacking) == ("n2", "asterisk", ("n2.asterisk.core.gz",), "")
    assert (tmp_path / "n2.asterisk.core.gz").read_bytes() == b"gzip"
    assert nodes.asked == ["labctl-lab-n2: /var/crash/asterisk", "/var/crash/asterisk/core"]
    assert nodes.streams[0].closed


def test_with_a_debugger_on_the_node_there_is_a_backtrace_too(tmp_path: Path) -> None:
    (core,) = kept(Nodes(HERE + "gdb\n", b"#0 main"), tmp_path, CRASH)
    assert core.files == ("n2.asterisk.core.gz", "n2.asterisk.backtrace.txt")


def test_of_one_that_is_too_large_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "LIMIT_BYTES", 3)
    (core,) = kept(Nodes(HERE, b"gz", b"ip"), tmp_path, CRASH)
    assert core.files == ()
    assert "more than" in core.lacking
    assert not (tmp_path / "n2.asterisk.core.gz").exists()


@pytest.mark.parametrize(
    ("listing", "why"),
    [
        (PIPE, "hands cores to /usr/lib/systemd/systemd-coredump there; sysctl kernel.core_pattern=core there"),
        ("pattern |\n", "hands cores to  there"),
        ("pattern /cores/%e.%p\n", "writes cores to /cores/%e.%p"),
        ("pattern core\n", "no core was written"),
        ("", "it could not be had: run `sh` in labctl-lab-n2: container is not running"),
    ],
)
def test_where_there_is_none_the_history_says_why(tmp_path: Path, listing: str, why: str) -> None:
    (core,) = kept(Nodes(listing), tmp_path, CRASH)
    assert core.files == ()
    assert why in core.lacking


def test_a_corosync_that_began_anew_may_have_been_ended(tmp_path: Path) -> None:
    assert kept(Nodes("pattern core\n"), tmp_path, STARTS) == []
    (core,) = kept(Nodes("pattern core\ncore 9 /var/lib/corosync/core\n", b"x"), tmp_path, STARTS)
    assert core.files == ("n1.corosync.core.gz",)


def test_a_folder_that_is_full_is_told(tmp_path: Path) -> None:
    (tmp_path / "n2.asterisk.core.gz").mkdir()  # what cannot be written to
    (core,) = kept(Nodes(HERE, b"gzip"), tmp_path, CRASH)
    assert "it could not be had: " in core.lacking


def test_frames_are_those_of_the_thread_that_crashed() -> None:
    backtrace = (
        "[New LWP 7]\nCore was generated by `asterisk -f -n'.\n\nThread 2 (LWP 9):\n#0  poll () at x.c:1\n"
        "\nThread 1 (LWP 7):\n#0  abort () at abort.c:79\n#1  0x00005 in ast_hint_state_changed (device=0x7)\n"
        "    at pbx.c:3215\n"
    )
    assert cores.frames_of(backtrace) == (
        "#0  abort () at abort.c:79",
        "#1  0x00005 in ast_hint_state_changed (device=0x7)",
    )
    assert cores.frames_of("no symbols") == ()
