"""A history as a picture would have it."""

from __future__ import annotations

import pytest

from labctl.checks.finding import Finding, Verdict
from labctl.checks.judgement import Judged, Result
from labctl.history.events import (
    Back,
    Began,
    Called,
    Did,
    Disturbed,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Lamp,
    Line,
    Looked,
    Notified,
    Over,
    Ring,
    Said,
    Seen,
)
from labctl.report.lane_recorder import TimeSpan
from labctl.report.timeline import Delay, Mark, Timeline, draw
from tests.unit.old_runs import OUTCOMES, old_run

NODES = ("n1", "n2")
BEGAN = Began(0.0, "mine", "lab", "22", NODES, {"101": "PJSIP/alice", "door": "Custom:door"}, {"PJSIP/alice": "n1"})


def result(*judged: Judged) -> Result:
    """What a run came to."""
    return Result("mine", "Mine", "22", 9.0, judged)


def failed(*findings: Finding) -> Judged:
    """A check that found this."""
    return Judged(Verdict("agreement", "failed", findings), "failed")


def timeline(*events: Event, of: Result | None = None) -> Timeline:
    """The picture of what happened after the beginning."""
    return draw((BEGAN, *events), of or result())


def spans(picture: Timeline, speaker: str, subject: str) -> list[tuple[float, float, str, str]]:
    """What is in one lane."""
    lane = next(lane for lane in picture.lanes if (lane.speaker, lane.subject) == (speaker, subject))
    return [(span.begin_s, span.end_s, span.text, span.kind) for span in lane.spans]


def test_a_state_holds_until_the_next_and_the_last_to_the_end() -> None:
    picture = timeline(
        Seen(1.0, "n1", "door", "Idle"), Seen(2.0, "n1", "door", "Busy"), Seen(2.5, "n1", "door", "Busy"), Over(5.0)
    )
    assert spans(picture, "n1", "door") == [(1.0, 2.0, "Idle", "Idle"), (2.0, 5.0, "Busy", "Busy")]
    assert (picture.begin_s, picture.end_s) == (1.0, 5.0)


def test_a_look_tells_what_nobody_told_before_it() -> None:
    look = Looked(3.0, {"n1": {"door": "Idle"}, "n2": {"door": "Busy"}}, {"n1": NODES, "n2": ("n2",)})
    picture = timeline(Seen(1.0, "n1", "door", "Idle"), Ring(1.0, "n2", ("n2",), quorate=False), look, Over(5.0))
    assert spans(picture, "n1", "door") == [(1.0, 5.0, "Idle", "Idle")]
    assert spans(picture, "n2", "door") == [(3.0, 5.0, "Busy", "Busy")]
    assert spans(picture, "n1", "ring") == [(3.0, 5.0, "n1, n2", "ring")]
    assert spans(picture, "n2", "ring") == [(1.0, 5.0, "n2; no quorum", "cut")]
    assert picture.looks == (Mark(3.0, "everything was looked at"),)


def test_who_is_gone_says_nothing_and_what_it_says_after_is_not_known_at_once() -> None:
    kill = FaultBegan(2.0, "kill-n2", "kill n2", ("n2",), absent=("n2",))
    picture = timeline(
        Seen(1.0, "n2", "door", "Idle"),
        Ring(1.0, "n2", NODES, quorate=True),
        kill,
        Gone(2.0, "n2", "kill"),
        Healed(3.0, "kill-n2"),
        Back(3.0, "n2"),
        Ring(3.5, "n2", NODES, quorate=True),
        Seen(4.0, "n2", "door", "Idle"),
        Over(5.0),
    )
    assert spans(picture, "n2", "door") == [
        (1.0, 2.0, "Idle", "Idle"),
        (2.0, 3.0, "gone (kill)", "gone"),
        (4.0, 5.0, "Idle", "Idle"),
    ]
    assert [text for _, _, text, _ in spans(picture, "n2", "ring")] == ["n1, n2", "no Corosync", "n1, n2"]
    assert picture.faults == (TimeSpan(2.0, 3.0, "kill n2", "fault"),)


def test_a_fault_that_nobody_undid_is_in_force_to_the_end_and_one_of_the_same_name_is_another() -> None:
    picture = timeline(
        FaultBegan(1.0, "split", "one", NODES), Healed(2.0, "split"), FaultBegan(3.0, "split", "two", NODES), Over(9.0)
    )
    assert picture.faults == (TimeSpan(1.0, 2.0, "one", "fault"), TimeSpan(3.0, 9.0, "two", "fault"))


