"""The step that expects SIP: which messages are meant, since when they count, and what is written down."""

from __future__ import annotations

import base64
import time

import pytest

from labctl.errors import HostError, LabError, UsageError
from labctl.history.events import Expected
from labctl.scenario import expectation
from labctl.scenario.sip_messages import Passed, SipPattern, once
from labctl.scenario.steps import sip as sip_step
from labctl.sip.sipp import Agent, nudge
from labctl.sip_message import SipMessage, parse_message
from tests.unit.live_labs import FakeAgent, Rig
from tests.unit.wire import sip

NOTIFY = sip(
    "NOTIFY sip:carol@198.18.7.9 SIP/2.0", cseq="7 NOTIFY", body="<state>early</state>\n", Event="dialog", c="x/y"
)


def message(data: bytes, *, sent: bool = False, at_s: float = 1.0) -> Passed:
    return Passed(at_s, sent, parse_message(data.decode(), at_s, sent))


def wanted(kind: str, body: str | None = None, direction: str | None = None, **headers: str) -> SipPattern:
    return SipPattern(kind, headers, body, direction)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        *[("486", True), ("4xx", True), ("INVITE 486", True), ("INVITE 4xx", True)],
        *[("48", False), ("480", False), ("5xx", False), ("BYE 486", False), ("INVITE", False), ("BYE", False)],
    ],
)
def test_responses_are_told_by_status_and_by_what_they_answer(kind: str, fits: bool) -> None:
    assert wanted(kind).fits(message(sip("SIP/2.0 486 Busy Here"))) is fits


@pytest.mark.parametrize(
    ("which", "fits"),
    [
        (wanted("NOTIFY"), True),
        (wanted("NOTIFY", Event="^dialog$"), True),
        (wanted("NOTIFY", event="dialog", From="alice"), True),
        (wanted("NOTIFY", Content_Type="x"), False),
        (wanted("NOTIFY", **{"Content-Type": "x/y"}), True),  # it has the short name on the wire
        (wanted("NOTIFY", Event="presence"), False),
        (wanted("NOTIFY", "^<state>(early|confirmed)"), True),
        (wanted("NOTIFY", "terminated"), False),
        (wanted("NOTIFY", direction="received"), True),
        (wanted("NOTIFY", direction="sent"), False),
        (wanted("7xx"), False),
    ],
)
def test_requests_are_told_by_method_headers_body_and_direction(which: SipPattern, fits: bool) -> None:
    assert which.fits(message(NOTIFY)) is fits


@pytest.mark.parametrize(
    ("which", "text"),
    [
        (wanted("NOTIFY", "<state>([a-z]+)"), "early"),
        (wanted("NOTIFY", "<state>"), "<state>"),
        (wanted("NOTIFY", Event="d(i)alog"), "i"),
    ],
)
def test_what_is_kept_of_a_message(which: SipPattern, text: str) -> None:
    assert which.captured(message(NOTIFY).sip) == text
    assert wanted("NOTIFY").captured(message(NOTIFY).sip).startswith("NOTIFY sip:carol@198.18.7.9 SIP/2.0\nVia: ")


def test_what_is_sent_again_counts_once_and_what_labctl_tells_its_phones_never() -> None:
    agent = Agent("alice", "s", "192.0.2.1", "192.0.2.9", 6000, range(2), "")
    order = base64.b64decode(nudge(agent, "a", 1).split()[-1])
    twice = [message(NOTIFY), message(NOTIFY, at_s=1.5), message(order), message(NOTIFY, sent=True)]
    assert [passed.sent for passed in once(twice)] == [False, True]


