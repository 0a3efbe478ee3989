"""Is who left forgotten? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Limits, Verdict
from labctl.checks.look_comparison import compare
from labctl.checks.rule import check
from labctl.history.events import Event


@check(place=30)
def no_ghosts(events: Sequence[Event], limits: Limits) -> Verdict:
    """Nobody goes on telling what only a member that left has said."""
    return compare(events, limits).verdict("no_ghosts")
