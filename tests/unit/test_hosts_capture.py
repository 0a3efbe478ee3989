"""The capture of a lab over hosts: one file of what each container sends, in the order of time."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, cast

import pytest

from labctl.blueprint.running_lab import Running
from labctl.capture.frames import Frame, frames
from labctl.cluster import capturing, hosts_capture
from labctl.cluster.capturing import HELD_S
from labctl.cluster.dumpcap import KERNEL_HOLDS_MS, KINDS, Selection
from labctl.cluster.hosts_capture import HostsCapture, shift_ns
from labctl.cluster.lab_capture import captured
from labctl.cluster.lab_capture import capturing as capturing_of
from labctl.cluster.packet_blocks import Block
from labctl.cluster.packet_capture import PacketCapture
from labctl.cluster.packet_merge import PacketMerge
from labctl.engine.client import Engine
from labctl.engine.host import PlacedImage
from labctl.engine.observation import Container, Network, Observation
from labctl.engine.side_container import SideContainer
from labctl.errors import HostError
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.timing import Deadline, Signal, pass_time
from tests.unit.dumpcaps import Dumpcap
from tests.unit.labs import SUBNET, lab, stack
from tests.unit.pcapng_files import block, interface, packet, section

HEAD = section() + interface(9) * KINDS
PATIENCE_S = 30.0


class Started:
    """What starts, as a test says."""

    def __init__(self) -> None:
        self.names: SimpleQueue[str] = SimpleQueue()
        self.closed = False

    def __iter__(self) -> Iterator[str]:
        return iter(self.names.get, "")

    def close(self) -> None:
        self.closed = True
        self.names.put("")


@dataclass
class FakeFleet:
    """Hosts on which containers start beside others, each time the next of those that a test has for it. `states` of
    containers are as a test says, `looks` how often they were asked for."""

    states: dict[str, str]
    waiting: dict[str, list[Dumpcap]]
    started: Started = field(default_factory=Started)
    sides: list[SideContainer] = field(default_factory=list)
    lacks: list[PlacedImage] = field(default_factory=list)
    sent: list[PlacedImage] = field(default_factory=list)
    sends: threading.Event = field(default_factory=threading.Event)
    looks: int = 0

    def observe(self, _lab: str) -> Observation:
        self.looks += 1
        parts = (part(name.rpartition("-")[2], "", state) for name, state in self.states.items())
        return Observation((), tuple(parts))

    def start_beside(self, side: SideContainer) -> Dumpcap:
        self.sides.append(side)
        if not self.waiting[side.beside]:
            raise HostError(f"{side.beside} does not run")
        return self.waiting[side.beside].pop(0)

    def starts(self, _lab: str) -> Started:
        return self.started

    def lacking(self, images: Iterator[PlacedImage]) -> list[PlacedImage]:
        return [image for image in dict.fromkeys(images) if image in self.lacks]

    def send_image(self, image: PlacedImage) -> None:
        self.sent.append(image)
        assert self.sends.wait(PATIENCE_S)


def part(node: str, host: str, state: str = "running") -> Container:
    """A container of the lab."""
    role = ROLE_PHONES if node == "phones" else ROLE_NODE
    return Container(node, f"labctl-lab-{node}", "lab", role, node, state, "", image="labctl/phone:1", host=host)


class Rig:
    """A capture of two nodes and the phones, on two hosts, for whose containers a test speaks."""

    def __init__(self, *, ahead_s: float = 0.0, n2: str = "running", again: bool = False) -> None:
        self.n1, self.n2, self.phones = Dumpcap(), Dumpcap(ahead_s=ahead_s), Dumpcap()
        self.n2_again = Dumpcap(ahead_s=ahead_s)
        of_n2 = [self.n2, *([self.n2_again] if again else [])]
        self.fleet = FakeFleet(
            {"labctl-lab-n1": "running", "labctl-lab-n2": n2, "labctl-lab-phones": "running"},
            {"labctl-lab-n1": [self.n1], "labctl-lab-n2": of_n2, "labctl-lab-phones": [self.phones]},
        )
        network = Network("net", "labctl-lab", "lab", SUBNET, "seed", overlay=True)
        parts = part("n1", "one"), part("n2", "two"), part("phones", "one")
        self.running = Running(lab(), stack(), Observation((network,), parts))
        self.blocks: list[Block] = []
        self.broken: list[str] = []
        engine = cast(Engine, self.fleet)
        self.capture = capturing_of(engine, self.running, Selection(), self.blocks.append, self.broken.append)

    def begin(self, *streams: Dumpcap) -> None:
        """Begin to capture."""
        self.capture.start()
        for stream in streams or (self.n1, self.n2, self.phones):
            begin(stream)
        assert self.capture.await_begun(), self.capture.error

    def await_look(self, first: Callable[[], None]) -> None:
        """Return when it was looked again what runs, after that was done."""
        looks = self.fleet.looks
        first()
        await_that(lambda: self.fleet.looks > looks)

    def finish(self) -> list[Frame]:
        """End it, and read the file."""
        self.capture.end()
        self.capture.await_ended()
        return list(frames(b"".join(one.data for one in self.blocks)))


def begin(stream: Dumpcap) -> None:
    """What dumpcap says and writes first."""
    stream.say("Capturing on 'eth0'")
    stream.say("File: -")
    stream.write(HEAD)


def await_that(holds: Callable[[], bool]) -> None:
    """Return when that is so."""
    deadline = Deadline(PATIENCE_S)
    while not holds():
        assert not deadline.passed
        Signal().wait_beyond(0, Deadline(0.01))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that is not waited for long."""
    monkeypatch.setattr(capturing, "HELD_S", 0.05)


