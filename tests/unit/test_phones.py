"""The phones of a lab: ports, files, what is left on, how they end. The engine is one that runs SIPp as a test says."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from labctl.engine.actions import File
from labctl.errors import HostError, LabError
from labctl.sip import kept_agents, phone_control
from labctl.sip import phones as phones_module
from labctl.sip.phones import AGENTS_A_PHONE, Phones
from labctl.sip.transcript import RINGING
from labctl.sip.user_agent import Refused, UserAgent
from labctl.timing import Deadline
from tests.unit.phone_streams import (
    CALLS,
    CONTAINER,
    LAB,
    REFUSED,
    REGISTERED,
    SIGNED,
    PhonesContainer,
    Sipp,
    Stream,
    end,
    got,
    made,
    sent,
    started,
)

SOON_S = 60.0
BODY = '<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info"/>'
WATCHES = (
    sent("SUBSCRIBE sip:102@n1 SIP/2.0", "2 SUBSCRIBE", SIGNED, call="w"),
    got("SIP/2.0 200 OK", "2 SUBSCRIBE", call="w"),
    got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY", "Event: dialog", call="w", body=BODY),
)
PACKET = "1700000000.5\t{source}\t{port}\t0\t0x1\t1\n"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for what does not come."""
    monkeypatch.setattr(phones_module, "LEAVE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(phones_module, "LATE_PACKETS_S", 0.01)


@pytest.fixture
def container() -> PhonesContainer:
    return PhonesContainer()


@pytest.fixture
def phones(container: PhonesContainer) -> Iterator[Phones]:
    with made(container) as opened:
        yield opened


def left_on(*agents: tuple[str, str, int], state: str = "on", size: int = 0) -> str:
    """What list-kept.sh says of them: phone, activity, port."""
    lines = []
    for phone, activity, port in agents:
        agent = kept_agents.KeptAgent(phone, activity, port, "token")
        text = f'{{"phone": "{agent.phone}", "activity": "{activity}", "port": {port}, "token": "token"}}'
        lines.append(f"{state} {size} {text}")
    return "\n".join(lines)


# Opening and closing


def test_the_container_is_started_and_has_the_tone_and_the_script(container: PhonesContainer, phones: Phones) -> None:
    assert [str(step) for step in container.started] == [f"start {CONTAINER}"]
    assert {"/tmp/labctl/tone.ulaw", "/tmp/labctl/run-sipp.sh"} <= container.files.keys()  # noqa: S108
    assert len(container.captures) == 1


def test_without_audio_nothing_is_listened_to(container: PhonesContainer) -> None:
    phones = made(container)
    phones.open(audio=False)
    phones.close()
    assert container.captures == []


def test_only_one_labctl_at_a_time_has_the_phones(container: PhonesContainer, phones: Phones) -> None:
    with pytest.raises(LabError, match="in use by another labctl"):
        made(container).open()
    phones.close()
    made(container).open(audio=False)


def test_an_engine_that_fails_leaves_the_phones_to_others(
    container: PhonesContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_container: str, _files: tuple[File, ...]) -> None:
        raise HostError("no Docker")

    with monkeypatch.context() as broken:
        broken.setattr(container, "put_files", fail)
        with pytest.raises(HostError):
            made(container).open()
    with made(container):
        pass


def test_closing_ends_what_runs_and_closes_every_stream(container: PhonesContainer, phones: Phones) -> None:
    alice, call = phones.switch_on("alice"), phones.call("bob", "101")
    phones.close()
    assert all(stream.closed for stream in container.streams)
    assert (alice.ending is not None, call.ending is not None) == (True, True)
    assert all("drain" in stream.orders for stream in container.agents)


def test_an_agent_that_could_not_be_started_is_not_waited_for(
    container: PhonesContainer, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_container: str, _command: list[str]) -> Sipp:
        raise HostError("no Docker")

    monkeypatch.setattr(phones_module, "KILL_TIMEOUT_S", 600.0)
    with monkeypatch.context() as broken:
        broken.setattr(container, "open_stream", fail)
        with pytest.raises(HostError):
            phones.call("alice", "102")
    assert phones.call("alice", "102").agent.port == 6001  # the port is free, and comes in its turn
    phones.close()


def test_a_stream_that_cannot_be_closed_keeps_no_other_open(
    container: PhonesContainer, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones.switch_on("alice")
    phones.switch_on("bob")
    closes = container.agents[0].close

    def fail() -> None:
        closes()
        raise HostError("the engine is gone")

    monkeypatch.setattr(container.agents[0], "close", fail)
    with pytest.raises(HostError):
        phones.close()
    assert container.agents[1].closed
    assert container.captures[0].closed
    with made(container):  # the claim is given back too
        pass
    monkeypatch.undo()


# Ports


def ports(*agents: UserAgent) -> list[tuple[int, int]]:
    return [(agent.agent.port, agent.agent.media.start) for agent in agents]


def test_each_agent_has_ports_of_its_own(phones: Phones) -> None:
    agents = (phones.switch_on("alice"), phones.call("alice", "102"), phones.switch_on("bob"))
    assert ports(*agents) == [(6000, 20000), (6001, 20010), (6100, 20100)]


def test_a_port_is_used_again_once_its_agent_has_ended_but_not_at_once(phones: Phones) -> None:
    first = phones.switch_on("alice")
    phones.switch_off(first)
    assert ports(*(phones.call("alice", "102") for _ in range(AGENTS_A_PHONE))) == [
        (6000 + slot, 20000 + 10 * slot) for slot in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)
    ]
    with pytest.raises(LabError, match="all that a phone has ports for"):
        phones.call("alice", "102")


@pytest.mark.long
def test_an_agent_that_has_ended_is_kept_no_longer_than_whoever_has_it(
    container: PhonesContainer, phones: Phones
) -> None:
    first = weakref.ref(phones.switch_on("alice"))
    phones.switch_off(cast("UserAgent", first()))
    phones.switch_on("bob")
    assert container.agents[0].closed
    gc.collect()
    assert first() is None


def test_what_was_heard_at_a_port_before_is_not_heard_again(container: PhonesContainer, phones: Phones) -> None:
    for heard in (3, 2):
        for _ in range(AGENTS_A_PHONE):
            alice = phones.switch_on("alice")
            packets(phones, container, alice, heard)
            phones.await_heard(alice, heard, Deadline(SOON_S))
            assert phones.heard(alice) == {alice.agent.node_address: heard}
            phones.switch_off(alice)


def test_a_port_of_an_agent_that_was_left_on_is_passed_over(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000), ("alice", "calls 102", 6001))
    with made(container) as phones:
        assert ports(phones.call("alice", "103")) == [(6002, 20020)]


