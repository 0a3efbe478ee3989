"""An error that goes on is written again when what may have explained it is over, and else a few times alone."""

from __future__ import annotations

import pytest

from labctl.history.events import AMI, SCHEDULER, Back, Did, Disturbed, Event, FaultBegan, Healed, Ring
from labctl.history.journal import Journal
from labctl.history.process_events import Complained
from labctl.scenario.recorder import Recorder
from labctl.scenario.repeated_errors import REPEATED, RepeatedErrors
from tests.unit.labs import lab, stack

LINE = "[2026-11-23 05:21:07] ERROR[7]: x.c:1 f: lost"


def written(*events: Event, until_s: int = 60, every_s: float = 1.0) -> list[float]:
    """When lines of an error are written that comes again and again all the while."""
    errors = RepeatedErrors()
    left = sorted(events, key=lambda event: event.at_s)
    times = []
    for number in range(int(until_s / every_s)):
        at_s = number * every_s
        while left and left[0].at_s <= at_s:
            errors.note(left.pop(0))
        if errors.is_wanted("n2", at_s, f"x.c:1 f: lost {number}"):
            times.append(at_s)
    return times


def test_an_error_is_written_a_few_times_in_a_run_in_which_nothing_happens() -> None:
    assert written() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("event", "anew_s"),
    [
        (Healed(20.0, "split"), 30.0),
        (Back(20.0, "n1"), 30.0),
        (Ring(20.0, "n1", ("n1", "n2"), True), 30.0),
        (Disturbed(19.0, 20.0, "n1", "the machine was starved for 1.0 s", "corosync.log"), 21.0),
        (Disturbed(19.0, 20.0, "n2", "the connection", AMI), 21.0),
        (Did(20.0, 1, "exec node=n2 command=true", 19.0), 21.0),
    ],
)
def test_it_is_written_anew_when_what_may_explain_it_is_over(event: Event, anew_s: float) -> None:
    assert written(event) == [0.0, 1.0, 2.0, anew_s, anew_s + 1, anew_s + 2]


@pytest.mark.parametrize(
    "event",
    [
        FaultBegan(20.0, "split", "partition n1 | n2", ("n1", "n2")),
        Disturbed(19.0, 20.0, "n2", "a thread had to wait for a CPU", SCHEDULER, 0.7),
        Did(20.0, 1, "settle", 19.0),
    ],
)
def test_what_explains_no_error_lets_none_be_written_anew(event: Event) -> None:
    assert written(event) == [0.0, 1.0, 2.0]


def test_rings_that_come_and_go_all_the_while_let_it_be_written_anew_when_they_stay() -> None:
    rings = [Ring(float(at_s), "n1", ("n1",), False) for at_s in range(10, 40)]
    assert written(*rings) == [0.0, 1.0, 2.0, 49.0, 50.0, 51.0]


def test_a_daemon_that_goes_wild_writes_a_few_lines_at_a_stretch() -> None:
    heals = [Healed(float(at_s), "split") for at_s in (10, 30)]
    assert len(written(*heals, every_s=0.01)) == 3 * REPEATED


def test_a_disturbance_of_which_is_told_late_counts_from_then_on() -> None:
    errors = RepeatedErrors()
    times = [at_s for at_s in range(9) if errors.is_wanted("n2", at_s, "lost")]
    errors.note(Disturbed(1.0, 2.0, "n2", "the machine was starved for 1.0 s", "corosync.log"))
    times += [at_s for at_s in range(9, 15) if errors.is_wanted("n2", at_s, "lost")]
    assert times == [0, 1, 2, 9, 10, 11]


def test_the_recorder_writes_what_goes_on_after_a_fault_was_healed() -> None:
    journal = Journal()
    recorder = Recorder(journal, lab("name: lab\nnodes: 3\nphones: 3\n"), stack())
    for at_s in range(1, 10):
        recorder.node_logged("n2", journal.zero_s + at_s, LINE, None)
    journal.write(Healed(10.0, "split"))
    for at_s in range(11, 30):
        recorder.node_logged("n2", journal.zero_s + at_s, LINE, None)
    times = [event.at_s for event in journal.events if isinstance(event, Complained)]
    assert times == [1.0, 2.0, 3.0, 20.0, 21.0, 22.0]
