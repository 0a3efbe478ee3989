"""Each wrong history is found out by the one check that judges it, and by no other; in right ones nothing is found.

What right.yaml says of each right history is written anew by LABCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_checks.py,
after a new check or a new right history: look at what git shows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st

from labctl.checks import registry
from labctl.checks.disturbance import disturbed
from labctl.checks.evidence import QUOTES
from labctl.checks.expected import Replay, groups
from labctl.checks.finding import Limits, Verdict
from labctl.checks.registry import CHECKS
from labctl.history import lines as history
from labctl.history.events import (
    AMI,
    Back,
    Began,
    Disturbed,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Line,
    Looked,
    Over,
    Said,
    Seen,
)
from labctl.history.lines import to_line
from labctl.scenario import entries
from tests import quick_yaml
from tests.unit.histories import WRONGS, Spoil, World, half_a_ghost
from tests.unit.labs import DATA

HISTORIES = DATA / "histories"
WRONG: dict[str, dict[str, list[str]]] = quick_yaml.load((HISTORIES / "wrong.yaml").read_text("utf-8"))
RIGHT = sorted(path.stem for path in (HISTORIES / "right").iterdir())
HOLDS = ("passed", "nothing")
SPOILS = [(checks, spoil) for checks, spoils in WRONGS.items() for spoil in spoils]

BEGAN = Began(0.0, "s", "lab", "22", ("n1", "n2"), {"mystate": "Custom:mystate"})
BUSY = Said(1.0, "n1", "Custom:mystate", "BUSY")


def read(path: Path) -> tuple[Event, ...]:
    return history.parse(path.read_text("utf-8"), str(path))


def judge(events: Sequence[Event], limits: Limits | None = None) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in registry.judge(events, limits or Limits())}


def seen(at_s: float, node: str, state: str) -> Seen:
    return Seen(at_s, node, "mystate", state)


def differing(at_s: float, *nodes: str) -> Looked:
    """A look at which the first node says Busy, and the others Idle."""
    states = {node: {"mystate": "Idle" if number else "Busy"} for number, node in enumerate(nodes)}
    return Looked(at_s, states, dict.fromkeys(nodes, nodes))


@pytest.fixture(scope="module")
def right() -> dict[str, dict[str, list[str]]]:
    """What right.yaml says."""
    path = HISTORIES / "right.yaml"
    if os.environ.get("LABCTL_UPDATE_GOLDEN"):
        heading = path.read_text("utf-8").partition("\n")[0]
        path.write_text("\n".join([heading, *(f"{name}: {{{outcomes(name)}}}" for name in RIGHT), ""]), "utf-8")
    table: dict[str, dict[str, list[str]]] = quick_yaml.load(path.read_text("utf-8"))
    return table


def outcomes(name: str) -> str:
    """What the checks say of a right history, for right.yaml; none of them may say that it failed."""
    checks: dict[str, list[str]] = {}
    for check, verdict in judge(read(HISTORIES / "right" / f"{name}.jsonl")).items():
        if verdict.outcome in ("passed", "unknown"):
            checks.setdefault(verdict.outcome, []).append(check)
    return ", ".join(f"{outcome}: [{', '.join(named)}]" for outcome, named in checks.items())


# By hand


def test_each_history_has_its_judgement(right: dict[str, dict[str, list[str]]]) -> None:
    assert [path.stem for path in sorted((HISTORIES / "wrong").iterdir())] == [*WRONG]
    assert [*right] == RIGHT


def test_each_check_is_proven_by_several_wrong_histories() -> None:
    proofs = [check for wrong in WRONG.values() for check in wrong]
    assert set(proofs) == set(CHECKS)
    assert min(proofs.count(check) for check in CHECKS) >= 5


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_found_out_by_its_checks_alone(name: str) -> None:
    verdicts = judge(read(HISTORIES / "wrong" / f"{name}.jsonl"))
    assert {check for check, verdict in verdicts.items() if verdict.outcome not in HOLDS} == {*WRONG[name]}
    for check, parts in WRONG[name].items():
        texts = [finding.text for finding in verdicts[check].findings if not finding.doubt]
        assert len(texts) == len(parts), texts
        assert [part for part, text in zip(parts, texts, strict=True) if part not in text] == []
        assert verdicts[check].outcome == "failed"


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_that_looks_wrong_holds(name: str, right: dict[str, dict[str, list[str]]]) -> None:
    expected = {check: outcome for outcome, named in right[name].items() for check in named}
    verdicts = judge(read(HISTORIES / "right" / f"{name}.jsonl"))
    assert {check: verdict.outcome for check, verdict in verdicts.items()} == dict.fromkeys(
        CHECKS, "nothing"
    ) | expected
    assert [finding for verdict in verdicts.values() for finding in verdict.findings if not finding.doubt] == []


# By chance


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster that has done all right for a while."""
    world = World(Random(draw(st.integers(0, 2**32))))  # noqa: S311 - chance, not secrets
    world.play(draw(st.integers(0, 25)))
    return world


