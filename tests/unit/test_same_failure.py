"""The same failure told from another: times, addresses and counts vary, the failure does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.checks.finding import Finding, Limits, Verdict
from labctl.checks.judgement import Judged, Result, Terms, judge
from labctl.checks.known import Known
from labctl.checks.same_failure import (
    Failure,
    all_failures,
    failure_of,
    recurring,
    reported_failures,
    same_failure,
    words,
)
from labctl.history import lines as history
from labctl.history.events import Event
from labctl.scenario.conclusion import judge_course
from labctl.scenario.entries import CHECKS

WRONG = sorted((Path(__file__).parent / "data" / "histories" / "wrong").glob("*.jsonl"))

STALE = Finding(
    "+11.411 s: mystate (Custom:mystate) is Busy on n1, Busy on n2, Idle on n3; right is Busy",
    11.411,
    ("n1", "n2", "n3"),
    extension="mystate",
    step=8,
    wrong=("n3",),
)
LOST = Finding(
    "+3.100 s: the call alice to bob through n1, n2 failed: 486 Busy Here",
    3.9,
    ("n1", "n2"),
    extension="bob",
    step=2,
    since_s=3.1,
)
CRASHED = Finding("+4.000 s: Asterisk on n2 ended by itself (signal 11)", 4.0, ("n2",), step=3, certain=True)


def of(finding: Finding, check: str = "agreement") -> Failure:
    return failure_of(check, finding)


SAME: dict[str, tuple[Finding, Finding]] = {
    "at another time": (STALE, replace(STALE, at_s=9.2, text=STALE.text.replace("11.411", "9.200"))),
    "another old state": (STALE, replace(STALE, text=STALE.text.replace("Idle", "InUse&Ringing"))),
    "either state would be right": (STALE, replace(STALE, text=f"{STALE.text} or Idle")),
    "on fewer nodes": (
        STALE,
        replace(
            STALE,
            text="+2.000 s: mystate (Custom:mystate) is Busy on n1, Idle on n3; right is Busy",
            nodes=("n1", "n3"),
        ),
    ),
    "a moment later, in the next step": (LOST, replace(LOST, step=3, at_s=4.0)),
    "another status of the same meaning": (LOST, replace(LOST, text=LOST.text.replace("486", "600"))),
    "a crash in the next step": (CRASHED, replace(CRASHED, step=4, text=CRASHED.text.replace("4.000", "5.250"))),
    "other counts": (
        Finding("+1.0 s: bob heard 3 of 50 packets in the call alice to bob through n1", 1.0, ("n1",), since_s=0.5),
        Finding("+7.5 s: bob heard 49 of 51 packets in the call alice to bob through n1", 7.5, ("n1",), since_s=7.0),
    ),
    "other addresses and pointers": (
        Finding("+1.0 s: n1: no answer from 198.19.108.11:5060, channel 0x7f00aa10, id 9fd2c1e07ab3", 1.0, since_s=0.1),
        Finding("+8.0 s: n1: no answer from 198.18.3.11:40312, channel 0x55de0001, id 11d2c1e07ab4", 8.0, since_s=0.1),
    ),
    "later than another bound": (
        Finding("+1.0 s: n3 told after 1520 ms that 101 is InUse, as n1 said; 1000 ms is the bound", 1.0, ("n3",)),
        Finding("+1.0 s: n3 told after 9 ms that 101 is Ringing, as n1 said; 5.5 ms is the bound", 1.0, ("n3",)),
    ),
}

OTHER: dict[str, tuple[Finding, Finding]] = {
    "another extension": (STALE, replace(STALE, extension="101", text=STALE.text.replace("mystate", "101"))),
    "another node is stale": (
        STALE,
        replace(
            STALE,
            wrong=("n1",),
            text="+11.4 s: mystate (Custom:mystate) is Idle on n1, Busy on n2, Busy on n3; right is Busy",
        ),
    ),
    "more nodes are stale": (STALE, replace(STALE, wrong=("n2", "n3"))),
    "a node more": (LOST, replace(LOST, nodes=("n1", "n2", "n3"))),
    "no node at all": (CRASHED, replace(CRASHED, nodes=())),
    "at another step": (STALE, replace(STALE, step=4)),
    "for another reason": (LOST, replace(LOST, text=LOST.text.replace("486 Busy Here", "408 Request Timeout"))),
    "another caller": (LOST, replace(LOST, text=LOST.text.replace("alice", "carol"))),
    "another signal": (CRASHED, replace(CRASHED, text=CRASHED.text.replace("11", "6"))),
    "another daemon": (CRASHED, replace(CRASHED, text=CRASHED.text.replace("Asterisk", "Corosync"))),
    "late and never": (
        Finding("+1.0 s: n3 told after 1520 ms that 101 is InUse", 1.0, ("n3",), extension="101"),
        Finding("+1.0 s: n3 told not at all that 101 is InUse", 1.0, ("n3",), extension="101"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_differs_by_chance_is_the_same_failure(name: str) -> None:
    reported, seen = SAME[name]
    assert same_failure(of(reported), of(seen))


@pytest.mark.parametrize("name", OTHER)
def test_what_differs_in_what_it_is_is_another_failure(name: str) -> None:
    reported, seen = OTHER[name]
    assert not same_failure(of(reported), of(seen))


def test_another_check_is_another_failure() -> None:
    assert not same_failure(of(STALE, "agreement"), of(STALE, "truth"))


def test_where_steps_are_taken_out_their_numbers_say_nothing() -> None:
    seen = of(replace(STALE, step=3))
    assert not same_failure(of(STALE), seen)
    assert same_failure(of(STALE), seen, by_step=False)


def test_states_are_words_only_where_they_stand_alone() -> None:
    assert words("busybody is Busy on n1", ("n1",)) == {"busybody", "is", "on"}
    assert words("node-1 and n12 said 12, 1.5 or 198.18.0.1") == {"node-1", "and", "n12", "said", "or"}


# Whole runs


def terms(*known: Known) -> Terms:
    return Terms("mine", "Mine", "22", 1000.0, CHECKS, known)


def run_of(*verdicts: Verdict, known: tuple[Known, ...] = (), lab_error: str = "", exit_code: int = 0) -> Result:
    judged = judge(verdicts, terms(*known))
    return Result("mine", "Mine", "22", 1.0, judged, lab_error=lab_error, exit_code=exit_code)


def failed(check: str, *findings: Finding) -> Verdict:
    return Verdict(check, "failed", findings)


ELSEWHERE = replace(STALE, extension="101", text=STALE.text.replace("mystate", "101"))
KNOWN = Known("22", "agreement", "a race", always=False, extension="mystate")


def test_what_is_known_is_what_is_reported_where_nothing_else_went_wrong() -> None:
    run = run_of(failed("agreement", STALE), known=(KNOWN,))
    assert run.standing == "known"
    assert reported_failures(run, terms(KNOWN)) == (of(STALE),)


def test_news_are_what_is_reported_though_what_is_known_failed_too() -> None:
    run = run_of(failed("agreement", STALE, ELSEWHERE), known=(KNOWN,))
    assert reported_failures(run, terms(KNOWN)) == (of(ELSEWHERE),)
    assert set(all_failures(run)) == {of(STALE), of(ELSEWHERE)}
    again = all_failures(run_of(failed("agreement", STALE), known=(KNOWN,)))
    assert recurring(reported_failures(run, terms(KNOWN)), again) == ()


def test_doubts_and_what_passed_are_no_failures() -> None:
    doubted = Verdict("agreement", "unknown", (replace(STALE, doubt="the machine was starved"),))
    run = run_of(doubted, Verdict("truth", "passed"), failed("course", CRASHED, replace(LOST, doubt="as above")))
    assert all_failures(run) == (of(CRASHED, "course"),)


def test_what_recurs_is_told_of_what_does_not() -> None:
    reported = reported_failures(run_of(failed("agreement", STALE), failed("calls", LOST)), terms())
    seen = all_failures(run_of(failed("calls", replace(LOST, text=LOST.text.replace("3.100", "3.500")))))
    assert [failure.check for failure in recurring(reported, seen)] == ["calls"]
    assert recurring(reported, ()) == ()


def test_a_lab_that_did_not_come_up_fails_and_a_machine_without_docker_does_not() -> None:
    not_up = run_of(lab_error="not ready after 60 s: n3\nn3: no ring", exit_code=1)
    (failure,) = reported_failures(not_up, terms())
    (seen,) = all_failures(run_of(lab_error="not ready after 75 s: n3\nn3: Asterisk does not answer", exit_code=1))
    assert same_failure(failure, seen)
    assert all_failures(run_of(lab_error="no Docker Engine answers", exit_code=4)) == ()


def later(events: tuple[Event, ...], by_s: float) -> tuple[Event, ...]:
    """The same history, all of it later."""
    moved = []
    for event in events:
        times = {name: getattr(event, name, None) for name in ("at_s", "began_s", "until_s")}
        moved.append(replace(event, **{name: time + by_s for name, time in times.items() if time is not None}))
    return tuple(moved)


def failures_of(events: tuple[Event, ...]) -> tuple[Failure, ...]:
    verdicts = judge_course(events, Limits())
    standings = tuple(Judged(verdict, verdict.outcome) for verdict in verdicts)
    return all_failures(Result("mine", "Mine", "22", 1.0, standings))


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_history_fails_the_same_way_at_another_time(path: Path) -> None:
    events = history.parse(path.read_text("utf-8"), str(path))
    reported = failures_of(events)
    assert reported
    assert recurring(reported, failures_of(later(events, 13.377))) == reported


def test_wrong_histories_that_differ_in_who_is_wrong_fail_in_other_ways() -> None:
    def failures(name: str) -> tuple[Failure, ...]:
        path = next(path for path in WRONG if path.stem.startswith(name))
        return failures_of(history.parse(path.read_text("utf-8"), str(path)))

    assert not recurring(failures("001-"), failures("002-"))
    assert not recurring(failures("001-"), failures("016-"))