def test_a_lab_over_hosts_is_captured_beside_each_container_and_any_other_at_its_bridges() -> None:
    rig = Rig()
    assert isinstance(rig.capture, HostsCapture)
    rig.begin()
    assert {(side.beside, side.capabilities) for side in rig.fleet.sides} == {
        (f"labctl-lab-{node}", ("NET_RAW",)) for node in ("n1", "n2", "phones")
    }
    assert all("-i eth0 -f ether src OWN_MAC and " in " ".join(side.command) for side in rig.fleet.sides)
    assert len({side.name for side in rig.fleet.sides}) == 3
    rig.finish()
    network = Network("net", "labctl-lab", "lab", SUBNET, "seed", bridge="br-lab")
    alone = Running(lab(), stack(), Observation((network,)))
    one = capturing_of(cast(Engine, rig.fleet), alone, Selection(), rig.blocks.append, rig.broken.append)
    assert isinstance(one, PacketCapture)


def test_packets_of_all_are_one_file_in_the_order_of_time() -> None:
    rig = Rig()
    rig.begin()
    base = rig.n1.now_ns()
    rig.n2.write(packet(base + 2000, b"two", 1), packet(base + 4000, b"four"))
    rig.phones.write(packet(base + 3000, b"three", 2))
    rig.n1.write(packet(base + 1000, b"one"))
    assert [(frame.data, frame.interface) for frame in rig.finish()] == [
        (b"one", 0),
        (b"two", KINDS + 1),
        (b"three", 2 * KINDS + 2),
        (b"four", KINDS),
    ]
    assert (rig.broken, rig.capture.ended) == ([], True)


def test_one_that_comes_late_is_waited_for() -> None:
    rig = Rig()
    rig.begin()
    early = packet(rig.n1.now_ns(-0.3), b"early")
    rig.n1.write(packet(rig.n1.now_ns(), b"late"))
    pass_time(2.5 * hosts_capture.LOOK_S)
    rig.n2.write(early)
    await_that(lambda: len(rig.blocks) == 3)
    assert [frame.data for frame in rig.finish()] == [b"early", b"late"]


def test_nothing_is_held_back_any_more_when_it_is_said_that_nothing_is() -> None:
    held_s = KERNEL_HOLDS_MS / 1000 + hosts_capture.MERGE_S + hosts_capture.LOOK_S
    assert held_s < HELD_S


def test_the_clock_of_another_host_is_brought_to_that_of_the_first() -> None:
    rig = Rig(ahead_s=50.0)
    rig.begin()
    rig.n1.write(packet(rig.n1.now_ns(-0.2), b"one"))
    rig.n2.write(packet(rig.n2.now_ns(-0.1), b"two"))
    one, two = rig.finish()
    assert (one.data, two.data) == (b"one", b"two")
    assert two.at_s - one.at_s == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("own", "shift"),
    [((0.004, 100.0025), 0), ((0.004, 100.0035), -3_500_000), ((0.0, 99.0), 1_000_000_000)],
)
def test_clocks_that_differ_by_less_than_can_be_told_are_left_alone(own: tuple[float, float], shift: int) -> None:
    clocks = {"one": (0.002, 100.0), "two": own}
    assert shift_ns(clocks, "two") == pytest.approx(shift, abs=1000)
    assert (shift_ns(clocks, "one"), shift_ns(clocks, "three")) == (0, 0)


