"""A connection that was lost: whether Asterisk crashed, the whole node, or nothing but the connection; and back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from labctl.asterisk import ami
from labctl.cluster import asterisk_process
from labctl.cluster.asterisk_process import AsteriskProcess
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.errors import HostError, LabError
from labctl.history.events import AMI, BY_ITSELF, Back, Disturbed, Event, Gone
from labctl.history.journal import Journal
from labctl.scenario.crash_watch import CrashWatch
from labctl.scenario.fault_control import FaultControl
from labctl.timing import PATIENCE, Deadline, Signal
from tests.unit.fake_nodes import FakeLab
from tests.unit.labs import files

SAME = "now 5000.00\nended -1 9 800.00\nstarted 100000\n"
"""What a node prints whose Asterisk has run for 4000 s."""

ANEW = "now 5000.00\nended -1 139 4999.99\nstarted 500000\n"
"""What one prints whose Asterisk began in this moment, after the last had ended by signal 11 and left its core."""


@pytest.fixture(autouse=True)
def _as_patient_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PATIENCE, "_factor", 1.0)


class Watched:
    """A lab of fake nodes that is connected to and watched. `answers`: what n2 prints of its Asterisk, in turn; the
    last for ever, None where nothing runs in it any more."""

    def __init__(self, *answers: str | None) -> None:
        self.nodes = FakeLab()
        self.journal = Journal()
        self.lost_calls: list[str] = []
        self.answers = list(answers)
        self.nodes.run_in = self._look
        self._signal = Signal()
        self.journal.listen(lambda _event: self._signal.notify())
        engine = cast("Engine", self.nodes)
        self.cluster = Cluster(engine, self.nodes.running)
        self.faults = FaultControl(engine, self.nodes.running, self.cluster, self.journal, self.lost_calls.append)
        self.watch = CrashWatch(engine, self.nodes.running, self.cluster, self.faults, self.journal)
        self.cluster.open()
        self.cluster.await_booted(Deadline(5))
        self.watch.begin()

    def _look(self, node: str, command: list[str]) -> str:
        assert (node, command[:2]) == ("n2", ["sh", "-c"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:  # its container is about to end
            self.nodes.states["n2"] = "exited"
        if answer is None:
            raise HostError("cannot exec in a container that is not running")
        return answer

    def hang_up(self) -> None:
        """The connection to n2 ends from the node's side."""
        self.nodes.nodes["n2"].sessions[-1].end()

    def await_events(self, *kinds: type[Event]) -> list[Event]:
        """What was written, once it is of these kinds and no more."""

        def written() -> bool:
            return [type(event) for event in self.journal.events] == [*kinds]

        assert self._signal.wait_until(written, Deadline(5)), self.journal.events
        return self.journal.events

    @property
    def sessions(self) -> int:
        return len(self.nodes.nodes["n2"].sessions)

    def close(self) -> None:
        self.watch.end()
        self.faults.close()
        self.cluster.close()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Watched]:
    watched = Watched(*request.param)
    yield watched
    watched.close()


def answering(*answers: str | None) -> pytest.MarkDecorator:
    """What n2 prints of its Asterisk in a test."""
    return pytest.mark.parametrize("lab", [answers], indirect=True, ids=[""])


# Why it was lost


@answering(ANEW)
def test_asterisk_that_crashed_is_told_with_its_signal_and_connected_to_again(lab: Watched) -> None:
    lab.hang_up()
    gone, back = lab.await_events(Gone, Back)
    assert isinstance(gone, Gone)
    assert (gone.node, gone.what, gone.how, gone.whole) == ("n2", BY_ITSELF, "signal 11", False)
    assert isinstance(back, Back)
    assert lab.faults.gone == set()
    assert lab.lost_calls == ["n2"]
    assert lab.cluster.connection("n2").booted


@answering(SAME)
def test_connection_that_was_lost_alone_is_made_anew_and_that_is_a_disturbance_of_its_node(lab: Watched) -> None:
    lab.hang_up()
    (loss,) = lab.await_events(Disturbed)
    assert isinstance(loss, Disturbed)
    assert (loss.node, loss.source) == ("n2", AMI)
    assert loss.at_s <= loss.until_s
    assert "labctl's connection to n2 was lost" in loss.what
    assert (lab.sessions, lab.faults.disturbed, lab.lost_calls) == (2, False, [])


@answering(SAME)
def test_each_loss_of_a_connection_is_seen_to(lab: Watched) -> None:
    lab.hang_up()
    lab.await_events(Disturbed)
    lab.watch.await_restored()
    lab.hang_up()
    lab.await_events(Disturbed, Disturbed)


@answering("now 5000.00\nended -1 11 4000.00\nstarted 500000\n")
def test_crash_is_no_later_than_what_the_others_tell_of_it_and_no_earlier_than_what_the_node_told(lab: Watched) -> None:
    lost = lab.cluster.connection("n2")
    lab.hang_up()
    gone, _ = lab.await_events(Gone, Back)
    assert gone.at_s == lab.journal.at_s(lost.heard_s)


@answering(SAME, ANEW)
def test_asterisk_that_hangs_up_just_before_it_ends_has_ended(lab: Watched) -> None:
    lab.hang_up()
    lab.await_events(Gone, Back)


@answering("now 5000.00\nended -1 9 4999.99\n")
def test_asterisk_that_is_not_there_yet_when_it_is_looked_for_has_ended(lab: Watched) -> None:
    lab.hang_up()
    gone, _ = lab.await_events(Gone, Back)
    assert isinstance(gone, Gone)
    assert gone.how == "signal 9"


