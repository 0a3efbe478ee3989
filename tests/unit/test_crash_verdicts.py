"""What ended by itself fails a run, and whom labctl lost for a while is not blamed for what it told meanwhile."""

from __future__ import annotations

import pytest

from labctl.checks import registry
from labctl.checks.disturbance import shadows
from labctl.checks.finding import Limits, Verdict
from labctl.history import story
from labctl.history.events import (
    AMI,
    BY_ITSELF,
    Back,
    Began,
    Did,
    Disturbed,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Line,
    Looked,
    Over,
    Ring,
    Said,
    Seen,
)

BEGAN = Began(0.0, "s", "lab", "22", ("n1", "n2"), {"mystate": "Custom:mystate"})
STARTS = "Nov 26 16:26:35.208 notice  [MAIN  ] Corosync Cluster Engine 3.1.10 starting up"
LOSS = Disturbed(4.0, 6.0, "n2", "labctl's connection to n2 was lost", AMI)
GONE = "n2: the manager connection is gone"


def judge(*events: Event) -> dict[str, Verdict]:
    history = (BEGAN, *sorted(events, key=lambda event: event.at_s), Over(90.0))
    return {verdict.check: verdict for verdict in registry.judge(history, Limits())}


def found(*events: Event) -> list[str]:
    """What `course` finds."""
    return [finding.text for finding in judge(*events)["course"].findings]


def look(at_s: float, state: str, *nodes: str, ring: tuple[str, ...] = ("n1", "n2")) -> Looked:
    states = {node: {"mystate": state} for node in nodes}
    return Looked(at_s, states, dict.fromkeys(nodes, ring), hints=states)


# Crashes


def test_crash_is_told_with_its_signal_and_fails_course_alone() -> None:
    verdicts = judge(
        *(Said(1.0, "n1", "Custom:mystate", "BUSY"), Seen(1.0, "n1", "mystate", "Busy")),
        *(Seen(1.0, "n2", "mystate", "Busy"), Gone(3.1, "n2", BY_ITSELF, "signal 11"), Back(5.0, "n2")),
        look(20.0, "Busy", "n1", "n2"),
    )
    (finding,) = verdicts["course"].findings
    assert (finding.text, finding.nodes) == ("+3.100 s: Asterisk on n2 ended by itself (signal 11)", ("n2",))
    assert {check for check, verdict in verdicts.items() if verdict.outcome in ("failed", "unknown")} == {"course"}


def test_story_names_a_crash() -> None:
    assert story.tell([BEGAN, Gone(3.1, "n2", BY_ITSELF, "signal 11")]) == [
        "    3.100 s  ! n2 gone (by itself: signal 11)"
    ]


def test_ring_without_a_node_that_ended_by_itself_is_as_it_should_be() -> None:
    whole = (Gone(3.1, "n2", BY_ITSELF, "its container is exited", whole=True), look(40.0, "Idle", "n1", ring=("n1",)))
    assert found(*whole) == ["+3.100 s: n2 ended by itself (its container is exited)"]


# Corosync


def test_corosync_that_starts_anew_though_nothing_ended_it_has_crashed() -> None:
    line = Line(30.0, "n2", STARTS)
    assert found(line, line) == ["+30.000 s: Corosync on n2 ended by itself, and was started again"]


@pytest.mark.parametrize(
    "events",
    [
        (FaultBegan(29.0, "kill-corosync-n2", "kill corosync on n2", ("n2",), absent=()),),
        (FaultBegan(9.0, "stop-n2", "stop n2", ("n2",), absent=("n2",)), Healed(29.0, "stop-n2")),
        (Gone(9.0, "n2", BY_ITSELF, "its container is exited", whole=True),),
        (Did(95.0, 1, "settle", 40.0),),
    ],
    ids=["killed", "stopped", "with its node", "before the first step"],
)
def test_corosync_that_a_fault_ended_has_not(events: tuple[Event, ...]) -> None:
    assert not [text for text in found(*events, Line(30.0, "n2", STARTS)) if "Corosync" in text]


