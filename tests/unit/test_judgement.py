"""Verdicts against what was expected of them, and what people and CI are told of that."""

from __future__ import annotations

import io
import json
import random
from dataclasses import asdict, replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from labctl.checks import judgement, registry
from labctl.checks.finding import Finding, Limits, Outcome, Verdict
from labctl.checks.judgement import WORST_FIRST, Judged, Result, Standing, Terms, parse_terms
from labctl.checks.known import Known
from labctl.errors import InvalidFile
from labctl.history import lines as history
from labctl.history import story
from labctl.history.events import (
    Back,
    Began,
    Called,
    Capture,
    Core,
    Did,
    Disturbed,
    Ended,
    Event,
    Expected,
    FaultBegan,
    Gone,
    Healed,
    Heard,
    Lamp,
    Line,
    Load,
    Looked,
    Notified,
    Over,
    Ring,
    Said,
    Seen,
    Watching,
)
from labctl.history.phone_events import Unsure
from labctl.history.process_events import Complained, Measured
from labctl.history.site_events import Asked
from labctl.lab import Overrides
from labctl.report import junit, verdict_tables
from labctl.scenario import soak
from labctl.scenario.conclusion import terms_of
from labctl.scenario.entries import CHECKS
from labctl.scenario.loader import find_scenario, shipped_scenarios

KNOWN = Known("22", "agreement", "CPG mcast failed (6)", always=True)
SOMETIMES = Known("22", "agreement", "a race", always=False)
MEASURED = Known("22", "agreement", "by hand", always=True, source="measured")
READ = Known("22", "agreement", "in the code", always=True, source="read")
STALE = Finding("+4.000 s: 101 is Busy on n1, Idle on n2", 4.0, ("n1", "n2"), ("n1: CPG mcast failed (6)", "n2: left"))


def terms(*known: Known, expect: tuple[str, ...] = CHECKS, stack: str = "22") -> Terms:
    return Terms("call", "A call", stack, 1000.0, expect, known)


def verdict(outcome: Outcome, check: str = "agreement") -> Verdict:
    return Verdict(check, outcome, (STALE,) if outcome in ("failed", "unknown") else (), {"looks": 2})


def judged(standing: Standing, check: str = "agreement", reason: str = "") -> Judged:
    outcome: Outcome = "failed" if standing == "known" else "passed" if standing == "fixed" else standing
    return Judged(verdict(outcome, check), standing, reason)


def result(*all_judged: Judged, error: str = "", title: str = "A call", story: tuple[str, ...] = ()) -> Result:
    return Result("call", title, "22", 12.3456, all_judged, error, "runs/call-1", story)


# How a verdict stands


@pytest.mark.parametrize(
    ("outcome", "known", "standing", "reason"),
    [
        ("passed", None, "passed", ""),
        ("failed", None, "failed", ""),
        ("unknown", None, "unknown", ""),
        ("nothing", None, "nothing", ""),
        ("passed", KNOWN, "fixed", "CPG mcast failed (6)"),
        ("failed", KNOWN, "known", "CPG mcast failed (6)"),
        ("unknown", KNOWN, "unknown", ""),
        ("nothing", KNOWN, "nothing", ""),
        ("passed", SOMETIMES, "passed", ""),
        ("failed", SOMETIMES, "known", "a race"),
        ("unknown", SOMETIMES, "unknown", ""),
        ("nothing", SOMETIMES, "nothing", ""),
        ("passed", MEASURED, "fixed", "by hand"),
        ("failed", MEASURED, "known", "by hand"),
        ("passed", READ, "passed", ""),
        ("failed", READ, "known", "in the code"),
    ],
)
def test_a_verdict_stands_to_what_is_known(
    outcome: Outcome, known: Known | None, standing: Standing, reason: str
) -> None:
    (made,) = judgement.judge([verdict(outcome)], terms(*([known] if known else [])))
    assert (made.verdict, made.standing, made.reason) == (verdict(outcome), standing, reason)


