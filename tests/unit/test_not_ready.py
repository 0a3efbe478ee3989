"""What a wait says that ran out of time: the reasons first, the logs after them."""

from __future__ import annotations

from typing import cast

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Observation
from labctl.names import ROLE_NODE
from tests.unit import labs


class FakeEngine:
    """An engine whose containers have logs."""

    def logs(self, container: str, tail: int | None = None, ago_s: float | None = None) -> str:
        """Two lines of the one node that has said anything; none of them tells of a daemon's start."""
        assert tail or ago_s
        return "first\nsecond\n" if container == "id-n1" else ""


def test_every_reason_comes_before_any_log() -> None:
    containers = tuple(Container(f"id-{name}", name, "lab", ROLE_NODE, name, "running", "") for name in ("n1", "n2"))
    running = Running(labs.lab("nodes: 3\n"), labs.stack(), Observation(containers=containers))
    cluster = Cluster(cast(Engine, FakeEngine()), running)
    missing = {"n1": ["its ring has 1 of 3 members"], "n2": ["not fully booted"], "n3": ["its container does not run"]}
    assert cluster.not_ready("not ready after 60 s", missing).message.splitlines() == [
        "not ready after 60 s",
        "  n1: its ring has 1 of 3 members",
        "  n2: not fully booted",
        "  n3: its container does not run",
        "  the last that n1 logged:",
        "    first",
        "    second",
    ]