# The step


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(expectation, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(sip_step, "PHONES_HELD_S", 0.05)
    rig = Rig()
    rig.switchboard.open()
    return rig


def notify(agent: FakeAgent, at_s: float = 0.0) -> None:
    agent.number += 1
    head = f"Via: x;branch={agent.number}\r\nFrom: <sip:102@x>\r\nCall-ID: s\r\nCSeq: {agent.number} NOTIFY"
    text = f"NOTIFY sip:x SIP/2.0\r\n{head}\r\nEvent: dialog\r\n\r\n"
    heard = parse_message(text, at_s or now_s(), sent=False)
    if agent.add(heard):
        agent._on_message(agent.agent.name, heard)


def now_s() -> float:
    """Any clock goes, if it is the same for all messages: the recorder finds out how far it is off."""
    return time.monotonic() + 1000


def held(rig: Rig) -> list[Expected]:
    return [event for event in rig.journal.events if isinstance(event, Expected)]


def agent(rig: Rig, name: str = "alice") -> FakeAgent:
    return rig.phones.agent(name, "phone")


def test_it_counts_from_when_the_step_before_began(rig: Rig) -> None:
    alice = agent(rig)
    notify(alice)
    rig.live.wait("20ms")
    rig.live.expect_sip("NOTIFY", phone="alice", absent=True, within="10ms")
    notify(alice)
    rig.live.expect_sip("NOTIFY", phone="alice", count=1, within="10ms")
    found: list[SipMessage] = rig.live.expect_sip("NOTIFY", phone="alice", within="1s")  # the same once more
    rig.live.expect_sip("NOTIFY", phone="alice", count=2, since="start", within="10ms")
    rig.live.expect_sip("NOTIFY", phone="bob", absent=True, since="start", within="10ms")
    assert [event.met for event in held(rig)] == [True] * 5
    assert [one.method for one in found] == ["NOTIFY"]
    assert held(rig)[0].what == "alice: NOTIFY"
    assert [event.wanted for event in held(rig)[:3]] == [
        "none, within 0.01 s",
        "exactly 1, within 0.01 s",
        "one at least, within 1 s",
    ]


def test_it_waits_for_what_has_not_come_yet(rig: Rig) -> None:
    alice = agent(rig)
    rig.live.wait("1ms")
    rig.meanwhile(lambda: notify(alice))
    rig.live.expect_sip("NOTIFY", phone="alice", header={"Event": "(dialog)"}, within="20s", capture="event", must=True)
    assert rig.live.variables == {"event": "dialog"}


def test_headers_and_bodies_may_hold_names_of_the_lab(rig: Rig) -> None:
    alice = agent(rig)
    rig.live.wait("1ms")
    notify(alice)
    told = rig.live.expect_sip("NOTIFY", phone="alice", header={"Event": "dialog"}, within="20s")[0]
    for value, met in ((f"^{told.header('Event')}$", True), ("${n1.address}", False)):
        rig.live.expect_sip("NOTIFY", phone="alice", header={"Event": value}, since="start", within="10ms")
        assert held(rig)[-1].met is met
    assert held(rig)[-1].what == r"alice: NOTIFY Event: /198\.18\.16\.11/"


def test_what_is_not_as_expected_fails_with_what_was_there(rig: Rig) -> None:
    alice = agent(rig)
    rig.live.wait("1ms")
    notify(alice)
    rig.live.expect_sip("BYE", phone="alice", within="10ms")
    rig.live.expect_sip("NOTIFY", phone="alice", absent=True, within="1m")  # over at once: there is one
    (missing, one_too_many) = held(rig)
    assert (missing.met, one_too_many.met) == (False, False)
    assert missing.answer.startswith("0 of 1 messages since +")
    assert "received NOTIFY sip:x SIP/2.0 (CSeq 2 NOTIFY)" in missing.answer
    with pytest.raises(LabError, match="alice: BYE: not as expected: one at least, within"):
        rig.live.expect_sip("BYE", phone="alice", within="10ms", must=True)


def test_what_comes_too_late_does_not_count(rig: Rig) -> None:
    alice = agent(rig)
    notify(alice, now_s())
    notify(alice, now_s() + 60)
    rig.live.expect_sip("NOTIFY", phone="alice", count=1, since="start", within="10ms")
    assert held(rig)[0].met


def test_without_a_capture_nobody_knows_what_is_on_the_wire(rig: Rig) -> None:
    with pytest.raises(HostError, match="no packets are captured") as refused:
        rig.live.expect_sip("INVITE", node="n1", absent=True)
    assert refused.value.hint == "run it without --no-capture"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"message": "INVITE"}, "a phone or a node is wanted"),
        ({"message": "INVITE", "phone": "alice", "node": "n1"}, "a phone or a node is wanted"),
        ({"message": "INVITE", "phone": "zoe"}, "no phone `zoe`"),
        ({"message": "INVITE", "node": "n9"}, "no node `n9`"),
        ({"message": "invite", "phone": "alice"}, "not a SIP message"),
        ({"message": "INVITE", "phone": "alice", "count": 1, "absent": True}, "one too many"),
        ({"message": "INVITE", "phone": "alice", "capture": "it", "absent": True}, "nothing is there to be captured"),
        ({"message": "INVITE", "phone": "alice", "body": "(a+)+"}, "may take for ever"),
        ({"message": "INVITE", "phone": "alice", "header": {"E vent": "a"}}, "not the name of a header"),
        ({"message": "INVITE", "phone": "alice", "header": {"Event": "("}}, "not a regular expression"),
    ],
)
def test_what_is_no_expectation_is_refused(rig: Rig, arguments: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        rig.live.expect_sip(**arguments)
    assert not rig.did