def test_what_did_not_fail_as_the_machine_was_disturbed_is_mended_only_where_somebody_mended_it() -> None:
    starved = "the machine was starved for 1.4 s"
    (made,) = judgement.judge([verdict("passed")], terms(KNOWN), starved)
    assert (made.standing, made.verdict.outcome) == ("unknown", "unknown")
    (finding,) = made.verdict.findings
    assert finding.text == f"it is known to fail each time, and did not (CPG mcast failed (6)); not judged: {starved}"
    assert finding.doubt == starved
    (patched,) = judgement.judge([verdict("passed")], replace(terms(KNOWN), patched=True), starved)
    assert patched.standing == "fixed"
    (sometimes,) = judgement.judge([verdict("passed")], terms(SOMETIMES), starved)
    assert sometimes.standing == "passed"


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_what_is_known_of_another_stack_counts_for_nothing(outcome: Outcome) -> None:
    (made,) = judgement.judge([verdict(outcome)], terms(Known("1.6", "agreement", "old", True), stack="22"))
    assert (made.standing, made.reason) == (outcome, "")


def test_what_is_known_of_another_check_counts_for_nothing() -> None:
    made = judgement.judge([verdict("failed", "truth"), verdict("failed")], terms(KNOWN))
    assert [each.standing for each in made] == ["failed", "known"]


def test_only_what_is_expected_is_judged() -> None:
    given = [verdict("failed", check) for check in CHECKS]
    made = judgement.judge(given, terms(expect=("lamps", "truth")))
    assert [each.verdict.check for each in made] == ["truth", "lamps"]


# What is known is this failure, and no other


HAUNTED = Finding("102 is still Busy; nothing was said of it since", 6.0, ("n1",), ("n1: left",), "102", step=4)


@pytest.mark.parametrize(
    ("named", "matches"),
    [
        ({}, True),
        ({"extension": "102"}, True),
        ({"extension": "101"}, False),
        ({"nodes": ("n1",)}, True),
        ({"nodes": ("n1", "n2")}, True),
        ({"nodes": ("n2",)}, False),
        ({"step": 4}, True),
        ({"step": 3}, False),
        ({"finding": "nothing was said .*since$"}, True),
        ({"finding": "^n1: left"}, True),
        ({"finding": "still counted"}, False),
        ({"extension": "102", "nodes": ("n1",), "step": 4, "finding": "Busy"}, True),
        ({"extension": "102", "nodes": ("n1",), "step": 4, "finding": "Idle"}, False),
    ],
)
def test_what_is_known_names_what_fails(named: dict[str, Any], matches: bool) -> None:
    known = Known("22", "no_ghosts", "why", always=True, **named)
    assert (known.matches(HAUNTED), known.names_what_fails) == (matches, bool(named))
    (made,) = judgement.judge([Verdict("no_ghosts", "failed", (HAUNTED,))], terms(known))
    assert made.standing == ("known" if matches else "failed")


@pytest.mark.parametrize(
    ("wrong", "nodes", "matches"),
    [
        (("n3",), ("n3",), True),
        (("n2", "n3"), ("n3",), False),
        (("n2", "n3"), ("n2", "n3"), True),
        ((), ("n3",), False),
        ((), ("n1", "n2", "n3"), True),
    ],
)
def test_what_is_known_names_the_nodes_that_are_wrong(
    wrong: tuple[str, ...], nodes: tuple[str, ...], matches: bool
) -> None:
    differ = Finding("mystate differs; right is Busy", 7.0, ("n1", "n2", "n3"), wrong=wrong)
    assert Known("22", "agreement", "why", always=True, nodes=nodes).matches(differ) is matches