@given(worlds())
def test_in_a_right_history_nothing_is_found(world: World) -> None:
    text = "".join(to_line(event) + "\n" for event in world.events)
    note(text)
    verdicts = judge(history.parse(text, ""))
    assert [finding for verdict in verdicts.values() for finding in verdict.findings] == []
    assert {verdict.outcome for verdict in verdicts.values()} <= {*HOLDS}
    assert [verdicts[check].outcome for check in ("agreement", "truth", "no_ghosts", "course")] == ["passed"] * 4


@pytest.mark.parametrize(("checks", "spoil"), SPOILS, ids=[spoil.__name__ for _, spoil in SPOILS])
@given(world=worlds())
def test_one_wrong_thing_is_found_by_its_checks_alone(checks: tuple[str, ...], spoil: Spoil, world: World) -> None:
    if spoil is half_a_ghost:
        assume(any(place.ghosts() and len(place.group) > 1 for place in world.places))
    events = spoil(world)
    note("\n".join(to_line(event) for event in events))
    verdicts = judge(events)
    assert {check for check, verdict in verdicts.items() if verdict.outcome not in HOLDS} == {*checks}
    assert all(verdicts[check].findings for check in checks)


# What else is said


def test_the_checks_are_those_that_a_scenario_can_name() -> None:
    assert tuple(CHECKS) == entries.CHECKS
    assert [verdict.check for verdict in registry.judge([BEGAN], Limits())] == [*CHECKS]


def test_a_finding_names_its_nodes_and_its_time() -> None:
    (finding,) = judge([BEGAN, BUSY, differing(4.0, "n1", "n2")])["agreement"].findings
    assert (finding.at_s, finding.nodes) == (4.0, ("n1", "n2"))
    path = next((HISTORIES / "wrong").glob("*-one-of-two-keeps-a-ghost.jsonl"))
    (ghost,) = judge(read(path))["no_ghosts"].findings
    assert ghost.nodes == ("n2",)


def test_the_lines_that_tell_most_are_quoted_first() -> None:
    texts = [
        "loaded",
        "Sending state",
        "more",
        "CPG mcast failed (6)",
        "more",
        *(f"and {number}" for number in range(9)),
    ]
    lines = [Line(2 + number / 10, "n2", text) for number, text in enumerate(texts)]
    (finding,) = judge([BEGAN, BUSY, *lines, differing(4.0, "n1", "n2")])["agreement"].findings
    quotes = ("n2: CPG mcast failed (6)", "n2: Sending state", "n2: loaded", "n2: more", "n2: and 0", "n2: and 1")
    assert finding.quotes == quotes
    assert len(quotes) == QUOTES


def test_lines_that_are_only_noise_are_not_quoted() -> None:
    texts = ["Retransmit List: 1 2", "Unloading res_corosync.so", "Service engine unloaded: corosync", "telling"]
    lines = [Line(2 + number / 10, "n2", f"Nov 26 15:43:1{number} {text}") for number, text in enumerate(texts * 2)]
    (finding,) = judge([BEGAN, BUSY, *lines, differing(4.0, "n1", "n2")])["agreement"].findings
    assert finding.quotes == ("n2: Nov 26 15:43:13 telling",)


def test_lines_about_mailboxes_explain_no_state() -> None:
    of = "cpg_confchg_cb: {} events of type {} of node 2 from stasis cache."
    texts = [
        of.format("Clearing 0", "mwi"),
        "CPG mcast failed (6) for event MWI",
        of.format("Clearing 4", "device_state"),
    ]
    lines = [Line(2 + number / 10, "n1", text) for number, text in enumerate(texts)]
    (finding,) = judge([BEGAN, BUSY, *lines, differing(4.0, "n1", "n2")])["agreement"].findings
    assert finding.quotes == (f"n1: {texts[2]}",)