def test_a_port_of_an_agent_that_has_ended_since_is_not(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000), state="ended")
    with made(container) as phones:
        assert ports(phones.call("alice", "103")) == [(6000, 20000)]


# Phones that stay on


def test_a_phone_that_is_kept_is_started_apart_and_followed(container: PhonesContainer, phones: Phones) -> None:
    container.says["attach"] = REGISTERED
    agent = phones.switch_on("alice", kept=True)
    keep = next(command for command in container.ran if command[3] == "keep-sipp")
    assert keep[4:6] == ["/tmp/labctl/kept/6000", "/tmp/labctl/run-sipp.sh"]  # noqa: S108
    assert keep[6] == "sipp"
    (listed,) = kept_agents.parse(f"on 0 {container.files['/tmp/labctl/kept/6000/agent']}")  # noqa: S108
    assert (listed.phone, listed.is_line, listed.port, listed.token) == ("alice", True, 6000, agent.agent.token)


def test_a_phone_that_is_kept_is_left_alone_at_the_end(container: PhonesContainer, phones: Phones) -> None:
    container.says["attach"] = REGISTERED
    phones.switch_on("alice", kept=True)
    phones.close()
    assert container.agents[0].orders == []
    assert container.agents[0].closed


def test_what_cannot_be_kept_is_told(container: PhonesContainer, phones: Phones) -> None:
    container.refuses_to_keep = "mkfifo: no space"
    with pytest.raises(LabError, match=r"alice \(phone\) cannot be left on: mkfifo: no space"):
        phones.switch_on("alice", kept=True)


def test_a_phone_that_was_left_on_is_gone_on_with_and_has_its_token(container: PhonesContainer) -> None:
    size = sum(map(len, REGISTERED))
    container.listing = left_on(("alice", "phone", 6000), size=size)
    container.says["attach"] = REGISTERED
    with made(container) as phones:
        line = phones.line("alice")
        assert line
        assert (line.agent.token, line.agent.port, line.bytes_read) == ("token", 6000, size)
        assert phones.line("alice") is line
        assert phones.line("bob") is None


def test_a_phone_that_is_on_is_not_switched_on_again(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000))
    with made(container) as phones, pytest.raises(LabError, match="alice is on already") as refused:
        phones.switch_on("alice")
    assert refused.value.hint == "labctl phone off alice"


def test_in_a_container_that_never_ran_nothing_was_left_on(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000))
    assert made(container, "created").kept() == ()
    assert container.ran == []


def test_a_listing_with_other_lines_is_read_all_the_same() -> None:
    text = "bash: cannot\n" + left_on(("bob", "phone", 6100)) + "\non x {\nended 5 no\n"
    assert [agent.port for agent in kept_agents.parse(text)] == [6100]


# By hand


