"""The steps that phones do, on phones whose SIPp a test speaks: what ends a call, and who may answer it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.history.events import Ended
from labctl.history.journal import Journal
from labctl.progress import Silent
from labctl.scenario import call_steps
from labctl.scenario.call_steps import Switchboard
from labctl.sip import phones as phones_module
from labctl.timing import Deadline
from tests.unit.phone_streams import CALLS, REFUSED, PhonesContainer, end, got, running_lab, sent

WARNED = '488 Not Acceptable Here (Warning: 304 n1 "no codec")'
INVITED = (
    got("INVITE sip:bob@192.0.2.9 SIP/2.0", "7 INVITE", "From: <sip:queue@192.0.2.1>;tag=x", call="q"),
    sent("SIP/2.0 180 Ringing", "7 INVITE", call="q"),
)
ACCEPTED = (sent("SIP/2.0 200 OK", "7 INVITE", call="q"), got("ACK sip:bob@192.0.2.9 SIP/2.0", "7 ACK", call="q"))


class Desk(Switchboard):
    """The steps alone, without a cluster."""

    def __init__(self, container: PhonesContainer) -> None:
        super().__init__(cast("Engine", container), running_lab(), Journal(), Silent())
        self._open_phones()

    def close(self) -> None:
        """As at the end of a run."""
        self._lose_calls()
        self._close_phones()

    @property
    def endings(self) -> list[tuple[bool, str]]:
        """How each call ended."""
        return [(event.ok, event.why) for event in self.journal.events if isinstance(event, Ended)]


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> PhonesContainer:
    """Nobody waits long at the end; in between nothing but what happens ends a wait."""
    monkeypatch.setattr(phones_module, "LEAVE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(phones_module, "LATE_PACKETS_S", 0.01)
    monkeypatch.setattr(call_steps, "ANSWER_S", 600.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("locks")))
    return PhonesContainer()


@pytest.fixture
def desk(container: PhonesContainer) -> Iterator[Desk]:
    opened = Desk(container)
    yield opened
    opened.close()


def test_a_call_that_is_refused_ends_its_step_at_once_with_the_status(desk: Desk, container: PhonesContainer) -> None:
    desk.register("bob")
    container.says["call"] = REFUSED
    with pytest.raises(LabError, match=r"a call from alice: alice \(calls 102\) has ended: 488 Not Acceptable Here"):
        desk.call("alice", "bob")
    ((ok, why),) = desk.endings
    assert (ok, WARNED in why) == (False, True)


def test_talk_ends_at_once_with_the_call(desk: Desk, container: PhonesContainer) -> None:
    container.says["call"] = REFUSED
    desk.call("alice", "999")
    with pytest.raises(LabError, match="the call is over: 488 Not Acceptable Here"):
        desk.talk("alice")


def test_a_call_that_its_node_refused_does_not_still_go_on_when_the_run_ends(
    desk: Desk, container: PhonesContainer
) -> None:
    container.says["call"] = REFUSED
    desk.call("alice", "999")
    desk._phones._signal.wait_until(lambda: desk._calls[0].calling.ending is not None, Deadline(5))
    desk._lose_calls()
    assert desk.endings == [(False, WARNED)]


def test_a_call_that_its_node_ended_in_good_order_is_over(desk: Desk, container: PhonesContainer) -> None:
    bye = got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE")
    container.says["call"] = (*CALLS, got("SIP/2.0 200 OK", "2 INVITE"), bye, end(0))
    desk.call("alice", "700")
    desk._phones._signal.wait_until(lambda: desk._calls[0].calling.ending is not None, Deadline(5))
    desk._lose_calls()
    assert desk.endings == [(True, "")]


def test_a_call_that_goes_on_when_the_run_ends_is_told_so(desk: Desk) -> None:
    desk.call("alice", "*600")
    desk._lose_calls()
    assert desk.endings == [(False, "it was still going on when the run ended")]


def test_a_phone_answers_a_call_that_no_step_has_made(desk: Desk, container: PhonesContainer) -> None:
    desk.register("bob")
    (stream,) = container.agents
    stream.say(*INVITED)
    line = desk._lines["bob"]
    line.wait_for(lambda: line.call_state == "ringing", "a call", Deadline(5))
    obey = stream.send

    def send(data: bytes) -> None:
        obey(data)
        if data.startswith(b"send"):
            stream.say(*ACCEPTED)

    stream.send = send  # type: ignore[method-assign]
    desk.answer("bob")
    assert line.talking
