"""Steps that ask: what is sent, when it is asked again, what is written down, what later steps get of it."""

from __future__ import annotations

import pytest

from labctl.asterisk.ami import ActionRefused
from labctl.errors import InvalidFile, LabError, UsageError
from labctl.history.events import Expected, Line
from labctl.scenario import expectation, inline_commands
from labctl.scenario.expectation import KEPT, ends, filled_in, names_of_lab
from labctl.yamlfile.pattern import mistake_in
from tests.unit.live_labs import FakeConnection, Rig
from tests.unit.test_scenario import read as read_scenario


class Answers(FakeConnection):
    """A connection whose Asterisk gives one answer after the other, the last for ever."""

    def __init__(self, *answers: str | Exception) -> None:
        super().__init__("n1", [])
        self.left = [*answers]
        self.asked: list[str] = []

    def command(self, line: str) -> str:
        self.asked.append(line)
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_list(self, action: str, **headers: str) -> list[dict[str, str]]:
        self.asked.append(f"{action} {headers}")
        return [{"Response": "Success", "ActionID": "1"}, {"Event": "QueueParams", "Calls": "1"}]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(expectation, "ASK_AGAIN_S", 0.01)
    return Rig()


def answering(rig: Rig, *answers: str | Exception) -> Answers:
    connection = Answers(*answers)
    rig.cluster.connection = lambda node: connection  # type: ignore[method-assign] # noqa: ARG005
    return connection


def held(rig: Rig) -> list[Expected]:
    return [event for event in rig.journal.events if isinstance(event, Expected)]


def test_an_answer_is_given_back_and_held_to_nothing(rig: Rig) -> None:
    answering(rig, "Asterisk 22")
    assert rig.live.cli("n1", "core show version") == "Asterisk 22"
    assert not held(rig)


def test_it_is_asked_again_until_it_is_as_expected(rig: Rig) -> None:
    connection = answering(rig, "none", "none", "2 calls")
    assert rig.live.cli("n1", "core show calls", expect=r"^(\d) calls") == "2 calls"
    assert len(connection.asked) == 3
    assert [(event.met, event.answer, event.nodes) for event in held(rig)] == [(True, "2 calls", ("n1",))]


def test_what_is_not_as_expected_is_written_down_and_the_run_goes_on(rig: Rig) -> None:
    answering(rig, "none")
    rig.live.cli("n1", "core show calls", expect="2 calls", within="50ms")
    assert [(event.met, event.wanted) for event in held(rig)] == [(False, "/2 calls/, within 0.05 s")]


def test_unless_it_must_be(rig: Rig) -> None:
    answering(rig, "none")
    with pytest.raises(LabError, match="not as expected: /2 calls/"):
        rig.live.cli("n1", "core show calls", expect="2 calls", within="50ms", must=True)
    assert [event.met for event in held(rig)] == [False]


def test_what_must_not_be_there(rig: Rig) -> None:
    answering(rig, "Thread 1", "nothing")
    rig.live.cli("n1", "core show locks", absent="Thread")
    assert [(event.met, event.answer) for event in held(rig)] == [(True, "nothing")]


def test_an_error_of_asterisk_is_an_answer_and_a_lost_connection_is_none(rig: Rig) -> None:
    answering(rig, ActionRefused("n1: Asterisk says: No such command"))
    rig.live.cli("n1", "no such", expect="No such command")
    assert [event.met for event in held(rig)] == [True]
    answering(rig, LabError("n1: the manager connection is gone"))
    with pytest.raises(LabError, match="gone"):
        rig.live.cli("n1", "no such", expect="No such command")


def test_a_word_of_an_answer_is_used_later_as_it_is(rig: Rig) -> None:
    connection = answering(rig, "id 1.5", "id 105", "id 1.5")
    rig.live.cli("n1", "show", expect=r"id (\S+)", capture="number")
    rig.live.cli("n1", "show ${number} ${EXTEN}", expect="^id ${number}$")
    assert connection.asked == ["show", "show 1.5 ${EXTEN}", "show 1.5 ${EXTEN}"]
    assert rig.live.variables == {"number": "1.5"}


