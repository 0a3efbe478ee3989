"""Calls of a run: each ends once, at once and with why; steps on a call that is over say so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from labctl.errors import LabError, UsageError
from labctl.history.events import Called, Watching
from labctl.scenario import switchboard
from tests.unit.live_labs import OK, RINGING, TRYING, FakeAgent, Rig

REFUSED = "488 Not Acceptable Here"


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A live lab with its phones at hand; whoever is told of no end is not waited for long."""
    monkeypatch.setattr(switchboard, "FAR_END_S", 0.01)
    opened = Rig()
    opened.live.open()
    return opened


def refused(agent: FakeAgent) -> None:
    agent.invite(TRYING, REFUSED)


def ring(rig: Rig) -> FakeAgent:
    """alice calls bob, at whom it rings; alice's agent."""
    rig.live.register("bob")
    bob = rig.phones.agents[-1]

    def arrive(agent: FakeAgent) -> None:
        agent.invite(TRYING, RINGING)
        bob.request("INVITE", sent=False)

    rig.phones.script = arrive
    rig.live.call("alice", "bob")
    return rig.phones.agents[-1]


def answered(rig: Rig) -> FakeAgent:
    """alice calls bob, who answers; alice's agent."""
    alice, bob = ring(rig), rig.phones.agents[0]

    def answer() -> None:
        bob.message(f"SIP/2.0 {OK}", "INVITE", sent=True)
        alice.message(f"SIP/2.0 {OK}", "INVITE", sent=False)

    bob.on_order = answer
    rig.live.answer("bob")
    bob.on_order = lambda: None
    return alice


# Where a node refuses


def test_a_refused_call_is_written_down_at_once_with_its_status(rig: Rig) -> None:
    rig.phones.script = refused
    rig.live.call("alice", "901")
    assert rig.ended == [REFUSED]


def test_a_refusal_that_comes_later_is_written_down_as_it_comes(rig: Rig) -> None:
    rig.live.call("alice", "901")
    assert rig.ended == []
    rig.phones.agents[0].message(f"SIP/2.0 {REFUSED}", "INVITE", sent=False)
    assert rig.ended == [REFUSED]


def test_a_call_that_is_refused_before_it_rings_fails_the_step(rig: Rig) -> None:
    rig.live.register("bob")
    rig.phones.script = refused
    with pytest.raises(LabError, match=f"alice calls bob: {REFUSED}"):
        rig.live.call("alice", "bob")
    assert rig.ended == [REFUSED]
    assert rig.did[-1] == ("call alice bob", f"alice calls bob: {REFUSED}")


@pytest.mark.parametrize("step", ["answer", "talk", "hang_up", "hold", "resume"])
def test_a_step_on_a_refused_call_says_the_status(rig: Rig, step: str) -> None:
    rig.phones.script = refused
    rig.live.call("alice", "901")
    with pytest.raises(LabError, match=f"alice calls 901: {REFUSED}"):
        getattr(rig.live, step)("alice")
    assert rig.ended == [REFUSED]


def test_a_challenge_is_no_refusal(rig: Rig) -> None:
    def challenged(agent: FakeAgent) -> None:
        agent.message("INVITE sip:901@192.0.2.1 SIP/2.0", "INVITE", sent=True)
        agent.message("SIP/2.0 401 Unauthorized", "INVITE", sent=False)
        agent.number += 1
        agent.invite(TRYING)

    rig.phones.script = challenged
    rig.live.call("alice", "901")
    assert rig.ended == []


def test_a_phone_that_was_refused_may_call_again(rig: Rig) -> None:
    rig.phones.script = refused
    rig.live.call("alice", "901")
    rig.phones.script = lambda agent: agent.invite(TRYING, OK)
    rig.live.call("alice", "902")
    agent = rig.phones.agents[-1]
    agent.on_order = agent.end
    rig.live.hang_up("alice")
    assert rig.ended == [REFUSED, ""]


def test_a_refusal_that_a_phone_was_asked_for_is_as_wanted(rig: Rig) -> None:
    alice = ring(rig)
    bob = rig.phones.agents[0]

    def pass_on() -> None:
        bob.message("SIP/2.0 486 Busy Here", "INVITE", sent=True)
        bob.message("ACK sip:bob@192.0.2.9 SIP/2.0", "ACK", sent=False)
        alice.message("SIP/2.0 486 Busy Here", "INVITE", sent=False)
        alice.end(1)

    bob.on_order = pass_on
    rig.live.reject("bob")
    assert rig.ended == [""]
    with pytest.raises(UsageError, match="bob is in no call"):
        rig.live.hang_up("bob")


# Where somebody hangs up


