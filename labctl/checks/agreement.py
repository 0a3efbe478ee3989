"""Do connected nodes agree? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Limits, Verdict
from labctl.checks.look_comparison import compare
from labctl.checks.rule import check
from labctl.history.events import Event


@check(place=10)
def agreement(events: Sequence[Event], limits: Limits) -> Verdict:
    """When all is quiet, connected nodes say the same of every extension."""
    return compare(events, limits).verdict("agreement")
