"""Locks of a lab: on the host and on the engine, given up whatever happens, and never held by the dead."""

from __future__ import annotations

import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from labctl import lock
from labctl.blueprint import owner
from labctl.blueprint.owner import Process
from labctl.cluster import lab_lock as module
from labctl.cluster.lab_lock import lab_lock
from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.progress import Silent

HERE = replace(Process.current(), machine="this machine")


class Locks:
    """The locks of an engine; `await_release` does what the holder does next."""

    def __init__(self, holder: str = "") -> None:
        self.held = {"lab": holder} if holder else {}
        self.waits = 0
        self.gives_up = False

    def take(self, name: str, process: str) -> str:
        return self.held.setdefault(name, process)

    def release(self, name: str) -> None:
        del self.held[name]

    def await_release(self, name: str, seconds: int) -> None:
        assert seconds > 0
        self.waits += 1
        if self.gives_up:
            del self.held[name]


class Steps(Silent):
    """Notes what is under way."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, what: str) -> None:
        self.begun.append(what)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, on a machine that has an id."""
    monkeypatch.setattr(lock, "_home", lambda: tmp_path)
    monkeypatch.setattr(owner, "machine", lambda: HERE.machine)
    return tmp_path


def hold(locks: Locks, progress: Steps | None = None) -> str:
    """Hold the lab for a moment; who held it on the engine meanwhile."""
    engine = cast(Engine, type("", (), {"locks": locks})())
    with lab_lock(engine, "lab", progress or Steps()):
        return locks.held["lab"]


def test_it_is_held_and_given_up_without_a_word() -> None:
    locks, progress = Locks(), Steps()
    assert hold(locks, progress) == str(HERE)
    assert (locks.held, locks.waits, progress.begun) == ({}, 0, [])


def test_it_is_given_up_after_an_error() -> None:
    locks = Locks()
    with pytest.raises(ZeroDivisionError), lab_lock(cast(Engine, type("", (), {"locks": locks})()), "lab", Silent()):
        raise ZeroDivisionError
    assert locks.held == {}


@pytest.mark.parametrize("holder", [replace(HERE, start="1"), replace(HERE, boot="before"), HERE])
def test_what_the_dead_hold_is_taken_at_once(holder: Process) -> None:
    locks = Locks(str(holder))
    assert hold(locks) == str(HERE)
    assert locks.waits == 0


def test_another_host_is_waited_for_and_named() -> None:
    locks, progress = Locks(str(replace(HERE, host="elsewhere", pid=42))), Steps()
    locks.gives_up = True
    assert hold(locks, progress) == str(HERE)
    assert (locks.waits, len(progress.begun)) == (1, 1)
    assert "process 42 on elsewhere" in progress.begun[0]


def test_another_machine_of_this_ones_name_is_waited_for_and_named() -> None:
    of_same_name = replace(HERE, boot="another", machine="another", pid=42)
    locks, progress = Locks(str(of_same_name)), Steps()
    locks.gives_up = True
    assert hold(locks, progress) == str(HERE)
    assert (locks.waits, len(progress.begun)) == (1, 1)
    assert f"process 42 on another machine or container called {HERE.host}" in progress.begun[0]


def test_another_host_that_does_not_give_it_up_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    locks = Locks(str(replace(HERE, host="elsewhere", pid=42)))
    with pytest.raises(HostError, match="process 42 on elsewhere") as refusal:
        hold(locks)
    assert "docker volume rm labctl-lock-lab" in refusal.value.hint
    assert len(locks.held) == 1


def test_locks_lie_where_this_user_alone_can_put_any(home: Path) -> None:
    with lock.locked("lab-x"):
        (folder,) = [path.parent for path in home.rglob("lab-x.lock")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_locks_that_is_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (home / ".cache").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / ".cache" / "labctl").symlink_to(tmp_path / "elsewhere")
    with lock.locked("lab-x"):
        assert list((tmp_path / "elsewhere").iterdir()) == []


def test_who_waits_is_told_of_it_once_and_waits() -> None:
    waiting, holding, done = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        holding.wait(10)
        with lock.locked("lab-x", waiting.set):
            done.set()

    thread = threading.Thread(target=second)
    thread.start()
    with lock.locked("lab-x"):
        holding.set()
        assert waiting.wait(10)
        assert not done.is_set()
    thread.join(10)
    assert done.is_set()


def test_what_is_claimed_is_not_claimed_again() -> None:
    with lock.claimed("phones") as first, lock.claimed("phones") as second:
        assert (first, second) == (True, False)