def test_by_hand_a_phone_is_switched_on_once(container: PhonesContainer, phones: Phones) -> None:
    container.says |= {"6000": REGISTERED, "6010": WATCHES, "6011": WATCHES}
    assert phone_control.switch_on(phones, LAB, "alice")
    assert not phone_control.switch_on(phones, LAB, "alice")


def test_by_hand_a_phone_watches_what_the_lab_file_says(container: PhonesContainer, phones: Phones) -> None:
    container.says |= {"6000": REGISTERED, "6010": WATCHES, "6011": WATCHES}
    phone_control.switch_on(phones, LAB, "alice")
    agents = [text for path, text in container.files.items() if path.endswith("/agent")]
    activities = [agent.activity for agent in kept_agents.parse("\n".join(f"on 0 {text}" for text in agents))]
    assert activities == ["phone", "watches 102", "watches 103"]


def test_by_hand_what_is_watched_already_is_not_watched_again(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "watches 102", 6010))
    container.says["attach"] = WATCHES
    with made(container) as phones:
        assert phone_control.watch(phones, "alice", "102") == "terminated"
    assert not [command for command in container.ran if command[3] == "keep-sipp"]


def test_by_hand_a_call_rings_or_is_refused_at_once(container: PhonesContainer, phones: Phones) -> None:
    container.says["attach"] = CALLS
    assert phone_control.dial(phones, LAB, "alice", "102").call_state == RINGING
    container.says["attach"] = REFUSED
    with pytest.raises(Refused, match=r'alice calls 102: 488 Not Acceptable Here \(Warning: 304 n1 "no codec"\)'):
        phone_control.dial(phones, LAB, "alice", "102")


def test_by_hand_a_phone_that_is_off_cannot_answer_nor_hang_up(phones: Phones) -> None:
    with pytest.raises(LabError, match="bob is off"):
        phone_control.answer(phones, LAB, "bob")
    with pytest.raises(LabError, match="bob is in no call"):
        phone_control.hang_up(phones, "bob")


def _two_calls(container: PhonesContainer) -> None:
    """bob's line was left on: alice's call rings there, and then carol's. He takes and ends what he is told to."""
    said = [*REGISTERED]
    for caller in ("alice", "carol"):
        said.append(got("INVITE sip:bob@n2 SIP/2.0", "7 INVITE", f"From: <sip:{caller}@n2>;tag=x", call=caller))
        said.append(sent("SIP/2.0 180 Ringing", "7 INVITE", call=caller))
    container.says["attach"] = tuple(said)
    container.listing = left_on(("bob", "phone", 6100), size=sum(map(len, said)))

    def ack(call: str) -> bytes:
        return got("ACK sip:bob@n2 SIP/2.0", "7 ACK", call=call)

    def obey(datagram: str) -> tuple[bytes, ...]:
        call = "alice" if "Call-ID: alice" in datagram else "carol"
        if "Subject: reject" in datagram:
            return (sent("SIP/2.0 486 Busy Here", "7 INVITE", call=call), ack(call))
        return (sent("SIP/2.0 200 OK", "7 INVITE", call=call), ack(call))

    container.on_order = obey


def test_by_hand_a_phone_that_talks_answers_the_call_that_rings(container: PhonesContainer) -> None:
    """The second time the call that it had taken was told to be taken, and the other rang on."""
    _two_calls(container)
    with made(container) as phones:
        assert phone_control.answer(phones, LAB, "bob") == "carol"
        assert phone_control.answer(phones, LAB, "bob") == "alice"


