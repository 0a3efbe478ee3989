"""Is what nodes agree on what was said? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Limits, Verdict
from labctl.checks.look_comparison import compare
from labctl.checks.rule import check
from labctl.history.events import Event


@check(place=20)
def truth(events: Sequence[Event], limits: Limits) -> Verdict:
    """Where they agree, it is the aggregate of what those among them that live said last."""
    return compare(events, limits).verdict("truth")
