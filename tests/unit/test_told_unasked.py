"""What changed and no event of the manager interface told: it is found, or counted for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from labctl.checks.finding import Limits, Verdict
from labctl.checks.reading import as_read
from labctl.checks.registry import CHECKS
from labctl.history.events import AMI, Back, Began, Did, Disturbed, Event, Gone, Looked, Over, Said, Seen

NODES = ("n1", "n2")
BEGAN = Began(0.0, "s", "lab", "22", NODES, {"mystate": "Custom:mystate"})
ANEW = "+9.000 s: n2 told no change since it said that mystate is Idle, but `asterisk -rx` there Busy"


def judge(check: str, events: Sequence[Event]) -> Verdict:
    return CHECKS[check].judge(as_read([BEGAN, *events, Over(99.0)]), Limits())


def look(at_s: float, state: str, other: str = "") -> Looked:
    """A look at which n1 says this, and n2 the other, by each way to ask."""
    states = {"n1": {"mystate": state}, "n2": {"mystate": other or state}}
    return Looked(at_s, states, dict.fromkeys(NODES, NODES), hints=states, began_s=at_s - 0.2)


def test_short_changes_of_which_nobody_heard_are_no_delays() -> None:
    states = ("BUSY", "NOT_INUSE") * 4
    said = [Said(1 + 0.6 * number, "n1", "Custom:mystate", state) for number, state in enumerate(states)]
    assert (judge("bounded_delay", said).outcome, judge("bounded_delay", said).figures["changes"]) == ("nothing", 0)
    told = [Seen(0.5, node, "mystate", "Idle") for node in NODES]  # as all are that had it so before
    verdict = judge("bounded_delay", [*told, *said])
    assert (verdict.outcome, verdict.figures["changes"]) == ("nothing", 0)


def test_a_state_that_was_so_already_has_no_delay() -> None:
    said = [Said(1.0, "n1", "Custom:mystate", "NOT_INUSE"), Said(5.0, "n1", "Custom:mystate", "BUSY")]
    told = [Seen(5.02, node, "mystate", "Busy") for node in NODES]
    verdict = judge("bounded_delay", [*said, *told])
    assert (verdict.outcome, verdict.figures["changes"], round(verdict.figures["p50_ms"])) == ("passed", 2, 20)


def test_a_state_that_changed_between_two_looks_without_an_event_is_found() -> None:
    events: list[Event] = [look(3.0, "Idle"), Seen(5.0, "n1", "mystate", "Busy"), look(9.0, "Busy")]
    assert [finding.text for finding in judge("views", events).findings] == [ANEW]
    again = judge("views", [*events, look(12.0, "Busy")]).findings
    assert [(finding.at_s, finding.nodes, finding.extension) for finding in again] == [
        (at_s, ("n2",), "mystate") for at_s in (9.0, 12.0)
    ]


@pytest.mark.parametrize(
    "between",
    [
        pytest.param([Seen(5.0, "n2", "mystate", "Busy")], id="told"),
        pytest.param([Gone(4.0, "n2", "kill"), Back(6.0, "n2")], id="its Asterisk is another one"),
        pytest.param([Disturbed(4.0, 6.0, "n2", "lost", AMI)], id="it was not heard"),
        pytest.param([Disturbed(2.5, 6.0, "n2", "lost", AMI)], id="it was not heard at the first look either"),
        pytest.param([Did(5.0, 1, "configure node=n2 file=asterisk/extensions.conf", 4.0)], id="configured anew"),
        pytest.param([Seen(9.2, "n2", "mystate", "Busy")], id="told as it was asked"),
    ],
)
def test_what_explains_that_no_event_came_is_no_finding(between: Sequence[Event]) -> None:
    of_n1 = Seen(5.0, "n1", "mystate", "Busy")
    assert not judge("views", [look(3.0, "Idle"), of_n1, *between, look(9.0, "Busy")]).findings


def test_what_the_ways_to_ask_did_not_agree_on_is_no_base() -> None:
    split = Looked(3.0, {"n2": {"mystate": "Busy"}}, {}, hints={"n2": {"mystate": "Idle"}})
    events: list[Event] = [split, Seen(5.0, "n1", "mystate", "Busy"), look(9.0, "Busy")]
    assert [finding.at_s for finding in judge("views", events).findings] == [3.0]


def test_what_is_told_soon_after_the_look_is_late() -> None:
    told = [Seen(5.0, "n1", "mystate", "Busy"), Seen(12.0, "n2", "mystate", "Busy")]
    events: list[Event] = [look(3.0, "Idle"), look(9.0, "Busy"), *told]
    assert [(finding.text, finding.late) for finding in judge("views", events).findings] == [(ANEW, True)]
