"""Ladders of real calls equal what tshark says of the same capture, message by message."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labctl.blueprint import addresses
from labctl.capture.messages import Message, read
from labctl.scenario import run_folder
from tests.e2e import wireshark
from tests.e2e.kept_runs import kept_run
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

NAME = f"ladder-{os.getpid()}"
PHONES = ("alice", "bob", "carol")

STEPS = """
title: A call with hold, one that is given up, one that is refused, one to nobody; phones go off and on again
steps:
- register: [alice, bob, carol]
- watch: {phone: carol, extension: "101"}
- call: {caller: alice, callee: bob}
- answer: bob
- talk: [alice, bob]
- hold: alice
- resume: alice
- hang_up: alice
- call: {caller: alice, callee: bob}
- hang_up: alice
- call: {caller: bob, callee: carol}
- reject: carol
- unregister: [alice, bob]
- register: [alice, bob]
- call: {caller: carol, callee: alice}
- answer: alice
- hang_up: alice
- settle
"""

FIELDS = (
    *("frame.number", "frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport"),
    *("sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq", "sip.resend", "udp.payload"),
)


@dataclass(frozen=True)
class Told:
    """The folder of a run of STEPS, and what tshark says of each SIP message in its capture."""

    folder: Path
    subnet: str
    tshark: list[tuple[str, ...]]

    def place(self, address: str, port: str) -> str:
        """Who is at an address, as the lab gives them out: nodes in order, phones by their ports."""
        nodes = {addresses.address(self.subnet, number): f"n{number}" for number in (1, 2, 3)}
        return nodes.get(address) or PHONES[int(port) // 100 - 60]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with kept_run(STEPS, NAME, tmp_path_factory.mktemp("runs")) as (engine, run):
        subnet = engine.observe(NAME).networks[0].subnet
        container = f"labctl-{NAME}-phones"
        said = wireshark.fields(engine, container, run / run_folder.CAPTURE, "sip and not icmp", *FIELDS)
        yield Told(run, subnet, said)


def as_tshark(message: Message) -> tuple[str, ...]:
    """What FIELDS are of a message, with its time to 10 µs: the rest of it is beyond what a number holds."""
    sip = message.sip
    ends = (part for end in (message.source, message.target) for part in (end.address, str(end.port)))
    status = str(sip.status) if sip.status else ""
    words = (sip.method, status, sip.header("Call-ID"), sip.header("CSeq"), str(message.again))
    return (str(message.frame), f"{message.at_s:.5f}", *ends, *words, message.text.encode().hex())


def test_every_message_is_what_tshark_says(told: Told) -> None:
    capture = (told.folder / run_folder.CAPTURE).read_bytes()
    wanted = [(number, f"{float(at):.5f}", *rest) for number, at, *rest in told.tshark]
    messages = sorted(read(capture, "capture").messages, key=lambda message: message.frame)  # as tshark, by the file
    assert [as_tshark(message) for message in messages] == wanted
    statuses = {fields[7] for fields in told.tshark}
    assert {"401", "100", "180", "200", "486", "487"} <= statuses
    assert {"REGISTER", "SUBSCRIBE", "NOTIFY", "INVITE", "ACK", "CANCEL", "BYE"} <= {
        fields[6] for fields in told.tshark
    }


def rows(data: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Each message of all ladders: its number in the file, who sent it to whom, and what it is."""
    return sorted(
        (row["frame"], call["columns"][row["source"]], call["columns"][row["target"]], row["what"])
        for call in data["calls"]
        for row in call["rows"]
        if "frame" in row
    )


def test_every_message_is_in_one_ladder_between_those_who_sent_and_got_it(told: Told) -> None:
    done = labctl("ladder", str(told.folder), "--all", "-o", "json")
    assert done.code == 0, done.err
    wanted = [
        (int(number), told.place(source, source_port), told.place(target, target_port), method or status)
        for number, _, source, source_port, target, target_port, method, status, *_ in told.tshark
    ]
    assert rows(json.loads(done.out)) == wanted


def test_each_call_of_the_scenario_is_one_ladder_with_all_its_legs(told: Told) -> None:
    calls = labctl("ladder", str(told.folder), "-o", "json").data["calls"]
    assert [(call["caller"], call["callee"], call["state"], call["columns"]) for call in calls] == [
        ("alice", "bob", "completed", ["alice", "n1", "n2", "bob"]),
        ("alice", "bob", "cancelled", ["alice", "n1", "n2", "bob"]),
        ("bob", "carol", "busy", ["bob", "n2", "n3", "carol"]),
        ("carol", "alice", "completed", ["carol", "n3", "n1", "alice"]),
    ]
    once = [notes for row in calls[0]["rows"] if "again" not in (notes := row.get("notes", ()))]
    holds = [note for notes in once for note in notes if note.startswith("sdp ")]
    assert holds == ["sdp sendonly", "sdp recvonly"]


def test_steps_of_the_run_stand_before_the_messages_that_they_caused(told: Told) -> None:
    text = labctl("ladder", str(told.folder), "--call", str(first_call(told))).out.splitlines()
    step = next(number for number, line in enumerate(text) if ": answer bob" in line)
    assert [any("200 OK" in line for line in part) for part in (text[:step], text[step:])] == [False, True]


def first_call(told: Told) -> int:
    """The number of the first call."""
    number: int = labctl("ladder", str(told.folder), "-o", "json").data["calls"][0]["number"]
    return number