@answering("now 5000.00\nended\nstarted 500000\n")
def test_how_it_ended_need_not_be_known(lab: Watched) -> None:
    lab.hang_up()
    gone, _ = lab.await_events(Gone, Back)
    assert isinstance(gone, Gone)
    assert gone.how == ""


@answering(SAME)
def test_who_is_gone_by_a_fault_has_not_crashed(lab: Watched) -> None:
    lab.faults.gone.add("n2")
    lab.hang_up()
    lab.cluster.await_gone("n2", Deadline(5))
    assert not lab.watch.await_restored()
    assert (lab.journal.events, lab.nodes.ran, lab.sessions) == ([], [], 1)


@answering(SAME)
def test_connection_that_labctl_ends_itself_is_not_lost(lab: Watched) -> None:
    lab.cluster.reconnect("n2", Deadline(5))
    lab.cluster.disconnect("n2")
    assert not lab.watch.await_restored()
    assert (lab.journal.events, lab.nodes.ran) == ([], [])


@answering(SAME)
def test_nothing_is_written_once_the_run_is_over(lab: Watched) -> None:
    lab.watch.end()
    lab.hang_up()
    lab.cluster.await_gone("n2", Deadline(5))
    assert not lab.watch.await_restored()
    assert lab.journal.events == []


# Back


@answering(ANEW)
def test_asterisk_that_crashes_again_as_it_boots_is_waited_for(lab: Watched) -> None:
    lab.nodes.nodes["n2"].hangs_up_times = 3
    lab.hang_up()
    lab.await_events(Gone, Back)
    assert lab.sessions == 5


@answering(SAME)
def test_node_that_ended_is_gone_as_a_whole_until_its_container_runs_again(lab: Watched) -> None:
    lab.nodes.states["n2"] = "exited"
    lab.hang_up()
    (gone,) = lab.await_events(Gone)
    assert isinstance(gone, Gone)
    assert (gone.how, gone.whole) == ("its container is exited", True)
    lab.watch.await_restored()
    assert (lab.faults.gone, lab.sessions) == ({"n2"}, 1)
    lab.nodes.states["n2"] = "running"
    assert lab.watch.await_restored()
    lab.await_events(Gone, Back)
    assert (lab.faults.gone, lab.faults.ended) == (set(), set())


@pytest.mark.parametrize("lab", [(None,), ("",)], indirect=True, ids=["refused", "silent"])
def test_node_that_is_just_ending_is_gone_as_a_whole_though_the_engine_does_not_know(lab: Watched) -> None:
    lab.hang_up()
    (gone,) = lab.await_events(Gone)
    assert isinstance(gone, Gone)
    assert gone.whole


@answering(SAME)
def test_rings_are_not_waited_for_that_have_a_node_which_ended(lab: Watched) -> None:
    lab.nodes.states["n2"] = "exited"
    lab.hang_up()
    lab.await_events(Gone)
    rings = lab.faults.expected_rings()
    assert rings is not None
    assert (rings["n1"], rings["n3"]) == (("n1", "n3"), ("n1", "n3"))


# A connection that is silent


@answering(SAME)
def test_connection_on_which_nothing_is_answered_any_more_is_given_up_and_made_anew(
    lab: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami, "SILENT_S", 0.05)
    lab.nodes.nodes["n2"].deaf_sessions = 1
    lab.cluster.connection("n2").send("Ping")
    lab.await_events(Disturbed)
    assert lab.sessions == 2


def test_only_who_connects_again_gives_up_a_silent_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "SILENT_S", 0.05)
    nodes = FakeLab()
    cluster = Cluster(cast("Engine", nodes), nodes.running)
    cluster.open()
    cluster.await_booted(Deadline(5))
    nodes.nodes["n2"].deaf_sessions = 1
    cluster.connection("n2").send("Ping")
    with pytest.raises(LabError, match="did not answer within"):
        cluster.connection("n2").answer(cluster.connection("n2").send("Ping"), 0.5)
    assert not cluster.connection("n2").ended
    cluster.close()


# What a node says of its Asterisk


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("now 100.50\nended -1 11 99.25\nstarted 9950\n", AsteriskProcess(1.0, "signal 11", 1.25)),
        ("now 100.50\nended -1 139 99.25\nstarted 9950\n", AsteriskProcess(1.0, "signal 11", 1.25)),
        ("now 100.50\nended 1 0 99.25\nstarted 9950\n", AsteriskProcess(1.0, "exit code 1", 1.25)),
        ("now 100.50\nended\nstarted 9950\n", AsteriskProcess(1.0)),
        ("now 100.50\nended -1 9 99.25\n", AsteriskProcess(None, "signal 9", 1.25)),
        ("OCI runtime exec failed: container has died\n", None),
        ("", None),
    ],
)
def test_asterisk_as_its_node_has_it(text: str, process: AsteriskProcess | None) -> None:
    parsed = asterisk_process.parse(text)
    assert parsed == process


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-1", "139"], "Asterisk has ended by signal 11\n"),
        (["0", "0"], "Asterisk has ended with exit code 0\n"),
    ],
)
def test_what_the_supervisor_runs_when_asterisk_ended_says_how(
    arguments: list[str], printed: str, tmp_path: Path
) -> None:
    script = files("name: lab\n", "n1")["service/asterisk/finish"]
    script = script.replace(asterisk_process.SERVICE, str(tmp_path))
    done = subprocess.run(["sh", "-c", script, "finish", *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == printed
    ended = (tmp_path / "ended").read_text()
    process = asterisk_process.parse(f"now 9999999999.00\nended {ended}")
    assert process is not None
    assert (
        process.ended == printed.removeprefix("Asterisk has ended ").removeprefix("by ").removeprefix("with ").strip()
    )
    assert process.ended_ago_s is not None