def test_names_of_the_lab_are_filled_in_and_match_as_they_are(rig: Rig) -> None:
    connection = answering(rig, "at 198.18.16.12 ${EXTEN}", "at 198x18.16.12 $")
    text = "ping ${n2.address} ${node.name} ${EXTEN} ${nobody.name}"
    rig.live.cli("n1", "say ${node.address}", expect="^at ${n2.address} \\${EXTEN}$")
    rig.live.cli("n1", "say", absent="^at ${n2.address}", within="1ms")
    rig.live.ami("n1", "QueueStatus", {"Queue": "${lab.name}-${node.name}"})
    assert connection.asked == ["say 198.18.16.11", "say", "QueueStatus {'Queue': 'lab-n1'}"]
    assert [event.met for event in held(rig)] == [True, True]
    assert filled_in(text, names_of_lab(rig.live, "n3")) == "ping 198.18.16.12 n3 ${EXTEN} ${nobody.name}"
    assert filled_in("${node.name}", names_of_lab(rig.live, None)) == "${node.name}"


def test_a_shell_has_the_names_of_the_lab_and_keeps_its_own() -> None:
    rig = Rig("name: lab\nnodes: 1\nservices: {db: {image: x}}\n")
    rig.live.container_of = lambda node: f"labctl-lab-{node}"  # type: ignore[method-assign]
    rig.live.exec("db", "echo ${n1.address} ${db.address} ${HOME} ${x:-y}")
    assert rig.engine.ran == [("labctl-lab-db", "echo 198.18.16.11 198.18.16.41 ${HOME} ${x:-y}")]


def test_what_was_captured_names_nothing_of_the_lab(rig: Rig) -> None:
    connection = answering(rig, "${n1.address}", "x")
    rig.live.cli("n1", "show", capture="word")
    rig.live.cli("n1", "show ${word}")
    assert connection.asked[1] == "show ${n1.address}"


@pytest.mark.parametrize("mistake", ["no node `n9`", "`n1` has no `adress`"])
def test_a_program_is_told_of_a_name_that_is_none(rig: Rig, mistake: str) -> None:
    name = "n9.address" if "n9" in mistake else "n1.adress"
    with pytest.raises(UsageError, match=mistake):
        rig.live.cli("n1", f"ping ${{{name}}}")


def test_patterns_may_hold_many_names() -> None:
    text = "title: T\nsteps:\n  - cli: {node: n1, command: x, expect: '${n1.address} ${n2.address} ${n3.address} .*'}\n"
    assert read_scenario(text).steps


def test_without_a_group_the_match_is_kept_and_without_a_pattern_all_of_it(rig: Rig) -> None:
    answering(rig, "one two")
    rig.live.cli("n1", "show", expect="tw.", capture="part")
    rig.live.cli("n1", "show", capture="whole")
    assert rig.live.variables == {"part": "two", "whole": "one two"}


def test_an_action_has_its_events_in_the_answer(rig: Rig) -> None:
    connection = answering(rig, "")
    assert rig.live.ami("n1", "QueueStatus", {"Queue": "support"}, expect="^Calls: 1$") == (
        "Response: Success\n\nEvent: QueueParams\nCalls: 1"
    )
    assert connection.asked == ["QueueStatus {'Queue': 'support'}"]
    assert [event.met for event in held(rig)] == [True]


