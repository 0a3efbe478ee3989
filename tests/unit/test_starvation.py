"""A machine that keeps a lab from its work: who bears witness, and what is no witness."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.checks.disturbance import shadows, tells
from labctl.checks.finding import Limits
from labctl.checks.registry import judge
from labctl.checks.time_outs import is_time_out
from labctl.history.events import (
    SCHEDULER,
    Began,
    Did,
    Disturbed,
    Event,
    Expected,
    FaultBegan,
    Healed,
    Looked,
    Over,
    Ring,
    Said,
    Seen,
)
from labctl.history.journal import Journal
from labctl.history.process_events import Complained, Measured
from labctl.pressure import average_pressure, look_at_machine, pressure_s
from labctl.scenario.starvation import StarvationWatch, throttled_s
from labctl.timing import Patience

SCHEDULED = (
    "warning [MAIN  ] Corosync main process was not scheduled (@1637) for 3204.2180 ms (threshold is 800.0000 ms). "
    "Consider token timeout increase."
)
OLD_SCHEDULED = "warning [MAIN  ] Corosync main process was not scheduled for 900.5 ms (threshold is 800.0000 ms)."
PAUSED = "[TOTEM ] Process pause detected for 4798 ms, flushing membership messages."
NO_TOKEN = "warning [TOTEM ] Token has not been received in 750 ms "


@pytest.mark.parametrize("text", [SCHEDULED, OLD_SCHEDULED, PAUSED, NO_TOKEN])
def test_corosyncs_own_words_bear_witness(text: str) -> None:
    assert tells(text)


@pytest.mark.parametrize("text", ["A new membership (1.2c) was formed.", "Retransmit List: 1f", "token: 1000 ms"])
def test_other_lines_do_not(text: str) -> None:
    assert not tells(text)


# What labctl sees by itself


def disturbances(journal: Journal) -> list[Disturbed]:
    """What was written down."""
    return [event for event in journal.events if isinstance(event, Disturbed)]


def test_a_thread_that_comes_too_late_bears_witness(tmp_path: Path) -> None:
    journal, watch = Journal(), StarvationWatch(Patience(), cgroups=tmp_path)
    watch.late(0.0, 5.0)  # there is no lab yet
    watch.begin(journal, {})
    watch.end()
    began = len(disturbances(journal))
    watch.late(10.0, 10.06)
    assert len(disturbances(journal)) == began
    watch.late(10.0, 11.45)
    disturbance = disturbances(journal)[-1]
    assert (disturbance.node, disturbance.source) == ("", "labctl")
    assert disturbance.what.startswith("the machine was starved for 1.4 s")
    assert round(disturbance.until_s - disturbance.at_s, 2) == 1.45


@pytest.mark.parametrize("place", ["system.slice/docker-{id}.scope", "docker/{id}", "cpu/docker/{id}"])
def test_a_node_that_is_throttled_bears_witness_where_its_cgroup_is_here(place: str, tmp_path: Path) -> None:
    folder = tmp_path / place.format(id="abc")
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("nr_throttled 3\nthrottled_usec 500000\n")
    journal, watch = Journal(), StarvationWatch(Patience(), cgroups=tmp_path)
    watch.begin(journal, {"n1": "abc", "n2": "elsewhere"})
    watch.end()
    (folder / "cpu.stat").write_text("nr_throttled 9\nthrottled_usec 1700000\n")
    for _ in range(2):
        watch.look_around(time.monotonic() + 1.0)
    (disturbance,) = [event for event in disturbances(journal) if event.source == "cgroup"]
    assert disturbance.node == "n1"
    assert disturbance.what == "n1 was throttled for 1.2 s by the quota of its cgroup"


def test_it_leaves_no_thread() -> None:
    watch = StarvationWatch(Patience())
    watch.end()  # where it never began
    watch = StarvationWatch(Patience())
    watch.begin(Journal(), {})
    assert "starvation" in {thread.name for thread in threading.enumerate()}
    watch.end()
    assert "starvation" not in {thread.name for thread in threading.enumerate()}


def test_patience_is_as_the_last_seconds_were(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text(PSI)
    patience = Patience()
    look_at_machine(patience, tmp_path / "cpu")
    assert patience.factor == pytest.approx(1.3792)
    look_at_machine(patience, tmp_path / "nothing")
    assert patience.factor == 1.0


# What the kernel's files say

PSI = "some avg10=18.96 avg60=12.10 avg300=29.22 total=456963650\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_pressure_and_throttling_are_read() -> None:
    assert average_pressure(PSI) == pytest.approx(0.1896)
    assert pressure_s(PSI) == pytest.approx(456.96365)
    assert throttled_s("usage_usec 1\nthrottled_usec 2500000\n") == pytest.approx(2.5)
    assert throttled_s("nr_periods 0\nthrottled_time 2500000000\n") == pytest.approx(2.5)
    assert (average_pressure(""), pressure_s(""), throttled_s("")) == (0.0, 0.0, 0.0)


# Patience


@pytest.mark.parametrize(
    ("waiting", "late", "factor"),
    [(0.0, 0.0, 1.0), (0.5, 0.0, 2.0), (1.0, 0.0, 3.0), (0.0, 0.5, 2.0), (1.0, 0.99, 4.0), (-1.0, -1.0, 1.0)],
)
def test_patience_grows_with_what_the_machine_does_and_has_bounds(waiting: float, late: float, factor: float) -> None:
    patience = Patience()
    patience.note(waiting, late)
    assert patience.factor == factor
    assert patience.stretch(10.0) == 10.0 * factor
    assert patience.deadline(10.0).timeout_s == 10.0 * factor


WAITED = Disturbed(0.5, 4.5, "n2", "a thread of asterisk had to wait for a CPU for 0.9 s of 4.0 s", SCHEDULER, 0.9)
BEGAN = Began(0.0, "", "lab", "22", ("n1", "n2"), {"101": "PJSIP/alice"}, homes={"PJSIP/alice": "n1"})
LATE = (Said(1.0, "n1", "PJSIP/alice", "INUSE"), Seen(1.01, "n1", "101", "InUse"), Seen(1.7, "n2", "101", "InUse"))


def outcomes(*events: Event) -> dict[str, str]:
    verdicts = judge((BEGAN, *LATE, *events), Limits(delay_ms=500))
    return {verdict.check: verdict.outcome for verdict in verdicts}


def test_what_is_late_while_threads_waited_for_a_cpu_is_not_judged() -> None:
    assert outcomes(Over(9.0))["bounded_delay"] == "failed"
    assert outcomes(WAITED, Over(9.0))["bounded_delay"] == "unknown"


@pytest.mark.parametrize(("waited", "outcome"), [(True, "unknown"), (False, "failed")])
def test_an_answer_that_was_waited_for_may_be_late_and_a_message_that_should_not_come_is_not(
    waited: bool, outcome: str
) -> None:
    answer = Expected(4.0, 1.0, "n2: asked", "wanted", met=False, nodes=("n2",), waited=waited)
    assert outcomes(answer, Over(9.0))["expectations"] == "failed"
    assert outcomes(answer, WAITED, Over(9.0))["expectations"] == outcome


@pytest.mark.parametrize(("waited", "outcome"), [(True, "unknown"), (False, "failed")])
def test_a_step_that_ends_by_such_an_answer_is_judged_as_that_is(waited: bool, outcome: str) -> None:
    answer = Expected(4.0, 1.0, "bob: INVITE", "none, within 3 s", met=False, nodes=("n2",), waited=waited)
    error = "bob: INVITE: not as expected: none, within 3 s"
    step = Did(4.1, 1, "expect_sip phone=bob message=INVITE", 1.0, error)
    assert outcomes(answer, step, WAITED, Over(9.0, error))["course"] == outcome


@pytest.mark.parametrize(
    ("why", "late"),
    [
        ("door is not Busy after 12.5 s\n  n3: says Idle", True),
        ("the ring of n1 is n1,n2, not n1,n2,n3, after 30 s", True),
        ("bob: an answer: not within 5 s\n  sent INVITE sip:102@172.30.0.2 SIP/2.0", True),
        ("n1: Asterisk did not answer within 5 s", True),
        ("no answer came: TimeoutOnRecv", True),
        ("408 Request Timeout", True),
        ("503 Service Unavailable", False),
        ("n1: No such command", False),
        ("a lab is quiet when nothing was said for 1 s, and settle has 0.5 s", False),
        ("", False),
    ],
)
def test_what_ran_out_of_time_is_known_by_its_words(why: str, late: bool) -> None:
    assert is_time_out(why) == late


def test_what_is_not_late_but_wrong_is_judged_all_the_same() -> None:
    measured = Measured("asterisk", 9, 1.0, 0.5, 0.1, 1000, 1, 1, at_s=1.0, node="n2")
    assert outcomes(measured, Complained(2.0, "n2", "it is out of luck"), WAITED, Over(9.0))["healthy"] == "failed"


def test_that_they_waited_is_no_stall_and_explains_no_look_nor_a_ring_that_broke() -> None:
    looked = Looked(4.0, {"n1": {"101": "InUse"}, "n2": {"101": "Idle"}}, {"n1": ("n1", "n2"), "n2": ("n1", "n2")})
    assert outcomes(WAITED, looked, Over(9.0))["agreement"] == "failed"
    healed: list[Event] = [
        FaultBegan(1.0, "cut", "cut", ("n1", "n2")),
        Healed(2.0, "cut"),
        Ring(2.5, "n1", ("n1",), True),
    ]
    witnesses = (WAITED, replace(WAITED, source="labctl"))
    broke = [[one for one in shadows([BEGAN, *healed, each], Limits()).all if one.loses] for each in witnesses]
    assert [bool(each) for each in broke] == [False, True]