@pytest.mark.parametrize(
    ("scenario", "extension", "told", "standing"),
    [
        ("partition-heal", "mystate", {"n1": "Busy", "n2": "Busy", "n3": "Idle"}, "known"),
        ("partition-heal", "other", {"n1": "Busy", "n2": "Busy", "n3": "Idle"}, "known"),
        ("partition-heal", "mystate", {"n1": "Busy", "n2": "Idle", "n3": "Idle"}, "failed"),
        ("pause", "mystate", {"n1": "Busy", "n2": "Busy", "n3": "Idle"}, "known"),
        ("pause", "mystate", {"n1": "Busy", "n2": "Idle", "n3": "Idle"}, "failed"),
        ("link-missing", "mystate", {"n1": "Idle", "n2": "Busy", "n3": "Busy"}, "known"),
        ("link-missing", "mystate", {"n1": "Hold", "n2": "Busy", "n3": "Busy"}, "failed"),
        ("link-missing", "mystate", {"n1": "Busy", "n2": "Busy", "n3": "Idle"}, "failed"),
        ("link-missing", "other", {"n1": "Ringing", "n2": "Idle", "n3": "Unavailable"}, "known"),
        ("corosync-crash", "mystate", {"n1": "Busy", "n2": "InUse", "n3": "Busy"}, "known"),
        ("corosync-crash", "mystate", {"n1": "InUse", "n2": "InUse", "n3": "Busy"}, "failed"),
        ("publish-interface-down", "mystate", {"n1": "Busy", "n2": "Unavailable"}, "known"),
        ("publish-interface-down", "mystate", {"n1": "Busy", "n2": "Hold"}, "failed"),
    ],
)
def test_what_a_shipped_scenario_knows_is_of_certain_nodes_and_states(
    scenario: str, extension: str, told: dict[str, str], standing: str
) -> None:
    read = find_scenario(scenario, Overrides(stack="22"))
    state = "RINGING" if extension == "other" and scenario == "link-missing" else "BUSY"
    device, nodes = f"Custom:{extension}", tuple(told)
    events = (
        Began(0.0, scenario, "lab", "22", nodes, {extension: device}, via=read.lab.via),
        Said(1.0, "n1", device, state),
        Looked(20.0, {node: {extension: said} for node, said in told.items()}, dict.fromkeys(nodes, nodes)),
    )
    of_scenario = replace(terms(*read.known), via=read.lab.via)
    verdicts = [verdict for verdict in registry.judge(events, Limits()) if verdict.check == "agreement"]
    (made,) = judgement.judge(verdicts, of_scenario)
    assert made.standing == standing


def test_one_finding_that_is_not_known_fails_the_run_and_comes_first() -> None:
    known = Known("22", "no_ghosts", "why", always=True, extension="102")
    other = Finding("101 is still Idle", 7.0, ("n2",), extension="101")
    (made,) = judgement.judge([Verdict("no_ghosts", "failed", (HAUNTED, other))], terms(known))
    assert (made.standing, made.verdict.findings) == ("failed", (other, HAUNTED))
    both = terms(known, Known("22", "no_ghosts", "and why", always=False, extension="101"))
    (made,) = judgement.judge([Verdict("no_ghosts", "failed", (HAUNTED, other))], both)
    assert (made.standing, made.reason) == ("known", "why; and why")


@pytest.mark.parametrize(
    ("named", "standing"),
    [
        ({"always": True, "extension": "mystate"}, "known"),
        ({"always": True, "extension": "101"}, "unknown"),
        ({"always": False, "extension": "mystate"}, "unknown"),
        ({"always": True, "extension": "mystate", "source": "read"}, "unknown"),
        ({"always": True}, "unknown"),
    ],
)
def test_what_fails_each_time_is_known_though_the_machine_was_starved(
    named: dict[str, Any], standing: Standing
) -> None:
    doubtful = replace(STALE, extension="mystate").doubted("the machine was starved")
    known = Known(**{"stack": "22", "check": "agreement", "reason": "deaf", **named})
    (one,) = judgement.judge([Verdict("agreement", "unknown", (doubtful,))], terms(known))
    assert one.standing == standing
    both = (doubtful, replace(doubtful, extension="9"))
    (other,) = judgement.judge([Verdict("agreement", "unknown", both)], terms(known))
    assert other.standing == "unknown"


