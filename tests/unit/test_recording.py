"""The capture of a run: what is asked of the engine, what comes into the file, what the history tells."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any, cast

import pytest

from labctl.blueprint.running_lab import Running
from labctl.cluster import capturing, dumpcap
from labctl.cluster.dumpcap import Selection
from labctl.cluster.lab_capture import captured
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Network, Observation
from labctl.engine.side_container import SideContainer
from labctl.errors import HostError, LabctlError, LabError
from labctl.history.events import Capture
from labctl.history.journal import Journal
from labctl.names import LABEL_LAB, LABEL_ROLE, ROLE_CAPTURE, ROLE_PHONES
from labctl.scenario.recording import Recording
from labctl.timing import Deadline, Signal
from tests.unit.dumpcaps import ENGINE_CLOCK_S, Dumpcap
from tests.unit.labs import SUBNET, lab, stack
from tests.unit.pcapng_files import interface, packet, section
from tests.unit.wire import ALICE, N1, endpoint, frame, sip

HEAD = section() + interface(9)


class FakeEngine:
    """An engine that starts one container, or refuses to."""

    def __init__(self, stream: Dumpcap, refusal: LabctlError | None = None) -> None:
        self.started: list[SideContainer] = []
        self._stream = stream
        self._refusal = refusal

    def start_beside(self, side: SideContainer) -> Dumpcap:
        self.started.append(side)
        if self._refusal:
            raise self._refusal
        return self._stream


def running(*, whole: bool = True) -> Running:
    """A lab as an engine holds it."""
    network = Network("n" * 64, "labctl-lab", "lab", SUBNET, "seed", bridge="br-lab")
    phones = Container("p", "labctl-lab-phones", "lab", ROLE_PHONES, "phones", "created", "", image="labctl/phone:1")
    return Running(lab(), stack(), Observation((network,), (phones,) if whole else ()))


class Rig:
    """A recording on a container that a test speaks for."""

    def __init__(
        self, folder: Path, *, limit: int = 1 << 20, refusal: LabctlError | None = None, whole: bool = True
    ) -> None:
        self.stream = Dumpcap()
        self.engine = FakeEngine(self.stream, refusal)
        self.journal = Journal()
        self.path = folder / "capture.pcapng"
        engine = cast(Engine, self.engine)
        self.recording = Recording(engine, running(whole=whole), self.journal, self.path, limit)

    def begin(self) -> None:
        """Begin to capture, with a file that has its head."""
        self.recording.start()
        self.stream.say("Capturing on 'br-lab'")
        self.stream.say("File: -")
        self.stream.write(HEAD)
        self.recording.await_begun()

    @property
    def told(self) -> list[str]:
        """What the history tells of the end, event by event."""
        return [event.ended for event in self.journal.events if isinstance(event, Capture)]


def now_ns(rig: Rig, later_s: float = 0.0) -> int:
    """The engine's time."""
    return rig.stream.now_ns(later_s)


def test_the_container_may_capture_and_nothing_else(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    (side,) = rig.engine.started
    assert side.capabilities == ("NET_RAW",)
    assert side.image == "labctl/phone:1"
    assert dict(side.labels) == {LABEL_LAB: "lab", LABEL_ROLE: ROLE_CAPTURE}
    rig.recording.end()
    rig.recording.await_ended()


def test_packets_are_kept_and_the_history_has_the_engines_clock(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    before, after = packet(now_ns(rig)), packet(now_ns(rig, 60.0))
    rig.stream.write(before)
    rig.recording.end()
    rig.stream.write(after[:10], after[10:])
    rig.recording.await_ended()
    assert rig.path.read_bytes() == HEAD + before + after
    (event,) = (event for event in rig.journal.events if isinstance(event, Capture))
    assert (event.file, event.ended) == ("capture.pcapng", "")
    assert event.epoch_s == pytest.approx(ENGINE_CLOCK_S + rig.journal.zero_s, abs=0.5)


def test_what_passed_until_the_end_is_kept_before_it_ends(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    rig.recording.end()
    assert "end" not in rig.stream.orders
    late = [packet(now_ns(rig, -0.01)), packet(now_ns(rig, -0.005)), packet(now_ns(rig, 60.0))]
    rig.stream.write(*late)
    rig.recording.await_ended()
    assert rig.path.read_bytes() == HEAD + b"".join(late)


def test_a_network_on_which_nothing_passes_any_more_ends_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturing, "HELD_S", 0.05)
    rig = Rig(tmp_path)
    rig.begin()
    rig.recording.end()
    rig.recording.await_ended()
    assert rig.stream.orders[-1] == "end"
    assert rig.path.read_bytes() == HEAD
    assert rig.told == [""]


@pytest.mark.parametrize(
    ("refusal", "whole", "why"),
    [
        (HostError("start labctl-lab-capture: host networking is not there"), True, "host networking is not there"),
        (None, False, "the phones' container of lab is gone"),
    ],
)
def test_a_run_whose_capture_cannot_start_goes_on_and_says_why(
    tmp_path: Path, refusal: LabctlError | None, whole: bool, why: str
) -> None:
    rig = Rig(tmp_path, refusal=refusal, whole=whole)
    rig.recording.start()
    rig.recording.await_begun()
    rig.recording.end()
    rig.recording.await_ended()
    (told,) = rig.told
    assert told.startswith("the capture could not start: ")
    assert why in told
    assert not rig.path.exists()


def test_what_dumpcap_says_of_its_end_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recording.start()
    rig.stream.say('dumpcap: There is no device named "br-lab".')
    rig.stream.end()
    rig.recording.await_begun()
    assert "There is no device" in rig.told[0]


def test_one_that_ends_amid_the_run_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    rig.stream.say("The network adapter on which the capture was being done is no longer running.")
    rig.stream.end()
    rig.recording.await_ended()
    why = "The network adapter on which the capture was being done is no longer running."
    assert (rig.told[0], why in rig.told[1]) == ("", True)


def test_it_is_cut_between_two_packets_and_said_so(tmp_path: Path) -> None:
    first, second = packet(now_ns(Rig(tmp_path)), bytes(500)), packet(now_ns(Rig(tmp_path)), bytes(600))
    rig = Rig(tmp_path, limit=len(HEAD + first) + 10)
    rig.begin()
    rig.stream.write(first + second, first)
    rig.recording.await_ended()
    assert rig.path.read_bytes() == HEAD + first
    assert rig.told == ["", "cut at 0 MB"]
    assert rig.stream.closed


def test_from_half_of_it_on_there_is_room_for_what_is_whole_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limit=4000)
    rig.begin()
    sip, totem = packet(now_ns(rig), bytes(900), 0), packet(now_ns(rig), bytes(900), 1)
    rig.stream.write(sip, totem, totem, sip, totem, packet(now_ns(rig, 60.0), b"", 2))
    rig.recording.end()
    rig.recording.await_ended()
    assert rig.path.read_bytes() == HEAD + sip + totem + totem + sip
    assert [event.without for event in rig.journal.events if isinstance(event, Capture)] == [
        "",
        "Totem and RTP: it has 0 MB",
    ]
    assert rig.told == ["", ""]


def test_a_file_that_cannot_be_written_ends_the_capture_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "nowhere")
    rig.begin()
    rig.recording.await_ended()
    assert "capture.pcapng: No such file or directory" in rig.told
    assert rig.stream.closed


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, _data: Any) -> int:
        raise OSError(28, "No space left on device")


