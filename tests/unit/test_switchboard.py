"""The steps that phones do, on phones whose SIPp a test speaks: what ends a call, and who may answer it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.history.events import Ended
from labctl.history.journal import Journal
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.steps import calls
from labctl.scenario.switchboard import Switchboard
from labctl.sip import phones as phones_module
from labctl.sip.phones import Phones
from labctl.sip.user_agent import MessageListener, UserAgent
from labctl.timing import Deadline
from tests.unit.phone_streams import CALLS, LAB, REFUSED, PhonesContainer, end, got, running_lab, sent

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

        self.journal = Journal()
        self.phones = Switchboard(LAB, self.journal, (), connect, lambda _phone, _message: None)
        self.phones.open()
        self.live = cast("LiveLab", SimpleNamespace(phones=self.phones, journal=self.journal))

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


def test_a_phone_answers_a_call_that_no_step_has_made(desk: Desk, container: PhonesContainer) -> None:
    line = desk.register("bob")
    (stream,) = container.agents
    stream.say(*INVITED)
    line.wait_for(lambda: line.call_state == "ringing", "a call", Deadline(5))
    obey = stream.send

    def send(data: bytes) -> None:
        obey(data)
        if data.startswith(b"send"):
            stream.say(*ACCEPTED)

    stream.send = send  # type: ignore[method-assign]
    calls.answer(desk.live, "bob")
    assert line.talking
