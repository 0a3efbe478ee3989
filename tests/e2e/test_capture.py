"""What was on the wire in a run: the whole of a real call, also after a node was killed; and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.errors import NotFound

from labctl.cluster import lifecycle as verbs
from labctl.cluster.dumpcap import RTP_BYTES, TOTEM_BYTES
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.history.events import Capture, Did, Event, Looked
from labctl.names import ROLE_CAPTURE
from labctl.progress import Silent
from labctl.scenario import run_folder
from tests.e2e import wireshark
from tests.e2e.kept_runs import kept_run
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

NAME = f"capture-{os.getpid()}"

STEPS = """
title: Two calls, and between them a node is killed
steps:
- register: [alice, bob]
- call: {caller: alice, callee: bob}
- answer: bob
- talk: [alice, bob]
- hang_up: alice
- kill: n2
- settle
- start: n2
- register: [carol]
- call: {caller: alice, callee: carol}
- answer: carol
- hang_up: carol
- settle
"""


@dataclass(frozen=True)
class Recorded:
    """A run whose lab is still up, and the container in which its capture is read."""

    engine: Engine
    folder: Path
    events: tuple[Event, ...]
    phones: str

    def fields(self, shown: str, *names: str) -> list[tuple[str, ...]]:
        """Fields of each packet that a display filter shows."""
        return wireshark.fields(self.engine, self.phones, self.folder / run_folder.CAPTURE, shown, *names)

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A run of STEPS."""
    with kept_run(STEPS, NAME, tmp_path_factory.mktemp("runs")) as (engine, run):
        yield Recorded(engine, run, run_folder.read_events(run), f"labctl-{NAME}-phones")


def test_both_calls_are_there_whole(recorded: Recorded) -> None:
    messages = recorded.fields("sip", "sip.Method", "sip.Status-Code", "sip.CSeq.method", "sip.Call-ID", "sdp.media")
    requests = [method for method, *_ in messages]
    assert {"REGISTER", "INVITE", "ACK", "BYE", "NOTIFY"} <= {*requests}
    assert requests.count("INVITE") >= 8, messages  # two calls: to the node unsigned and signed, on, and to the phone
    for code, method in (
        ("401", "REGISTER"),
        ("200", "REGISTER"),
        ("180", "INVITE"),
        ("200", "INVITE"),
        ("200", "BYE"),
    ):
        assert any(message[1:3] == (code, method) for message in messages), (code, method)
    assert all(media for method, *_, media in messages if method == "INVITE"), "an INVITE without its SDP was cut"


def test_of_totem_and_rtp_there_are_headers_alone(recorded: Recorded) -> None:
    totem = {int(size) for (size,) in recorded.fields("udp.port == 5405 and not icmp", "frame.cap_len")}
    rtp = {int(size) for (size,) in recorded.fields("rtp and not icmp", "frame.cap_len")}
    assert (max(totem), rtp) == (TOTEM_BYTES, {RTP_BYTES})
    assert not recorded.fields("sip and frame.cap_len < frame.len", "frame.number")
    assert {int(payload) for (payload,) in recorded.fields("rtp and not icmp", "rtp.p_type")} == {0}


def test_packets_are_on_the_clock_of_the_history(recorded: Recorded) -> None:
    (capture,) = recorded.of(Capture)
    assert isinstance(capture, Capture)
    assert (capture.file, capture.ended) == (run_folder.CAPTURE, "")
    registered = next(event for event in recorded.of(Did) if isinstance(event, Did) and event.what.startswith("reg"))
    times = recorded.fields(
        "sip.Method == REGISTER or sip.CSeq.method == REGISTER", "frame.time_epoch", "sip.Status-Code"
    )
    accepted = [float(at) - capture.epoch_s for at, code in times if code == "200"][:2]
    assert len(accepted) == 2
    assert all(registered.began_s < at_s < registered.at_s for at_s in accepted)


def test_all_until_the_last_look_is_there(recorded: Recorded) -> None:
    capture, look = recorded.of(Capture)[0], recorded.of(Looked)[-1]
    assert isinstance(capture, Capture)
    last = recorded.fields("frame", "frame.time_epoch")[-1][0]
    assert float(last) - capture.epoch_s > look.at_s


