"""Phones that register with a service in front of their nodes, or with the lab's virtual address."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import cast

import pytest

from labctl.checks.expected import ANY, Replay
from labctl.checks.finding import Limits
from labctl.checks.key_lamps import key_lamps
from labctl.engine.client import Engine
from labctl.history.events import Began, Called, Event, Looked, Notified, Over, Watching
from labctl.history.journal import Journal
from labctl.history.phone_events import IN_FRONT, NO_OPTIONS, Unsure
from labctl.images.recipes import ServiceImage
from labctl.labfile import writer
from labctl.scenario.recorder import Recorder
from labctl.sip import sipp
from labctl.sip.manner import Manner
from labctl.sip.phones import Phones
from labctl.sip.sipp import Agent
from labctl.sip_message import parse_message
from labctl.timing import Deadline
from tests.unit.labs import IMAGES, draw, lab, stack
from tests.unit.live_labs import Rig
from tests.unit.phone_streams import PhonesContainer, running_lab

TEXT = """
name: lab
nodes: 3
phones:
  - {name: alice, node: n1, also: [n2], extension: 101, registrar: front}
  - {name: bob, node: n2, extension: 102, registrar: lab.virtual}
  - {name: carol, node: n3, extension: 103}
services: {front: {image: "my/front:1"}}
"""
DEVICE = "PJSIP/alice"


# In the lab file


def test_its_registrar_comes_first_and_its_nodes_know_it() -> None:
    alice = lab(TEXT).phone("alice")
    assert (alice.registrars, alice.known_to) == (("front", "n1", "n2"), ("n1", "n2"))


def test_it_is_written_as_it_was_read() -> None:
    assert lab(writer.to_yaml(lab(TEXT))) == lab(TEXT)
    assert "registrar" not in writer.to_data(lab(TEXT))["phones"][2]


def test_nodes_are_what_they_are_without_a_service_in_front() -> None:
    without = re.sub(", registrar: [a-z.]+", "", TEXT)
    images = replace(IMAGES, services=(ServiceImage("front", "my/front:1"),))
    behind, at_nodes = draw(TEXT, images=images), draw(without, images=images)
    assert [spec.files for spec in behind.containers] == [spec.files for spec in at_nodes.containers]


# What nodes have of it


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Journal(), lab(TEXT), stack())


def register(recorder: Recorder, phone: str = "alice") -> None:
    for start, sent in (("REGISTER sip:x SIP/2.0", True), ("SIP/2.0 200 OK", False)):
        text = f"{start}\r\nVia: x\r\nCall-ID: {phone}\r\nCSeq: 1 REGISTER\r\nExpires: 60\r\n\r\n"
        recorder.phone_said(phone, parse_message(text, 0.0, sent))


def written(recorder: Recorder) -> list[str]:
    return [f"{event.node} {getattr(event, 'state', '?')}" for event in recorder._journal.events]  # type: ignore[union-attr]


def test_nobody_knows_what_any_node_has_of_it(recorder: Recorder) -> None:
    recorder.registers_at("alice", "front")
    recorder.sure("alice")
    register(recorder)
    assert written(recorder) == ["n3 ?", "n2 ?", "n1 ?"]
    assert recorder.node_of("alice") == "n1"
    assert recorder.nodes_of("alice") == ("n1", "n2", "n3")


def test_also_where_no_step_has_registered_it(recorder: Recorder) -> None:
    register(recorder)
    assert written(recorder) == ["n3 ?", "n2 ?", "n1 ?"]


def test_why_stays_the_server_that_is_in_front(recorder: Recorder) -> None:
    recorder.registers_at("alice", "front")
    recorder.unsure("alice", NO_OPTIONS, ("NOT_INUSE",))
    assert {(event.why, event.may) for event in recorder._journal.events} == {(IN_FRONT, ())}  # type: ignore[union-attr]


def test_it_is_known_again_once_it_registers_with_a_node(recorder: Recorder) -> None:
    recorder.registers_at("alice", "front")
    recorder.registers_at("alice", "n2")
    recorder.sure("alice")
    register(recorder)
    assert written(recorder)[3:] == ["n2 UNAVAILABLE", "n2 NOT_INUSE"]
    assert recorder.nodes_of("alice") == ("n2",)


# The steps


@pytest.fixture
def rig() -> Rig:
    rig = Rig(TEXT)
    rig.live.open()
    return rig


def places(rig: Rig) -> list[str]:
    return [event.node for event in rig.journal.events if isinstance(event, Unsure)]


@pytest.mark.parametrize("node", ["front", "lab.virtual"])
def test_a_step_can_say_so_of_any_phone(rig: Rig, node: str) -> None:
    rig.live.register("carol", node=node)
    assert places(rig) == ["n2", "n1", "n3"]


def test_a_call_may_go_through_any_node(rig: Rig) -> None:
    for caller, callee in (("carol", "alice"), ("alice", "901"), ("carol", "901")):
        rig.switchboard.place(caller, callee, 1)
    calls = [event.nodes for event in rig.journal.events if isinstance(event, Called)]
    assert calls == [("n3", "n1", "n2"), ("n1", "n2", "n3"), ("n3",)]


# The phones


def test_it_speaks_with_its_registrar_and_hears_any_node() -> None:
    container = PhonesContainer()
    phones = Phones(cast("Engine", container), replace(running_lab(), lab=lab(TEXT)))
    with phones:
        alice, bob = phones.switch_on("alice"), phones.switch_on("bob")
        assert [agent.agent.node_address for agent in (alice, bob)] == ["198.18.16.41", "198.18.16.61"]
        for source in ("198.18.16.12", "198.18.16.13", "198.18.16.99"):
            packet = f"0.1\t{source}\t{bob.agent.media.start}\t0\t0x1\t1\n"
            container.captures[0].say(packet.encode() * 2)
        phones.await_heard(bob, 4, Deadline(2))
        phones.switch_off(alice)
        at_node = phones.switch_on("alice", manner=Manner(place="n2"))
        assert at_node.agent.node_address == "198.18.16.12"


# What a phone says and hears by way of a server

AGENT = Agent("alice", "secret", "192.0.2.1", "192.0.2.9", 6000, range(20000, 20010), "/tone")
INVITE = (
    "INVITE sip:alice@192.0.2.9:6000 SIP/2.0\r\n"
    "Record-Route: <sip:192.0.2.2;lr>\r\nRecord-Route: <sip:192.0.2.3;lr>\r\n"
    "Via: SIP/2.0/UDP 192.0.2.2;branch=b\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=a\r\n"
    "From: x\r\n\r\n"
)


def of_invite(variable: str) -> str:
    """What the phone keeps of an INVITE in a variable, which is a POSIX regular expression's first match."""
    (pattern,) = re.findall(
        rf'<ereg regexp="([^"]*)" search_in="msg" assign_to="{variable}"/>', sipp.line(AGENT, 1).text
    )
    found = re.search(pattern.replace("[^[:cntrl:]]", r"[^\x00-\x1f]").replace("[[:cntrl:]]", r"[\x00-\x1f]"), INVITE)
    return found[0] if found else ""


