"""Several calls at a phone, and those that it sends elsewhere: what goes over its wire, and which call is meant."""

from __future__ import annotations

import threading

import pytest

from labctl.errors import LabError
from labctl.sip import user_agent
from labctl.sip.phone_state import PhoneLine
from labctl.sip.transcript import OVER, RINGING, TALKING
from labctl.sip.user_agent import Refused
from labctl.sip_message import parse_message
from labctl.timing import Deadline
from tests.unit.phone_streams import CALL, Stream, got, sent, started
from tests.unit.test_user_agent import ANSWERED, INVITE, LATE_S, RINGS, SOON_S, TALKS, order, read, stream, when_ordered

__all__ = ["stream"]

OTHER = (
    got("INVITE sip:alice@192.0.2.9 SIP/2.0", "3 INVITE", "From: <sip:103@192.0.2.1>;tag=y", call="c2"),
    sent("SIP/2.0 180 Ringing", "3 INVITE", call="c2"),
)
REFER = sent("REFER sip:102@192.0.2.1 SIP/2.0", "8 REFER")


def news(status: str) -> bytes:
    """What a node tells of a transfer."""
    return got(
        "NOTIFY sip:alice@192.0.2.9 SIP/2.0", f"9{status[:3]} NOTIFY", "Event: refer;id=8", body=f"SIP/2.0 {status}"
    )


# One agent


def test_each_of_several_calls_is_told_apart(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *TALKS, *OTHER)
    assert agent.calls == [CALL, "c2"]
    assert [agent.state_of(call) for call in agent.calls] == [TALKING, RINGING]
    assert [agent.peer_of(call) for call in agent.calls] == ["102", "103"]
    taken = got("ACK sip:alice@192.0.2.9 SIP/2.0", "3 ACK", call="c2")
    when_ordered(stream, sent("SIP/2.0 486 Busy Here", "3 INVITE", call="c2"), taken)
    agent.hang_up(Deadline(SOON_S), "c2")
    assert "Call-ID: c2" in order(stream)
    assert [agent.state_of(call) for call in agent.calls] == [TALKING, OVER]


