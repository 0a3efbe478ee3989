"""A phone's device state, from what it sent and received."""

from __future__ import annotations

from dataclasses import replace

from labctl.sip.phone_state import CHAN_SIP, PhoneLine, PhoneLines
from labctl.sip_message import SipMessage
from tests.unit.labs import lab


def message(start: str, cseq: str, *, sent: bool, call: str = "c1", body: str = "", **headers: str) -> SipMessage:
    return SipMessage(0.0, sent, start, (("Call-ID", call), ("CSeq", f"1 {cseq}"), *headers.items()), body)


def registered(channel: str = "PJSIP") -> PhoneLine:
    line = PhoneLine(channel)
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


def test_an_answer_that_comes_again_begins_no_call_anew() -> None:
    """A node whose acknowledgement is late sends its answer again: the phone had a call for good."""
    line = registered()
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True))
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    line.feed(message("BYE sip:102 SIP/2.0", "BYE", sent=True))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "NOT_INUSE"


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


def test_by_chan_sip_who_holds_is_on_hold_until_it_resumes() -> None:
    line = registered("SIP")
    line.feed(message("SIP/2.0 100 Trying", "INVITE", sent=False))
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendonly"))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "ONHOLD"
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendrecv"))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "INUSE"


def test_by_chan_sip_who_holds_is_on_hold_whatever_else_it_does() -> None:
    line = registered("SIP")
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, body="a=sendonly"))
    line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False))
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=True, call="c2")) == "ONHOLD"


def test_by_chan_sip_a_phone_that_is_not_registered_is_unavailable_in_a_call_too() -> None:
    line = PhoneLine("SIP")
    assert line.feed(message("SIP/2.0 180 Ringing", "INVITE", sent=False)) == "UNAVAILABLE"
    assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "UNAVAILABLE"
    assert PhoneLine().feed(message("SIP/2.0 200 OK", "INVITE", sent=False)) == "INUSE"


PHONES = """
name: lab
nodes: 2
phones:
  - {name: alice, node: n1, extension: "101"}
  - {name: bob, node: n2, extension: "102"}
  - {name: dave, node: n1, extension: "104"}
"""


class Talking:
    """alice, who talks to another phone of the lab."""

    def __init__(self, callee: str, extension: str, channel: str = "PJSIP") -> None:
        self.lines = PhoneLines(lab(PHONES), channel)
        self.callee, self.extension = callee, extension
        self.invite("alice", f"sip:{extension}@192.0.2.1", sent=True, call="a")
        self.ok("alice", sent=False, call="a")
        invite = message(f"INVITE sip:{callee}@192.0.2.9 SIP/2.0", "INVITE", sent=False, call="b")
        self.lines.feed(
            callee, replace(invite, headers=(*invite.headers, ("From", '"alice" <sip:101@192.0.2.1>;tag=x')))
        )
        self.ok(callee, sent=True, call="b")

    def invite(self, phone: str, uri: str, *, sent: bool, call: str, body: str = "") -> None:
        self.lines.feed(phone, message(f"INVITE {uri} SIP/2.0", "INVITE", sent=sent, call=call, body=body))

    def ok(self, phone: str, *, sent: bool, call: str) -> dict[str, str]:
        return self.lines.feed(phone, message("SIP/2.0 200 OK", "INVITE", sent=sent, call=call))

    def offer(self, phone: str, direction: str) -> dict[str, str]:
        """A hold or a resume to which the node agrees; the states that may have changed."""
        call = "a" if phone == "alice" else "b"
        self.invite(phone, "sip:asterisk@192.0.2.1", sent=True, call=call, body=f"a={direction}")
        return self.ok(phone, sent=False, call=call)

    @property
    def states(self) -> tuple[str, str]:
        return self.lines.state("alice"), self.lines.state(self.callee)


def test_by_chan_pjsip_the_phone_that_is_held_is_on_hold_and_who_holds_is_in_use() -> None:
    call = Talking("dave", "104")
    assert call.offer("alice", "sendonly") == {"alice": "INUSE", "dave": "ONHOLD"}
    assert call.offer("alice", "sendrecv") == {"alice": "INUSE", "dave": "INUSE"}
    assert call.offer("dave", "sendonly") == {"dave": "INUSE", "alice": "ONHOLD"}


def test_by_chan_pjsip_a_hold_is_not_passed_on_to_a_phone_on_another_node() -> None:
    call = Talking("bob", "102")
    assert call.offer("alice", "sendonly") == {"alice": "INUSE"}
    assert call.states == ("INUSE", "INUSE")


def test_by_chan_pjsip_a_phone_that_is_held_and_talks_to_another_is_in_use() -> None:
    call = Talking("dave", "104")
    call.offer("alice", "sendonly")
    assert call.ok("dave", sent=True, call="c")["dave"] == "INUSE"


def test_who_hangs_up_while_it_holds_frees_both() -> None:
    call = Talking("dave", "104")
    call.offer("alice", "sendonly")
    for phone, name in (("alice", "a"), ("dave", "b")):
        call.lines.feed(phone, message("BYE sip:x SIP/2.0", "BYE", sent=phone == "alice", call=name))
    assert call.states == ("UNAVAILABLE", "UNAVAILABLE")


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
    line = registered("SIP")
    for call, body, state in (("c1", "a=sendonly", "ONHOLD"), ("c2", "", "INUSE")):
        line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False, call=call))
        if body:
            line.feed(message("INVITE sip:102 SIP/2.0", "INVITE", sent=True, call=call, body=body))
        assert line.feed(message("SIP/2.0 200 OK", "INVITE", sent=False, call=call)) == state
        line.feed(message("BYE sip:102 SIP/2.0", "BYE", sent=True, call=call))


def test_a_phone_that_begins_anew_has_the_channel_driver_of_its_node() -> None:
    """By that of the lab, one that holds was in use, where chan_sip has it on hold."""
    of = lab(PHONES)
    phone = of.phones[0].name
    lines = PhoneLines(of, "PJSIP", {phone: CHAN_SIP})
    lines.move(phone, of.phones[0].node)
    lines.feed(phone, message("INVITE sip:102@n1 SIP/2.0", "INVITE", sent=True))
    lines.feed(phone, message("SIP/2.0 200 OK", "INVITE", sent=False))
    assert lines.state(phone) == "UNAVAILABLE"  # by chan_sip a phone without an address is that, in a call or not
