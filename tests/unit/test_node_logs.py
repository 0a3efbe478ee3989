"""A node's log is followed from where it was read last: no line is lost, and none comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labctl.cluster.node_logs import LineListener, NodeLogs
from labctl.corosync.membership import Membership
from labctl.timing import Deadline, Signal
from tests.unit.fake_nodes import FakeLab, LogLines

FIRST, LATER = "2026-11-28T00:26:28.900000000Z", "2026-11-28T00:26:28.900000001Z"


class LogEngine:
    """An engine of one container that has logged `lines`, of which a log that is followed has those since a second."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.streams: list[LogLines] = []
        self.stream = LogLines

    def logs(self, _container: str, tail: int | None = None, *, stamped: bool) -> str:
        assert stamped
        kept = self.lines if tail is None else self.lines[-tail:]
        return "".join(f"{stamp} {line}\n" for stamp, line in kept)

    def follow_logs(self, _container: str, tail: int | None = None, since: str = "", *, stamped: bool) -> LogLines:
        assert stamped
        kept = [(stamp, line) for stamp, line in self.lines if stamp >= since.partition(".")[0]]
        stream = self.stream(iter([stamp for stamp, _ in kept] + ["2027-01-01T00:00:00.000000000Z"] * 99))
        for _, line in kept[0 if tail is None else -tail :]:
            stream.say(line)
        self.streams.append(stream)
        return stream


class Heard:
    """What a listener was told, in order."""

    def __init__(self, logs: NodeLogs) -> None:
        self.lines: list[str] = []
        self._signal = Signal()
        logs.listen(self._listener())

    def _listener(self) -> LineListener:
        def hear(_node: str, _at_s: float, line: str, _ring: Membership | None) -> None:
            self.lines.append(line)
            self._signal.notify()

        return hear

    def wait_for(self, line: str) -> list[str]:
        assert self._signal.wait_until(lambda: line in self.lines, Deadline(60)), self.lines
        return self.lines


@pytest.fixture
def followed() -> Iterator[tuple[LogEngine, NodeLogs, Heard]]:
    """An engine, the logs on it, and who listens to them."""
    engine: Any = LogEngine()
    logs = NodeLogs(engine, FakeLab().running, lambda _node: None)
    yield engine, logs, Heard(logs)
    logs.close()


def test_what_was_logged_while_nobody_followed_is_heard_once(followed: tuple[LogEngine, NodeLogs, Heard]) -> None:
    engine, logs, heard = followed
    engine.lines = [(FIRST, "said before")]
    assert logs.so_far("n2", "id").splitlines() == ["said before"]
    engine.lines.append((LATER, "[QUORUM] Members[1]: 2"))
    logs.follow("n2", "id")
    heard.wait_for("[QUORUM] Members[1]: 2")
    logs.leave("n2")
    engine.lines.append(("2026-11-28T00:26:33.000000000Z", "[QUORUM] Members[3]: 1 2 3"))
    engine.lines.append(("2026-11-28T00:26:59.000000000Z", "said last"))
    logs.follow("n2", "id")
    assert heard.wait_for("said last") == ["[QUORUM] Members[1]: 2", "[QUORUM] Members[3]: 1 2 3", "said last"]
    assert logs.ring("n2").members == (1, 2, 3)


class Deaf(LogLines):
    """A followed log that goes on for a while though it was hung up on."""

    def close(self) -> None:
        """It does not notice."""


def test_what_comes_from_a_stream_that_was_left_is_not_heard() -> None:
    ended = Signal()
    engine: Any = LogEngine()
    engine.stream = Deaf
    logs = NodeLogs(engine, FakeLab().running, lambda _node: ended.notify())
    heard = Heard(logs)
    logs.follow("n2", "id")
    logs.leave("n2")
    engine.streams[0].say("too late")
    LogLines.close(engine.streams[0])
    assert ended.wait_until(lambda: ended.count > 0, Deadline(60))
    logs.follow("n2", "id")
    engine.streams[1].say("in time")
    assert heard.wait_for("in time") == ["in time"]
    LogLines.close(engine.streams[1])


def test_what_is_said_while_a_log_is_read_so_far_is_heard_afterwards(
    followed: tuple[LogEngine, NodeLogs, Heard],
) -> None:
    engine, logs, heard = followed
    engine.lines = [(FIRST, "[QUORUM] Members[1]: 2")]
    logs.follow("n2", "id")
    heard.wait_for("[QUORUM] Members[1]: 2")
    engine.lines.append((LATER, "[QUORUM] Members[3]: 1 2 3"))
    assert logs.so_far("n2", "id").splitlines() == [line for _, line in engine.lines]
    assert logs.ring("n2").members == (1, 2, 3)
    engine.streams[0].say("of the stream that was left")
    engine.lines.append(("2026-11-28T00:26:59.000000000Z", "said since"))
    logs.follow("n2", "id")
    assert heard.wait_for("said since") == ["[QUORUM] Members[1]: 2", "said since"]


def test_a_clock_that_was_set_back_hides_nothing_of_what_is_followed(
    followed: tuple[LogEngine, NodeLogs, Heard],
) -> None:
    engine, logs, heard = followed
    engine.lines = [(LATER, "said before")]
    logs.so_far("n2", "id", tail=1)
    engine.lines.append(("2026-11-28T00:26:28.900000002Z", "said after"))
    engine.lines.append((FIRST, "said by a clock that was set back"))
    logs.follow("n2", "id")
    assert heard.wait_for("said by a clock that was set back")[0] == "said after"
