"""Steps: time passes. For a test of time itself: whatever can be waited for is waited for by `wait_for`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.scenario.step_registry import step
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab


@step(short="duration")
def wait(live: LiveLab, duration: Duration) -> None:
    """Let time pass: for what is a matter of time, such as an expiry

    The clock is the real one; there is no virtual clock. `wait_for` and `settle` are quicker where they fit.

    Example:
        - wait: 1s
    """
    live.pass_time(duration)


@step(short="time")
def at(live: LiveLab, time: Duration) -> None:
    """Let time pass until so long after the beginning of the run; none if that is over

    Times in the story of a run are counted from the same beginning.

    Example:
        - at: 5s
    """
    live.pass_time(max(0.0, time - live.journal.now_s()))
