"""labctl ended with SIGKILL at any point: the next `up` is ready, the next `down` leaves nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from labctl.engine.client import Engine
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

POINTS = 20
PARTS = 4
"""So many labs share the points, so that they can go side by side."""

LAB = "nodes: 3\nphones: 1\n"


class Course:
    """What a command of labctl takes when nobody ends it; where the machine has become quicker, so much less."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._whole_s = duration(*arguments)

    def killed_at(self, share: float) -> bool:
        """Run it and end it with SIGKILL after so much of its time; whether it was still at it."""
        start = time.monotonic()
        killed = kill_after(self._whole_s * share, *self._arguments) == -9
        if not killed:
            self._whole_s = min(self._whole_s, time.monotonic() - start)
        return killed


def kill_after(seconds: float, *arguments: str) -> int:
    """Run labctl and end it with SIGKILL after so long; its return code, -9 if it was still at it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labctl", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        process.communicate(LAB, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


def duration(*arguments: str) -> float:
    """How long it takes when nobody ends it, in seconds."""
    start = time.monotonic()
    assert labctl(*arguments, text=LAB).code == 0
    return time.monotonic() - start


def locks(engine: Engine, name: str) -> list[str]:
    """The locks of a lab that are held on the engine."""
    volumes = engine._api.volumes(filters={"name": f"labctl-lock-{name}"})["Volumes"] or []
    return [volume["Name"] for volume in volumes]


@pytest.mark.parametrize("part", range(PARTS))
def test_up_and_down_killed_at_points_spread_over_their_course(part: int, name: str, engine: Engine) -> None:
    up = ("up", "-n", name, "-f", "-")
    down = ("down", "-n", name)
    course_of_up, course_of_down = Course(*up), Course(*down)
    killed = 0
    points = range(part, POINTS, PARTS)
    for point in points:
        share = (point + 0.5) / POINTS
        killed += course_of_up.killed_at(share)
        result = labctl(*up, text=LAB)
        assert result.code == 0, f"up after a kill at {share:.0%}: {result.err}"
        killed += course_of_down.killed_at(share)
        result = labctl(*down)
        assert result.code == 0, f"down after a kill at {share:.0%}: {result.err}"
        assert engine.observe(name).empty, f"left behind after a kill at {share:.0%}"
        assert locks(engine, name) == [], f"locked after a kill at {share:.0%}"
    assert killed >= len(points), "too few of the kills came in time to say anything"


def test_down_right_after_a_killed_up_leaves_nothing(name: str, engine: Engine) -> None:
    up = ("up", "-n", name, "-f", "-")
    whole = duration(*up)
    labctl("down", "-n", name)
    for share in (0.3, 0.5, 0.7, 0.9):
        kill_after(whole * share, *up)
        assert labctl("down", "-n", name).code == 0
        assert engine.observe(name).empty
        assert locks(engine, name) == []
