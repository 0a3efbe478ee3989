"""A machine that keeps a lab from its work: who bears witness, and what is no witness."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from labctl.checks.disturbance import tells
from labctl.history.events import Disturbed
from labctl.history.journal import Journal
from labctl.scenario.starvation import StarvationWatch, average_pressure, look_at_machine, pressure_s, throttled_s
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
