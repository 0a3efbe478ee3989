"""A machine that keeps a lab from its work: who bears witness, and what is no witness."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.history.events import Back, Began, Did, Disturbed, Event, Fault, Gone, Healed, Line
from labctl.history.journal import Journal
from labctl.scenario.disturbances import tells, told_by_logs
from labctl.scenario.starvation import StarvationWatch, average_pressure, pressure_s, throttled_s
from labctl.timing import Patience, Signal

SCHEDULED = (
    "warning [MAIN  ] Corosync main process was not scheduled (@1637) for 3204.2180 ms (threshold is 800.0000 ms). "
    "Consider token timeout increase."
)
OLD_SCHEDULED = "warning [MAIN  ] Corosync main process was not scheduled for 900.5 ms (threshold is 800.0000 ms)."
PAUSED = "[TOTEM ] Process pause detected for 4798 ms, flushing membership messages."
NO_TOKEN = "warning [TOTEM ] Token has not been received in 750 ms "
BEGAN = Began(0.0, "s", "lab", "22", ("n1", "n2"), {})


def told(*events: Event) -> list[tuple[str, float, float]]:
    """Which node was disturbed, since when and until when."""
    return [(each.node, round(each.at_s, 1), each.until_s) for each in told_by_logs((BEGAN, *events))]


@pytest.mark.parametrize("text", [SCHEDULED, OLD_SCHEDULED, PAUSED, NO_TOKEN])
def test_corosyncs_own_words_bear_witness(text: str) -> None:
    assert tells(text)


@pytest.mark.parametrize("text", ["A new membership (1.2c) was formed.", "Retransmit List: 1f", "token: 1000 ms"])
def test_other_lines_do_not(text: str) -> None:
    assert not tells(text)
    assert told(Line(5.0, "n1", text)) == []


def test_what_happened_lies_before_the_line() -> None:
    assert told(Line(9.0, "n1", SCHEDULED)) == [("n1", 5.8, 9.0)]
    assert told(Line(2.0, "n2", PAUSED)) == [("n2", 0.0, 2.0)]
    assert told(Line(9.0, "n1", NO_TOKEN)) == [("n1", 8.2, 9.0)]


PAUSE: list[Event] = [Fault(4.0, "stop", "pause n1", ("n1",)), Did(4.1, 1, "pause n1", 3.5), Healed(8.0, "stop")]


def test_a_process_that_was_paused_on_purpose_bears_no_witness() -> None:
    assert told(*PAUSE, Line(8.1, "n1", SCHEDULED)) == []
    assert told(*PAUSE, Line(8.1, "n2", SCHEDULED)) != []
    assert told(*PAUSE, Line(30.0, "n1", SCHEDULED)) != []


CUT: list[Event] = [
    Fault(4.0, "split", "partition n1 | n2", ("n1",)),
    Did(4.1, 1, "partition", 3.5),
    Healed(8.0, "split"),
]


def test_a_ring_that_was_cut_has_no_token() -> None:
    assert told(*CUT, Line(3.8, "n2", NO_TOKEN)) == []
    assert told(*CUT, Line(12.0, "n2", NO_TOKEN)) == []
    assert told(*CUT, Line(2.0, "n2", NO_TOKEN)) != []
    assert told(*CUT, Line(30.0, "n2", NO_TOKEN)) != []


def test_a_cut_is_no_reason_for_a_process_to_stand_still() -> None:
    assert told(*CUT, Line(7.0, "n1", SCHEDULED)) == [("n1", 3.8, 7.0)]


def test_a_node_that_went_takes_the_token_with_it_until_it_is_back() -> None:
    went: list[Event] = [Gone(4.0, "n1", "kill"), Did(4.1, 1, "kill n1", 3.5)]
    assert told(*went, Line(40.0, "n2", NO_TOKEN)) == []
    assert told(*went, Back(6.0, "n1"), Line(40.0, "n2", NO_TOKEN)) != []


# What labctl sees by itself


def disturbances(journal: Journal) -> list[Disturbed]:
    """What was written down."""
    return [event for event in journal.events if isinstance(event, Disturbed)]


def test_a_thread_that_comes_too_late_bears_witness() -> None:
    journal, watch = Journal(), StarvationWatch(Patience())
    watch.late(0.0, 5.0)  # there is no lab yet
    watch.tell(journal, {})
    watch.late(10.0, 10.06)
    assert disturbances(journal) == []
    watch.late(10.0, 11.45)
    (disturbance,) = disturbances(journal)
    assert (disturbance.node, disturbance.source) == ("", "labctl")
    assert disturbance.what.startswith("the machine was starved for 1.4 s")
    assert round(disturbance.until_s - disturbance.at_s, 2) == 1.45


@pytest.mark.parametrize("place", ["system.slice/docker-{id}.scope", "docker/{id}", "cpu/docker/{id}"])
def test_a_node_that_is_throttled_bears_witness_where_its_cgroup_is_here(place: str, tmp_path: Path) -> None:
    folder = tmp_path / place.format(id="abc")
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("nr_throttled 3\nthrottled_usec 500000\n")
    journal, changed = Journal(), Signal()
    journal.listen(lambda _: changed.notify())
    watch = StarvationWatch(Patience(), cgroups=tmp_path)
    watch.tell(journal, {"n1": "abc", "n2": "elsewhere"})
    (folder / "cpu.stat").write_text("nr_throttled 9\nthrottled_usec 1700000\n")
    watch._look_around(watch._glanced_s + 1.0)
    watch._look_around(watch._glanced_s + 1.0)
    (disturbance,) = disturbances(journal)
    assert (disturbance.node, disturbance.source) == ("n1", "cgroup")
    assert disturbance.what == "n1 was throttled for 1.2 s by the quota of its cgroup"


def test_it_ends_with_its_block() -> None:
    with StarvationWatch(Patience()) as watch:
        assert watch._thread.is_alive()
    assert not watch._thread.is_alive()


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