def test_a_call_that_was_hung_up_went_as_its_phones_wanted(rig: Rig) -> None:
    alice, bob = answered(rig), rig.phones.agents[0]

    def hang_up() -> None:
        alice.request("BYE", sent=True)
        alice.end()
        bob.request("BYE", sent=False)

    alice.on_order = hang_up
    rig.live.hang_up("alice")
    assert rig.ended == [""]


def test_who_was_called_may_hang_up_too(rig: Rig) -> None:
    alice, bob = answered(rig), rig.phones.agents[0]

    def hang_up() -> None:
        bob.request("BYE", sent=True)
        bob.message("SIP/2.0 200 OK", "BYE", sent=False)
        alice.request("BYE", sent=False)
        alice.end()

    bob.on_order = hang_up
    rig.live.hang_up("bob")
    assert rig.ended == [""]


def test_who_is_not_told_that_his_call_is_over_fails_the_step(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in the way of that here; it had passed."""
    alice = answered(rig)
    monkeypatch.setattr("labctl.scenario.steps.calls.ANSWER_S", 0.05)
    alice.on_order = alice.end
    with pytest.raises(LabError, match=r"bob \(phone\): the end of its call: not within"):
        rig.live.hang_up("alice")


def test_a_call_is_forwarded_once_its_node_has_taken_that(rig: Rig) -> None:
    ring(rig)
    bob = rig.phones.agents[0]

    def move() -> None:
        bob.message("SIP/2.0 302 Moved Temporarily", "INVITE", sent=True)
        late = threading.Timer(0.1, bob.message, ("ACK sip:bob@192.0.2.9 SIP/2.0", "ACK"), {"sent": False})
        late.start()

    bob.on_order = move
    rig.live.forward("bob", "*600")
    assert bob.end_is_taken(bob.agent.call_id)


def test_a_node_that_hangs_up_on_two_phones_is_told_at_once(rig: Rig) -> None:
    alice = answered(rig)
    alice.request("BYE", sent=False)
    assert rig.ended == ["its node hung up"]
    with pytest.raises(LabError, match="alice calls bob: its node hung up"):
        rig.live.hang_up("alice")
    assert rig.ended == ["its node hung up"]


def test_a_dialplan_may_hang_up(rig: Rig) -> None:
    """As on who was parked, when who fetched the call hangs up."""
    rig.phones.script = lambda agent: agent.invite(TRYING, OK)
    rig.live.call("alice", "700")
    rig.phones.agents[0].request("BYE", sent=False)
    assert rig.ended == [""]
    rig.live.hang_up("alice")
    assert rig.ended == [""]


def test_a_call_that_goes_on_when_its_agent_should_have_ended_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.scenario.steps.calls.ANSWER_S", 0.01)
    monkeypatch.setattr(switchboard, "GIVE_UP_S", 0.01)
    answered(rig)
    with pytest.raises(LabError, match="goes on after"):
        rig.live.hang_up("alice")
    assert len(rig.ended) == 1


def test_what_a_node_that_is_gone_keeps_from_ending_is_ended_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.scenario.steps.calls.ANSWER_S", 0.01)
    answered(rig)
    rig.faults.gone.add("n2")
    rig.live.hang_up("alice")
    assert len(rig.ended) == 1


# Where the run ends


def test_what_goes_on_when_the_run_ends_is_cut_off(rig: Rig) -> None:
    answered(rig)
    rig.live.close()
    assert rig.ended == ["it was still going on when the run ended"]


@pytest.mark.parametrize(("code", "why"), [(0, ""), (1, "SIPp: a call failed (1)")])
def test_a_call_whose_agent_has_ended_is_never_still_going_on(rig: Rig, code: int, why: str) -> None:
    alice = answered(rig)
    alice.end(code)
    rig.live.close()
    assert rig.ended == [why]


# Messages


def test_a_message_is_left_when_the_phone_hung_up(rig: Rig) -> None:
    def leave(agent: FakeAgent) -> None:
        agent.invite(TRYING, OK)
        agent.request("BYE", sent=True)
        agent.end()

    rig.phones.script = leave
    rig.live.leave_voicemail("alice", 102, duration=2)
    assert rig.phones.calls[-1] == "call alice *102 2000"
    assert rig.ended == [""]


def test_a_message_is_not_left_where_the_node_hung_up_first(rig: Rig) -> None:
    def full(agent: FakeAgent) -> None:
        agent.invite(TRYING, OK)
        agent.request("BYE", sent=False)
        agent.end()

    rig.phones.script = full
    with pytest.raises(LabError, match=r"alice calls \*102: its node hung up"):
        rig.live.leave_voicemail("alice", "102")
    assert rig.ended == ["its node hung up"]


def test_a_message_is_not_left_where_the_node_refuses(rig: Rig) -> None:
    def no_voicemail(agent: FakeAgent) -> None:
        agent.invite(TRYING, "404 Not Found")
        agent.end(1)

    rig.phones.script = no_voicemail
    with pytest.raises(LabError, match=r"alice calls \*102: 404 Not Found"):
        rig.live.leave_voicemail("alice", "102")
    assert rig.ended == ["404 Not Found"]


def test_a_call_to_a_mailbox_goes_through_the_node_that_keeps_it(rig: Rig) -> None:
    rig.live.call("carol", "*101")
    (call,) = [event for event in rig.journal.events if isinstance(event, Called)]
    assert call.nodes == ("n3", "n1")


# Phones


def test_a_phone_is_on_once(rig: Rig) -> None:
    rig.live.register(["alice", "bob"])
    with pytest.raises(UsageError, match="alice is registered already"):
        rig.live.register("alice")
    rig.live.unregister("alice")
    with pytest.raises(UsageError, match="alice is not registered"):
        rig.live.unregister("alice")
    assert rig.phones.calls[1:] == ["on alice 600000 True", "on bob 600000 True", "off alice"]


def test_where_nothing_rings_it_is_waited_for_and_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue, or whatever else a node does by itself, may take a moment."""
    monkeypatch.setattr("labctl.scenario.steps.calls.ANSWER_S", 0.01)
    rig.live.register("bob")
    with pytest.raises(LabError, match="a call: not within"):
        rig.live.answer("bob")
    with pytest.raises(UsageError, match="bob is in no call"):
        rig.live.hang_up("bob")


def test_a_phone_answers_and_ends_a_call_that_no_phone_of_the_run_made(rig: Rig) -> None:
    """As one of a queue, which the node makes itself."""
    rig.live.register("bob")
    bob = rig.phones.agents[0]
    bob.message("INVITE sip:bob@192.0.2.9 SIP/2.0", "INVITE", sent=False)
    bob.message("SIP/2.0 180 Ringing", "INVITE", sent=True)

    def pick_up() -> None:
        bob.message("SIP/2.0 200 OK", "INVITE", sent=True)
        bob.message("ACK sip:bob@192.0.2.9 SIP/2.0", "ACK", sent=False)

    bob.on_order = pick_up
    rig.live.answer("bob")

    def hang_up() -> None:
        bob.request("BYE", sent=True)
        bob.message("SIP/2.0 200 OK", "BYE", sent=False)

    bob.on_order = hang_up
    rig.live.hang_up("bob")
    assert rig.ended == []


def test_load_switches_on_whom_it_calls_and_so_wants_it_off(rig: Rig) -> None:
    rig.live.register("bob")
    with pytest.raises(UsageError, match="bob is registered"):
        rig.live.load("alice", "102", rate=1, count=1)


def test_what_a_phone_watches_ends(rig: Rig) -> None:
    rig.live.watch("carol", 101)
    agent = rig.phones.agents[0]
    agent.on_order = agent.end
    rig.live.unwatch("carol")
    with pytest.raises(UsageError, match="carol watches nothing"):
        rig.live.unwatch("carol")


# Where steps go side by side


def test_two_who_hang_up_one_call_side_by_side_have_both_ended_it(rig: Rig) -> None:
    """One of them fell over a call that was not in the list any more, and the run with it."""
    alice, bob = answered(rig), rig.phones.agents[0]
    both = threading.Barrier(3)

    def meet() -> None:
        both.wait(60)

    alice.on_order = bob.on_order = meet
    with rig.switchboard.side_by_side(), ThreadPoolExecutor() as pool:
        steps = [pool.submit(rig.live.hang_up, phone) for phone in ("alice", "bob")]
        both.wait(60)
        bob.request("BYE", sent=False)
        bob.message("SIP/2.0 200 OK", "BYE", sent=True)
        alice.end()
        for step in steps:
            step.result()
    assert rig.ended == [""]


def test_who_hangs_up_a_call_that_a_step_beside_has_just_ended_has_ended_it_too(rig: Rig) -> None:
    alice, bob = answered(rig), rig.phones.agents[0]

    def end() -> None:
        bob.request("BYE", sent=False)
        alice.end()

    alice.on_order = end
    with rig.switchboard.side_by_side():
        rig.live.hang_up("alice")
        rig.live.hang_up("bob")
    assert rig.ended == [""]
    with pytest.raises(UsageError, match="bob is in no call"):
        rig.live.hang_up("bob")


def test_what_a_phone_that_vanished_has_watched_it_watches_no_more(rig: Rig) -> None:
    rig.live.register("bob")
    rig.live.watch("bob", "101")
    rig.live.watch_mailbox("bob")
    for agent in rig.phones.agents:
        agent.on_order = agent.end
    rig.live.vanish("bob")
    told = [event for event in rig.journal.events if isinstance(event, Watching)]
    ended = [(event.phone, event.extension) for event in told if event.ended]
    assert ended == [("bob", "101"), ("bob", "*102")]
    assert all(agent.ending for agent in rig.phones.agents)
