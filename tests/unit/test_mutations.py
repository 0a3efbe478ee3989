"""What is taken away from a history, or swapped in it, changes its verdicts in the right way; nothing is invented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from labctl.checks import judgement, registry
from labctl.checks.finding import Limits, Verdict
from labctl.checks.judgement import Standing, Terms
from labctl.checks.known import Known
from labctl.history import lines
from labctl.history.events import (
    Began,
    Disturbed,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Heard,
    Lamp,
    Looked,
    Notified,
    Over,
    Said,
    Seen,
)
from labctl.history.process_events import Measured
from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario
from tests.unit.labs import DATA
from tests.unit.old_runs import FOLDER, OUTCOMES, old_run

CHANGING = [
    *("1.6-call-seen-from-third-node", "1.6-distributed-device-state", "1.6-many-calls"),
    *("1.8-aggregation", "1.8-call-seen-from-third-node", "1.8-registration-storm", "1.8-voicemail-lamp"),
]
"""In these something changes for longer than the bound, while nothing is broken, and every node tells of it."""

WHOLE = ["1.6-distributed-device-state", "1.6-many-calls", "1.8-aggregation", "1.8-many-calls", "1.8-sites-call"]
"""In these nothing is broken, and all holds."""


def verdicts(events: Sequence[Event], delay_ms: float = 1000.0) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in registry.judge(events, Limits(delay_ms=delay_ms))}


def outcomes(events: Sequence[Event]) -> dict[str, str]:
    return {check: verdict.outcome for check, verdict in verdicts(events).items()}


def history(kind: str, name: str) -> list[Event]:
    """One of the histories that were written by hand."""
    path = DATA / "histories" / kind / f"{name}.jsonl"
    return list(lines.parse(path.read_text("utf-8"), name))


def each_look(events: Sequence[Event], change: Callable[[Looked], Looked]) -> list[Event]:
    """The history with every look changed."""
    return [change(event) if isinstance(event, Looked) else event for event in events]


def standings(name: str, events: Sequence[Event]) -> dict[str, Standing]:
    """How the verdicts on a run of a shipped scenario stand to what that knows of its stack."""
    stack, _, scenario = name.partition("-")
    terms = terms_of(scenario, stack)
    all_judged = judgement.judge(registry.judge(events, Limits(delay_ms=terms.delay_ms)), terms)
    return {judged.verdict.check: judged.standing for judged in all_judged}


def terms_of(scenario: str, stack: str) -> Terms:
    shipped = find_scenario(scenario, Overrides(stack=stack))
    return Terms(shipped.name, shipped.title, stack, shipped.limits.delay_ms, shipped.expect, shipped.known)


# Nothing is invented


def test_every_old_run_has_its_outcome() -> None:
    assert sorted(path.name.removesuffix(".jsonl.gz") for path in FOLDER.iterdir()) == sorted(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_of_an_old_run_what_is_wrong_is_found_and_nothing_else(name: str) -> None:
    delay_ms = 500.0 if "third-node" in name else 1000.0
    by_outcome: dict[str, list[str]] = {}
    for check, verdict in verdicts(old_run(name), delay_ms).items():
        by_outcome.setdefault(verdict.outcome, []).append(check)
    assert {outcome: by_outcome.get(outcome, []) for outcome in ("failed", "unknown")} == {
        "failed": [],
        "unknown": [],
    } | OUTCOMES[name]


# What is taken away


@pytest.mark.parametrize("name", CHANGING)
def test_without_any_event_of_the_manager_no_change_reached_anybody(name: str) -> None:
    assert outcomes(old_run(name))["bounded_delay"] == "passed"
    deaf = outcomes([event for event in old_run(name) if not isinstance(event, Seen)])
    assert (deaf["bounded_delay"], deaf["no_flapping"]) == ("failed", "nothing")


@pytest.mark.parametrize("name", OUTCOMES)
def test_without_any_event_of_the_manager_no_run_comes_to_the_same(name: str) -> None:
    events = old_run(name)
    without = [event for event in events if not isinstance(event, Seen)]
    before, deaf = outcomes(events), outcomes(without)
    assert deaf["bounded_delay"] != "passed"
    assert (before != deaf) is (len(without) < len(events))


@pytest.mark.parametrize("name", CHANGING)
def test_one_node_that_told_nothing_is_found(name: str) -> None:
    events = old_run(name)
    node = next(event.node for event in events if isinstance(event, Seen))
    findings = verdicts([event for event in events if getattr(event, "node", "") != node or isinstance(event, Said)])
    assert {finding.nodes for finding in findings["bounded_delay"].findings} == {(node,)}


@pytest.mark.parametrize("stack", ["1.6", "1.8"])
def test_lamps_that_were_never_lit_are_found(stack: str) -> None:
    events = old_run(f"{stack}-voicemail-lamp")
    dark = each_look(events, lambda look: replace(look, lamps={}))
    assert outcomes(dark)["lamps"] == "passed"  # what they were told stands in the history itself
    dark = [event for event in dark if not isinstance(event, Lamp)]
    assert outcomes(dark)["lamps"] == "failed"


@pytest.mark.parametrize("stack", ["1.6", "1.8"])
def test_keys_that_were_never_lit_are_found(stack: str) -> None:
    events = old_run(f"{stack}-call-seen-from-third-node")
    assert outcomes(events)["lamps"] == "passed"
    assert outcomes([event for event in events if not isinstance(event, Notified)])["lamps"] == "failed"


@pytest.mark.parametrize("state", ["early", "confirmed"])
def test_keys_that_show_always_the_same_are_found(state: str) -> None:
    events = old_run("1.8-call-seen-from-third-node")
    stuck = [replace(event, state=state) if isinstance(event, Notified) else event for event in events]
    assert outcomes(stuck)["lamps"] == "failed"


# Daemons that were not measured


@pytest.mark.parametrize("name", ["220-daemons-at-rest", "227-memory-grows-to-what-it-needs"])
def test_of_daemons_that_nobody_measured_nothing_is_said(name: str) -> None:
    events = history("right", name)
    assert outcomes(events)["healthy"] == "passed"
    assert outcomes([event for event in events if not isinstance(event, Measured)])["healthy"] == "nothing"


def test_crash_of_what_nobody_measured_is_told_in_the_same_words() -> None:
    events = history("wrong", "220-asterisk-crashes-and-its-backtrace-is-there")
    measured, without = verdicts(events), verdicts([event for event in events if not isinstance(event, Measured)])
    assert (measured["course"].outcome, without["healthy"].outcome) == ("passed", "nothing")
    assert measured["healthy"].findings == without["course"].findings
    assert any("pbx.c:3215" in quote for quote in measured["healthy"].findings[0].quotes)


def test_full_load_of_one_node_that_is_told_of_another_is_another_finding() -> None:
    events = history("wrong", "222-asterisk-holds-a-core-after-corosync-was-killed")
    other = {"n1": "n2", "n2": "n1", "n3": "n3"}
    swapped = [replace(event, node=other[event.node]) if isinstance(event, Measured) else event for event in events]
    known = Known("22", "healthy", "it polls", always=False, finding="asterisk on n2 held a core at full load")
    standings = []
    for some in (events, swapped):
        terms = Terms("s", "t", "22", 1000.0, ("healthy",), (known,))
        standings += [judged.standing for judged in judgement.judge(registry.judge(some, Limits()), terms)]
    assert standings[0] == "known"
    assert standings[1] == "failed"


# Tools that do not answer


@pytest.mark.parametrize("name", WHOLE)
def test_a_ring_that_was_not_told_is_unknown(name: str) -> None:
    events = old_run(name)
    assert {*outcomes(events).values()} <= {"passed", "nothing"}
    for node in next(event for event in events if isinstance(event, Began)).nodes:
        emptied = each_look(events, lambda look, node=node: replace(look, rings=look.rings | {node: ()}))  # type: ignore[misc]
        after = outcomes(emptied)
        assert {check for check, outcome in after.items() if outcome == "unknown"} == {
            *("agreement", "truth", "no_ghosts")
        }
        assert "failed" not in after.values()


@pytest.mark.parametrize("name", WHOLE)
def test_a_command_line_that_printed_nothing_is_unknown(name: str) -> None:
    events = old_run(name)
    node = next(event for event in events if isinstance(event, Began)).nodes[-1]
    emptied = outcomes(each_look(events, lambda look: replace(look, hints=look.hints | {node: {}})))
    assert {check for check, outcome in emptied.items() if outcome not in ("passed", "nothing")} == {"views"}
    assert emptied["views"] == "unknown"


@pytest.mark.long
@pytest.mark.parametrize("name", WHOLE)
def test_a_manager_that_told_nothing_is_unknown(name: str) -> None:
    events = old_run(name)
    for node in next(event for event in events if isinstance(event, Began)).nodes:
        for emptied in (
            each_look(events, lambda look, node=node: replace(look, states=look.states | {node: {}})),  # type: ignore[misc]
            each_look(events, lambda look, node=node: replace(look, states=without(look.states, node))),  # type: ignore[misc]
        ):
            after = outcomes(emptied)
            assert {check for check, outcome in after.items() if outcome == "unknown"} >= {
                *("agreement", "truth", "no_ghosts")
            }
            assert "failed" not in after.values()


def without(states: dict[str, dict[str, str]], node: str) -> dict[str, dict[str, str]]:
    return {other: of_node for other, of_node in states.items() if other != node}


def test_a_ring_that_was_not_told_hides_no_difference() -> None:
    events = each_look(old_run("1.6-corosync-crash"), lambda look: replace(look, rings=look.rings | {"n3": ()}))
    assert outcomes(events)["agreement"] == "failed"


def test_a_look_at_nobody_agrees_with_nothing() -> None:
    nobody = each_look(old_run("1.8-aggregation"), lambda look: replace(look, states={}, hints={}))
    assert {outcomes(nobody)[check] for check in ("agreement", "truth", "no_ghosts", "views")} == {"nothing"}


# What is swapped


@pytest.mark.parametrize(
    "name",
    [
        *("1.6-aggregation", "1.6-corosync-crash", "1.6-corosync-restart", "1.6-late-join-after-retention"),
        *("1.6-majority-minority", "1.6-node-crash-during-call", "1.6-registration-storm", "1.6-same-entity-id"),
        *("1.8-corosync-crash", "1.8-majority-minority", "1.8-node-crash-during-call", "1.8-same-entity-id"),
    ],
)
def test_a_known_failure_of_another_extension_is_news(name: str) -> None:
    events = old_run(name)
    before = standings(name, events)
    known = {check for check, standing in before.items() if standing == "known"}
    assert known
    assert "failed" not in before.values()
    swapped = [renamed(event, {"mystate": "102", "102": "103", "103": "101", "101": "mystate"}) for event in events]
    after = standings(name, swapped)
    assert {check for check, standing in after.items() if standing == "failed"} & known


def renamed(event: Event, names: dict[str, str]) -> Event:
    """An event in which extensions have other names."""

    def other(states: dict[str, str]) -> dict[str, str]:
        return {names.get(extension, extension): state for extension, state in states.items()}

    match event:
        case Began():
            return replace(event, extensions=other(event.extensions))
        case Seen():
            return replace(event, extension=names.get(event.extension, event.extension))
        case Looked():
            states = {node: other(by_extension) for node, by_extension in event.states.items()}
            hints = {node: other(by_extension) for node, by_extension in event.hints.items()}
            return replace(event, states=states, hints=hints)
        case _:
            return event


@pytest.mark.parametrize("name", ["1.8-sites-call", "1.8-sites-cut", "1.6-sites-cut"])
def test_two_sites_that_are_taken_for_one_do_not_pass(name: str) -> None:
    events = old_run(name)
    assert {*outcomes(events).values()} <= {"passed", "nothing"}
    merged = [replace(event, sites={}) if isinstance(event, Began) else event for event in events]
    assert not {*outcomes(merged).values()} <= {"passed", "nothing"}


def test_rings_that_reach_into_another_site_fail() -> None:
    nodes = ("east1", "east2", "west1", "west2")
    merged = each_look(old_run("1.8-sites-call"), lambda look: replace(look, rings=dict.fromkeys(nodes, nodes)))
    assert outcomes(merged)["course"] == "failed"


# The shadow of the machine


@pytest.mark.parametrize("name", OUTCOMES)
def test_nothing_fails_on_a_machine_that_was_starved_all_the_while(name: str) -> None:
    events = old_run(name)
    starved = Disturbed(0.0, events[-1].at_s, "", "the machine was starved for 99.0 s", "/proc/pressure/cpu")
    after = verdicts([*events, starved])
    assert "failed" not in {verdict.outcome for verdict in after.values()}
    doubts = [finding.doubt for verdict in after.values() for finding in verdict.findings]
    assert all(doubts)


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if outcome.get("failed")])
def test_what_is_wrong_fails_where_the_machine_was_starved_long_before(name: str) -> None:
    events = old_run(name)
    starved = Disturbed(0.0, 0.05, "", "the machine was starved for 0.1 s", "labctl")
    assert outcomes([*events, starved]) == outcomes(events)


@pytest.mark.long
def test_no_old_run_is_taken_for_one_that_was_disturbed() -> None:
    for name in OUTCOMES:
        texts = [finding.text for verdict in verdicts(old_run(name)).values() for finding in verdict.findings]
        assert [text for text in texts if "by itself" in text or "starved" in text] == []


# Faults that are in the way of calls


def test_a_call_that_fails_while_corosync_alone_is_stopped_is_not_spared() -> None:
    events = old_run("1.8-many-calls")
    stopped = FaultBegan(0.5, "stop-corosync-n1", "stop corosync on n1", ("n1",))
    killed = FaultBegan(0.5, "kill-n1", "kill n1", ("n1",))
    assert verdicts([*events, stopped])["calls"].figures["spared"] == 0
    assert verdicts([*events, killed, Gone(0.5, "n1", "kill")])["calls"].figures["spared"] == 1


def test_a_call_that_ends_badly_is_found_whatever_else_it_is_told_to_have_done() -> None:
    events = old_run("1.8-many-calls")
    ended = next(event for event in events if isinstance(event, Ended))
    for at_s in (ended.at_s - 0.01, ended.at_s + 0.01):
        again = replace(ended, at_s=at_s, ok=False, why="480")
        assert outcomes([*events, again])["calls"] == "failed"


def test_silence_that_nobody_was_to_hear_is_unknown() -> None:
    events = old_run("1.8-call-seen-from-third-node")
    deaf = [replace(event, packets=0, wanted=0) if isinstance(event, Heard) else event for event in events]
    assert (outcomes(events)["calls"], outcomes(deaf)["calls"]) == ("passed", "unknown")


@pytest.mark.parametrize("name", OUTCOMES)
def test_calls_in_which_nobody_counted_what_was_heard_are_unknown(name: str) -> None:
    events = old_run(name)
    uncounted = [event for event in events if not isinstance(event, Heard)]
    before, after = outcomes(events), outcomes(uncounted)
    assert after == before | ({"calls": "unknown"} if len(uncounted) < len(events) else {})


def test_one_end_that_nobody_counted_is_named() -> None:
    events = old_run("1.8-call-seen-from-third-node")
    of_one = [event for event in events if not isinstance(event, Heard) or event.phone != "bob"]
    (finding,) = verdicts(of_one)["calls"].findings
    text = "+2.677 s: bob talked in the call alice to bob through n1, n2; not judged: nobody counted what was heard"
    assert (finding.text, finding.doubt) == (text, "nobody counted what was heard")


def test_who_talks_in_a_call_that_a_node_made_is_counted() -> None:
    events = old_run("1.8-call-seen-from-third-node")
    of_queue = [replace(event, call="") if isinstance(event, Heard) else event for event in events]
    assert outcomes(of_queue) == outcomes(events)


def test_a_run_that_is_cut_off_says_so() -> None:
    events = [event for event in old_run("1.8-aggregation") if not isinstance(event, Over)]
    assert outcomes(events)["course"] == "failed"
