"""Ladders: legs of a call joined, columns as its path goes, what happened meanwhile across; as text, mermaid, JSON.

tests/unit/data/captures-wire/story is the folder of a real run, its capture without what is no SIP. Golden files:
LABCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_ladder.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl import cli
from labctl.capture.calls import CallFlow, calls
from labctl.capture.dialogs import dialogs
from labctl.capture.messages import read
from labctl.capture.names import AddressNames
from labctl.history.events import Did, Event, FaultBegan, Gone, Healed, Ring, Seen
from labctl.report import ladder_text, ladders, meanwhile, mermaid
from labctl.report.lab_names import names_of
from labctl.report.ladder import MEANWHILE, Across, Arrow, Ladder, Meanwhile, ladder
from labctl.report.timeline import draw
from labctl.scenario import run_record
from tests import readme
from tests.unit import wire
from tests.unit.labs import DATA
from tests.unit.wire import ALICE, BOB, N1, N2, End, sip

WIRE = DATA / "captures-wire"
STORY = WIRE / "story"
GOLDEN = Path(__file__).parent / "golden" / "ladders"
LAB = "nodes: [n1, n2]\nphones: [{name: alice, extension: '101'}, {name: bob, extension: '102'}]\n"

Sent = tuple[End, End, bytes]


def flows(messages: list[Sent], lab: str = LAB, step_s: float = 0.01) -> tuple[CallFlow, ...]:
    contents = read(wire.pcapng(wire.frames(messages), step_s=step_s), "test")
    return calls(contents.messages, names_of(lab, contents.messages))


def written(tmp_path: Path, messages: list[Sent]) -> Path:
    path = tmp_path / "trace.pcapng"
    path.write_bytes(wire.pcapng(wire.frames(messages)))
    return path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


def story() -> ladders.Ladders:
    return ladders.of_run(run_record.recall(STORY))


# Calls


def test_legs_of_a_call_over_two_switches_are_one_with_columns_in_the_order_of_its_path() -> None:
    (call,) = flows(wire.setup())
    assert [dialog.call_id for dialog in call.dialogs] == ["a", "b", "c"]
    assert (call.caller, call.callee, call.state) == ("alice", "bob", "ringing")
    assert call.places == ("alice", "n1", "n2", "bob")


def test_without_a_lab_legs_are_joined_by_the_numbers_that_they_carry() -> None:
    contents = read(wire.pcapng(wire.frames(wire.setup())), "test")
    (call,) = calls(contents.messages, AddressNames(contents.messages))
    assert call.places == ("198.18.7.9:6000", "198.18.7.11", "198.18.7.12", "198.18.7.9:6100")


def invite(call_id: str, caller: str, number: str) -> bytes:
    return sip(f"INVITE sip:{number}@x SIP/2.0", call_id, From=f"<sip:{caller}@x>")


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ((N1, N2, invite("b", "555", "777")), "another caller and another number"),
        ((N2, BOB, invite("b", "alice", "102")), "another switch"),
    ],
)
def test_calls_that_only_meet_stay_apart(second: Sent, why: str) -> None:
    assert len(flows([(ALICE, N1, invite("a", "alice", "102")), second])) == 2, why


def test_a_call_that_is_over_is_no_reason_for_another() -> None:
    refused = [(ALICE, N1, invite("a", "alice", "102")), (N1, ALICE, sip("SIP/2.0 486 Busy Here", "a"))]
    assert len(flows([*refused, (N1, N2, invite("b", "alice", "102"))])) == 2


def test_a_forward_is_joined_by_its_caller_and_only_soon() -> None:
    forward = [(ALICE, N1, invite("a", "alice", "102")), (N1, N2, invite("b", "101", "500"))]
    assert len(flows(forward)) == 1
    assert len(flows(forward, step_s=6.0)) == 2


def test_a_transfer_is_a_leg_of_the_call_that_asked_for_it() -> None:
    refer = sip("REFER sip:102@x SIP/2.0", "a", "2 REFER", Refer_To="<sip:103@x>")
    talk = [
        (ALICE, N1, invite("a", "alice", "102")),
        (N1, ALICE, sip("SIP/2.0 200 OK", "a")),
        (ALICE, N1, refer),
        (N1, N2, invite("b", "102", "103")),
    ]
    assert len(flows(talk, step_s=10.0)) == 1


@pytest.mark.parametrize(
    ("rest", "state"),
    [
        ([], "calling"),
        (["100 Trying"], "calling"),
        (["180 Ringing"], "ringing"),
        (["200 OK"], "in call"),
        (["200 OK", "BYE"], "completed"),
        (["180 Ringing", "CANCEL", "487 Request Terminated"], "cancelled"),
        (["486 Busy Here"], "busy"),
        (["404 Not Found"], "rejected 404"),
        (["401 Unauthorized"], "rejected 401"),
    ],
)
def test_how_far_a_call_has_come(rest: list[str], state: str) -> None:
    messages: list[Sent] = [(ALICE, N1, invite("a", "alice", "102"))]
    for word in rest:
        if word in ("BYE", "CANCEL"):
            messages.append((ALICE, N1, sip(f"{word} sip:102@x SIP/2.0", "a", f"2 {word}")))
        else:
            messages.append((N1, ALICE, sip(f"SIP/2.0 {word}", "a")))
    assert [call.state for call in flows(messages)] == [state]


@pytest.mark.parametrize(
    ("headers", "answers", "state"),
    [
        ({}, ["200 OK"], "registered"),
        ({"Expires": "0"}, ["200 OK"], "unregistered"),
        ({"Contact": "<sip:a@x>;expires=0"}, ["200 OK"], "unregistered"),
        ({"Contact": "<sip:a@x>;expires=60"}, ["200 OK"], "registered"),
        ({}, ["403 Forbidden"], "rejected 403"),
        ({}, [], "no answer"),
    ],
)
def test_how_a_registration_ended(headers: dict[str, str], answers: list[str], state: str) -> None:
    messages = [(ALICE, N1, sip("REGISTER sip:x SIP/2.0", "r", "1 REGISTER", **headers))]
    messages += [(N1, ALICE, sip(f"SIP/2.0 {answer}", "r", "1 REGISTER")) for answer in answers]
    assert [(call.kind, call.state) for call in flows(messages)] == [("REGISTER", state)]


def test_over_tcp_the_port_that_a_connection_begins_at_is_no_place_of_its_own() -> None:
    ends = [(("198.18.7.11", 40001), N2), (N2, ("198.18.7.11", 40001)), (N1, ALICE)]
    text = sip("OPTIONS sip:x SIP/2.0", "o", "1 OPTIONS", Via="SIP/2.0/TCP 198.18.7.11;branch=z9hG4bK1")
    frames = [wire.ethernet(wire.ipv4(source, target, 6, wire.tcp(source, target, 1, text))) for source, target in ends]
    names = AddressNames(read(wire.pcapng(frames), "test").messages)
    assert {names.place(wire.endpoint(end)) for pair in ends for end in pair} == {
        "198.18.7.11",
        "198.18.7.12",
        "198.18.7.9",
    }


@pytest.mark.parametrize(
    "lab",
    [
        "",
        "[",
        "nodes: 7",
        "phones: [7]",
        "nodes: [n1]\nphones: [{name: x}]",
        "nodes: [n1]\nsubnet: nonsense",
        "nodes: [n1]\nsubnet: 198.18.7.0/30",
    ],
)
def test_a_lab_file_that_tells_nothing_leaves_addresses(lab: str) -> None:
    assert flows(wire.setup(), lab)[0].places[1] == "198.18.7.11"


# A run's


def test_the_ladders_of_a_real_run_have_the_names_of_its_lab_and_the_clock_of_its_history() -> None:
    told = story()
    assert [(each.caller, each.callee, each.state, each.columns) for each in told.shown] == [
        ("alice", "bob", "completed", ("alice", "n1", "n2", "bob")),
        ("bob", "carol", "busy", ("bob", "n2", "n3", "carol")),
        ("alice", "bob", "cancelled", ("alice", "n1", "n2", "bob")),
    ]
    events = run_record.recall(STORY).events
    answered = next(event for event in events if isinstance(event, Did) and event.what == "answer bob")
    ok = next(arrow for arrow in told.shown[0].arrows if arrow.status == 200)
    assert answered.began_s < ok.at_s < answered.at_s, "bob's 200 OK falls into the step that had him answer"


def test_the_timeline_has_every_message_with_its_call_on_the_clock_of_the_history() -> None:
    run, told = run_record.recall(STORY), story()
    messages = draw(run.events, run.result, told.ladders).messages
    assert len(messages) == sum(len(each.arrows) for each in told.ladders) == 113
    assert [message.at_s for message in messages] == sorted(message.at_s for message in messages)
    hold = next(message for message in messages if "sendonly" in message.text)
    assert (hold.ladder, hold.source, hold.target, hold.text) == (1, "alice", "n1", "INVITE, sdp sendonly")
    step = next(event for event in run.events if isinstance(event, Did) and event.what == "hold alice")
    assert step.began_s < hold.at_s < step.at_s


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("call", [0, 1])
def test_a_ladder_as_text(call: int, width: int) -> None:
    each = story().shown[call]
    text = "\n".join(line.plain.rstrip() for line in ladder_text.lines(each, width)) + "\n"
    path = GOLDEN / f"call-{call}-{width}.txt"
    if os.environ.get("LABCTL_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")
    assert max(map(len, text.splitlines())) <= width


def test_the_ladder_of_readme_is_that_of_a_real_run() -> None:
    (block,) = (text for text in readme.blocks("console") if "labctl ladder" in text)
    shown = [line for line in block.splitlines()[1:] if line != " …"]
    lines = [line.plain.rstrip() for line in ladder_text.lines(story().shown[0], 80)]
    assert shown == [line for line in lines if line in shown]


# What happened meanwhile


def test_faults_steps_states_and_rings_are_told_in_words() -> None:
    events: list[Event] = [
        Did(1.5, 1, "register alice", 1.0),
        Ring(1.6, "n1", ("n1", "n2"), True),
        FaultBegan(2.0, "split", "partition n1 | n2", ("n1", "n2")),
        Ring(2.5, "n1", ("n1",), False),
        Seen(3.0, "n2", "102", "InUse"),
        Seen(3.004, "n1", "102", "InUse"),
        Seen(9.0, "n1", "102", "InUse"),
        Gone(9.5, "n2", "by itself", "signal 11"),
        Healed(10.0, "split"),
        Did(11.0, 2, "call alice", 10.5, "not registered"),
    ]
    assert [(line.at_s, line.text, line.about) for line in meanwhile.lines(events)] == [
        (1.0, "step 1: register alice", ""),
        (2.0, "partition n1 | n2 begins", ""),
        (2.5, "the ring is n1, without quorum: n1", ""),
        (3.0, "102 is InUse: n2, n1 +4 ms", "102"),
        (9.0, "102 is InUse: n1", "102"),
        (9.5, "n2 is gone: by itself, signal 11", ""),
        (10.0, "partition n1 | n2 is over", ""),
        (10.5, "step 2: call alice", ""),
        (11.0, "step 2 failed: not registered", ""),
    ]


def test_a_ladder_has_what_is_of_its_time_and_its_parties_and_faults_that_were_in_force_before() -> None:
    (call,) = flows(wire.setup())
    happened = [
        Across(-50.0, "cut n1 begins", "fault", until_s=0.05),
        Across(-50.0, "kill n2 begins", "fault", until_s=-20.0),
        Across(0.05, "103 is InUse: n1", "state", about="103"),
        Across(0.05, "102 is Ringing: n1", "state", about="102"),
        Across(60.0, "step 9: settle", "step"),
    ]
    contents = read(wire.pcapng(wire.frames(wire.setup())), "test")
    drawn = ladder(call, names_of(LAB, contents.messages), wire.T0_S, Meanwhile(happened))
    across = [(round(row.at_s, 3), row.text) for row in drawn.rows if isinstance(row, Across)]
    assert across == [(-0.5, "cut n1, in force since -50.000 s"), (0.05, "102 is Ringing: n1")]
    assert isinstance(drawn.rows[0], Across)


def test_of_very_much_that_happened_beside_a_call_the_first_is_shown() -> None:
    (call,) = flows(wire.setup())
    happened = [Across(-50.0, f"cut n{number} begins", "fault", until_s=9.0) for number in range(MEANWHILE + 5)]
    contents = read(wire.pcapng(wire.frames(wire.setup())), "test")
    drawn = ladder(call, names_of(LAB, contents.messages), wire.T0_S, Meanwhile(happened))
    across = [row.text for row in drawn.rows if isinstance(row, Across)]
    assert len(across) == MEANWHILE + 1
    assert across[-1] == "… and more, which is not shown"


def test_what_a_dialog_is_is_worked_out_once() -> None:
    """It was for each of its messages: of two thousand that tell nothing of it that took seven seconds."""
    contents = read(wire.pcapng(wire.frames(wire.setup())), "test")
    (dialog, *_) = dialogs(contents.messages)
    assert dialog.opening.sip.method == dialog.kind == "INVITE"
    assert {"kind", "opening"} <= {*vars(dialog)}


# For people and programs


def test_several_calls_are_listed_first_and_registrations_only_if_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("ladder", str(STORY)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CALL", "KIND", "FROM", "TO", "START", "LASTS", "STATE", "MESSAGES"]
    assert [line.split()[1] for line in lines[1:4]] == ["INVITE"] * 3
    assert [line for line in lines if line.startswith("call ")] == [
        "call 1: alice to bob, completed",
        "call 2: bob to carol, busy",
        "call 3: alice to bob, cancelled",
    ]
    assert run("ladder", str(STORY), "--all") == 0
    everything = capsys.readouterr().out
    assert "REGISTER 4: alice to alice, unregistered" in everything
    assert re.search(r"SUBSCRIBE \d+: carol to alice", everything)
    registrations = [(ALICE, N1, sip("REGISTER sip:x SIP/2.0", "r", "1 REGISTER"))]
    assert run("ladder", str(written(tmp_path, registrations))) == 0
    assert capsys.readouterr().out.startswith("REGISTER 1: alice")


def test_one_call_and_one_message_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ladder", str(STORY), "--call", "2") == 0
    assert capsys.readouterr().out.startswith("call 2: bob to carol, busy\n")
    assert run("ladder", str(STORY), "--call", "2", "--message", "12") == 0
    said = capsys.readouterr().out
    assert said.startswith("-- 2.12: carol to n3, UDP, 2026-11-26T")
    assert "SIP/2.0 486 Busy Here\n" in said
    assert run("ladder", str(STORY), "--call", "2", "--raw") == 0
    assert capsys.readouterr().out.count("\n-- 2.") == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--call", "99"), "no call 99"),
        (("--call", "2", "--message", "18"), "call 2 has 17 messages, and no 18"),
        (("--message", "1"), "--message is one of a call"),
    ],
)
def test_what_is_not_there(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ladder", str(STORY), *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_a_capture_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(STORY, folder)
    (folder / "capture.pcapng").unlink()
    assert run("ladder", str(folder)) == 2
    assert "no capture.pcapng in it" in capsys.readouterr().err
    (folder / "capture.pcapng").symlink_to("/etc/passwd")
    assert run("ladder", str(folder)) == 2
    assert "no capture.pcapng in it" in capsys.readouterr().err


def test_a_capture_that_ended_before_its_run_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(STORY, folder)
    history = (folder / "history.jsonl").read_text("utf-8")
    (folder / "history.jsonl").write_text(history.replace('"ended":""', '"ended":"cut at 32 MB"', 1), "utf-8")
    assert run("ladder", str(folder)) == 0
    assert "cut at 32 MB" in capsys.readouterr().err


def test_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ladder", str(STORY), "--call", "2", "-o", "json") == 0
    data = json.loads(capsys.readouterr().out)
    (call,) = data["calls"]
    assert call["columns"] == ["bob", "n2", "n3", "carol"]
    rows = [row for row in call["rows"] if "text" in row and "what" in row]
    assert (rows[0]["what"], rows[0]["source"], rows[0]["target"]) == ("INVITE", 0, 1)
    assert rows[0]["text"].startswith("INVITE sip:103@198.19.")
    assert data["packets"]["SIP"] == 113


def test_a_long_capture_is_cut_with_a_note(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pings = [
        (ALICE, N1, sip("OPTIONS sip:x SIP/2.0", "o", f"{number} OPTIONS"))
        for number in range(ladder_text.MOST_ROWS + 7)
    ]
    assert run("ladder", str(written(tmp_path, pings))) == 0
    said = capsys.readouterr().out
    assert said.count("─ OPTIONS ─") == ladder_text.MOST_ROWS
    assert "7 more rows are not shown; -o json has all" in said


EVIL = "\x1b]0;owned\x07\x9b31m\u202e\u2028``` ;end #1; %% \\n<script>"


def evil() -> list[Sent]:
    start = f"INVITE sip:{EVIL.replace(' ', '')}@x SIP/2.0"
    return [(ALICE, N1, sip(start, "a", From=f'"{EVIL}" <sip:{EVIL}@x>')), (N1, ALICE, sip(f"SIP/2.0 200 {EVIL}", "a"))]


@pytest.mark.parametrize("arguments", [(), ("--raw",), ("-o", "json"), ("-o", "mermaid")])
def test_nothing_in_a_message_reaches_the_terminal_as_a_command(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("ladder", str(written(tmp_path, evil())), *arguments) == 0
    said = capsys.readouterr().out
    assert "INVITE" in said
    assert not {letter for letter in said if not letter.isprintable()} - {"\n"}


@pytest.mark.parametrize("at_s", [0.0, 4e12, 1.8e13])
@pytest.mark.parametrize("arguments", [(), ("--raw",), ("-o", "json"), ("-o", "mermaid")])
def test_a_time_of_no_year_is_told_as_it_is(
    at_s: float, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "trace.pcapng"
    packet = wire.enhanced(wire.frame(*wire.setup()[0]), at_s)
    path.write_bytes(wire.section() + wire.interface() + packet)
    assert run("ladder", str(path), *arguments) == 0
    assert "INVITE" in capsys.readouterr().out


def test_mermaid_has_a_line_for_each_row_and_dashes_for_responses() -> None:
    each = story().shown[1]
    lines = mermaid.diagram(each).splitlines()
    assert lines[:7] == [
        "```mermaid",
        "sequenceDiagram",
        "    participant p0 as bob",
        "    participant p1 as n2",
        "    participant p2 as n3",
        "    participant p3 as carol",
        "    Note over p0,p3: call 2#58; bob to carol, busy",
    ]
    assert len(lines) == 7 + len(each.rows) + 1
    assert "    p0->>p1: 52.285 INVITE carol, sdp" in lines
    assert "    p3-->>p2: 52.356 486 Busy Here" in lines


@given(st.text(max_size=300))
def test_no_text_is_anything_else_to_mermaid(text: str) -> None:
    escaped = mermaid.escaped(text)
    assert escaped
    assert "\n" not in escaped
    rest = re.sub(r"#[0-9]+;", "", escaped)
    assert re.fullmatch(r"[A-Za-z0-9 .,/+()_-]*", rest)
    assert not re.search(r"(?i)\b(?:end|wrap|nowrap)", escaped)
    back = re.sub(r"#([0-9]+);", lambda entity: chr(int(entity[1])), escaped)
    if len(text) < mermaid.LONGEST_TEXT and text.isprintable() and text:
        assert back == text


def test_a_diagram_is_no_longer_than_mermaid_draws() -> None:
    each = story().shown[0]
    arrow = next(row for row in each.rows if isinstance(row, Arrow))
    long = replace(each, rows=(replace(arrow, about="x" * 500),) * 2000)
    drawn = mermaid.diagram(long)
    assert len(drawn) < 50_000
    assert re.search(r"\d+ more are left out", drawn)


def test_a_terminal_too_narrow_for_columns_has_lines() -> None:
    each: Ladder = story().shown[0]
    text = [line.plain for line in ladder_text.lines(each, 40)]
    assert "alice → n1  INVITE bob, sdp" in text[1]
