"""A user agent: what it makes of what SIPp says, what it orders, how it ends. SIPp is a stream that a test speaks."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from labctl.errors import LabError
from labctl.sip.transcript import CALLING, OVER, RINGING, TALKING, Ending, LogSplitter
from labctl.sip.user_agent import Refused, UserAgent
from labctl.sip_message import SipMessage
from labctl.timing import Deadline, Signal
from tests.unit.phone_streams import AGENT, CALL, SIGNED, Stream, end, got, sent, started

SOON_S = 60.0
NOW_S = 0.01
LATE_S = 0.1
"""After how long a node acknowledges what a phone has done: by then who does not wait for it has gone on."""

INVITE = "INVITE sip:102@192.0.2.1 SIP/2.0"
CALLED = (
    sent(INVITE, "1 INVITE"),
    got("SIP/2.0 401 Unauthorized", "1 INVITE"),
    sent("ACK sip:102@192.0.2.1 SIP/2.0", "1 ACK"),
    sent(INVITE, "2 INVITE", SIGNED),
    got("SIP/2.0 100 Trying", "2 INVITE"),
)
ANSWERED = (*CALLED, got("SIP/2.0 200 OK", "2 INVITE"), sent("ACK sip:102@192.0.2.1 SIP/2.0", "2 ACK"))
REGISTER = "REGISTER sip:192.0.2.1 SIP/2.0"
COMES_IN = got("INVITE sip:alice@192.0.2.9 SIP/2.0", "7 INVITE", 'From: "bob" <sip:102@192.0.2.1>;tag=x')
RINGS = (COMES_IN, sent("SIP/2.0 180 Ringing", "7 INVITE"))
TALKS = (*RINGS, sent("SIP/2.0 200 OK", "7 INVITE"), got("ACK sip:alice@192.0.2.9 SIP/2.0", "7 ACK"))


@pytest.fixture
def stream() -> Iterator[Stream]:
    opened = Stream()
    yield opened
    opened.close()


def read(agent: UserAgent, stream: Stream, *pieces: bytes) -> UserAgent:
    """The agent, once it has read all of that."""
    before = len(agent.messages)
    stream.say(*pieces)
    agent.wait_for(lambda: len(agent.messages) == before + len(pieces), "all of it", Deadline(SOON_S))
    return agent


def order(stream: Stream, number: int = -1) -> str:
    """The datagram of an order to send one."""
    word, _address, _port, text = stream.orders[number].split(" ")
    assert word == "send"
    return base64.b64decode(text).decode()


# Accepted or refused


def test_a_challenge_that_comes_twice_is_no_refusal(stream: Stream) -> None:
    """A node that was sent the unsigned request twice challenges it twice, also after the signed one was sent."""
    agent = started(stream)
    stream.say(
        sent(REGISTER, "1 REGISTER"),
        got("SIP/2.0 401 Unauthorized", "1 REGISTER", 'WWW-Authenticate: Digest nonce="1"'),
        sent(REGISTER, "2 REGISTER", SIGNED),
        got("SIP/2.0 401 Unauthorized", "1 REGISTER", 'WWW-Authenticate: Digest nonce="2"'),
        got("SIP/2.0 200 OK", "2 REGISTER"),
    )
    agent.await_accepted("REGISTER", "registered")
    assert agent.answers("REGISTER") == [200]


def test_a_challenge_to_the_signed_request_is_a_refusal_and_ends_the_agent(stream: Stream) -> None:
    agent = started(stream)
    stream.say(
        sent(REGISTER, "1 REGISTER"),
        got("SIP/2.0 401 Unauthorized", "1 REGISTER"),
        sent(REGISTER, "2 REGISTER", SIGNED),
        got("SIP/2.0 401 Unauthorized", "2 REGISTER"),
    )
    with pytest.raises(Refused, match="not registered: 401 Unauthorized") as refused:
        agent.await_accepted("REGISTER", "registered")
    assert "password" in refused.value.hint
    assert stream.orders == ["kill"]


@pytest.mark.parametrize(
    ("answer", "worked_on"),
    [
        (got("SIP/2.0 401 Unauthorized", "1 INVITE", "X: again"), False),
        (got("SIP/2.0 100 Trying", "1 INVITE"), False),
        (got("SIP/2.0 100 Trying", "2 INVITE"), True),
        (got("SIP/2.0 404 Not Found", "2 INVITE"), True),
        (got("SIP/2.0 503 Service Unavailable", "1 INVITE"), True),
    ],
    ids=["a second challenge", "of the unsigned one", "trying", "refused", "refused unasked"],
)
def test_a_call_is_worked_on_once_the_signed_invite_is_answered(stream: Stream, answer: bytes, worked_on: bool) -> None:
    agent = read(started(stream), stream, *CALLED[:4], answer)
    assert agent.is_worked_on("INVITE") is worked_on


# How far a call is


@pytest.mark.parametrize(
    ("pieces", "state"),
    [
        ((), ""),
        (CALLED, CALLING),
        ((*CALLED, got("SIP/2.0 180 Ringing", "2 INVITE")), RINGING),
        (ANSWERED, TALKING),
        ((*ANSWERED, got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE")), OVER),
        ((*CALLED, got("SIP/2.0 486 Busy Here", "2 INVITE")), OVER),
        ((COMES_IN,), CALLING),
        (RINGS, RINGING),
        (TALKS, TALKING),
        ((*TALKS, sent("BYE sip:102@192.0.2.1 SIP/2.0", "8 BYE")), OVER),
        ((*TALKS, sent(INVITE, "8 INVITE", body="a=sendonly"), got("SIP/2.0 488 No", "8 INVITE")), TALKING),
    ],
)
def test_how_far_a_call_is(stream: Stream, pieces: tuple[bytes, ...], state: str) -> None:
    assert read(started(stream), stream, *pieces).call_state == state


def test_of_several_calls_it_is_the_last_that_goes_on(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *TALKS)
    other = got("INVITE sip:alice@192.0.2.9 SIP/2.0", "3 INVITE", "From: <sip:103@192.0.2.1>;tag=y", call="c2")
    read(agent, stream, other, sent("SIP/2.0 180 Ringing", "3 INVITE", call="c2"))
    assert (agent.call_state, agent.peer) == (RINGING, "103")
    read(agent, stream, got("CANCEL sip:alice@192.0.2.9 SIP/2.0", "3 CANCEL", call="c2"))
    assert (agent.call_state, agent.peer) == (TALKING, "102")
    read(agent, stream, got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE"))
    assert (agent.call_state, agent.peer) == (OVER, "103")


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (
            got("SIP/2.0 488 Not Acceptable Here", "2 INVITE", 'Warning: 304 n1 "no codec"'),
            '488 Not Acceptable Here (Warning: 304 n1 "no codec")',
        ),
        (got("SIP/2.0 503 Service Unavailable", "2 INVITE"), "503 Service Unavailable"),
        (
            got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE", "Reason: Q.850;cause=16"),
            "its node hung up (Reason: Q.850;cause=16)",
        ),
        (sent("BYE sip:102@192.0.2.1 SIP/2.0", "9 BYE"), "it hung up"),
        (sent("CANCEL sip:102@192.0.2.1 SIP/2.0", "2 CANCEL"), "it gave up"),
    ],
)
def test_why_a_call_is_over(stream: Stream, piece: bytes, why: str) -> None:
    agent = read(started(stream), stream, *CALLED, piece)
    assert agent.call_end == why


def test_the_end_of_an_agent_tells_why_its_call_was_over(stream: Stream) -> None:
    agent = started(stream)
    stream.say(*CALLED, got("SIP/2.0 488 Not Acceptable Here", "2 INVITE"), end(1, "Aborting call"))
    stream.end()
    ending = agent.finish(Deadline(SOON_S))
    assert ending == Ending(1, "Aborting call", "\n", "488 Not Acceptable Here")
    assert str(ending) == "488 Not Acceptable Here"


# Waiting ends


def waits(agent: UserAgent, other: UserAgent | None = None) -> str:
    """What waiting for what never comes ends with, long before its deadline."""
    with pytest.raises(LabError) as raised:
        agent.wait_for(lambda: False, "what never comes", Deadline(600), other)
    return raised.value.message


def test_waiting_ends_with_the_agent_and_tells_the_status(stream: Stream) -> None:
    agent = started(stream)
    stream.say(*CALLED, got("SIP/2.0 486 Busy Here", "2 INVITE"), end(1))
    stream.end()
    assert waits(agent).startswith("alice (calls 102): what never comes: alice (calls 102) has ended: 486 Busy Here")


def test_waiting_ends_with_the_agent_that_was_to_cause_it(stream: Stream) -> None:
    callee = started(Stream(), "phone")
    caller = UserAgent(AGENT, "calls 102", callee._signal, {}, lambda _name, _message: None)
    caller.start(stream)  # type: ignore[arg-type]
    stream.say(*CALLED, got("SIP/2.0 404 Not Found", "2 INVITE"), end(1))
    stream.end()
    assert "alice (calls 102) has ended: 404 Not Found" in waits(callee, caller)


@pytest.mark.parametrize("error", [ValueError("no length"), OSError("reset"), LabError("gone")])
def test_an_agent_whose_reader_breaks_off_has_ended(stream: Stream, error: Exception) -> None:
    agent = started(stream)
    stream.end(error)
    assert f"could not be read: {error}" in waits(agent)


def test_an_agent_whose_listener_fails_has_ended(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> None:
    """Also by an error that nobody foresaw, which the thread still tells."""
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def fail(_name: str, _message: SipMessage) -> None:
        raise KeyError(_name)

    agent = UserAgent(AGENT, "phone", Signal(), {}, fail)
    agent.start(stream)  # type: ignore[arg-type]
    stream.say(COMES_IN)
    assert agent.finish(Deadline(SOON_S)).code == -1
    agent.close()
    assert len(failures) == 1


def test_what_is_not_within_its_time_is_told_with_the_last_messages(stream: Stream) -> None:
    agent = read(started(stream), stream, *CALLED)
    with pytest.raises(LabError, match=r"an answer: not within 0\.01 s") as raised:
        agent.wait_for(lambda: False, "an answer", Deadline(NOW_S))
    assert raised.value.message.endswith("got  SIP/2.0 100 Trying")


# Orders


def test_an_order_goes_to_the_call_that_came_in_and_has_a_number_of_its_own(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    agent.reject_call()
    agent.nudge_call()
    first, second = order(stream, 0), order(stream, 1)
    assert (f"Call-ID: {CALL}" in first, "Subject: reject" in first, "Subject: go on" in second) == (True, True, True)
    numbers = [int(text.partition("CSeq: ")[2].split(" ")[0]) for text in (first, second)]
    assert numbers[1] == numbers[0] + 1 <= 2**30


def test_an_order_of_its_own_call_goes_to_its_call_id(stream: Stream) -> None:
    started(stream).nudge()
    assert f"Call-ID: {AGENT.call_id}\r\n" in order(stream)


def test_where_no_call_came_in_none_is_answered(stream: Stream) -> None:
    with pytest.raises(LabError, match="no call came in"):
        started(stream, "phone").nudge_call()


def acting(action: Callable[[], None]) -> threading.Thread:
    """Do something beside the test."""
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def when_ordered(stream: Stream, *pieces: bytes) -> None:
    """Have the stream say that once it is sent its first order."""
    obey = stream.send

    def send(data: bytes) -> None:
        obey(data)
        if len(stream.orders) == 1:
            stream.say(*pieces)

    stream.send = send  # type: ignore[method-assign]


def test_a_phone_answers_the_call_that_rings_whoever_dialled(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    when_ordered(stream, *TALKS[2:])
    agent.answer(Deadline(SOON_S))
    assert (agent.call_state, agent.peer) == (TALKING, "102")


def test_a_call_is_answered_that_does_not_ring_yet(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, RINGS[0])
    when_ordered(stream, *RINGS[1:], *TALKS[2:])
    agent.answer(Deadline(SOON_S), CALL)
    assert agent.call_state == TALKING


def passed_over(text: str) -> tuple[bytes, bytes]:
    """What SIPp says to an order that comes as it waits for none: its `-aa`."""
    cseq = text.partition("CSeq: ")[2].partition("\r\n")[0]
    return got("INFO sip:alice@192.0.2.9 SIP/2.0", cseq), sent("SIP/2.0 200 OK", cseq)


def test_an_order_that_sipp_has_passed_over_is_given_again(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    agent.forward("sip:102@192.0.2.1")
    text, given, obey = order(stream), threading.Event(), stream.send

    def send(data: bytes) -> None:
        obey(data)
        given.set()

    stream.send = send  # type: ignore[method-assign]
    stream.say(*passed_over(text))
    assert given.wait(SOON_S)
    first, second = (re.sub(r"[0-9]{7,}", "N", order(stream, index)) for index in (0, 1))
    assert first == second
    assert order(stream, 0) != order(stream, 1)


def test_an_order_for_a_call_that_is_over_is_not(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    agent.reject_call()
    gave_up = got("CANCEL sip:alice@192.0.2.9 SIP/2.0", "7 CANCEL")
    read(agent, stream, gave_up, *passed_over(order(stream)), sent("SIP/2.0 200 OK", "7 CANCEL"))
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    assert len(stream.orders) == 1


def test_a_call_that_is_over_before_it_is_answered_is_told_at_once(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    when_ordered(stream, got("CANCEL sip:alice@192.0.2.9 SIP/2.0", "7 CANCEL"))
    with pytest.raises(LabError, match="the call is over: its node gave up"):
        agent.answer(Deadline(600))


REFUSES = (sent("SIP/2.0 486 Busy Here", "7 INVITE"), got("ACK sip:alice@192.0.2.9 SIP/2.0", "7 ACK"))
HANGS_UP = (sent("BYE sip:102@192.0.2.1 SIP/2.0", "8 BYE"), got("SIP/2.0 200 OK", "8 BYE"))


@pytest.mark.parametrize(
    ("pieces", "subject", "answers"), [(RINGS, "reject", REFUSES), (TALKS, "go on", HANGS_UP)], ids=["rings", "talks"]
)
def test_a_phone_hangs_up_or_refuses(
    stream: Stream, pieces: tuple[bytes, ...], subject: str, answers: tuple[bytes, bytes]
) -> None:
    agent = read(started(stream, "phone"), stream, *pieces)
    when_ordered(stream, answers[0])
    taking = threading.Timer(LATE_S, stream.say, answers[1:])
    taking.start()
    agent.hang_up(Deadline(SOON_S))
    assert f"Subject: {subject}" in order(stream)
    assert agent.call_state == OVER
    assert agent.end_is_taken(agent.call)


def test_a_node_that_does_not_take_the_end_of_a_call_keeps_no_phone_in_it(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.sip.user_agent.TAKEN_S", NOW_S)
    agent = read(started(stream, "phone"), stream, *TALKS)
    when_ordered(stream, HANGS_UP[0])
    agent.hang_up(Deadline(SOON_S))
    assert agent.call_state == OVER
    with pytest.raises(LabError, match="its node to take that: not within"):
        agent.await_end_taken(agent.call, Deadline(NOW_S))


@pytest.mark.parametrize(
    ("pieces", "taken"),
    [
        (RINGS, False),
        ((*RINGS, REFUSES[0]), False),
        ((*RINGS, *REFUSES), True),
        ((*TALKS, HANGS_UP[0]), False),
        ((*TALKS, *HANGS_UP), True),
        ((*TALKS, got("BYE sip:alice@192.0.2.9 SIP/2.0", "8 BYE")), True),
        ((*CALLED, got("SIP/2.0 486 Busy Here", "2 INVITE")), True),
    ],
)
def test_a_node_has_taken_the_end_of_a_call_once_it_says_so(
    stream: Stream, pieces: tuple[bytes, ...], taken: bool
) -> None:
    agent = read(started(stream, "phone"), stream, *pieces)
    assert agent.end_is_taken(agent.call) == taken


def test_who_is_in_no_call_cannot_hang_up(stream: Stream) -> None:
    with pytest.raises(LabError, match="is in no call"):
        started(stream, "phone").hang_up(Deadline(SOON_S))


@pytest.mark.parametrize("status", ["200 OK", "488 Not Acceptable Here"])
def test_a_hold_is_an_offer_that_the_node_accepts_or_refuses(stream: Stream, status: str) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    when_ordered(
        stream,
        sent(INVITE, "3 INVITE", body="a=sendonly"),
        got(f"SIP/2.0 {status}", "3 INVITE"),
        sent("ACK sip:102@192.0.2.1 SIP/2.0", "3 ACK"),
    )
    if status.startswith("200"):
        agent.hold()
    else:
        with pytest.raises(Refused, match=f"sendonly: {status}"):
            agent.hold()
    assert "Subject: sendonly" in order(stream)
    agent.wait_for(lambda: agent.talking, "the call goes on", Deadline(SOON_S))


def test_a_call_that_is_over_cannot_be_held(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED, got("BYE sip:alice@192.0.2.9 SIP/2.0", "9 BYE"))
    with pytest.raises(LabError, match="sendonly: the call is over: its node hung up"):
        agent.hold()


def test_an_agent_that_has_ended_takes_no_orders(stream: Stream) -> None:
    agent = started(stream)
    stream.say(end(0))
    stream.end()
    agent.finish(Deadline(SOON_S))
    agent.nudge()
    agent.kill()
    assert stream.orders == []


def test_what_was_acknowledged_lately_is_let_go_before_it_drains(stream: Stream) -> None:
    """SIPp answers it again if it comes again, for 32 s, and would wait for that."""
    agent = started(stream, "phone")
    long_ago = got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY", call="old")
    read(agent, stream, long_ago.replace(b"2026-11-26", b"2001-11-26"))
    read(agent, stream, got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY", call="new").replace(b"2026", b"2999"))
    agent.drain()
    assert [text for text in stream.orders if text == "drain"] == ["drain"]
    assert "Call-ID: new" in order(stream, 0)
    assert len(stream.orders) == 2


def test_what_comes_as_it_drains_is_let_go_too(stream: Stream) -> None:
    """A phone that was told of its mailbox just then went on for 32 s, and its step failed."""
    agent = started(stream, "phone")
    agent.drain()
    read(agent, stream, got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY", call="late"))
    assert "Call-ID: late" in order(stream, 1)


def test_what_is_lately_is_by_the_clock_of_the_phone(stream: Stream) -> None:
    """It was held against labctl's own: on an engine half a minute behind, nothing was let go."""
    agent = read(started(stream, "phone"), stream, got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY", call="now"))
    agent.drain()
    assert "Call-ID: now" in order(stream, 0)


def test_a_phone_tells_the_time_of_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    said = got("NOTIFY sip:alice@192.0.2.9 SIP/2.0", "1 NOTIFY")
    moments = set()
    try:
        for zone in ("UTC", "XYZ-5"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            moments |= {message.at_s for message in LogSplitter().feed(said)}
    finally:
        monkeypatch.undo()
        time.tzset()
    assert len(moments) == 1


@pytest.mark.long
def test_of_thousands_of_calls_that_are_over_the_last_are_kept(stream: Stream) -> None:
    agent = started(stream, "phone")
    said = [got(REGISTER, "1 REGISTER", call="r")]
    for number in range(500):
        call = f"c{number}"
        said += [got("INVITE sip:alice@192.0.2.9 SIP/2.0", "7 INVITE", call=call)]
        said += [sent("SIP/2.0 486 Busy Here", "7 INVITE", call=call)] if number else []
    stream.say(*said)
    agent.wait_for(lambda: agent.calls[-1:] == ["c499"] and bool(agent.end_of("c499")), "the last", Deadline(SOON_S))
    assert 50 <= len(agent.calls) - 1 <= 101
    assert agent.calls[0] == "c0"  # which goes on
    assert len(agent.messages) == 2 * len(agent.calls)