def test_by_hand_who_answers_waits_for_the_caller_to_know(container: PhonesContainer) -> None:
    """A transfer by the caller came too soon: "alice talks with nobody"."""
    _two_calls(container)
    with made(container) as phones:
        waited: list[str] = []
        caller = SimpleNamespace(
            calls=["x"], peer_of=lambda _: "102", state_of=lambda _: RINGING, wait_for=lambda *_: waited.append("x")
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(phone_control, "_agents", lambda _, name: [caller] if name == "carol" else [])
            assert phone_control.answer(phones, LAB, "bob") == "carol"
        assert waited == ["x"]


def test_a_call_is_awaited_beside_the_one_that_goes_on_and_is_no_new_offer_in_that() -> None:
    """A re-INVITE of the call that bob was in was taken for the one that alice made."""
    from_carol, from_alice = (f"From: <sip:{name}@n2>;tag=x" for name in ("carol", "101"))
    invite = "INVITE sip:bob@n2 SIP/2.0"
    stream, other = Stream(got(invite, "7 INVITE", from_carol, call="c1")), Stream()
    line, calling = started(stream, "phone"), started(other)
    line.wait_for(lambda: bool(line.calls), "a call", Deadline(5))
    stream.say(got(invite, "8 INVITE", from_carol, call="c1"), got(invite, "1 INVITE", from_carol, call="c2"))
    line.wait_for(lambda: len(line.calls) == 2, "the second", Deadline(5))
    threading.Timer(0.1, stream.say, (got(invite, "1 INVITE", from_alice, call="c3"),)).start()
    assert line.await_call(["c1"], Deadline(5), calling, ("alice", "101")) == "c3"
    with pytest.raises(LabError, match="a call: not within"):
        line.await_call(["c1"], Deadline(0.1), calling, ["dave"])
    other.say(*CALLS)
    calling.wait_for(lambda: calling.call_state == RINGING, "that it rings", Deadline(5))
    assert line.await_call(["c1"], Deadline(5), calling, ["dave"]) == "c3"


def test_by_hand_all_calls_of_a_phone_end(container: PhonesContainer) -> None:
    """Of two calls the last ended, and the other was told to have."""
    _two_calls(container)
    with made(container) as phones:
        assert phone_control.hang_up(phones, "bob") == ["alice", "carol"]
        line = phones.line("bob")
        assert line
        assert all(line.end_of(call) for call in line.calls)


def test_by_hand_what_is_on_is_shown_with_what_it_does(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000), ("alice", "calls 102", 6001))
    container.says["attach"] = CALLS
    with made(container) as phones:
        rows = phone_control.views(phones, LAB)
    assert [(row.phone, row.node, row.extension, row.activity) for row in rows] == [
        ("alice", "n1", "101", "phone"),
        ("alice", "n1", "101", "calls 102"),
    ]


def test_by_hand_what_is_switched_off_is_ended_and_forgotten(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6000), ("bob", "phone", 6100))
    with made(container) as phones:
        assert phone_control.switch_off(phones, "alice")
    (agent,) = container.agents
    assert "drain" in agent.orders
    assert ["rm", "-rf", "/tmp/labctl/kept/6000"] in container.ran  # noqa: S108


# What phones hear


def packets(phones: Phones, container: PhonesContainer, agent: UserAgent, count: int, source: str = "") -> None:
    """Have packets come in at an agent's port, from its node."""
    line = PACKET.format(source=source or agent.agent.node_address, port=agent.agent.media.start)
    container.captures[0].say(line.encode() * count)


def test_an_agent_hears_what_comes_from_its_node_at_its_ports(container: PhonesContainer, phones: Phones) -> None:
    alice, bob = phones.call("alice", "102"), phones.switch_on("bob")
    packets(phones, container, bob, 3)
    packets(phones, container, alice, 2, source="192.0.2.77")
    packets(phones, container, alice, 5)
    phones.await_heard(alice, 5, Deadline(SOON_S))
    assert phones.heard(alice) == {alice.agent.node_address: 5, "192.0.2.77": 2}
    assert phones.heard(bob) == {bob.agent.node_address: 3}


def test_waiting_to_hear_ends_with_the_call(container: PhonesContainer, phones: Phones) -> None:
    container.says["call"] = REFUSED
    alice = phones.call("alice", "102")
    with pytest.raises(LabError, match=r"heard nothing, not 5 .*; the call is over: 488 Not Acceptable Here"):
        phones.await_heard(alice, 5, Deadline(600))


def test_waiting_to_hear_ends_with_what_listens(container: PhonesContainer, phones: Phones) -> None:
    alice = phones.call("alice", "102")
    container.captures[0].say(b"tshark: no permission\n")
    container.captures[0].end()
    with pytest.raises(LabError) as raised:
        phones.await_heard(alice, 5, Deadline(600))
    assert raised.value.hint == "tshark said: tshark: no permission"


def test_a_line_of_tsharks_that_is_no_packet_is_passed_over(container: PhonesContainer, phones: Phones) -> None:
    alice = phones.call("alice", "102")
    container.captures[0].say(b"a\tb\tc\td\te\tf\n")
    packets(phones, container, alice, 1)
    phones.await_heard(alice, 1, Deadline(SOON_S))


# Loads


def test_a_load_that_leaves_no_statistics_is_told(container: PhonesContainer, phones: Phones) -> None:
    container.says["storm"] = (end(255, "no such file"),)
    with pytest.raises(LabError, match="no statistics of SIPp's: SIPp: a fatal error"):
        phones.storm("alice", 10, 1)


def test_a_storm_registers_a_phone_where_it_is_on(container: PhonesContainer) -> None:
    container.listing = left_on(("alice", "phone", 6007))
    container.says["storm"] = (end(255),)
    with made(container) as phones, pytest.raises(LabError):
        phones.storm("alice", 10, 1)
    assert "[local_ip]:6007>" in next(text for path, text in container.files.items() if path.endswith("storm.xml"))
