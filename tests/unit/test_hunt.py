"""A hunt: the cases that it draws, what it recognises, what it keeps, and what it makes of what is new."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl import cli
from labctl.checks.finding import Finding, Limits, Verdict
from labctl.checks.judgement import Judged, Result, Terms
from labctl.checks.lamps import lamps
from labctl.engine import client
from labctl.engine.client import Engine
from labctl.errors import HostError, UsageError
from labctl.history.events import Did
from labctl.history.lines import parse
from labctl.lab import Overrides
from labctl.progress import Progress
from labctl.report import hunt_text
from labctl.scenario import run_folder, runner
from labctl.scenario.findings import reader as findings
from labctl.scenario.findings.entries import Sign
from labctl.scenario.hunt import cases, drafts, hunter
from labctl.scenario.hunt.cases import NOTHING, all_pairs, draw
from labctl.scenario.hunt.ledger import Ledger, Pursued, Tried, Wrong
from labctl.scenario.hunt.recognition import KnownFinding, caught, names_of
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.scenario.writer import to_yaml


def test_the_same_seed_draws_the_same_cases_and_another_draws_others() -> None:
    first = [to_yaml(draw(7, number, Overrides()).scenario) for number in range(1, 6)]
    assert first == [to_yaml(draw(7, number, Overrides()).scenario) for number in range(1, 6)]
    assert first != [to_yaml(draw(8, number, Overrides()).scenario) for number in range(1, 6)]


@pytest.mark.long
def test_cases_are_of_every_carrier_number_of_nodes_and_pair_in_the_long_run() -> None:
    drawn = [draw(1, number, Overrides()) for number in range(1, 150)]
    assert {case.scenario.lab.via for case in drawn} == {"corosync", "pjsip-publish"}
    assert {len(case.scenario.lab.nodes) for case in drawn} == {2, 3, 4, 5}
    tried = frozenset(pair for case in drawn for pair in case.pairs)
    assert tried <= all_pairs()
    assert len(tried) > len(all_pairs()) / 2


def test_what_is_asked_for_is_not_left_to_chance() -> None:
    drawn = [draw(1, number, Overrides(via="pjsip-publish"), faults=False) for number in range(1, 20)]
    assert {case.scenario.lab.via for case in drawn} == {"pjsip-publish"}
    assert {other for case in drawn for _, other in case.pairs} == {NOTHING}
    assert not any(case.scenario.keep_going for case in drawn)


@pytest.mark.long
def test_nothing_is_asked_of_a_node_that_is_gone_and_every_fault_is_healed() -> None:
    for number in range(1, 60):
        gone: set[str] = set()
        steps = draw(3, number, Overrides()).scenario.steps
        for step in steps:
            if step.verb == "set_state":
                assert step.arguments["node"] not in gone
            if step.verb in ("kill", "stop", "pause") and step.arguments.get("service", "node") == "node":
                gone.add(step.arguments["node"])
            if step.verb == "heal":
                fault = step.arguments["fault"]
                gone = set() if fault == "all" else {node for node in gone if not fault.endswith(f"-{node}")}
        assert [step.verb for step in steps[-2:]] == ["heal", "settle"]


TERMS = Terms("hunt-7-1", "Case 1", "22", 1000.0, ("agreement", "course"))
LOST = KnownFinding("state-after-heal", (Sign(checks=("agreement",), finding=r"CPG mcast failed \(6\)"),))
DEAF = KnownFinding("deaf", (Sign(checks=("agreement",), finding="right is", after="kill corosync"),))


def result_of(*wrong: tuple[str, Finding]) -> Result:
    judged = [Judged(Verdict(check, "failed", (finding,)), "failed") for check, finding in wrong]
    return Result("hunt-7-1", "Case 1", "22", 9.0, tuple(judged), folder="runs/hunt-7-1")


def test_a_failure_is_known_by_its_text_by_the_log_and_by_what_was_done_before() -> None:
    plain = Finding("mystate is Idle on n2; right is Busy", 9.0, ("n1", "n2"), extension="mystate")
    quoted = replace(plain, quotes=("n1: CPG mcast failed (6) for event DeviceStateChange",))
    killed = Did(3.0, 1, "kill corosync on n2", 2.0)
    too_late = Did(11.0, 1, "kill corosync on n2", 10.0)

    def known(finding: Finding, *events: Did, terms: Terms = TERMS) -> str:
        return caught(result_of(("agreement", finding)), events, terms, (LOST, DEAF), course=False)[0].known

    assert known(quoted) == "state-after-heal"
    assert known(plain) == ""
    assert known(plain, killed) == "deaf"
    assert known(plain, too_late) == ""
    assert known(quoted, terms=replace(TERMS, via="pjsip-publish")) == ""


def test_a_run_that_failed_by_a_finding_has_its_name_once_and_what_was_known_to_fail_has_none() -> None:
    quoted = Finding("mystate is Idle on n2", 9.0, ("n1", "n2"), quotes=("n1: CPG mcast failed (6) for event X",))
    news = Finding("other is Hold on n3", 9.0, ("n1", "n3"))
    result = result_of(("agreement", quoted), ("truth", quoted), ("agreement", news))
    assert names_of(result, (), TERMS, (LOST, DEAF)) == ("state-after-heal",)
    expected = replace(result, judged=tuple(replace(judged, standing="known") for judged in result.judged))
    assert names_of(expected, (), TERMS, (LOST, DEAF)) == ()


def test_what_is_new_counts_once_whoever_is_wrong_and_doubts_and_steps_count_for_nothing() -> None:
    first = Finding("+9.1 s: mystate is Idle on n2; right is Busy", 9.1, ("n1", "n2"), extension="mystate")
    second = Finding("+3.2 s: other is InUse on n3; right is Idle", 3.2, ("n1", "n3"), extension="other")
    doubted = first.doubted("the machine was starved")
    failed = Finding("step 3 failed", 1.0)
    result = result_of(("agreement", first), ("agreement", second), ("agreement", doubted), ("course", failed))
    wrong = caught(result, (), TERMS, (), course=False)
    assert [one.finding.at_s for one in wrong] == [3.2, 9.1]
    of_device = [one.kind.replace("mystate", "").replace("other", "") for one in wrong]
    assert of_device[0].split() == of_device[1].split()
    assert caught(result, (), TERMS, (), course=True)[0].check == "course"


def test_a_hunt_goes_on_where_it_was_ended_also_in_the_middle_of_a_line(tmp_path: Path) -> None:
    ledger = Ledger.read(tmp_path / "hunt.jsonl")
    assert ledger.next_number == 1
    wrong = Wrong("agreement: is Idle", "agreement", "mystate is Idle")
    ledger.add(Tried(1, "3 nodes", judged=True, seconds=9.0, wrong=(wrong,), pairs=(("call", "cut"),), folder="a"))
    ledger.add(Pursued(wrong.kind, 1, 1, 1, 4, 3, 3, "smallest.yaml"))
    with ledger.path.open("a") as stream:
        stream.write('{"record": "case", "number": 2, "wh')
    again = Ledger.read(ledger.path)
    assert (again.tried, again.pursued) == (ledger.tried, ledger.pursued)
    assert (again.next_number, again.is_pursued(wrong.kind)) == (2, True)
    assert [*hunt_text.rows(again)] == [("new: agreement: mystate is Idle", "1", "1", "1 of 1", "4 steps, 3 of 3")]


def test_what_there_was_no_time_for_is_followed_up_again_and_the_least_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "hunt.jsonl")
    ledger.add(Pursued("lost", 1, 1, 1, steps=24, failed=2, runs=3, file="first.yaml", whole=False))
    assert not ledger.is_pursued("lost")
    ledger.add(Pursued("lost", 4, 1, 1, steps=5, failed=3, runs=3, file="second.yaml"))
    assert ledger.is_pursued("lost")
    least = ledger.pursuit("lost")
    assert least
    assert least.file == "second.yaml"
    for number in range(3):
        ledger.add(Pursued("never", number, 1, 1, steps=9, file="x.yaml", whole=False))
    assert ledger.is_pursued("never")


def test_a_line_that_was_cut_off_does_not_take_the_next_with_it(tmp_path: Path) -> None:
    (tmp_path / "hunt.jsonl").write_text('{"record": "case", "number": 2, "wh')
    ledger = Ledger.read(tmp_path / "hunt.jsonl")
    ledger.add(Tried(1, "3 nodes", judged=True, seconds=9.0))
    assert Ledger.read(ledger.path).tried == ledger.tried


def test_a_draft_is_a_finding_file() -> None:
    finding = Finding("mystate is Idle on n2; right is Busy", 9.0, ("n1", "n2"), ("n1: CPG mcast failed (6)",))
    scenario = draw(7, 1, Overrides(via="pjsip-publish")).scenario
    day = datetime.date(2026, 11, 27)
    sentence = "mystate is Idle on n2 " * 20
    evidence = drafts.FoundFailure("agreement", finding, sentence, scenario, 2, 3, day, "Asterisk 22", 7, 1)
    read = findings.read(drafts.draft(evidence, "agreement-1"), "draft", "agreement-1")
    assert read.shown_by[0].scenario == "agreement-1"
    assert read.rate(read.shown_by[0]) == (2, 3)
    assert read.log == "n1: CPG mcast failed (6)\n"
    assert read.happens.startswith(f"Done: {scenario.steps[0]}; ")
    assert read.happens.endswith("Seen then: mystate is Idle on n2; right is Busy.")


SIGNED = [finding for finding in hunter.known_findings() if finding.signs]


@pytest.mark.parametrize("known", SIGNED, ids=lambda known: known.name)
def test_a_sign_is_of_a_check_by_which_the_finding_is_shown(known: KnownFinding) -> None:
    shown = {(evidence.check, evidence.via) for evidence in findings.find_finding(known.name).shown_by}
    assert {(check, sign.via) for sign in known.signs for check in sign.checks} & shown


def test_a_sign_that_wants_something_before_it_is_no_known_failure_of_a_scenario() -> None:
    assert [entry.reason for entry in LOST.known] == ["state-after-heal"]
    assert DEAF.known == ()


HISTORY = Path(__file__).parent / "data/histories/wrong/238-a-lamp-that-stays-dark-after-what-was-refused.jsonl"


@pytest.mark.parametrize(("refused", "known"), [("MWI", "lamp-after-heal"), ("DeviceStateChange", "")])
def test_a_lamp_that_stays_dark_is_known_by_the_word_of_its_mailbox_that_was_refused(refused: str, known: str) -> None:
    """What was refused of states explains no lamp: the lines of a mailbox's word are all that stand with it."""
    text = HISTORY.read_text("utf-8").replace("for event MWI", f"for event {refused}")
    events = parse(text, HISTORY.name)
    (finding,) = lamps.judge(events, Limits()).findings
    (lamp,) = caught(result_of(("lamps", finding)), events, TERMS, hunter.known_findings(), course=False)
    assert lamp.known == known
    assert [quote.partition("publish_event_to_corosync: ")[2] for quote in finding.quotes] == (
        ["CPG mcast failed (6) for event MWI (2)"] if known else []
    )