def test_fault_of_another_node_excuses_no_corosync() -> None:
    fault = FaultBegan(29.0, "kill-corosync-n1", "kill corosync on n1", ("n1",))
    assert found(fault, Line(30.0, "n2", STARTS)) == [
        "+30.000 s: Corosync on n2 ended by itself, and was started again"
    ]


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("exec node=n2 command=sv restart /etc/service/corosync", "broke at +30.5 s: a step may have ended"),
        ("exec node=n2 command=uptime", "broke at +30.5 s: a step may have ended the Corosync of n2"),
        ("cli node=n2 command=core show uptime", "broke by itself at +30.5 s: no other sign"),
    ],
)
def test_ring_that_a_step_may_have_broken_has_not_broken_by_itself(what: str, how: str) -> None:
    (shadow,) = shadows([BEGAN, Did(29.0, 1, what, 28.0), Ring(30.5, "n1", ("n1",), True)], Limits()).all
    assert how in shadow.reason


# Losses of labctl's own connection


def test_change_that_was_told_while_nobody_listened_is_not_judged() -> None:
    said = (Said(5.0, "n1", "Custom:mystate", "BUSY"), Seen(5.0, "n1", "mystate", "Busy"))
    assert judge(*said)["bounded_delay"].outcome == "failed"
    verdicts = judge(*said, LOSS, look(20.0, "Busy", "n1", "n2"))
    assert verdicts["bounded_delay"].outcome == "unknown"
    assert {"failed"} & {verdict.outcome for verdict in verdicts.values()} == set()


def test_only_whom_labctl_lost_is_excused() -> None:
    said = (Said(5.0, "n2", "Custom:mystate", "BUSY"), Seen(5.0, "n2", "mystate", "Busy"))
    assert judge(*said, LOSS)["bounded_delay"].outcome == "failed"


def test_what_a_node_told_before_it_was_lost_is_not_held_against_it() -> None:
    told = (Seen(1.0, "n2", "mystate", "Busy"), look(20.0, "Idle", "n1", "n2"))
    assert judge(*told)["views"].outcome == "failed"
    assert judge(*told, LOSS)["views"].outcome == "passed"


def test_lost_connection_excuses_no_look_and_no_ring() -> None:
    wrong = Looked(
        6.5, {"n1": {"mystate": "Idle"}, "n2": {"mystate": "Busy"}}, dict.fromkeys(("n1", "n2"), ("n1", "n2"))
    )
    assert judge(LOSS, wrong)["agreement"].outcome == "failed"
    broken = (Ring(5.0, "n1", ("n1",), True), look(20.0, "Idle", "n1", "n2"))
    assert judge(LOSS, *broken) == judge(*broken)


@pytest.mark.parametrize(
    ("did", "outcome"),
    [
        (Did(5.0, 1, "set_state n2 mystate BUSY", 4.5, GONE), "unknown"),
        (Did(5.0, 1, "set_state n1 mystate BUSY", 4.5, GONE.replace("n2", "n1")), "failed"),
        (Did(5.0, 1, "set_state n2 mystate BUSY", 4.5, "n2: Asterisk says: no"), "failed"),
        (Did(9.0, 1, "set_state n2 mystate BUSY", 8.5, GONE), "failed"),
    ],
)
def test_step_that_met_a_lost_connection_is_not_judged(did: Did, outcome: str) -> None:
    assert judge(LOSS, did)["course"].outcome == outcome


def test_no_disturbance_of_the_machine_explains_a_crash() -> None:
    starved = Disturbed(1.0, 50.0, "", "the machine was starved for 49 s", "labctl")
    broken = Ring(30.5, "n1", ("n1",), True)
    for crash in (Gone(30.0, "n2", BY_ITSELF, "signal 11"), Line(30.0, "n2", STARTS)):
        assert judge(starved, broken, crash)["course"].outcome == "failed"
