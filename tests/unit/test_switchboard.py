"""The steps that phones do, on phones whose SIPp a test speaks: what ends a call, and who may answer it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.history.events import Began, Ended, FaultBegan, Healed
from labctl.history.journal import Journal
from labctl.scenario import switchboard
from labctl.scenario.conversation import CallEnd
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.steps import calls
from labctl.scenario.switchboard import Switchboard
from labctl.sip import phones as phones_module
from labctl.sip.phones import Phones
from labctl.sip.user_agent import MessageListener, UserAgent
from labctl.timing import Deadline, Signal
from tests.unit.phone_streams import CALL, CALLS, LAB, REFUSED, PhonesContainer, end, got, running_lab, sent

WARNED = '488 Not Acceptable Here (Warning: 304 n1 "no codec")'
INVITED = (
    got("INVITE sip:bob@192.0.2.9 SIP/2.0", "7 INVITE", "From: <sip:queue@192.0.2.1>;tag=x", call="q"),
    sent("SIP/2.0 180 Ringing", "7 INVITE", call="q"),
)
ACCEPTED = (sent("SIP/2.0 200 OK", "7 INVITE", call="q"), got("ACK sip:bob@192.0.2.9 SIP/2.0", "7 ACK", call="q"))


class Desk:
    """The phones of a run, and the steps on them, without a cluster."""

    def __init__(self, container: PhonesContainer) -> None:
        def connect(on_message: MessageListener) -> Phones:
            return Phones(cast("Engine", container), running_lab(), on_message)

        self.gone: set[str] = set()
        self.journal = Journal()
        self.journal.write(Began(0.0, "desk", "lab", "22", ("n1", "n2", "n3"), {}))
        self.cut_off: list[str] = []
        self.phones = Switchboard(
            LAB, self.journal, self.gone, connect, lambda _phone, _message: None, on_cut_off=self.cut_off.append
        )
        self.phones.open()
        self.live = cast("LiveLab", SimpleNamespace(phones=self.phones, journal=self.journal, gone=self.gone))

    def register(self, phone: str) -> UserAgent:
        """Switch a phone on, as the step does."""
        self.phones.lines[phone] = self.phones.agents.switch_on(phone, 600_000)
        return self.phones.lines[phone]

    @property
    def endings(self) -> list[tuple[bool, str]]:
        """How each call ended."""
        return [(event.ok, event.why) for event in self.journal.events if isinstance(event, Ended)]

    def await_ending(self) -> None:
        """Return when the caller's SIPp has ended."""
        calling = self.phones.calls[0].calling
        calling.wait_for(lambda: calling.ending is not None, "its end", Deadline(5))


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> PhonesContainer:
    """Nobody waits long at the end; in between nothing but what happens ends a wait."""
    monkeypatch.setattr(phones_module, "LEAVE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(phones_module, "LATE_PACKETS_S", 0.01)
    monkeypatch.setattr(switchboard, "GIVE_UP_S", 0.05)
    monkeypatch.setattr(calls, "ANSWER_S", 600.0)
    return PhonesContainer()


@pytest.fixture
def desk(container: PhonesContainer) -> Iterator[Desk]:
    opened = Desk(container)
    yield opened
    opened.phones.close()


def test_a_call_that_is_refused_ends_its_step_at_once_with_the_status(desk: Desk, container: PhonesContainer) -> None:
    desk.register("bob")
    container.says["call"] = REFUSED
    with pytest.raises(LabError, match="488 Not Acceptable Here"):
        calls.call(desk.live, "alice", "bob")
    ((ok, why),) = desk.endings
    assert (ok, WARNED in why) == (False, True)


def test_talk_ends_at_once_with_the_call(desk: Desk, container: PhonesContainer) -> None:
    container.says["call"] = REFUSED
    calls.call(desk.live, "alice", "999")
    with pytest.raises(LabError, match="488 Not Acceptable Here"):
        calls.talk(desk.live, ("alice",))


def test_a_call_that_its_node_refused_does_not_still_go_on_when_the_run_ends(
    desk: Desk, container: PhonesContainer
) -> None:
    container.says["call"] = REFUSED
    calls.call(desk.live, "alice", "999")
    desk.await_ending()
    desk.phones.close()
    assert desk.endings == [(False, WARNED)]


def test_a_call_that_its_node_ended_in_good_order_is_over(desk: Desk, container: PhonesContainer) -> None:
    bye = got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE")
    container.says["call"] = (*CALLS, got("SIP/2.0 200 OK", "2 INVITE"), bye, end(0))
    calls.call(desk.live, "alice", "700")
    desk.await_ending()
    desk.phones.close()
    assert desk.endings == [(True, "")]


def test_a_call_that_goes_on_when_the_run_ends_is_told_so(desk: Desk) -> None:
    calls.call(desk.live, "alice", "*600")
    desk.phones.close()
    assert desk.endings == [(False, "it was still going on when the run ended")]


@pytest.mark.parametrize("first", ["alice", "carol"])
def test_a_call_that_never_came_takes_no_later_one(
    desk: Desk, container: PhonesContainer, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """In a soak all later calls to that phone failed: each was taken for the one before it."""
    desk.register("bob")
    (stream,) = container.agents
    container.says["call"] = CALLS
    monkeypatch.setattr(calls, "ANSWER_S", 0.05)
    with pytest.raises(LabError, match="a call at bob"):
        calls.call(desk.live, first, "bob")
    monkeypatch.setattr(calls, "ANSWER_S", 600.0)

    def ring() -> None:
        while len(desk.phones.calls) < 2:
            Signal().wait_beyond(0, Deadline(0.01))
        stream.say(*INVITED)

    ringing = threading.Thread(target=ring)
    ringing.start()
    calls.call(desk.live, "alice", "bob")
    ringing.join()
    given_up, reached = desk.phones.calls
    assert (given_up.far, reached.far is not None) == (None, True)


def _has_calls(line: UserAgent, number: int) -> bool:
    return len(line.calls) == number


def test_of_two_calls_that_are_awaited_each_has_its_own(desk: Desk, container: PhonesContainer) -> None:
    """The first that was made took the first that came, though it was the other caller's."""
    line = desk.register("bob")
    (stream,) = container.agents
    first, second = (desk.phones.place(caller, "bob", 1000) for caller in ("alice", "carol"))
    for number, caller in enumerate(("carol", "alice"), 1):
        assert not desk.phones.reached(first)
        stream.say(got("INVITE sip:bob@n2 SIP/2.0", "7 INVITE", f"From: <sip:{caller}@n2>;tag=x", call=caller))
        line.wait_for(partial(_has_calls, line, number), "a call", Deadline(5))
    assert desk.phones.reached(first)
    assert (first.far and first.far.call, second.far and second.far.call) == ("alice", "carol")


def test_a_phone_answers_a_call_that_no_step_has_made(desk: Desk, container: PhonesContainer) -> None:
    line = desk.register("bob")
    (stream,) = container.agents
    stream.say(*INVITED)
    line.wait_for(lambda: line.call_state == "ringing", "a call", Deadline(5))
    stream.obeys(*ACCEPTED)
    calls.answer(desk.live, "bob")
    assert line.talking


def _ringing(desk: Desk, container: PhonesContainer) -> UserAgent:
    """alice has called bob, at whose phone it rings; alice's node says that he answers before his phone does."""
    container.says["call"] = CALLS
    line = desk.register("bob")
    (stream,) = container.agents
    stream.say(*INVITED)
    line.wait_for(lambda: line.call_state == "ringing", "a call", Deadline(5))
    calls.call(desk.live, "alice", "999")
    (call,) = desk.phones.calls
    call.line, call.callee, call.far = line, "bob", CallEnd("bob", line, "q")
    call.near = CallEnd("alice", call.calling, CALL)
    container.agents[-1].say(got("SIP/2.0 200 OK", "2 INVITE"))
    return line


def test_who_answers_has_answered_when_the_step_is_over(desk: Desk, container: PhonesContainer) -> None:
    """Each phone is read by itself: on a busy machine the caller's word of the answer came before the answer."""
    line = _ringing(desk, container)
    answering = threading.Thread(target=calls.answer, args=(desk.live, "bob"))
    answering.start()
    calling = desk.phones.calls[0].calling
    calling.wait_for(lambda: 200 in calling.answers("INVITE"), "an answer", Deadline(5))
    answering.join(timeout=0.2)
    assert answering.is_alive()
    container.agents[0].say(*ACCEPTED)
    answering.join(timeout=5)
    assert not answering.is_alive()
    assert line.talking


def test_a_call_that_is_over_as_soon_as_it_is_answered_was_answered(desk: Desk, container: PhonesContainer) -> None:
    """The caller's phone tells of the answer and the end before the called phone tells of its answer."""
    line = _ringing(desk, container)
    container.agents[1].say(got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE"), end(0))
    container.agents[1].end()
    threading.Timer(0.2, container.agents[0].say, ACCEPTED).start()
    calls.answer(desk.live, "bob")
    assert line.was_answered("q")


def test_a_call_that_its_node_gave_up_was_not_answered(desk: Desk, container: PhonesContainer) -> None:
    _ringing(desk, container)
    container.agents[0].obeys(got("CANCEL sip:bob@192.0.2.9 SIP/2.0", "7 CANCEL", call="q"))
    with pytest.raises(LabError, match="bob: the call is over: its node gave up"):
        calls.answer(desk.live, "bob")


def test_in_a_call_that_is_not_answered_nothing_is_heard_of_another(desk: Desk, container: PhonesContainer) -> None:
    """What bob had heard of the call that he holds counted for the one that he was about to take."""
    line = _ringing(desk, container)
    port, node = line.agent.media.start, line.agent.node_address
    container.captures[0].say("".join(f"0.{at}\t{node}\t{port}\t0\t0x1\t{at}\n" for at in range(80)).encode())
    line.wait_for(lambda: desk.phones.agents.heard(line)[node] == 80, "80 packets", Deadline(5))
    assert desk.phones.heard(CallEnd("bob", line, "q")) == 0


def test_who_hangs_up_has_done_so_for_both_when_the_step_is_over(desk: Desk, container: PhonesContainer) -> None:
    """The other phone's calls were still those that went on: the next step meant the one that was over."""
    _ringing(desk, container)
    container.agents[0].obeys(*ACCEPTED)
    calls.answer(desk.live, "bob")
    bye = got("BYE sip:bob@192.0.2.9 SIP/2.0", "8 BYE", call="q")
    threading.Timer(0.1, container.agents[0].say, (bye,)).start()
    container.agents[1].obeys(end(0))
    calls.hang_up(desk.live, "alice")
    assert not desk.phones.ends("bob")
    assert desk.endings == [(True, "")]


def test_whom_the_end_of_a_call_does_not_reach_holds_nobody_up(
    desk: Desk, container: PhonesContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard, "FAR_END_S", 0.05)
    _ringing(desk, container)
    container.agents[0].obeys(*ACCEPTED)
    calls.answer(desk.live, "bob")
    desk.journal.write(FaultBegan(desk.journal.now_s(), "killed", "kill asterisk", ("n2",)))
    desk.journal.write(Healed(desk.journal.now_s(), "killed"))
    container.agents[1].obeys(end(0))
    calls.hang_up(desk.live, "alice")
    assert len(desk.phones.ends("bob")) == 1
    assert desk.endings == [(True, "")]


def test_whose_call_is_cut_off_without_a_word_is_told(desk: Desk, container: PhonesContainer) -> None:
    """Its node may have the call for as long as it will."""
    container.says["call"] = CALLS
    desk.phones.place("alice", "999", 600_000)
    with pytest.raises(LabError, match="goes on after"):
        desk.phones.finish(desk.phones.calls[0], Deadline(0.05))
    assert desk.cut_off == ["alice"]