def test_enough_findings_have_signs_for_a_hunt_to_know_them() -> None:
    assert len(SIGNED) >= 8


def hunt(options: hunter.HuntOptions, say: Callable[[str], None] = lambda _line: None) -> Ledger:
    hunting = hunter.Hunt(cast(Engine, SimpleNamespace(observe=lambda: None)), options, say)
    hunting.go_on()
    return hunting.ledger


Outcomes = Iterator[Sequence[tuple[str, Finding]]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Outcomes], None]:
    """Has every run come to what is told, one after the other."""

    def come_to(outcomes: Outcomes) -> None:
        def run_many(
            _engine: Engine,
            scenarios: Sequence[Scenario],
            how: RunOptions,
            _jobs: int,
            begin: Callable[[Scenario], Progress],
        ) -> Iterator[Result]:
            for scenario in scenarios:
                begin(scenario)
                folder = run_folder.create(how.folder, scenario.name)
                wrong = result_of(*next(outcomes))
                judged = wrong.judged or (Judged(Verdict("agreement", "passed"), "passed"),)
                yield replace(wrong, scenario=scenario.name, folder=str(folder), judged=judged)

        monkeypatch.setattr(runner, "run_many", run_many)
        monkeypatch.setattr(run_folder, "read_events", lambda _folder: ())

    return come_to


