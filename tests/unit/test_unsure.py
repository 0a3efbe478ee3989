"""What nobody knows of a phone: it is held against no node, and what may be so is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.checks.bounded_delay import bounded_delay
from labctl.checks.expected import ANY, Replay
from labctl.checks.finding import Limits
from labctl.checks.look_comparison import compare
from labctl.checks.no_flapping import no_flapping
from labctl.history.events import Began, Did, Event, Looked, Over, Said, Seen
from labctl.history.journal import Journal
from labctl.history.phone_events import Unsure
from labctl.scenario.recorder import Recorder
from labctl.sip_message import parse_message
from tests.unit.labs import lab, stack
from tests.unit.live_labs import Rig

DEVICE = "PJSIP/alice"
NODES = ("n1", "n2")
BEGAN = Began(0.0, "", "lab", "22", NODES, {"101": DEVICE}, homes={DEVICE: "n1"})
FREE = Said(1.0, "n1", DEVICE, "NOT_INUSE")
LOST, GONE = Unsure(2.0, "n1", DEVICE, "why"), Unsure(2.0, "n1", DEVICE, "why", ("NOT_INUSE", "UNAVAILABLE"))


def replay(*events: Event) -> Replay:
    played = Replay(BEGAN)
    for event in events:
        played.take(event)
    return played


def look(state: str, other: str = "") -> Looked:
    rings: dict[str, tuple[str, ...]] = dict.fromkeys(NODES, NODES)
    return Looked(9.0, {"n1": {"101": state}, "n2": {"101": other or state}}, rings)


@pytest.mark.parametrize(
    ("events", "right"),
    [
        ((FREE,), {"Idle"}),
        ((FREE, LOST), ANY),
        ((FREE, GONE), {"Idle", "Unavailable"}),
        ((GONE, Said(3.0, "n2", DEVICE, "NOT_INUSE")), {"Idle"}),  # it has moved: one that is free is enough
        ((FREE, GONE, Said(3.0, "n1", DEVICE, "INUSE")), {"InUse"}),
    ],
)
def test_what_a_node_may_say(events: tuple[Event, ...], right: set[str]) -> None:
    assert replay(*events).right(DEVICE, NODES) == right


@pytest.mark.parametrize(
    ("said", "seen", "rules"),
    [
        (LOST, look("Busy"), []),
        (GONE, look("Unavailable"), []),
        (GONE, look("Busy"), ["truth"]),
        (LOST, look("Busy", "Idle"), ["agreement"]),
    ],
)
def test_nodes_are_held_against_each_other_all_the_same(said: Unsure, seen: Looked, rules: list[str]) -> None:
    compared = compare([BEGAN, FREE, said, seen], Limits())
    assert [rule for rule, findings in compared.findings.items() if findings] == rules
    assert compared.compared["truth"] == (0 if said is LOST else 2)
    assert compared.compared["agreement"] == 1


def test_what_a_node_tells_then_is_neither_late_nor_a_flap() -> None:
    told = [Seen(1.01, "n1", "101", "Idle"), Seen(1.01, "n2", "101", "Idle"), Seen(6.0, "n1", "101", "Unavailable")]
    events: list[Event] = [BEGAN, FREE, *told[:2], LOST, told[2], look("Unavailable")]
    assert [check.judge(events, Limits()).findings for check in (bounded_delay, no_flapping)] == [(), ()]


@pytest.mark.parametrize("state", ["Ringing", "InUse&Ringing"])
def test_of_a_change_that_may_be_two_things_neither_is_late(state: str) -> None:
    may = Unsure(2.0, "n1", DEVICE, "why", ("INUSE", "NOT_INUSE"))
    told = [Seen(at_s, node, "101", word) for at_s, word in ((1.1, "Idle"), (30.1, state)) for node in NODES]
    events: list[Event] = [BEGAN, FREE, *told[:2], may, Said(30.0, "n2", DEVICE, "RINGING"), *told[2:], Over(60.0)]
    assert [check.judge(events, Limits()).findings for check in (bounded_delay, no_flapping)] == [(), ()]


# Who writes it


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Journal(), lab("name: lab\nnodes: 2\nphones: 2\n"), stack())


def say(recorder: Recorder, phone: str, start: str, cseq: str, *, sent: bool, expires: str = "60") -> None:
    text = f"{start}\r\nVia: x\r\nCall-ID: {phone}\r\nCSeq: {cseq}\r\nExpires: {expires}\r\n\r\n"
    recorder.phone_said(phone, parse_message(text, 0.0, sent))


def written(recorder: Recorder) -> list[str]:
    return [f"{event.node} {getattr(event, 'state', '?')}" for event in recorder._journal.events]  # type: ignore[union-attr]


def register(recorder: Recorder, phone: str = "alice") -> None:
    say(recorder, phone, "REGISTER sip:n1 SIP/2.0", "1 REGISTER", sent=True)
    say(recorder, phone, "SIP/2.0 200 OK", "1 REGISTER", sent=False)


def test_a_phone_that_vanished_is_known_again_when_it_registers(recorder: Recorder) -> None:
    register(recorder)
    recorder.vanished("alice", in_call=False)
    recorder.sure("alice")
    register(recorder)
    assert written(recorder) == ["n1 UNAVAILABLE", "n1 NOT_INUSE", "n1 ?", "n1 UNAVAILABLE", "n1 NOT_INUSE"]


def test_one_that_vanished_in_a_call_is_not(recorder: Recorder) -> None:
    recorder.vanished("alice", in_call=True)
    recorder.sure("alice")
    register(recorder)
    assert written(recorder) == ["n1 ?"]


def test_what_was_in_a_call_is_known_again_when_that_is_over_and_it_registers(recorder: Recorder) -> None:
    recorder.vanished("alice", in_call=True)
    recorder.node_lost_calls("n1")
    assert written(recorder) == ["n1 ?"]
    recorder.sure("alice")
    register(recorder)
    assert written(recorder)[-1] == "n1 NOT_INUSE"


@pytest.mark.parametrize("order", [("cut_off", "vanished"), ("vanished", "cut_off")])
def test_that_a_node_has_lost_its_calls_makes_nobody_sure_who_is_not_for_another_reason(
    recorder: Recorder, order: tuple[str, ...]
) -> None:
    """It made sure whoever had a call cut off: a phone that had vanished was held for unavailable."""
    register(recorder)
    for happened in order:
        if happened == "cut_off":
            recorder.cut_off("alice")
        else:
            recorder.vanished("alice", in_call=False)
    recorder.node_lost_calls("n1")
    assert written(recorder)[-1] == "n1 ?"


def test_of_one_that_vanished_in_a_call_it_is_known_where_it_is_again(recorder: Recorder) -> None:
    recorder.vanished("alice", in_call=True)
    recorder.registers_at("alice", "n2")
    recorder.sure("alice")
    register(recorder)
    assert written(recorder) == ["n1 ?", "n2 ?"]
    assert replay(*recorder._journal.events).home(DEVICE) == "n2"


def test_a_phone_is_astray_where_nothing_tells_where_it_registered() -> None:
    on_again, at_n2 = Did(4.0, 2, "register alice node=n2", 3.0), Unsure(3.5, "n2", DEVICE, "why")
    assert replay(FREE, LOST).right(DEVICE, ("n2",)) == {"Unavailable"}
    assert replay(FREE, LOST, on_again).right(DEVICE, ("n2",)) == ANY
    assert replay(FREE, LOST, at_n2, on_again).astray == set()
    assert replay(FREE, LOST, replace(on_again, what="register bob")).astray == set()
    assert replay(FREE, LOST, on_again, Said(5.0, "n2", DEVICE, "NOT_INUSE")).right(DEVICE, ("n2",)) == {"Idle"}


def test_one_that_moves_speaks_for_itself_at_its_new_node(recorder: Recorder) -> None:
    register(recorder)
    recorder.registers_at("alice", "n2")
    register(recorder)
    assert written(recorder)[-1] == "n2 NOT_INUSE"
    assert recorder.node_of("alice") == "n2"


# The steps


def test_a_phone_registers_only_with_nodes_that_know_it() -> None:
    rig = Rig("name: lab\nnodes: 3\nphones: [{name: alice, node: n1, also: [n3], extension: 101}]\n")
    rig.live.open()
    with pytest.raises(Exception, match="alice cannot register with n2"):
        rig.live.register("alice", node="n2")
    rig.live.register("alice", node="n3")
    assert rig.live.node_of("alice") == "n3"
