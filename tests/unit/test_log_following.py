"""Several logs as one: until no host runs, and on of one that starts again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.cluster.log_following import LogFollowing
from labctl.cluster.node_logs import LOG_BEFORE
from labctl.errors import HostError, LabctlError


class Until:
    """Lines as they come, until there is None."""

    def __init__(self, lines: queue.SimpleQueue[bytes | None]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines.get, None)

    def close(self) -> None:
        """Nothing is left open."""


class TwoHosts:
    """An engine of n1, whose log ends when a test says so, and n2.

    `said`: what each has said so far. `states`: of n2, each time that it is looked at, the last for ever; `later`: what
    comes of n2, each time that it is followed.
    """

    def __init__(self, states: list[str], later: list[list[str] | LabctlError]) -> None:
        self.states, self.later = states, later
        self.said: dict[str, list[str]] = {}
        self.looked = threading.Event()
        self.since: list[str] = []
        self.of_n1: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.started: queue.SimpleQueue[str] = queue.SimpleQueue()

    def logs(self, container: str, tail: int | None = None, *, stamped: bool) -> str:
        assert stamped
        said = self.said.get(container, [])
        return "".join(f"{line}\n" for line in (said if tail is None else said[-tail:]))

    def find_file(self, _container: str, path: str) -> None:
        """No host was upgraded."""
        assert path == LOG_BEFORE

    def follow_logs(self, container: str, since: str, *, stamped: bool) -> Any:
        assert stamped
        if container == "lab-n1":
            return Until(self.of_n1)
        self.since.append(since)
        log = self.later.pop(0)
        if isinstance(log, LabctlError):
            raise log
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for line in (*(f"{line}\n".encode() for line in log), None):
            lines.put(line)
        return Until(lines)

    def starts(self, _lab: str) -> Iterator[str]:
        return iter(self.started.get, "")

    def observe(self, _lab: str) -> Any:
        self.looked.set()
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        hosts = [SimpleNamespace(name="lab-n1", state="exited"), SimpleNamespace(name="lab-n2", state=state)]
        return SimpleNamespace(containers=hosts)


def following(engine: Any, tail: int | None = None) -> Iterator[tuple[str, str]]:
    return iter(LogFollowing(engine, "lab", {"n1": "lab-n1", "n2": "lab-n2"}, tail))


def test_one_that_starts_again_is_followed_on_from_where_it_was_read() -> None:
    engine = TwoHosts(["exited"], [["1 first"], ["1 first", "2 again"]])
    said = following(engine)
    assert next(said) == ("n2", "first")
    engine.of_n1.put(b"1 meanwhile\n")
    assert next(said) == ("n1", "meanwhile")
    assert engine.looked.wait(60)
    engine.started.put("lab-n2")
    assert next(said) == ("n2", "again")
    engine.of_n1.put(None)
    assert list(said) == []
    assert engine.since == ["", "1"]


def test_one_that_had_started_again_before_its_end_was_seen_is_followed_on() -> None:
    engine = TwoHosts(["running", "exited"], [["1 first"], ["1 first", "2 again"]])
    said = following(engine)
    assert [next(said), next(said)] == [("n2", "first"), ("n2", "again")]
    engine.of_n1.put(None)
    assert list(said) == []


@pytest.mark.parametrize(("state", "raises"), [("running", True), ("exited", False)])
def test_what_cannot_be_read_is_an_error_as_long_as_it_runs(state: str, raises: bool) -> None:
    engine = TwoHosts([state], [HostError("no logs")])
    engine.of_n1.put(None)
    if raises:
        with pytest.raises(HostError, match="no logs"):
            list(following(engine))
    else:
        assert list(following(engine)) == []


@pytest.mark.parametrize(
    ("tail", "before"),
    [
        (None, [("n2", "first"), ("n1", "second"), ("n2", "third")]),
        (1, [("n1", "second"), ("n2", "third")]),
        (0, []),
    ],
)
def test_what_was_said_so_far_comes_first_in_turn_and_what_comes_after_it_whole(
    tail: int | None, before: list[tuple[str, str]]
) -> None:
    engine = TwoHosts(["exited"], [["3 third", "4 fourth", "5 fifth"]])
    engine.said = {"lab-n1": ["2 second"], "lab-n2": ["1 first", "3 third"]}
    engine.of_n1.put(None)
    assert list(following(engine, tail)) == [*before, ("n2", "fourth"), ("n2", "fifth")]
    assert engine.since == ["3"]