def test_a_run_leaves_no_container_that_captures(recorded: Recorded) -> None:
    containers = recorded.engine.observe(NAME).containers
    assert containers
    assert not [container for container in containers if container.role == ROLE_CAPTURE]


def test_packets_of_one_node_by_hand_until_ctrl_c(recorded: Recorded, tmp_path: Path) -> None:
    path, nodes = tmp_path / "n3.pcapng", recorded.engine.observe(NAME).containers
    address = next(part.address for part in nodes if part.node == "n3")
    command = [sys.executable, "-m", "labctl", "capture", "n3", "--all-bytes", "-n", NAME, "-o", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, restore_signals=True) as process:
        assert process.stderr
        assert "Ctrl-C" in next(process.stderr, "")
        assert labctl("call", "carol", "*600", "-q", "-n", NAME).code == 0
        process.terminate()  # a signal that asks to end is an interrupt, as Ctrl-C is
    assert process.returncode == 0
    captured = Recorded(recorded.engine, path.parent, (), recorded.phones)
    path.rename(captured.folder / run_folder.CAPTURE)
    ends = captured.fields("ip", "ip.src", "ip.dst")
    assert ends
    assert all(address in pair for pair in ends)
    assert "INVITE" in {method for (method,) in captured.fields("sip.Method", "sip.Method")}
    assert not captured.fields("frame.cap_len < frame.len", "frame.number")


def test_whoever_reads_no_more_ends_it(recorded: Recorded) -> None:
    command = [sys.executable, "-m", "labctl", "capture", "-n", NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(4) == b"\x0a\x0d\x0d\x0a"
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read().count(b"\n") == 1


def test_packets_of_a_call_by_hand(recorded: Recorded, tmp_path: Path) -> None:
    called = Recorded(recorded.engine, tmp_path, (), recorded.phones)
    file = str(tmp_path / run_folder.CAPTURE)
    done = labctl("call", "alice", "carol", "-q", "--duration", "200ms", "-n", NAME, "--capture", file)
    assert done.code == 0, done.err
    messages = called.fields("sip", "sip.Method", "sip.Status-Code", "sip.CSeq.method")
    assert {"REGISTER", "INVITE", "ACK", "BYE"} <= {method for method, *_ in messages}
    assert messages[-1][2] == "REGISTER", "carol took her registration back, last of all"


def test_no_capture_keeps_no_packets(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Nothing\nsteps:\n- settle\n", "utf-8")
    options = ("-n", f"no-{NAME}", "--folder", str(tmp_path))
    labctl("run", str(tmp_path / "mine.yaml"), "-q", "--no-capture", *options)
    run = tmp_path / "latest"
    assert (run / run_folder.HISTORY).exists()
    assert not (run / run_folder.CAPTURE).exists()
    assert not [event for event in run_folder.read_events(run) if isinstance(event, Capture)]


def test_labctl_ended_by_sigkill_takes_the_container_with_it(tmp_path: Path) -> None:
    engine, name = engines.connect(), f"dead-{NAME}"
    path = tmp_path / "mine.yaml"
    wait = "{extension: mystate, state: Idle, timeout: 5m}"
    steps = f"- set_state: {{node: n1, device: mystate, state: BUSY}}\n- wait_for: {wait}"
    path.write_text(f"title: Never\nsteps:\n{steps}\n", "utf-8")
    command = [sys.executable, "-m", "labctl", "run", str(path), "-n", name, "--folder", str(tmp_path)]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            next(line for line in process.stderr if line.startswith("ok   set_state"))
            (capture,) = (part for part in engine.observe(name).containers if part.role == ROLE_CAPTURE)
            may = engine._api.inspect_container(capture.id)["HostConfig"]
            os.kill(process.pid, signal.SIGKILL)
        assert [name.removeprefix("CAP_") for name in may["CapAdd"]] == ["NET_RAW"]
        assert (may["CapDrop"], may["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
        assert (may["Privileged"], may["Binds"], may.get("Mounts")) == (False, None, None)
        with suppress(NotFound):  # it is gone already
            engine._api.wait(capture.id, condition="removed")
        assert not [part for part in engine.observe(name).containers if part.role == ROLE_CAPTURE]
        assert (tmp_path / "latest" / run_folder.CAPTURE).stat().st_size
    finally:
        verbs.down(engine, name, Silent())
    assert engine.observe(name).empty