def by_hand(stream: IO[bytes], dumpcap: Dumpcap, refusal: LabctlError | None = None) -> Any:
    """What `labctl capture` does."""
    engine = cast(Engine, FakeEngine(dumpcap, refusal))
    dumpcap.say("File: -")
    dumpcap.write(HEAD)
    return captured(engine, running(), stream, Selection())


def test_by_hand_packets_go_to_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "HELD_S", 0.05)
    stream, dumpcap = io.BytesIO(), Dumpcap()
    with by_hand(stream, dumpcap):
        pass
    assert (stream.getvalue(), dumpcap.orders[-1], dumpcap.closed) == (HEAD, "end", True)


def test_by_hand_a_stream_that_takes_no_more_ends_it() -> None:
    dumpcap = Dumpcap()
    with pytest.raises(OSError, match="No space left"), by_hand(Full(), dumpcap) as capture:
        capture.await_over()
    assert dumpcap.closed


def test_by_hand_one_that_cannot_begin_is_an_error() -> None:
    with (
        pytest.raises(HostError, match="could not start: no such image"),
        by_hand(io.BytesIO(), Dumpcap(), HostError("no such image")),
    ):
        pytest.fail("it has begun")


def test_by_hand_one_that_breaks_off_is_an_error() -> None:
    def go_down(dumpcap: Dumpcap) -> None:
        with by_hand(io.BytesIO(), dumpcap) as capture:
            dumpcap.say("the device went down")
            dumpcap.end()
            capture.await_over()

    with pytest.raises(LabError, match="ended: the device went down"):
        go_down(Dumpcap())


def test_the_command_has_headers_alone_of_totem_and_rtp() -> None:
    words = dumpcap.command(["br-a", "br-b"], Selection())
    assert words[words.index("dumpcap") :].count("-i") == 6
    snaplens = [words[place + 1] for place, word in enumerate(words) if word == "-s"]
    assert snaplens == [str(dumpcap.TOTEM_BYTES), str(dumpcap.RTP_BYTES)] * 2
    assert words[-2:] == ("-w", "-")


def test_every_byte_wants_no_filter_and_addresses_are_one() -> None:
    everything = dumpcap.command(["br-a"], Selection(every_byte=True))
    assert "-f" not in everything
    assert "-s" not in everything
    of_two = dumpcap.command(["br-a"], Selection(("198.18.1.11", "198.18.1.12"), True))
    assert of_two[of_two.index("-f") + 1] == "(host 198.18.1.11 or host 198.18.1.12)"
    filters = [
        word
        for word in dumpcap.command(["br-a"], Selection(("198.18.1.11",)))
        if word.startswith("(host 198.18.1.11) and ")
    ]
    assert len(filters) == 3
    sent = dumpcap.command(["eth0"], Selection(("198.18.1.11",), True), dumpcap.SENT)
    assert sent[sent.index("-f") + 1] == "ether src OWN_MAC and (host 198.18.1.11)"


def test_sip_is_read_while_the_file_grows(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    began_s = rig.journal.now_s()
    assert rig.recording.messages(0.0) == []
    for number in (1, 2):
        text = sip(f"INVITE sip:{number}@n1 SIP/2.0", cseq=f"{number} INVITE", Via=f"SIP/2.0/UDP a;branch={number}")
        rig.stream.write(packet(now_ns(rig), frame(ALICE, N1, text)))
        patience = Deadline(30.0)
        while len(rig.recording.messages(0.0)) < number and not patience.passed:
            Signal().wait_beyond(0, Deadline(0.01))
    (first, second) = rig.recording.messages(0.0)
    assert (first.sip.start, second.sip.start) == ("INVITE sip:1@n1 SIP/2.0", "INVITE sip:2@n1 SIP/2.0")
    assert (first.source, first.target) == (endpoint(ALICE), endpoint(N1))
    assert began_s - 0.1 <= first.at_s <= second.at_s <= rig.journal.now_s() + 0.1
    assert rig.recording.messages(second.at_s) == [second]
    assert not rig.recording.ended
    rig.recording.end()
    rig.recording.await_ended()