@pytest.mark.parametrize("always", [True, False])
def test_a_known_failure_hides_nothing_that_could_not_be_judged(always: bool) -> None:
    doubtful = Finding("101 is still Idle", 7.0, ("n2",), extension="101").doubted("the machine was starved")
    alike = replace(HAUNTED, at_s=9.0).doubted("the machine was starved")
    known = Known("22", "no_ghosts", "why", always=always, extension="102")
    (made,) = judgement.judge([Verdict("no_ghosts", "failed", (HAUNTED, doubtful, alike))], terms(known))
    assert (made.standing, made.verdict.findings) == ("unknown", (doubtful, HAUNTED, alike))
    assert made.reason == "what failed is known: why"
    (made,) = judgement.judge([Verdict("no_ghosts", "failed", (HAUNTED, alike))], terms(known))
    assert made.standing == "known"
    assert judgement.news(made.verdict, terms(known)) == ()


@pytest.mark.parametrize("name", [*shipped_scenarios(), str(soak.DEFAULT)])
def test_shipped_scenarios_name_what_is_known_to_fail(name: str) -> None:
    known = find_scenario(name, Overrides()).known
    assert [entry for entry in known if not entry.names_what_fails] == []


# A check that has nothing to judge


@pytest.mark.parametrize(
    ("explicit", "expect", "standing"),
    [
        (True, ("lamps",), "unknown"),
        (False, ("lamps",), "nothing"),
        (None, ("lamps",), "unknown"),
        (True, CHECKS, "unknown"),
        (None, CHECKS, "nothing"),
    ],
)
def test_what_a_scenario_itself_expects_must_be_judged(
    explicit: bool | None, expect: tuple[str, ...], standing: Standing
) -> None:
    """None: terms of labctl 0.1, which expected every check where the scenario did not say what it expects."""
    expected = replace(terms(expect=expect), explicit=explicit)
    (made,) = judgement.judge([Verdict("lamps", "nothing", (), {}, "2 not judged: broken")], expected)
    assert made.standing == standing
    texts = [finding.text for finding in made.verdict.findings]
    assert texts == (
        ["the scenario expects `lamps`, but nothing that happened is judged by it (2 not judged: broken)"]
        if standing == "unknown"
        else []
    )


# The worst of a result


def test_a_result_stands_as_its_worst_check() -> None:
    assert [*WORST_FIRST] == ["failed", "unknown", "fixed", "known", "passed", "nothing"]
    for number, worst in enumerate(WORST_FIRST):
        each = [judged(standing) for standing in WORST_FIRST[number:]]
        assert [result(*each).standing, result(*reversed(each)).standing] == [worst] * 2


def test_a_result_of_which_nothing_was_judged_is_unknown() -> None:
    assert result().standing == "unknown"


# The terms beside a history


def test_terms_come_back_from_the_file_of_a_run() -> None:
    made = terms(KNOWN, SOMETIMES, expect=("agreement", "course"))
    assert parse_terms(json.dumps(asdict(made), indent=2), "terms.json") == made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no terms of a run: Invalid JSON"),
        ("[]", "no terms of a run: Input should be an object"),
        ("{}", "no terms of a run: scenario: Field required"),
        ('{"scenario": "s", "title": "t", "stack": 22}', "no terms of a run: stack: Input should be a valid string"),
        (json.dumps(asdict(terms(KNOWN))).replace("true", '"perhaps"'), "no terms of a run: known.0.always: Input"),
    ],
)
def test_what_is_no_terms_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse_terms(text, "runs/latest/terms.json")
    (problem,) = refused.value.problems
    assert refused.value.message.startswith("runs/latest/terms.json:1: ")
    assert (problem.what.startswith(why), problem.fix) == (True, "labctl run writes such files")