def test_a_command_of_the_shell_that_fails_is_an_answer_only_where_one_is_expected(rig: Rig) -> None:
    rig.engine.texts = {"labctl-lab-n1": ["no such file"]}
    rig.engine.code = 1
    rig.live.container_of = lambda node: f"labctl-lab-{node}"  # type: ignore[method-assign]
    rig.live.exec("n1", "cat /none", expect="no such file")
    assert [event.met for event in held(rig)] == [True]
    with pytest.raises(LabError, match="n1: `cat /none` ended with 1: no such file"):
        rig.live.exec("n1", "cat /none")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"command": "a\nb"}, "one line is wanted"),
        ({"command": " "}, "one line is wanted"),
        ({"command": "x", "expect": "("}, "not a regular expression"),
        ({"command": "x", "within": "2s"}, "nothing is expected"),
        ({"command": "x", "must": True}, "nothing is expected"),
        ({"command": "x", "capture": "a-b", "expect": "x"}, "capture"),
        ({"command": "x", "capture": "a", "absent": "x"}, "nothing is there to be captured"),
    ],
)
def test_what_cannot_be_meant_is_refused(rig: Rig, arguments: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        rig.live.cli("n1", **arguments)


@pytest.mark.parametrize("headers", ["{Action: Command}", "{ActionID: 3}", '{"a b": x}', '{A: "x\\ny"}'])
def test_a_header_that_is_none_is_refused(headers: str) -> None:
    with pytest.raises(InvalidFile):
        read_scenario(f"title: T\nsteps:\n  - ami: {{node: n1, action: Ping, headers: {headers}}}\n")


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ("exec: {node: n1, command: ls}", ["exec on n1: ls"]),
        ("cli: {node: n1, command: core show version}", []),
        ("cli: {node: n1, command: channel originate Local/1 application System ls}", ["cli on n1"]),
        ("ami: {node: n1, action: Originate, headers: {Application: System, Data: ls}}", ["ami on n1"]),
        ("ami: {node: n1, action: Setvar, headers: {Variable: 'SHELL(ls)', Value: x}}", ["ami on n1"]),
        ("ami: {node: n1, action: updateConfig, headers: {Cat-000000: x}}", ["ami on n1"] * 2),
        ("repeat: {times: 2, steps: [{exec: {node: n1, command: ls}}]}", ["exec on n1: ls"]),
    ],
)
def test_what_has_a_node_run_commands_is_named(step: str, named: list[str]) -> None:
    commands = read_scenario(f"title: T\nsteps:\n  - {step}\n").commands
    assert [part in line for part, line in zip(named, commands, strict=True)] == [True] * len(named)
    if named:
        with pytest.raises(UsageError):
            inline_commands.refuse(commands, trusted=False)


def test_what_has_a_node_run_commands_only_with_what_was_captured_is_not_said(rig: Rig) -> None:
    connection = answering(rig, "Syst")
    rig.live.cli("n1", "show", expect="Syst", capture="half")
    with pytest.raises(LabError, match="may have a node run commands"):
        rig.live.cli("n1", "dialplan add extension 9,1,${half}em,ls into default")
    with pytest.raises(LabError, match="may have a node run commands"):
        rig.live.ami("n1", "Originate", {"Application": "${half}em"})
    assert connection.asked == ["show"]


def test_an_expression_that_what_was_captured_spoils_is_told(rig: Rig) -> None:
    answering(rig, "")
    rig.live.cli("n1", "show", capture="nothing")
    with pytest.raises(LabError, match="not a regular expression"):
        rig.live.cli("n1", "show", expect="[${nothing}]")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(?:ab|a.)*!", ".*.*.*!", "a?" * 9 + "b", "(?:a|b){2}"])
def test_an_expression_that_may_take_for_ever_is_refused(pattern: str) -> None:
    assert "for ever" in mistake_in(pattern)


@pytest.mark.parametrize("pattern", ["", r"^support .* (\d+) calls", "Idle on n[123]", "a|b|c", r"\(x\)+", "[*+?{|]*"])
def test_an_expression_of_the_usual_kind_is_not(pattern: str) -> None:
    assert mistake_in(pattern) == ""


def test_a_long_answer_keeps_its_ends() -> None:
    kept = ends("a" * KEPT + "b" * 10 * KEPT + "c" * KEPT)
    assert kept.startswith("aa")
    assert kept.endswith("cc")
    assert len(kept) < 3 * KEPT


def test_only_what_was_captured_is_filled_in() -> None:
    assert filled_in("${a} ${b} $a", {"a": "1"}) == "1 ${b} $a"


def test_time_passes_until_a_moment_and_none_where_it_is_over(rig: Rig) -> None:
    rig.live.wait("20ms")
    assert rig.journal.now_s() >= 0.02
    rig.journal.write(Line(rig.journal.now_s(), "n1", "x"))
    rig.live.at("10ms")
    rig.live.at("60ms")
    assert rig.journal.now_s() >= 0.06
