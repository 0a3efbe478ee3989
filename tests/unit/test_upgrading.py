"""Another version of Asterisk on a node of a running lab: what is done to its container, and in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.cluster import upgrade
from labctl.lab import Version
from labctl.scenario import upgrading
from labctl.scenario.live_lab import LiveLab


class Doing:
    """A live lab that only says what is done to it; its node is in a state."""

    def __init__(self, state: str) -> None:
        self.done: list[str] = []
        self.upgraded: dict[str, Version] = {}
        self.live = SimpleNamespace(
            engine=None,
            lab=SimpleNamespace(name="lab"),
            running=SimpleNamespace(options=None, upgraded=self.upgraded),
            progress=None,
            journal=SimpleNamespace(folder=None, events=()),
            cluster=SimpleNamespace(container_state=lambda _node: state),
            faults=SimpleNamespace(inflict=self.inflict, heal=self.done.append),
            await_started=lambda: self.done.append("await started"),
            wait_until=lambda *_: self.done.append("await ring"),
        )

    def inflict(self, fault: Any) -> str:
        self.done.append(f"{fault.kind} {fault.node}")
        return "start again"


@pytest.mark.parametrize(
    ("state", "done"),
    [
        ("running", ["stop n3", "swap n3", "start again", "await started", "await ring"]),
        ("created", ["swap n3"]),
    ],
)
def test_a_node_that_was_never_started_is_another_when_it_starts(
    state: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doing = Doing(state)
    monkeypatch.setattr(upgrade, "prepare", lambda *_: None)
    monkeypatch.setattr(upgrade, "swap", lambda _engine, _running, node, _spec: doing.done.append(f"swap {node}"))
    upgrading.upgrade_to(cast(LiveLab, doing.live), "n3", Version())
    assert doing.done == done
    assert [*doing.upgraded] == ["n3"]