def test_lines_go_back_to_when_it_was_right() -> None:
    nodes = ("n1", "n2")
    alike = Looked(1.5, {node: {"mystate": "Busy"} for node in nodes}, dict.fromkeys(nodes, nodes))
    lines = [Line(1.2, "n1", "before"), Line(2.0, "n1", "CPG mcast failed (6)")]
    events: list[Event] = [BEGAN, BUSY, alike, *lines, differing(3.0, "n1", "n2"), differing(5.0, "n1", "n2")]
    findings = judge(events)["agreement"].findings
    assert [finding.quotes for finding in findings] == [("n1: CPG mcast failed (6)",)] * 2


def test_lines_of_others_and_of_before_are_not_quoted() -> None:
    old, foreign, mine = Line(2.0, "n1", "before"), Line(4.0, "n3", "elsewhere"), Line(4.1, "n1", "here")
    alike = Looked(3.0, {node: {"mystate": "Busy"} for node in ("n1", "n2")}, dict.fromkeys(("n1", "n2"), ("n1", "n2")))
    (finding,) = judge([BEGAN, BUSY, old, alike, foreign, mine, differing(5.0, "n1", "n2")])["agreement"].findings
    assert finding.quotes == ("n1: here",)


@pytest.mark.parametrize(("delay_ms", "outcome"), [(299.0, "failed"), (301.0, "passed")])
def test_the_bound_is_the_one_that_is_given(delay_ms: float, outcome: str) -> None:
    events: list[Event] = [BEGAN, BUSY, seen(1.01, "n1", "Busy"), seen(1.3, "n2", "Busy"), Over(5.0)]
    assert judge(events, Limits(delay_ms=delay_ms))["bounded_delay"].outcome == outcome


@pytest.mark.parametrize(("settle_s", "outcome"), [(2.0, "failed"), (10.0, "nothing")])
def test_after_a_fault_nothing_is_asked_for_a_while(settle_s: float, outcome: str) -> None:
    fault: list[Event] = [FaultBegan(0.1, "split", "partition", ("n1", "n2")), Healed(0.2, "split")]
    events: list[Event] = [BEGAN, *fault, replace(BUSY, at_s=3.0), seen(3.01, "n1", "Busy"), Over(9.0)]
    events.insert(1, seen(0.01, "n2", "Idle"))
    verdicts = judge(events, Limits(settle_s=settle_s))
    assert verdicts["bounded_delay"].outcome == outcome
    assert verdicts["no_flapping"].outcome == ("passed" if settle_s < 3 else "nothing")


def test_what_is_told_before_anybody_spoke_is_said_not_to_be_judged() -> None:
    events: list[Event] = [BEGAN, seen(2.0, "n2", "InUse"), seen(7.0, "n2", "Idle"), replace(BUSY, at_s=12.0)]
    told = [seen(12.01, node, "Busy") for node in ("n1", "n2")]
    verdict = judge([*events, *told, Over(20.0)])["no_flapping"]
    remark = "1 not judged: told before anybody had said anything of its extension"
    assert (verdict.outcome, verdict.remark) == ("passed", remark)
    assert judge([BEGAN, events[-1], *told, Over(20.0)])["no_flapping"].remark == ""


def test_delays_are_told_by_node() -> None:
    events: list[Event] = [BEGAN, BUSY, seen(1.01, "n1", "Busy"), seen(1.03, "n2", "Busy"), Over(5.0)]
    figures = judge(events)["bounded_delay"].figures
    assert {name: round(value) for name, value in figures.items()} == {
        **{"changes": 2, "p50_ms": 20, "p99_ms": 30, "max_ms": 30},
        **{"max_ms n1": 10, "max_ms n2": 30},
    }


def test_a_node_that_told_before_it_was_known_took_no_time() -> None:
    events: list[Event] = [BEGAN, seen(0.97, "n1", "Busy"), BUSY, seen(1.02, "n2", "Busy"), Over(5.0)]
    figures = judge(events)["bounded_delay"].figures
    assert (figures["max_ms n1"], figures["max_ms n2"]) == (0, 20)


def test_a_call_is_judged_or_spared() -> None:
    path = next((HISTORIES / "right").glob("*-a-call-lost-with-its-node.jsonl"))
    assert judge(read(path))["calls"].figures == {"judged": 0, "spared": 1}


def test_a_generator_that_could_not_keep_up_says_so() -> None:
    path = next((HISTORIES / "right").glob("*-a-generator-that-could-not-keep-up.jsonl"))
    (finding,) = judge(read(path))["calls"].findings
    assert finding.text == "+9.000 s: load alice -> bob: the generator could not keep up, 4.0/s of 10/s"


