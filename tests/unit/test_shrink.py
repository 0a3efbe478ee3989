"""Shrinking: a search on a lab that fails by a rule, what it says and keeps, how it goes on, and what it writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl import cli
from labctl.checks.finding import Finding, Limits, Verdict
from labctl.checks.judgement import Judged, Result
from labctl.checks.known import Known
from labctl.engine import client
from labctl.errors import UsageError
from labctl.history.events import Began, Did, Event, Looked, Over, Said
from labctl.lab import Overrides
from labctl.scenario import writer
from labctl.scenario.loader import read_scenario
from labctl.scenario.reader import Scenario
from labctl.scenario.shrink import needs, search, text
from labctl.scenario.shrink.guesses import guesses
from labctl.scenario.shrink.search import Found, is_valid
from labctl.scenario.shrink.shrinker import Hooks, Shrinker, Shrunk
from labctl.scenario.shrink.simpler import lab_in_short, simpler
from labctl.scenario.shrink.target import Outcome, TargetFailure, choose, outcome
from labctl.scenario.shrink.trials import Demand, OutOfTimeError, PastTrials, Trials
from labctl.timing import Deadline

WRONG = Finding(
    "+9.000 s: mystate (Custom:mystate) is Busy on n1, Idle on n3; right is Busy",
    9.0,
    ("n1", "n3"),
    extension="mystate",
    wrong=("n3",),
)
TARGET = TargetFailure("agreement", WRONG)


def scenario(steps: str, head: str = "lab: three-node") -> Scenario:
    """A scenario of some steps, one a line."""
    lines = "\n".join(f"  - {step.strip()}" for step in steps.strip().splitlines())
    return read_scenario(f"title: Test\n{head}\nsteps:\n{lines}\n", "test.yaml", Path(), Overrides())


LONG = scenario(
    """
    register: [alice, bob, carol]
    call: {caller: alice, callee: bob}
    answer: bob
    talk: {phones: [alice, bob], duration: 300ms}
    hang_up: alice
    settle
    set_state: {node: n2, device: mystate, state: INUSE}
    pause: n2
    start: n2
    partition: {groups: [[n1, n2], [n3]], traffic: totem, name: split}
    settle
    call: {caller: bob, callee: carol}
    answer: carol
    hang_up: bob
    set_state: {node: n1, device: mystate, state: BUSY}
    heal: split
    settle
    leave_voicemail: {caller: alice, mailbox: 101}
    settle
    """
)
NEEDED = ("partition", "set_state", "heal")


def verbs(one: Scenario) -> list[str]:
    return [step.verb for step in one.steps]


class FakeLab:
    """A lab on which a scenario fails by a rule; it knows what was run, and refuses what `labctl run` would."""

    def __init__(self, fails: Callable[[Scenario], bool]) -> None:
        self.fails = fails
        self.ran: list[Scenario] = []
        self.outcomes: list[Outcome] = []
        self.lock = threading.Lock()

    def run(self, one: Scenario, number: int, stop: threading.Event) -> Outcome:
        assert is_valid(one)
        assert number in (1, 2)
        with self.lock:
            self.ran.append(one)
            if self.outcomes:
                return self.outcomes.pop(0)
        return "same" if self.fails(one) else "gone"


def has_needed(one: Scenario) -> bool:
    """Whether a device changes while the ring is cut, and that is healed."""
    done = verbs(one)
    changed = [
        index
        for index, step in enumerate(one.steps)
        if step.verb == "set_state" and "partition" in done[:index] and "heal" in done[index:]
    ]
    return bool(changed)


def shrunk(
    lab: FakeLab, memory: PastTrials, one: Scenario = LONG, jobs: int = 1, said: list[str] | None = None
) -> tuple[Shrunk, list[Scenario]]:
    """What comes of a search, and each scenario that was the smallest for a time."""
    smallest: list[Scenario] = []
    lines = [] if said is None else said
    hooks = Hooks(is_valid, lines.append, smallest.append)
    search = Shrinker(one, TARGET, Trials(lab.run, memory, jobs), hooks, Demand(1, 1), Demand(3, 2))
    return search.shrink(()), smallest


@pytest.fixture
def memory(tmp_path: Path) -> PastTrials:
    return PastTrials.read(tmp_path / "trials.jsonl")


# The search


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_needed_is_left_and_nothing_else(memory: PastTrials, jobs: int) -> None:
    lab, said = FakeLab(has_needed), []  # type: ignore[var-annotated]
    came, smallest = shrunk(lab, memory, jobs=jobs, said=said)
    assert verbs(came.scenario) == [*NEEDED]
    assert "traffic" not in came.scenario.steps[0].arguments
    assert len(came.scenario.lab.nodes) == 2
    assert (came.failed, came.runs, came.whole) == (2, 2, True)
    assert smallest[-1] == came.scenario
    assert any(line.startswith("3 of 19 steps left") and line.endswith("still fails") for line in said)


def test_no_scenario_is_run_more_often_than_it_must(memory: PastTrials) -> None:
    lab = FakeLab(has_needed)
    came, _ = shrunk(lab, memory)
    texts = [writer.to_yaml(replace(one, steps=tuple(replace(step, line=1) for step in one.steps))) for one in lab.ran]
    often = {text for text in texts if texts.count(text) > 1}
    smallest = replace(came.scenario, steps=tuple(replace(step, line=1) for step in came.scenario.steps))
    most = max(texts.count(text) for text in texts)
    assert most <= 2  # at last what does not fail is run once more, and the smallest until it has failed twice
    assert writer.to_yaml(smallest) in often


@pytest.mark.long
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.sampled_from(["call", "set_state", "pause", "partition", "leave_voicemail"]), min_size=1))
def test_whatever_verbs_are_needed_they_come_out(tmp_path: Path, wanted: set[str]) -> None:
    lab = FakeLab(lambda one: wanted <= {*verbs(one)})
    path = tmp_path / "of-an-example.jsonl"
    path.unlink(missing_ok=True)
    came, _ = shrunk(lab, PastTrials.read(path))
    assert wanted <= {*verbs(came.scenario)}
    assert len(came.scenario.steps) <= len(wanted) + 1  # `answer` and the like may be dropped, `register` may not


def test_a_failure_that_does_not_come_again_is_said(memory: PastTrials) -> None:
    came, smallest = shrunk(FakeLab(lambda _one: False), memory)
    assert came.failed == 0
    assert smallest == []


def test_what_was_taken_by_luck_is_given_back(memory: PastTrials) -> None:
    """A run of too few steps that failed once is not the end of it."""
    unlucky = ["settle"]
    lab = FakeLab(lambda one: has_needed(one) or (verbs(one) == unlucky and lab.ran.count(one) == 1))
    came, _ = shrunk(lab, memory)
    assert verbs(came.scenario) == [*NEEDED]
    assert came.failed >= 2


def test_what_nobody_can_judge_is_run_again(memory: PastTrials) -> None:
    lab = FakeLab(has_needed)
    lab.outcomes = ["not judged", "not judged"]
    came, _ = shrunk(lab, memory)
    assert verbs(came.scenario) == [*NEEDED]


@pytest.mark.long
def test_a_search_that_was_interrupted_goes_on_and_runs_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"

    class Interrupted(FakeLab):
        def run(self, one: Scenario, number: int, stop: threading.Event) -> Outcome:
            if len(self.ran) == 5:
                raise KeyboardInterrupt
            return super().run(one, number, stop)

    first = Interrupted(has_needed)
    with pytest.raises(KeyboardInterrupt):
        shrunk(first, PastTrials.read(path))
    path.write_text(path.read_text() + '{"candidate": "cut o')
    second = FakeLab(has_needed)
    came, _ = shrunk(second, PastTrials.read(path))
    whole = FakeLab(has_needed)
    shrunk(whole, PastTrials.read(tmp_path / "other.jsonl"))
    assert verbs(came.scenario) == [*NEEDED]
    assert first.ran + second.ran == whole.ran


def test_an_interrupt_ends_all_that_is_under_way(memory: PastTrials) -> None:
    begun = threading.Barrier(2)
    ended = []

    def run(_one: Scenario, number: int, stop: threading.Event) -> Outcome:
        begun.wait()
        if number == 1:
            raise KeyboardInterrupt
        ended.append(stop.wait(60))
        return "not judged"

    two = [LONG, replace(LONG, steps=LONG.steps[:-1])]
    with pytest.raises(KeyboardInterrupt):
        Trials(run, memory, 2).first(two, Demand())
    assert ended == [True]
    assert not memory.outcomes(LONG)


def test_when_the_time_is_over_the_smallest_so_far_is_what_came(memory: PastTrials) -> None:
    lab = FakeLab(has_needed)
    trials = Trials(lab.run, memory, 1, Deadline(0))
    with pytest.raises(OutOfTimeError):
        trials.first([LONG], Demand())
    hooks = Hooks(is_valid, lambda _: None, lambda _: None)
    came = Shrinker(LONG, TARGET, trials, hooks, Demand(), Demand()).shrink(())
    assert not came.whole
    assert came.failed == 0


# What belongs together


def test_steps_that_make_no_sense_without_another_go_with_it() -> None:
    of_steps = needs.needs(LONG.steps, LONG.lab)
    everything = tuple(range(len(LONG.steps)))
    assert needs.closed(everything, of_steps) == everything
    without = {
        LONG.steps[gone].verb: [
            LONG.steps[index].verb
            for index in everything
            if index != gone and index not in needs.closed(tuple(i for i in everything if i != gone), of_steps)
        ]
        for gone in (1, 7, 9)
    }
    assert without == {"call": ["answer", "talk", "hang_up"], "pause": ["start"], "partition": ["heal"]}
    assert needs.completed((13,), of_steps) == (0, 11, 13)


def test_what_is_of_one_call_or_fault_is_one_unit() -> None:
    of_steps = needs.needs(LONG.steps, LONG.lab)
    units = needs.units(tuple(range(len(LONG.steps))), LONG.steps, of_steps)
    assert units == [(0,), (1, 2, 3, 4, 5), (6,), (7, 8), (9, 10, 15, 16), (11, 12, 13), (14,), (17, 18)]


# Guesses


def history(one: Scenario, seen_at: int) -> tuple[list[Event], Finding]:
    """A history in which each step takes a second, and something wrong that is seen at a step."""
    did: list[Event] = [Did(index + 0.9, index + 1, str(step), index) for index, step in enumerate(one.steps)]
    looks: list[Event] = [Looked(index + 0.8, {}, {}) for index, step in enumerate(one.steps) if step.verb == "settle"]
    return [*did, *looks], replace(WRONG, at_s=seen_at + 0.8)


def test_the_first_guess_is_the_fault_the_change_and_the_look() -> None:
    events, finding = history(LONG, 16)
    first = guesses(LONG.steps, LONG.lab, events, finding)[0]
    assert [LONG.steps[index].verb for index in first] == ["partition", "settle", "set_state", "heal", "settle"]


def test_every_guess_could_be_run_and_nothing_comes_after_the_failure() -> None:
    events, finding = history(LONG, 16)
    choices = guesses(LONG.steps, LONG.lab, events, finding)
    assert choices == sorted(choices, key=len)
    assert max(map(max, choices)) == 16
    assert choices[-1] == tuple(range(17))
    assert all(is_valid(replace(LONG, steps=tuple(LONG.steps[index] for index in one))) for one in choices)


# Which failure


def result(*judged: Judged) -> Result:
    return Result("test", "Test", "22", 1.0, judged)


def failed(check: str, finding: Finding, standing: str = "failed") -> Judged:
    return Judged(Verdict(check, "failed", (finding,)), standing)  # type: ignore[arg-type]


def test_the_first_failure_in_time_is_what_it_is_about() -> None:
    late, early = replace(WRONG, at_s=20.0), replace(WRONG, at_s=3.0, extension="102")
    both = result(failed("agreement", late), failed("lamps", early), failed("truth", replace(WRONG, at_s=1.0), "known"))
    assert choose(both, ()).check == "lamps"
    assert choose(both, (), "agreement").finding is late
    assert choose(both, (), "truth").finding.at_s == 1.0


def test_what_is_known_is_shrunk_where_nothing_else_failed_and_somebody_asks() -> None:
    known = result(failed("agreement", WRONG, "known"))
    assert choose(known, ()).check == "agreement"
    with pytest.raises(UsageError, match="nothing failed"):
        choose(known, (), news_only=True)
    with pytest.raises(UsageError, match="`lamps` did not fail"):
        choose(known, (), "lamps")


def test_a_finding_is_meant_by_its_words_or_its_log_lines() -> None:
    lost = replace(WRONG, at_s=20.0, quotes=("n1: CPG mcast failed (6)",))
    both = result(failed("agreement", WRONG), failed("truth", lost))
    assert choose(both, (), pattern="CPG mcast").finding is lost
    with pytest.raises(UsageError, match=r"nothing failed .* by `Hold`"):
        choose(both, (), pattern="Hold")
    with pytest.raises(UsageError, match="not a regular expression"):
        choose(both, (), pattern="(")


def seen(state: str, over: str | None = "") -> list[Event]:
    """A run after which n3 says another state of mystate than n1 did."""
    began = Began(0.0, "test", "lab", "22", ("n1", "n3"), {"mystate": "Custom:mystate"})
    states = {"n1": {"mystate": "Busy"}, "n3": {"mystate": state}}
    rings: dict[str, tuple[str, ...]] = dict.fromkeys(("n1", "n3"), ("n1", "n3"))
    did = Did(9.0, 1, "settle", 1.0)
    events: list[Event] = [began, Said(1.0, "n1", "Custom:mystate", "BUSY"), Looked(8.0, states, rings), did]
    return [*events, Over(10.0, over)] if over is not None else events


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (seen("Idle"), "same"),
        (seen("Ringing"), "same"),  # which state a node missed is chance
        (seen("Busy"), "gone"),
        (seen("Idle", None), "not judged"),
        (seen("Busy", None), "not judged"),
        (seen("Idle", "unknown: the engine is gone"), "not judged"),
    ],
)
def test_whether_a_run_had_the_failure(events: list[Event], expected: Outcome) -> None:
    assert outcome(events, Limits(), TARGET) == expected


def test_news_is_not_taken_for_what_is_known_nor_the_other_way_round() -> None:
    known = Known("22", "agreement", "it is lost", always=True, finding="Idle on n3")
    assert outcome(seen("Idle"), Limits(), replace(TARGET, known=(known,))) == "same"
    assert outcome(seen("Ringing"), Limits(), replace(TARGET, known=(known,))) == "gone"
    news = TargetFailure("agreement", replace(WRONG, text=WRONG.text.replace("Idle", "Hold")), (known,))
    assert outcome(seen("Ringing"), Limits(), news) == "same"
    assert outcome(seen("Idle"), Limits(), news) == "gone"


# What is written


def test_the_smallest_is_a_file_that_a_person_reads_and_labctl_runs() -> None:
    small = replace(LONG, steps=tuple(LONG.steps[index] for index in (9, 14, 15)), keep_going=True)
    origin = text.Origin("soak", "labctl-runs/soak-1", 66, 7)
    written = text.to_text(small, TARGET, origin, 3, 3)
    assert written == (
        "# agreement: mystate (Custom:mystate) is Busy on n1, Idle on n3; right is Busy. Seen in 3 of 3 runs of this"
        " file. Shrunk\n# by labctl from the 66 steps of soak, seed 7: labctl-runs/soak-1\n"
        "title: 'agreement fails: mystate (Custom:mystate) is Busy on n1, Idle on n3; right is Busy'\n"
        "lab: three-node\n"
        "keep_going: true\n"
        "steps:\n"
        "- partition:\n"
        "    groups:\n"
        "    - [n1, n2]\n"
        "    - [n3]\n"
        "    traffic: totem\n"
        "    name: split\n"
        "- set_state: {node: n1, device: mystate, state: BUSY}\n"
        "- {heal: split}\n"
        "expect: [agreement]\n"
    )
    again = read_scenario(written, "smallest.yaml", Path(), Overrides(name=small.lab.name))
    assert (again.lab, again.expect, again.known) == (small.lab, ("agreement",), ())
    assert [(step.verb, step.arguments) for step in again.steps] == [(s.verb, s.arguments) for s in small.steps]


def test_a_lab_is_told_in_short() -> None:
    assert lab_in_short(LONG) == "three-node"
    two = scenario("settle", "lab: {nodes: 2, devices: [door]}")
    assert lab_in_short(two) == {"nodes": "2", "devices": ["door"]}
    assert lab_in_short(scenario("settle", "lab: two-sites")) == "two-sites"


def test_what_is_simpler_is_another_scenario_that_says_less() -> None:
    whats = [what for what, _ in simpler(replace(LONG, keep_going=True))]
    assert whats[:3] == ["ending at a step that fails", "without node n3", "without node n2"]
    assert "with `partition` as it is by default (traffic)" in whats
    assert not any("(name)" in what for what in whats)
    without = dict(simpler(LONG))["without node n3"]
    assert "carol" not in {phone.name for phone in without.lab.phones}
    assert "partition" not in verbs(without)
    assert {"pause", "start"}.isdisjoint(verbs(dict(simpler(LONG))["without node n2"]))


def test_a_failure_that_does_not_come_again_is_told_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = Found(Shrunk(LONG, 0, 3, 3), TARGET, 4, None)
    monkeypatch.setattr(client, "connect", object)
    monkeypatch.setattr(search, "first_run", lambda *_: object())
    monkeypatch.setattr(search, "choose", lambda *_: object())
    monkeypatch.setattr("labctl.cli.shrink.shrink_and_tell", lambda *_: found)
    with pytest.raises(SystemExit) as ended:
        cli.main(["shrink", "partition-heal", "--folder", str(tmp_path)])
    assert ended.value.code == 5