def test_what_answers_an_invite_has_all_that_it_came_by() -> None:
    """It had the first Via alone: no answer came farther than the server in front."""
    assert of_invite("via") == "Via: SIP/2.0/UDP 192.0.2.2;branch=b\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=a"
    assert of_invite("record_route") == "Record-Route: <sip:192.0.2.2;lr>\r\nRecord-Route: <sip:192.0.2.3;lr>"
    answer = sipp.line(AGENT, 1).text.split("SIP/2.0 200 OK")[1]
    assert answer.index("[$via]") < answer.index("[$record_route]") < answer.index("Content-Length")


@pytest.mark.parametrize("method", ["ACK", "BYE", "REFER", "INFO", "INVITE"])
@pytest.mark.parametrize("text", [sipp.line(AGENT, 1).text, sipp.call(AGENT, "102", 1).text])
def test_what_is_asked_in_a_call_goes_the_way_that_the_call_came(text: str, method: str) -> None:
    asked = re.findall(rf"{method} \[next_url\] SIP/2.0\n(.*?)Content-", text, re.DOTALL)
    assert asked
    assert all(re.search(r">\n +\[routes\]\n", headers) for headers in asked)


def test_a_phone_takes_a_path_between_it_and_its_registrar() -> None:
    """A node that finds phones by Path refuses one that does not say so: 420 (RFC 3327, 5.1)."""
    requests = re.findall(r"REGISTER sip:.*?\]\]>", sipp.register(AGENT, 60).text, re.DOTALL)
    assert [len(re.findall(r"\n +Supported: path\n", request)) for request in requests] == [1] * 4
    assert not any(re.search(r"\n *\n.*\n *Expires", request) for request in requests)


# Checks

BEGAN = Began(0.0, "", "lab", "22", ("n1", "n2"), {"101": DEVICE, "102": "PJSIP/bob"}, homes={DEVICE: "n1"})
BEHIND = [Unsure(1.0, node, DEVICE, IN_FRONT) for node in ("n2", "n1")]


def look(at_s: float) -> Looked:
    states = {node: {"101": "Idle", "102": "InUse"} for node in ("n1", "n2")}
    return Looked(at_s, states, dict.fromkeys(("n1", "n2"), ("n1", "n2")))


def test_any_state_of_it_is_right_at_any_node_also_where_its_own_is_gone() -> None:
    replay = Replay(BEGAN)
    for event in BEHIND:
        replay.take(event)
    assert replay.right(DEVICE, ("n2",)) == replay.right(DEVICE, ("n1", "n2")) == ANY


@pytest.mark.parametrize(("behind", "found"), [(BEHIND, 0), ([], 1)])
def test_what_it_is_told_of_what_it_watches_is_not_judged(behind: list[Unsure], found: int) -> None:
    watches = Watching(2.0, "alice", "102")
    events: list[Event] = [BEGAN, *behind, watches, Notified(2.1, "alice", "102", "terminated"), look(60.0), Over(90.0)]
    assert len(key_lamps(events, Limits()).findings) == found