def test_phones_have_lanes_for_what_they_watch_for_messages_and_for_calls() -> None:
    picture = timeline(
        Notified(1.0, "bob", "101", "early"),
        Notified(1.5, "bob", "101", "confirmed"),
        Lamp(1.0, "bob", 1, 0),
        Called(1.0, "1", "alice", "bob", ("n1",)),
        Ended(2.0, "1", ok=False, why="cut off"),
        Over(3.0),
    )
    assert [text for _, _, text, _ in spans(picture, "bob", "101")] == ["early", "confirmed"]
    assert spans(picture, "bob", "messages") == [(1.0, 3.0, "1 new, 0 old", "lamp")]
    assert [text for _, _, text, _ in spans(picture, "alice", "calls")] == ["calls bob", "no call: cut off"]
    assert {lane.kind for lane in picture.lanes} == {"phone"}


def test_steps_logs_and_disturbances() -> None:
    picture = timeline(
        Did(2.0, 1, "settle", 1.0, "not quiet"), Line(1.5, "n1", "a line"), Disturbed(3.0, 4.0, "", "starved", "clock")
    )
    assert picture.steps == (TimeSpan(1.0, 2.0, "1 settle: not quiet", "step", wrong=True),)
    assert picture.logs == (Mark(1.5, "a line", "n1"),)
    assert picture.disturbances == (TimeSpan(3.0, 4.0, "starved", "disturbed"),)


def test_where_and_when_it_began_to_be_wrong() -> None:
    findings = (
        Finding("late", 4.0, ("n2",), extension="door", since_s=2.0),
        Finding("at a look", 3.0, ("n1",), extension="101"),
        Finding("in doubt", 1.0, NODES, extension="door", doubt="the machine was starved"),
    )
    told = (Seen(1.0, node, name, "Idle") for node in NODES for name in ("door", "101"))
    picture = timeline(*told, Seen(3.5, "n2", "door", "Busy"), Over(5.0), of=result(failed(*findings)))
    assert (picture.wrong_s, picture.wrong) == (1.0, "at a look")  # nothing was said of it since
    wrong = [(lane.speaker, lane.subject, span.text) for lane in picture.lanes for span in lane.spans if span.wrong]
    assert wrong == [("n1", "101", "Idle"), ("n2", "door", "Busy")]


def test_where_nothing_failed_nothing_is_marked() -> None:
    unsure = Judged(Verdict("truth", "unknown", (Finding("in doubt", 1.0, NODES, doubt="starved"),)), "unknown")
    picture = timeline(Seen(1.0, "n1", "door", "Idle"), of=result(unsure))
    assert (picture.wrong_s, picture.wrong) == (None, "")
    assert not any(lane.wrong for lane in picture.lanes)


def test_delays_are_those_from_the_node_that_says_to_every_other() -> None:
    picture = timeline(
        Said(1.0, "n1", "Custom:door", "BUSY"),
        Seen(1.001, "n1", "door", "Busy"),
        Seen(1.004, "n2", "door", "Busy"),
        Over(3.0),
    )
    (delay,) = picture.delays
    assert delay == Delay(1.0, "n1", "n2", "door", "Busy", delay.delay_ms)
    assert delay.delay_ms == pytest.approx(4.0)


def test_lanes_stand_by_what_they_are_of() -> None:
    told = (Seen(1.0, node, name, "Idle") for node in NODES for name in ("door", "101"))
    picture = timeline(*told, Ring(1.0, "n1", NODES, quorate=True), Lamp(1.0, "bob", 0, 0), Over(2.0))
    names = [f"{lane.speaker} {lane.subject}" for lane in picture.lanes]
    assert names == ["n1 ring", "n1 101", "n2 101", "n1 door", "n2 door", "bob messages"]


@pytest.mark.parametrize("name", sorted(path for path in OUTCOMES))
def test_runs_of_labctl_0_1_have_a_picture(name: str) -> None:
    picture = draw(old_run(name), result())
    assert picture.steps
    for lane in picture.lanes:
        assert [span.begin_s for span in lane.spans] == sorted(span.begin_s for span in lane.spans)
        assert all(span.begin_s <= span.end_s <= picture.end_s for span in lane.spans)


def test_a_history_without_a_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="begins"):
        draw((Over(1.0),), result())