def options(folder: Path, **how: Any) -> hunter.HuntOptions:
    given = {"seed": 7, "hours": 1.0, "overrides": Overrides(), "jobs": 1, **how}
    return hunter.HuntOptions(RunOptions(folder, 60.0), **given)


def stopping_after(run: hunter.HuntOptions, cases_: int, outcomes: Outcomes) -> Outcomes:
    """The outcomes; the hunt is told to stop with that many."""
    for number, outcome in enumerate(outcomes, 1):
        if number >= cases_:
            run.how.stop.set()
        yield outcome


def test_what_does_not_come_again_is_told_and_not_pursued_twice(
    runs: Callable[[Outcomes], None], tmp_path: Path
) -> None:
    new = [("agreement", Finding("mystate is Idle on n2; right is Busy", 9.0, ("n1", "n2")))]
    run = options(tmp_path)
    runs(stopping_after(run, 5, iter([new, [], [], [], new])))
    said: list[str] = []
    ledger = hunt(run, said.append)
    assert [len(case.wrong) for case in ledger.tried] == [1, 0, 1]
    assert [(one.again, one.of, one.file) for one in ledger.pursued] == [(0, 2, "")]
    assert any("did not come again in 2 runs" in line for line in said)
    kept = sorted(path.name for path in run.folder.glob("hunt-7-*"))
    assert [name.split("-2")[0] for name in kept] == ["hunt-7-1", "hunt-7-3"]


