"""What a node is told of another site's state, where a ring of that site broke by itself."""

from __future__ import annotations

import pytest

from labctl.checks import registry
from labctl.checks.finding import Limits
from labctl.history.events import Began, Did, Event, Ring, Said
from labctl.history.site_events import Asked

SITES = {"e1": "east", "w1": "west", "w2": "west"}
BEGAN = Began(0.0, "s", "lab", "22", (*SITES,), {"103": "PJSIP/carol"}, homes={"PJSIP/carol": "w1"}, sites=SITES)
WHOLE = ("w1", "w2")


def rings(at_s: float, *, whole: bool) -> list[Event]:
    return [Ring(at_s, node, WHOLE if whole else (node,), quorate=True) for node in WHOLE]


@pytest.mark.parametrize(("anew", "outcome"), [(False, "unknown"), (True, "failed")])
def test_what_a_broken_ring_lost_is_unknown_until_it_is_said_anew(anew: bool, outcome: str) -> None:
    events: list[Event] = [BEGAN, Said(1.0, "w1", "PJSIP/carol", "NOT_INUSE"), Did(2.0, 1, "settle", 1.5)]
    events += [*rings(20.0, whole=False), Said(22.0, "w1", "PJSIP/carol", "INUSE"), *rings(25.0, whole=True)]
    events += [Said(50.0, "w1", "PJSIP/carol", "BUSY")] if anew else []
    events += [Asked(90.0, "e1", "state", "103", ("NOT_INUSE",), ("w2",), fresh=True)]
    verdicts = {verdict.check: verdict for verdict in registry.judge(events, Limits())}
    assert verdicts["remote_state"].outcome == outcome