def test_a_history_comes_in_any_order() -> None:
    events = list(read(HISTORIES / "right" / "005-what-several-say-comes-together.jsonl"))
    assert registry.judge([events[0], *reversed(events[1:])], Limits()) == registry.judge(events, Limits())


@pytest.mark.parametrize(
    ("events", "spared"),
    [
        ([Disturbed(4.0, 5.0, "n2", "starved", "labctl")], False),
        ([FaultBegan(3.0, "p", "partition", ("n1",)), Disturbed(4.0, 5.0, "n2", "starved", "labctl")], True),
        ([Gone(3.0, "n1", "kill"), Disturbed(4.0, 5.0, "n2", "starved", "labctl")], True),
        ([Disturbed(1.0, 1.5, "n2", "starved", "labctl"), FaultBegan(3.0, "p", "partition", ("n1",))], False),
        ([FaultBegan(3.0, "p", "partition", ("n1",)), Disturbed(4.0, 5.0, "n2", "the connection", AMI)], False),
        ([FaultBegan(3.0, "p", "partition", ("n1",))], False),
    ],
)
def test_who_was_kept_from_work_since_something_went_wrong_may_be_spared(events: list[Event], spared: bool) -> None:
    assert bool(disturbed([BEGAN, *events], Limits())) is spared


# A history played again


def test_the_word_of_who_is_gone_does_not_count() -> None:
    replay = Replay(BEGAN)
    for event in (BUSY, replace(BUSY, node="n2", state="INUSE"), Gone(2.0, "n1", "kill")):
        replay.take(event)
    assert replay.right("Custom:mystate", ("n1", "n2")) == {"InUse"}
    assert replay.ghosts("Custom:mystate", ("n1", "n2")) == {"Busy"}
    replay.take(Back(3.0, "n1"))
    assert replay.right("Custom:mystate", ("n1", "n2")) == {"Busy"}
    assert replay.ghosts("Custom:mystate", ("n1", "n2")) == set()


def test_a_word_that_was_taken_back_before_the_fault_is_no_ghost() -> None:
    replay = Replay(BEGAN)
    said = [replace(BUSY, at_s=number, state=state) for number, state in enumerate(("RINGING", "BUSY", "INUSE"), 1)]
    for event in (said[0], said[1], FaultBegan(1.5, "split", "partition", ("n1", "n2")), said[2]):
        replay.take(event)
    assert replay.ghosts("Custom:mystate", ("n2",)) == {"Busy", "InUse"}


def test_a_lab_is_whole_when_all_is_mended_for_a_while() -> None:
    replay = Replay(BEGAN)
    assert replay.whole(0.0, 10.0)
    told: list[bool] = []
    for event in (Gone(1.0, "n1", "kill"), FaultBegan(1.0, "k", "kill", ("n1",)), Healed(2.0, "k"), Back(4.0, "n1")):
        replay.take(event)
        told.append(replay.whole(13.0, 10.0))
    assert told == [False] * 4
    assert replay.whole(14.0, 10.0)


@pytest.mark.parametrize(
    ("rings", "expected"),
    [
        ({"n1": "123", "n2": "123", "n3": "123"}, [("n1", "n2", "n3")]),
        ({"n1": "12", "n2": "12", "n3": "3"}, [("n1", "n2"), ("n3",)]),
        ({"n1": "124", "n2": "124", "n3": "3"}, [("n1", "n2"), ("n3",)]),
        ({"n1": "12", "n2": "123", "n3": "123"}, [("n1",), ("n2",), ("n3",)]),
        ({"n1": "", "n2": "", "n3": "3"}, [("n3",), ("n1",), ("n2",)]),
        ({"n1": "23", "n2": "23", "n3": "23"}, [("n1",), ("n2", "n3")]),
    ],
)
def test_nodes_that_have_the_same_ring_are_a_group(rings: dict[str, str], expected: list[tuple[str, ...]]) -> None:
    members = {node: tuple(f"n{number}" for number in ring) for node, ring in rings.items()}
    looked = Looked(1.0, {node: {} for node in rings}, members)
    assert sorted(groups(looked)) == sorted(expected)


def test_whoever_is_called_by_number_may_tell_nothing_of_the_call_either() -> None:
    """The phone of right/236, when it is the called one, by the number that it has."""
    (name,) = (HISTORIES / "right").glob("236-*.jsonl")
    called = name.read_text("utf-8").replace('"caller": "bob", "callee": "alice"', '"caller": "alice", "callee": "102"')
    assert '"callee": "102"' in called
    assert not any(verdict.findings for verdict in judge(history.parse(called, name.name)).values())
