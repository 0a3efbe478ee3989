"""Calls, lamps and registrations of real SIP phones, across nodes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from labctl.engine.actions import PauseContainer, UnpauseContainer
from labctl.errors import LabError
from labctl.names import container_name
from labctl.sip.load import LoadResult
from labctl.sip.phone_control import UNTIL_ANSWERED_MS
from labctl.sip.phones import Phones
from labctl.sip.user_agent import Refused, UserAgent
from labctl.timing import Deadline, pass_time
from tests.e2e.conftest import LabUnderTest

pytestmark = pytest.mark.docker

RING_MS = 100
ARRIVES_S = 60.0
PACKETS = 10
"""Of 20 ms each: 200 ms of audio."""

MESSAGE_MS = 500

STUCK_S = 0.7
"""Longer than a phone waits before it asks again (RFC 3261, T1), and shorter than would cost a node its ring."""


def talk(phones: Phones, caller: UserAgent, callee: UserAgent) -> None:
    """Let both hear some audio from their nodes, and hang up."""
    phones.await_heard(caller, PACKETS, Deadline(ARRIVES_S))
    phones.await_heard(callee, PACKETS, Deadline(ARRIVES_S))
    caller.nudge()


@pytest.mark.parametrize(("caller", "callee"), [("alice", "bob"), ("bob", "alice"), ("carol", "bob")])
def test_call_across_nodes_carries_audio_both_ways(lab: LabUnderTest, phones: Phones, caller: str, callee: str) -> None:
    called = phones.switch_on(callee, RING_MS)
    call = phones.call(caller, lab.running.lab.phone(callee).extension)
    talk(phones, call, called)
    assert call.finish(Deadline(ARRIVES_S)).code == 0
    assert phones.switch_off(called).code == 0


def test_call_from_node_1_to_node_2_is_watched_from_node_3(phones: Phones) -> None:
    """A node that comes to tell of a state when the next is there passes over it, so bob rings until carol sees it."""
    bob = phones.switch_on("bob", UNTIL_ANSWERED_MS)
    carol = phones.watch("carol", "102")

    def sees(*states: str) -> None:
        carol.wait_for(lambda: carol.dialog_states[before:] == [*states], f"{states}", Deadline(ARRIVES_S))

    carol.wait_for(lambda: carol.dialog_states[-1] == "terminated", "bob is idle", Deadline(ARRIVES_S))
    before = len(carol.dialog_states)
    call = phones.call("alice", "102")
    sees("early")
    bob.answer(Deadline(ARRIVES_S))
    sees("early", "confirmed")
    talk(phones, call, bob)
    sees("early", "confirmed", "terminated")
    carol.nudge()
    assert [each.finish(Deadline(ARRIVES_S)).code for each in (call, carol)] == [0, 0]


def test_voicemail_on_node_1_lights_the_lamp_of_a_phone_on_node_3(phones: Phones) -> None:
    carol = phones.switch_on("carol")
    carol.wait_for(lambda: carol.mailbox is not None, "what the mailbox holds", Deadline(ARRIVES_S))
    before = carol.mailbox.new if carol.mailbox else 0
    assert phones.call("alice", "*103", MESSAGE_MS).finish(Deadline(ARRIVES_S)).code == 0
    carol.wait_for(lambda: bool(carol.mailbox and carol.mailbox.new > before), "a new message", Deadline(ARRIVES_S))
    body = carol.received("NOTIFY")[-1].body
    assert body.startswith(f"Messages-Waiting: yes\nVoice-Message: {before + 1}/0")


def test_wrong_password_is_refused(lab: LabUnderTest, phones: Phones) -> None:
    with pytest.raises(Refused, match=r"bob .*401 Unauthorized"):
        phones.switch_on("bob", password="wrong")
    lab.cluster.await_state("102", "Unavailable", Deadline(ARRIVES_S))


def test_hints_of_a_phone_follow_its_registration_on_every_node(lab: LabUnderTest, phones: Phones) -> None:
    lab.cluster.await_state("102", "Unavailable", Deadline(ARRIVES_S))
    bob = phones.switch_on("bob")
    lab.cluster.await_state("102", "Idle", Deadline(ARRIVES_S))
    phones.switch_off(bob)
    lab.cluster.await_state("102", "Unavailable", Deadline(ARRIVES_S))


def test_caller_who_gives_up_stops_the_ringing(lab: LabUnderTest, phones: Phones) -> None:
    bob = phones.switch_on("bob", ring_ms=30_000)
    call = phones.call("alice", "102")
    lab.cluster.await_state("102", "Ringing", Deadline(ARRIVES_S))
    call.nudge()
    assert call.finish(Deadline(ARRIVES_S)).code == 0
    lab.cluster.await_state("102", "Idle", Deadline(ARRIVES_S))
    bob.wait_for(lambda: len(bob.received("CANCEL")) == 1, "a CANCEL", Deadline(ARRIVES_S))


def test_callee_who_hangs_up_ends_the_call(lab: LabUnderTest, phones: Phones) -> None:
    bob = phones.switch_on("bob", ring_ms=30_000)
    call = phones.call("alice", "102")
    bob.wait_for(lambda: bool(bob.received("INVITE")), "a call", Deadline(ARRIVES_S))
    bob.nudge_call()
    phones.await_heard(bob, PACKETS, Deadline(ARRIVES_S))
    bob.nudge_call()
    assert call.finish(Deadline(ARRIVES_S)).code == 0
    lab.cluster.await_state("102", "Idle", Deadline(ARRIVES_S))


# Hold


def talking(phones: Phones) -> tuple[UserAgent, UserAgent]:
    """alice on node 1 and bob on node 2, who talk."""
    bob = phones.switch_on("bob", RING_MS)
    alice = phones.call("alice", "102")
    alice.wait_for(lambda: alice.talking, "an answer", Deadline(ARRIVES_S))
    bob.wait_for(lambda: bob.talking, "an answer", Deadline(ARRIVES_S))
    return alice, bob


@pytest.mark.parametrize("who_hangs_up", ["alice", "bob"])
@pytest.mark.parametrize("who_holds", ["alice", "bob"])
@pytest.mark.parametrize("resumes", [True, False])
def test_a_call_that_was_held_is_hung_up_by_either_side(
    lab: LabUnderTest, phones: Phones, who_holds: str, who_hangs_up: str, resumes: bool
) -> None:
    alice, bob = talking(phones)
    holder = alice if who_holds == "alice" else bob
    holder.hold()
    if resumes:
        holder.resume()
        heard = phones.heard(bob)[bob.agent.node_address]
        phones.await_heard(bob, heard + PACKETS, Deadline(ARRIVES_S))
    (alice if who_hangs_up == "alice" else bob).hang_up(Deadline(ARRIVES_S))
    assert alice.finish(Deadline(ARRIVES_S)).code == 0
    lab.cluster.await_state("102", "Idle", Deadline(ARRIVES_S))


def test_a_call_is_held_and_resumed_many_times(phones: Phones) -> None:
    """Each offer has a branch of its own: with one that comes again, PJSIP answered one in nine with 500."""
    for agent in talking(phones):
        for _ in range(10):
            agent.hold()
            agent.resume()


# Calls that end


def test_a_call_that_its_node_refuses_is_told_at_once_with_the_status(phones: Phones) -> None:
    call = phones.call("alice", "999")
    with pytest.raises(LabError, match=r"an answer: alice \(calls 999\) has ended: 404 Not Found"):
        call.wait_for(lambda: call.talking, "an answer", Deadline(600))


def test_waiting_for_audio_ends_with_the_call(phones: Phones) -> None:
    alice, bob = talking(phones)
    bob.hang_up(Deadline(ARRIVES_S))
    for agent in (alice, bob):
        with pytest.raises(LabError, match="the call is over"):
            phones.await_heard(agent, 1_000_000, Deadline(600))


def test_two_labctls_in_a_row_have_dialogs_of_their_own(lab: LabUnderTest, phones: Phones) -> None:
    """A node remembers a dialog for 32 s: one of the same Call-ID was refused by chan_sip."""
    first = phones.call("alice", "*600", 100)
    assert first.finish(Deadline(ARRIVES_S)).code == 0
    phones.close()
    with Phones(lab.engine, lab.running) as others:
        second = others.call("alice", "*600", 100)
        assert second.finish(Deadline(ARRIVES_S)).code == 0
        assert second.agent.port == first.agent.port
        assert second.call != first.call


def now_and_then_stuck(lab: LabUnderTest, node: str, load: Future[LoadResult]) -> LoadResult:
    """What came of a load while a node stood still again and again, for so long that phones asked it twice."""
    container = container_name(lab.running.lab.name, node)
    while not load.done():
        lab.engine.apply(PauseContainer(container))
        pass_time(STUCK_S)
        lab.engine.apply(UnpauseContainer(container))
        pass_time(STUCK_S)
    return load.result()


def of_several(lab: LabUnderTest, node: str, begin: Callable[[], LoadResult]) -> LoadResult:
    """The first load, of five, that was served: where the engine is busy a node may stand still for longer than SIP
    waits. The lab is whole again on return."""
    for _ in range(5):
        with ThreadPoolExecutor() as pool:
            load = now_and_then_stuck(lab, node, pool.submit(begin))
        if not load.failed and load.retransmissions:
            break
    lab.cluster.await_ready(Deadline(ARRIVES_S))
    return load


def test_registrations_at_a_node_that_answers_late_all_succeed(lab: LabUnderTest, phones: Phones) -> None:
    load = of_several(lab, "n2", lambda: phones.storm("bob", 20, 200))
    assert load.retransmissions > 0
    assert (load.done, load.failed) == (200, 0), load


def test_calls_through_a_node_that_answers_late_all_succeed(lab: LabUnderTest, phones: Phones) -> None:
    bob = phones.switch_on("bob", RING_MS, audio=False)
    load = of_several(lab, "n1", lambda: phones.calls("alice", "102", 10, 100, 100))
    phones.switch_off(bob)
    assert load.retransmissions > 0
    assert (load.done, load.failed) == (100, 0), load
