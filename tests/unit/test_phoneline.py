"""A phone's device state, from what it sent and received."""

from __future__ import annotations

from labctl.sip.phone_state import PhoneLine
from labctl.sip.transcript import SipMessage


def message(start: str, cseq: str, *, sent: bool, call: str = "c1", body: str = "", **headers: str) -> SipMessage:
    return SipMessage(0.0, sent, start, (("Call-ID", call), ("CSeq", f"1 {cseq}"), *headers.items()), body)


def registered() -> PhoneLine:
    line = PhoneLine()
    line.feed(message("REGISTER sip:n1 SIP/2.0", "REGISTER", sent=True, call="r", Expires="3600"))
    line.feed(message("SIP/2.0 200 OK", "REGISTER", sent=False, call="r"))
    return line


def test_phone_is_free_once_it_is_registered_and_unavailable_before() -> None:
    assert PhoneLine().state == "UNAVAILABLE"
    assert registered().state == "NOT_INUSE"


def test_phone_that_takes_its_registration_back_is_unavailable() -> None:
    line = registered()
    line.feed(message("REGISTER sip:n1 SIP/2.0", "REGISTER", sent=True, call="r", Expires="0"))
    assert line.feed(message("SIP/2.0 200 OK", "REGISTER", sent=False, call="r")) == "UNAVAILABLE"


def test_refused_registration_changes_nothing() -> None:
    line = PhoneLine()
    line.feed(message("REGISTER sip:n1 SIP/2.0", "REGISTER", sent=True, call="r", Expires="3600"))
    assert line.feed(message("SIP/2.0 401 Unauthorized", "REGISTER", sent=False, call="r")) == "UNAVAILABLE"


def test_call_that_comes_in_rings_talks_and_ends() -> None:
    line = registered()
    assert line.feed(message("INVITE sip:bob SIP/2.0", "INVITE", sent=False)) == "NOT_INUSE"
    assert line.feed(message("SIP/2.0 180 Ringing", "INVITE", sent=True)) == "RINGING"
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=True)) == "INUSE"
    assert line.feed(message("BYE sip:bob SIP/2.0", "BYE", sent=False)) == "NOT_INUSE"


def test_call_that_is_refused_or_cancelled_is_over() -> None:
    for ending in (
        message("SIP/2.0 486 Busy Here", "INVITE", sent=True),
        message("CANCEL sip:bob SIP/2.0", "CANCEL", sent=False),
    ):
        line = registered()
        line.feed(message("SIP/2.0 180 Ringing", "INVITE", sent=True))
        assert line.feed(ending) == "NOT_INUSE"


def test_caller_is_in_use_once_its_call_rings_and_not_by_the_challenge_or_while_it_is_tried() -> None:
    line = registered()
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True))
    assert line.feed(message("SIP/2.0 401 Unauthorized", "INVITE", sent=False)) == "NOT_INUSE"
    assert line.feed(message("SIP/2.0 100 Trying", "INVITE", sent=False)) == "NOT_INUSE"
    assert line.feed(message("SIP/2.0 180 Ringing", "INVITE", sent=False)) == "INUSE"


def test_call_on_hold_and_off_again() -> None:
    line = registered()
    line.feed(message("SIP/2.0 100 Trying", "INVITE", sent=False))
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendonly"))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "ONHOLD"
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendrecv"))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "INUSE"


def test_second_call_that_rings_shows_beside_the_first() -> None:
    line = registered()
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=True, call="c1"))
    assert line.feed(message("SIP/2.0 180 Ringing", "INVITE", sent=True, call="c2")) == "RINGINUSE"


def test_calls_are_lost_with_the_node() -> None:
    line = registered()
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=True))
    line.drop_calls()
    assert line.state == "NOT_INUSE"


def test_caller_whose_call_is_refused_is_free() -> None:
    line = registered()
    line.feed(message("SIP/2.0 100 Trying", "INVITE", sent=False))
    assert line.feed(message("SIP/2.0 486 Busy Here", "INVITE", sent=False)) == "NOT_INUSE"


def test_refused_change_of_a_call_leaves_it_as_it_was() -> None:
    line = registered()
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendonly"))
    assert line.feed(message("SIP/2.0 488 Not Acceptable Here", "INVITE", sent=False)) == "INUSE"


def test_call_of_a_name_that_was_on_hold_once_is_not_on_hold() -> None:
    line = registered()
    for body, state in (("a=sendonly", "ONHOLD"), ("", "INUSE")):
        line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
        if body:
            line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body=body))
        assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == state
        line.feed(message("BYE sip:102 SIP/2.0", "BYE", sent=True))