def test_what_could_not_be_judged_again_is_followed_up_when_it_comes_next(
    runs: Callable[[Outcomes], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new = [("agreement", Finding("mystate is Idle on n2; right is Busy", 9.0, ("n1", "n2")))]
    run = options(tmp_path)
    starved = hunter.AT_MOST
    runs(stopping_after(run, starved + 4, iter([new, *[[]] * starved, new, [], []])))
    judged = iter([True, *[False] * starved, *[True] * 3])
    run_many = runner.run_many

    def on_a_starved_machine(*arguments: Any) -> Iterator[Result]:
        for result in run_many(*arguments):
            unknown = (Judged(Verdict("agreement", "unknown"), "unknown"),)
            yield result if next(judged) else replace(result, judged=unknown)

    monkeypatch.setattr(runner, "run_many", on_a_starved_machine)
    said: list[str] = []
    ledger = hunt(run, said.append)
    assert [(one.again, one.of, one.whole) for one in ledger.pursued] == [(0, 0, False), (0, 2, True)]
    assert any("could not be judged again" in line for line in said)


def test_labs_that_docker_cannot_make_end_the_hunt_and_one_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = replace(result_of(), lab_error="no space left on device", exit_code=HostError.exit_code)
    monkeypatch.setattr(runner, "run_many", lambda _e, some, *_: [replace(refused, scenario=one.name) for one in some])
    said: list[str] = []
    with pytest.raises(HostError, match="no space left"):
        hunt(options(tmp_path), said.append)
    assert len(Ledger.read(tmp_path / "hunt-7" / "hunt.jsonl").tried) == hunter.FAILING_LABS - 1
    assert said.count("case 1: no space left on device") == 1


def test_a_folder_of_other_cases_is_not_gone_on_with(runs: Callable[[Outcomes], None], tmp_path: Path) -> None:
    first = options(tmp_path)
    runs(stopping_after(first, 1, iter([[]])))
    hunt(first)
    with pytest.raises(UsageError, match="is a hunt with other cases"):
        hunt(options(tmp_path, overrides=Overrides(via="corosync")))


@pytest.mark.parametrize(("known", "code"), [("state-after-heal", 0), ("", 1)])
def test_the_exit_code_says_whether_anything_is_new(
    known: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path / "hunt.jsonl")
    wrong = Wrong(known or "agreement: is", "agreement", "mystate is Idle", known)
    ledger.add(Tried(1, "3 nodes", judged=True, seconds=9.0, wrong=(wrong,), pairs=(("call", "cut"),)))
    monkeypatch.setattr(client, "connect", object)
    monkeypatch.setattr(hunter, "Hunt", lambda *_: SimpleNamespace(ledger=ledger, go_on=lambda: None))
    with pytest.raises(SystemExit) as ended:
        cli.main(["hunt", "--seed", "7", "-q", "-o", "json"])
    assert ended.value.code == code
    told = json.loads(capsys.readouterr().out)
    assert told["cases"][0]["wrong"][0]["known"] == known
    assert len(told["untried"]) == told["pairs"] - 1
    assert ["call", cases.NOTHING] in told["untried"]