def test_a_transfer_is_asked_for_in_its_call(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    bye = got("BYE sip:alice@192.0.2.9 SIP/2.0", "11 BYE")
    when_ordered(stream, REFER, got("SIP/2.0 202 Accepted", "8 REFER"), bye)
    agent.transfer(agent.uri("103"), CALL, Deadline(SOON_S))
    assert "Subject: refer\r\nRefer-To: <sip:103@192.0.2.1>\r\n" in order(stream, 0)
    assert agent.call_end == "its node hung up"


def test_what_a_node_tells_of_a_transfer_is_known(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    assert agent.transfer_state(CALL) == 0
    for status in ("100 Trying", "200 OK", "503 Service Unavailable"):
        assert read(agent, stream, news(status)).transfer_state(CALL) == int(status[:3])


def test_a_transfer_that_fails_is_told_with_its_status(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    when_ordered(stream, REFER, got("SIP/2.0 202 Accepted", "8 REFER"), news("503 Service Unavailable"))
    with pytest.raises(LabError, match="the transfer failed: its node tells 503"):
        agent.transfer(agent.uri("103"), CALL, Deadline(SOON_S))


def test_a_transfer_that_comes_before_the_ends_are_connected_is_asked_for_again(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    obey = stream.send
    replies = [
        (REFER, got("SIP/2.0 202 Accepted", "8 REFER"), news("400 Bad Request")),
        (sent("REFER sip:102@192.0.2.1 SIP/2.0", "9 REFER"), got("SIP/2.0 202 Accepted", "9 REFER"), news("200 OK")),
        (sent("BYE sip:102@192.0.2.1 SIP/2.0", "10 BYE"), got("SIP/2.0 200 OK", "10 BYE")),
    ]

    def send(data: bytes) -> None:
        obey(data)
        stream.say(*replies.pop(0))

    stream.send = send  # type: ignore[method-assign]
    agent.transfer(agent.uri("103"), CALL, Deadline(SOON_S))
    assert replies == []
    assert agent.call_end == "it hung up"


def test_an_answer_that_comes_again_is_no_answer_to_what_is_asked_next(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    offered = (sent("INVITE sip:102@192.0.2.1 SIP/2.0", "3 INVITE"), got("SIP/2.0 488 Not Acceptable Here", "3 INVITE"))
    read(agent, stream, *offered, got("SIP/2.0 200 OK", "2 INVITE"))
    assert [answer.status for answer in agent.answers_in(CALL, "INVITE")] == [200, 488]


def test_what_a_node_tells_of_a_transfer_is_known_also_where_it_is_asked_for_again(stream: Stream) -> None:
    """The answer to the REFER was lost, and SIPp sent that once more."""
    agent = read(started(stream), stream, *ANSWERED, REFER, news("200 OK"), REFER)
    assert agent.transfer_state(CALL) == 200


def test_a_phone_hangs_up_once_its_node_has_done_it(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    obey = stream.send

    def send(data: bytes) -> None:
        obey(data)
        if len(stream.orders) == 1:
            stream.say(REFER, got("SIP/2.0 202 Accepted", "8 REFER"), news("200 OK"))
        else:
            stream.say(sent("BYE sip:102@192.0.2.1 SIP/2.0", "10 BYE"))
            threading.Timer(LATE_S, stream.say, (got("SIP/2.0 200 OK", "10 BYE"),)).start()

    stream.send = send  # type: ignore[method-assign]
    agent.transfer(agent.uri("103"), CALL, Deadline(SOON_S))
    assert agent.call_end == "it hung up"
    assert agent.end_is_taken(CALL)


def test_a_transfer_that_is_refused_leaves_the_call_as_it_was(stream: Stream) -> None:
    agent = read(started(stream), stream, *ANSWERED)
    when_ordered(stream, REFER, got("SIP/2.0 603 Decline", "8 REFER"))
    with pytest.raises(Refused, match="refer: 603 Decline"):
        agent.transfer(agent.uri("103"), CALL, Deadline(SOON_S))
    assert agent.talking


def test_a_call_that_rings_is_sent_elsewhere(stream: Stream) -> None:
    agent = read(started(stream, "phone"), stream, *RINGS)
    agent.forward("sip:103@192.0.2.1")
    assert "Subject: forward\r\nRefer-To: <sip:103@192.0.2.1>\r\n" in order(stream)
    assert read(agent, stream, sent("SIP/2.0 302 Moved Temporarily", "7 INVITE")).call_end == "302 Moved Temporarily"


def test_keys_are_sent_in_one_piece_or_each_by_info(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEFORE_TONES_S", "TONE_S"):
        monkeypatch.setattr(user_agent, name, 0.0)
    agent = read(started(stream), stream, *ANSWERED)
    agent.send_tones("12#", CALL)
    assert "Subject: tones\r\nX-Digits: 12#\r\n" in order(stream)
    numbers = iter(("7", "8"))
    obey = stream.send

    def send(data: bytes) -> None:
        obey(data)
        number = next(numbers)
        stream.say(sent("INFO sip:102@192.0.2.1 SIP/2.0", f"{number} INFO"), got("SIP/2.0 200 OK", f"{number} INFO"))

    stream.send = send  # type: ignore[method-assign]
    agent.send_info("45", CALL)
    assert ["X-Digits: 4" in order(stream, 1), "X-Digits: 5" in order(stream, 2)] == [True, True]


@pytest.mark.parametrize("own", [True, False])
def test_the_tags_of_a_call_are_its_own_and_its_nodes(stream: Stream, own: bool) -> None:
    ends = ("From: <sip:a@x>;tag=near", "To: <sip:102@x>;tag=far")
    if own:
        agent = read(started(stream), stream, sent(INVITE, "2 INVITE"), got("SIP/2.0 200 OK", "2 INVITE", *ends))
    else:
        agent = read(started(stream, "phone"), stream, *RINGS, sent("SIP/2.0 200 OK", "7 INVITE", *ends))
    assert agent.tags_of(CALL) == (("near", "far") if own else ("far", "near"))
    tags = "to-tag%3Dfar%3Bfrom-tag%3Dnear" if own else "to-tag%3Dnear%3Bfrom-tag%3Dfar"
    assert agent.replacing(CALL) == f"?Replaces={CALL}%3B{tags}"


def test_a_call_is_over_for_its_node_once_that_transfers_it_unless_that_fails() -> None:
    line = PhoneLine()

    def feed(start: str, cseq: str, *, sent: bool, more: str = "", body: str = "") -> str:
        return line.feed(parse_message(f"{start}\r\nCall-ID: a\r\nCSeq: {cseq}\r\n{more}\r\n{body}", 0.0, sent))

    feed("REGISTER sip:n1 SIP/2.0", "1 REGISTER", sent=True, more="Expires: 60\r\n")
    feed("SIP/2.0 200 OK", "1 REGISTER", sent=False)
    feed(INVITE, "2 INVITE", sent=True)
    assert feed("SIP/2.0 200 OK", "2 INVITE", sent=False) == "INUSE"
    assert feed("SIP/2.0 202 Accepted", "3 REFER", sent=False) == "NOT_INUSE"
    told = {"more": "Event: refer\r\n", "sent": False}
    assert feed("NOTIFY sip:a SIP/2.0", "3 NOTIFY", body="SIP/2.0 100 Trying", **told) == "NOT_INUSE"  # type: ignore[arg-type]
    assert feed("NOTIFY sip:a SIP/2.0", "4 NOTIFY", body="SIP/2.0 503 No", **told) == "INUSE"  # type: ignore[arg-type]