# For CI


def suite(*all_judged: Judged, **more: str) -> ET.Element:
    """The one test suite of a result, as a reader of XML has it."""
    text = junit.render([result(*all_judged, story=("  1.000 s  > settle",), **more)])
    return ET.fromstring(text.partition("\n")[2])[0]  # noqa: S314 - our own


def test_a_suite_counts_its_cases() -> None:
    element = suite(*(judged(standing, check) for standing, check in zip(WORST_FIRST, CHECKS, strict=False)))
    counts = {name: element.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {
        **{"name": "call", "tests": "6", "failures": "2"},
        "errors": "1",
        "skipped": "2",
        "time": "12.346",
    }
    assert [case.get("name") for case in element.iter("testcase")] == [*CHECKS[:6]]
    assert {case.get("classname") for case in element.iter("testcase")} == {"labctl.call"}
    values = {item.get("name"): item.get("value") for item in element.iter("property")}
    assert values == {"stack": "22", "title": "A call", "folder": "runs/call-1"}


@pytest.mark.parametrize(
    ("standing", "kind", "message", "detail"),
    [
        ("failed", "failure", STALE.text, "n1: CPG mcast failed (6)\nn2: left"),
        ("fixed", "failure", "known to fail, but it did not: why", "take it out of `known:`"),
        ("unknown", "error", STALE.text, "n1: CPG mcast failed (6)"),
        ("known", "skipped", "known: why", STALE.text),
        ("nothing", "skipped", "nothing to judge", ""),
    ],
)
def test_a_case_says_how_its_check_stands(standing: Standing, kind: str, message: str, detail: str) -> None:
    case = suite(judged(standing, reason="why")).find("testcase")
    assert case is not None
    (child,) = case
    assert (child.tag, child.get("message")) == (kind, message)
    assert detail in (child.text or "")


def test_a_check_that_passed_is_an_empty_case() -> None:
    case = suite(judged("passed")).find("testcase")
    assert case is not None
    assert len(case) == 0


@pytest.mark.parametrize(("outcome", "message"), [("failed", "failed"), ("unknown", "could not be judged")])
def test_a_failure_without_findings_has_a_message_all_the_same(outcome: Outcome, message: str) -> None:
    case = suite(Judged(Verdict("course", outcome), outcome)).find("testcase")
    assert case is not None
    assert case[0].get("message") == message


@pytest.mark.parametrize("standing", WORST_FIRST)
def test_a_story_is_there_where_something_is_to_be_explained(standing: Standing) -> None:
    story_told = suite(judged(standing)).findtext("system-out")
    assert story_told == (None if standing in ("passed", "nothing") else "  1.000 s  > settle")


def test_every_result_is_a_suite() -> None:
    text = junit.render([result(judged("passed")), result(judged("failed"))])
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="labctl">\n')
    assert len(ET.fromstring(text.partition("\n")[2])) == 2  # noqa: S314 - our own
    assert junit.render([]).endswith('<testsuites name="labctl" />\n')


@given(
    st.text(st.characters(exclude_categories=[])), st.text(), st.text(st.sampled_from("<>&\"'\x00\x1b]\ud800\ufffe ok"))
)
def test_odd_characters_make_no_broken_xml(text: str, reason: str, line: str) -> None:
    odd = Verdict("truth", "failed", (Finding(text, 1.0, (), (line,)),))
    each = [Judged(odd, "failed"), Judged(odd, "known", reason), Judged(odd, "fixed", line)]
    text = junit.render([result(*each, story=(text, line))])
    assert len(ET.fromstring(text.encode().partition(b"\n")[2])[0]) == 5  # noqa: S314 - our own


def test_what_xml_can_hold_is_kept() -> None:
    odd = Verdict("truth", "failed", (Finding('<a href="x"> & é\x1b[0m', 1.0),))
    failure = suite(Judged(odd, "failed")).find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == '<a href="x"> & é[0m'


# For people


def shown(table: Table) -> list[str]:
    """The lines of a table on a wide terminal, without what is right of the words."""
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_findings_come_with_their_log_lines() -> None:
    assert verdict_tables.findings(result(judged("failed"), judged("passed", "truth"))) == [
        "agreement: failed",
        f"  {STALE.text}",
        "    | n1: CPG mcast failed (6)",
        "    | n2: left",
    ]


def test_findings_that_are_known_have_their_reason() -> None:
    lines = verdict_tables.findings(result(judged("known", reason="a race"), judged("fixed", "truth", "mended")))
    assert (lines[0], lines[-1]) == ("agreement: known (a race)", "truth: fixed (mended)")


def test_of_many_findings_the_first_are_told() -> None:
    many = tuple(Finding(f"wrong {number}", 1.0, (), tuple("abcdef")) for number in range(7))
    lines = verdict_tables.findings(result(Judged(Verdict("truth", "failed", many), "failed")))
    assert lines[1:7] == ["  wrong 0", "    | a", "    | b", "    | c", "    | d", "  wrong 1"]
    assert [line for line in lines if "wrong" in line] == [f"  wrong {number}" for number in range(5)]
    assert lines[-1] == "  and 2 more, in runs/call-1"


@pytest.mark.parametrize("count", [1, 5])
def test_few_findings_are_told_whole(count: int) -> None:
    each = Judged(Verdict("truth", "failed", (Finding("wrong", 1.0),) * count), "failed")
    assert verdict_tables.findings(result(each)) == ["truth: failed", *["  wrong"] * count]


def test_what_holds_is_not_told() -> None:
    assert verdict_tables.findings(result(judged("passed"), judged("nothing", "truth"))) == []


def test_checks_are_told_in_a_word_each() -> None:
    two = Verdict("views", "failed", (STALE, STALE))
    figures = Verdict("calls", "passed", (), {"judged": 3, "spared": 1.5, "c": 0.1, "d": 4, "e": 5})
    each = [judged("fixed"), judged("failed", "truth"), Judged(two, "failed"), Judged(figures, "passed")]
    assert shown(verdict_tables.checks(result(*each, judged("nothing", "lamps")))) == [
        "CHECK VERDICT",
        "agreement fixed known to fail, but it did not",
        f"truth failed {STALE.text}",
        f"views failed {STALE.text} (and 1 more)",
        "calls passed judged 3, spared 1.5, c 0.1, d 4",
        "lamps nothing looks 2",
    ]


def test_an_overview_names_what_does_not_hold() -> None:
    broken = result(judged("known"), judged("unknown", "calls"), judged("passed", "truth"), error="cut off")
    rows = [broken, result(judged("passed")), result(judged("passed"), error="n2 is not back")]
    assert shown(verdict_tables.overview(rows)) == [
        "SCENARIO STACK VERDICT TOOK",
        "call 22 unknown 12.3 s agreement known, calls unknown",
        "call 22 passed 12.3 s",
        "call 22 passed 12.3 s n2 is not back",
    ]


# The story

BEGAN = Began(0.0, "s", "lab", "22", ("n1", "n2"), {"101": "PJSIP/alice"})


def lines(*at_s: float) -> list[Event]:
    return [Line(each, "n1", f"[Jan  1 00:00:00] WARNING[1]: x.c:{each:g}") for each in at_s]


def test_a_step_is_told_when_it_began_and_the_rest_as_it_came() -> None:
    events: list[Event] = [
        Over(9.0, "cut off"),
        Did(5.0, 1, "set_state n1 mystate BUSY", 1.0, "refused"),
        Seen(3.0, "n2", "mystate", "Busy"),
        Said(2.0, "n1", "Custom:mystate", "BUSY"),
    ]
    assert story.tell([BEGAN, *events]) == [
        "    1.000 s  > set_state n1 mystate BUSY: refused",
        "    2.000 s    n1 has Custom:mystate BUSY",
        "    3.000 s    n2 says mystate Busy",
        "    9.000 s  over: cut off",
    ]


TOLD: list[tuple[Event, str]] = [
    (Did(1.0, 1, "settle", 1.0), "> settle"),
    (Said(1.0, "n1", "PJSIP/alice", "INUSE"), "  n1 has PJSIP/alice INUSE"),
    (Unsure(1.0, "n1", "PJSIP/bob", "it vanished"), "  what n1 has of PJSIP/bob is not known: it vanished"),
    (Seen(1.0, "n1", "101", "InUse"), "  n1 says 101 InUse"),
    (Watching(1.0, "bob", "101"), "  bob watches 101"),
    (
        Disturbed(1.0, 2.4, "n1", "it was starved for 1.4 s", "the kernel"),
        "! n1 was disturbed: it was starved for 1.4 s (by the kernel)",
    ),
    (Notified(1.0, "bob", "101", "early"), "  bob is told 101 early"),
    (Lamp(1.0, "bob", 1, 2), "  bob is told of 1 new and 2 old messages"),
    (Ring(1.0, "n1", ("n1", "n2"), True), "  ring of n1: n1,n2"),
    (Line(1.0, "n1", "[Jan  1 00:00:00] WARNING[1]: lost"), "  n1 logs WARNING[1]: lost"),
    (Line(1.0, "n1", "no date"), "  n1 logs no date"),
    (Complained(1.0, "n1", "res_x.c:12 f: lost"), "  n1 logs an error: res_x.c:12 f: lost"),
    (FaultBegan(1.0, "split", "partition n1 | n2", ("n1", "n2")), "! partition n1 | n2"),
    (Healed(1.0, "split"), "! healed: split"),
    (
        Disturbed(1.0, 2.4, "", "the machine was starved for 1.4 s", "labctl"),
        "! the machine was disturbed: the machine was starved for 1.4 s (by labctl)",
    ),
    (Gone(1.0, "n1", "kill"), "! n1 gone (kill)"),
    (Back(1.0, "n1"), "! n1 back"),
    (Called(1.0, "alice-bob-1", "alice", "bob", ("n1",)), "  call alice-bob-1 begins"),
    (Ended(1.0, "alice-bob-1", True), "  call alice-bob-1 ends"),
    (Ended(1.0, "alice-bob-1", False, "503"), "  call alice-bob-1 ends: 503"),
    (Heard(1.0, "alice-bob-1", "bob", 49, 50), "  bob heard 49 packets of 50"),
    (Load(1.0, "storm alice", 100, 98, 2, 10.0, 10.0, False), "  storm alice: 98 of 100 done, 2 failed"),
    (
        Asked(1.0, "e1", "route", "103", ("PJSIP/103@node-w1",), ("w1",)),
        "  e1 asks for 103 and is told PJSIP/103@node-w1 by w1",
    ),
    (Asked(1.0, "e1", "state", "103", ()), "  e1 asks for 103 and is told nothing"),
    (
        Expected(1.0, 0.5, "n1: core show calls", "/2 calls/, within 5 s", False),
        "  n1: core show calls: not as expected: /2 calls/, within 5 s",
    ),
    (Looked(1.0, {}, {}), "  look: all nodes that answer agree"),
    (
        Core(1.0, "n2", "asterisk", ("n2.asterisk.core.gz",)),
        "  memory of asterisk on n2, which crashed: it is in n2.asterisk.core.gz",
    ),
    (
        Core(1.0, "n2", "corosync", (), "no core was written"),
        "  memory of corosync on n2, which crashed: no core was written",
    ),
    (Capture(1.0, "capture.pcapng", 1.8e9), "  packets go to capture.pcapng"),
    (
        Capture(1.0, "capture.pcapng", 1.8e9, without="Totem and RTP: it has 16 MB"),
        "  packets go to capture.pcapng, from here on without Totem and RTP: it has 16 MB",
    ),
    (Capture(1.0, "capture.pcapng", 1.8e9, "cut at 32 MB"), "! no packets from here on: cut at 32 MB"),
    (Over(1.0), "over"),
]


@pytest.mark.parametrize(("event", "text"), TOLD, ids=[type(event).__name__ for event, _ in TOLD])
def test_every_kind_of_event_is_told_in_a_line(event: Event, text: str) -> None:
    assert story.tell([BEGAN, event]) == [f"    1.000 s  {text}"]


def test_how_daemons_fare_is_judged_whatever_is_expected() -> None:
    shipped = find_scenario("partition-heal", Overrides())
    held = replace(shipped, expect=("agreement",), explicit=True)
    assert terms_of(held).expect == ("agreement", "healthy")
    assert terms_of(replace(held, expect=("healthy", "agreement"))).expect == ("healthy", "agreement")
    assert terms_of(replace(held, healthy=False)).expect == ("agreement",)


def test_no_kind_of_event_is_left_out() -> None:
    assert {type(event) for event, _ in TOLD} == {*history.KINDS.values()} - {Began, Measured}
    assert story.tell([BEGAN, Measured("asterisk", 11, 9.0, 1.0, 0.3, 57000, 19, 42, at_s=1.0, node="n1")]) == []


def test_of_log_lines_that_come_at_once_only_a_few_are_told() -> None:
    told = story.tell([*lines(1, 2, 3, 4, 5), Said(6.0, "n1", "PJSIP/alice", "INUSE"), *lines(7, 8, 9, 10)])
    assert [line.split()[0] for line in told] == ["1.000", "2.000", "3.000", "6.000", "7.000", "8.000", "9.000"]
    assert told[0].endswith("n1 logs WARNING[1]: x.c:1")


def test_log_lines_are_cut_where_they_are_long() -> None:
    (told,) = story.tell([Line(1.0, "n1", "x" * 500)])
    assert told == "    1.000 s    n1 logs " + "x" * 120


def test_of_a_long_story_the_end_is_told() -> None:
    events = [Ring(float(number), "n1", (), False) for number in range(100)]
    told = story.tell(events, 3)
    assert told == [
        "(97 lines before)",
        *(f"   {each}.000 s    ring of n1: nobody, not quorate" for each in (97, 98, 99)),
    ]
    assert len(story.tell(events)) == story.LINES + 1
    assert len(story.tell(events[:60])) == 60


def test_a_story_does_not_depend_on_who_wrote_first() -> None:
    events: list[Event] = [FaultBegan(3.0, "split", "partition", ("n1",)), *lines(1, 2), Seen(4.0, "n1", "101", "Idle")]
    shuffled = random.Random(1).sample(events, len(events))  # noqa: S311 - chance, not secrets
    assert story.tell(shuffled) == story.tell(events)


def test_a_look_tells_where_nodes_differ_and_no_more() -> None:
    states = {"n1": {"101": "Idle", "102": "Busy"}, "n2": {"101": "Idle", "102": "Idle"}, "n3": {"101": "Idle"}}
    told = story.tell([Looked(1.0, states, {}), Looked(2.0, {"n1": states["n1"]}, {})])
    assert told == [
        "    1.000 s    look: 102 is Busy on n1, Idle on n2",
        "    2.000 s    look: all nodes that answer agree",
    ]


def test_a_tally_counts_every_step_by_its_verb_and_those_that_failed() -> None:
    steps = [Did(1.0, 1, "call caller=a callee=b", 0.5), Did(2.0, 2, "settle", 1.5), Did(3.0, 3, "call x", 2.5, "busy")]
    assert verdict_tables.tally([BEGAN, *steps]) == "3 steps (2 call, 1 settle), of which 1 failed"