def test_a_node_that_is_killed_and_started_again_is_captured_again() -> None:
    rig = Rig(again=True)
    rig.begin()
    rig.n2.write(packet(rig.n2.now_ns(-0.2), b"before"))
    rig.fleet.states["labctl-lab-n2"] = "exited"
    rig.await_look(rig.n2.end)
    rig.fleet.states["labctl-lab-n2"] = "running"
    rig.fleet.started.names.put("labctl-lab-n2")
    begin(rig.n2_again)
    await_that(lambda: len(rig.fleet.sides) == 4)
    rig.n2_again.write(packet(rig.n2_again.now_ns(), b"after", 1))
    assert [(frame.data, frame.interface) for frame in rig.finish()] == [(b"before", KINDS), (b"after", KINDS + 1)]
    assert rig.broken == []


def test_a_node_that_was_started_again_is_waited_for() -> None:
    """The call that came next was without what its node had sent."""
    rig = Rig(again=True)
    rig.begin()
    rig.capture.await_captured(["n1", "n2"])
    rig.fleet.states["labctl-lab-n2"] = "exited"
    rig.n2.end()
    await_that(lambda: rig.fleet.looks > 1)
    rig.fleet.states["labctl-lab-n2"] = "running"
    waiting = threading.Thread(target=rig.capture.await_captured, args=(["n1", "n2"],))
    waiting.start()
    rig.capture.await_captured(["n1"])
    rig.fleet.started.names.put("labctl-lab-n2")
    await_that(lambda: len(rig.fleet.sides) == 4)
    assert waiting.is_alive()
    begin(rig.n2_again)
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    rig.finish()


def test_its_start_may_be_told_before_its_old_network_is_seen_to_go() -> None:
    rig = Rig(again=True)
    rig.begin()
    rig.fleet.started.names.put("labctl-lab-n2")
    await_that(rig.fleet.started.names.empty)
    begin(rig.n2_again)
    rig.n2.end()
    await_that(lambda: len(rig.fleet.sides) == 4)
    rig.finish()
    assert rig.broken == []


def test_one_that_goes_on_after_a_pause_is_captured_as_it_was() -> None:
    rig = Rig()
    rig.begin()
    rig.fleet.started.names.put("labctl-lab-n2")
    rig.fleet.started.names.put("labctl-lab-capture")
    rig.n2.write(packet(rig.n2.now_ns(), b"on"))
    await_that(lambda: len(rig.blocks) == 2)
    rig.fleet.states["labctl-lab-n2"] = "exited"  # no start is left over from the pause
    rig.await_look(rig.n2.end)
    assert (len(rig.fleet.sides), [frame.data for frame in rig.finish()]) == (3, [b"on"])


def test_a_node_that_does_not_run_is_captured_from_when_it_is_started() -> None:
    rig = Rig(n2="exited")
    rig.begin(rig.n1, rig.phones)
    rig.fleet.states["labctl-lab-n2"] = "running"
    rig.fleet.started.names.put("labctl-lab-n2")
    begin(rig.n2)
    await_that(lambda: len(rig.fleet.sides) == 3)
    rig.n2.write(packet(rig.n2.now_ns(), b"up"))
    assert [frame.interface for frame in rig.finish()] == [KINDS]


def test_what_runs_again_is_captured_though_nobody_told_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_capture, "MISSED_S", 0.05)
    rig = Rig(n2="exited")
    rig.begin(rig.n1, rig.phones)
    rig.fleet.states["labctl-lab-n2"] = "running"
    begin(rig.n2)
    await_that(lambda: len(rig.fleet.sides) == 3)
    rig.finish()


def test_one_that_ends_while_its_container_runs_is_begun_again() -> None:
    rig = Rig(again=True)
    rig.begin()
    rig.n2.say("the disk is full")
    rig.n2.end()
    begin(rig.n2_again)
    await_that(lambda: len(rig.fleet.sides) == 4)
    rig.n2_again.write(packet(rig.n2_again.now_ns(), b"again"))
    assert [frame.data for frame in rig.finish()] == [b"again"]
    assert rig.broken == []


def test_where_that_is_in_vain_the_capture_ends_and_says_why() -> None:
    rig = Rig()
    rig.begin()
    rig.n1.write(packet(rig.n1.now_ns(), b"before"))
    rig.n2.end()
    rig.capture.await_over()
    assert rig.broken == ["n2: labctl-lab-n2 does not run"]
    assert len(rig.fleet.sides) == 3 + hosts_capture.TRIES
    assert len(rig.blocks) == 2


def test_what_was_in_vain_while_it_did_not_run_is_forgotten() -> None:
    rig = Rig()
    rig.begin()
    rig.n2.end()
    await_that(lambda: len(rig.fleet.sides) >= 4)
    rig.fleet.states["labctl-lab-n2"] = "exited"
    looks = rig.fleet.looks
    await_that(lambda: rig.fleet.looks > looks)
    for _ in range(hosts_capture.TRIES):
        rig.await_look(lambda: rig.fleet.started.names.put("labctl-lab-n2"))
    begin(rig.n2_again)
    rig.fleet.waiting["labctl-lab-n2"].append(rig.n2_again)
    rig.fleet.states["labctl-lab-n2"] = "running"
    rig.fleet.started.names.put("labctl-lab-n2")
    await_that(lambda: not rig.fleet.waiting["labctl-lab-n2"])
    rig.n2_again.write(packet(rig.n2_again.now_ns(), b"up"))
    assert ([frame.data for frame in rig.finish()], rig.broken) == ([b"up"], [])


def test_one_that_is_given_up_before_it_has_begun_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "END_S", 0.05)
    rig = Rig()
    rig.fleet.lacks = [PlacedImage("two", "labctl/phone:1")]
    rig.capture.start()
    await_that(lambda: bool(rig.fleet.sent))
    rig.capture.end()
    rig.capture.await_ended()
    rig.fleet.sends.set()
    await_that(lambda: rig.capture.ended)
    assert (rig.fleet.sides, rig.blocks, rig.broken, rig.capture.begun) == ([], [], [], False)


def test_it_cannot_begin_where_one_of_them_cannot_and_says_which() -> None:
    rig = Rig()
    rig.fleet.waiting["labctl-lab-n2"].clear()
    rig.capture.start()
    begin(rig.n1)
    begin(rig.phones)
    assert not rig.capture.await_begun()
    assert rig.capture.error == "n2: labctl-lab-n2 does not run"
    rig.capture.await_ended()
    await_that(lambda: rig.n1.closed and rig.phones.closed)
    assert (rig.blocks, rig.broken) == ([], [])


def test_it_goes_on_while_one_of_them_does_and_then_says_that_it_ended() -> None:
    rig = Rig()
    rig.begin()
    rig.fleet.states.clear()
    rig.n1.end()
    rig.n2.end()
    rig.phones.write(packet(rig.phones.now_ns(), b"still"))
    await_that(lambda: len(rig.blocks) == 2)
    assert rig.broken == []
    rig.phones.end()
    rig.capture.await_over()
    assert rig.broken == ["all that was captured has ended"]
    assert rig.fleet.started.closed


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, _data: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_file_that_takes_no_more_ends_all() -> None:
    rig = Rig()
    for stream in (rig.n1, rig.n2, rig.phones):
        begin(stream)
    with (
        pytest.raises(OSError, match="No space left"),
        captured(cast(Engine, rig.fleet), rig.running, Full(), Selection()) as capture,
    ):
        capture.await_over()
    await_that(lambda: rig.n1.closed and rig.n2.closed and rig.phones.closed)
    assert rig.fleet.started.closed


def test_all_that_has_passed_is_waited_for_at_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "HELD_S", PATIENCE_S)
    rig = Rig()
    rig.begin()
    rig.capture.end()
    for stream in (rig.n1, rig.n2, rig.phones):
        stream.write(packet(stream.now_ns(-0.01), b"kept"), packet(stream.now_ns(60.0), b"later"))
    rig.capture.await_ended()
    assert [stream.orders[-1] for stream in (rig.n1, rig.n2, rig.phones)] == ["end"] * 3
    kept = list(frames(b"".join(one.data for one in rig.blocks)))
    assert [frame.data for frame in kept].count(b"kept") == 3


def test_a_host_without_the_phones_image_is_sent_it() -> None:
    rig = Rig()
    rig.fleet.lacks = [PlacedImage("two", "labctl/phone:1")]
    rig.fleet.sends.set()
    rig.begin()
    assert rig.fleet.sent == [PlacedImage("two", "labctl/phone:1")]
    rig.finish()


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_packet_is_moved_whole_and_what_is_none_is_left_out(order: str) -> None:
    merge = PacketMerge(["n1", "n2"], [0, 54])
    at_ns = 1_795_718_300_825_137_904
    data = packet(at_ns, b"odd size!", 1, order)
    merge.add("n2", Block(data, 1, at_ns), shift_ns=-4)
    merge.add("n2", Block(block(5, bytes(12))))
    (moved,) = merge.until(at_ns)
    assert merge.until(at_ns) == []
    (frame,) = frames(merge.head.data + moved.data)
    assert (frame.interface, frame.data, frame.link) == (3, b"odd size!", 1)
    assert moved == replace(moved, at_ns=at_ns - 4)
