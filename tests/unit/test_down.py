"""`down`: one lab or all of them, and what the engine refuses on the way."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from labctl.cluster import lifecycle as labs
from labctl.engine.actions import RemoveContainer, Step
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import HostError, LabctlError
from labctl.names import ROLE_NODE
from labctl.progress import Silent


class Locks:
    """Locks of an engine, which no two hold at once."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.taken: list[str] = []

    def take(self, name: str, process: str) -> str:
        self.taken.append(name)
        return self.held.setdefault(name, process)

    def release(self, name: str) -> None:
        del self.held[name]


class Holding:
    """An engine that holds labs of one node each, and refuses to remove some things."""

    def __init__(self, *names: str, refusals: dict[str, LabctlError] | None = None) -> None:
        self.parts: dict[str, Container | Network] = {}
        for name in names:
            network = Network(f"net-{name}", f"labctl-{name}", name, "198.18.7.0/24", "seed")
            node = Container(f"c-{name}", f"labctl-{name}-n1", name, ROLE_NODE, "n1", "running", "")
            self.parts |= {network.name: network, node.name: node}
        self.refusals = refusals or {}
        self.locks = Locks()
        self._one_at_a_time = threading.Lock()

    def observe(self, name: str | None = None) -> Observation:
        parts = [part for part in self.parts.values() if name in (None, part.lab)]
        return Observation(
            tuple(part for part in parts if isinstance(part, Network)),
            tuple(part for part in parts if isinstance(part, Container)),
        )

    def apply(self, step: Step) -> None:
        name = getattr(step, "name", "")
        if name in self.refusals:
            raise self.refusals[name]
        with self._one_at_a_time:
            del self.parts[name]


def down(holding: Holding, name: str | None) -> list[Step]:
    return labs.down(cast(Engine, holding), name, Silent())


def test_all_labs_go_each_under_its_own_lock() -> None:
    holding = Holding("a", "b", "c")
    steps = down(holding, None)
    assert len(steps) == 6
    assert (holding.parts, sorted(holding.locks.taken), holding.locks.held) == ({}, ["a", "b", "c"], {})


def test_one_lab_goes_and_the_others_stay() -> None:
    holding = Holding("a", "b")
    down(holding, "a")
    assert sorted(holding.parts) == ["labctl-b", "labctl-b-n1"]


def test_no_lab_is_nothing_to_do() -> None:
    assert down(Holding(), None) == []
    assert down(Holding("a"), "other") == []


def test_what_the_engine_refuses_is_its_own_fault_and_all_else_goes() -> None:
    leaked = HostError("remove network labctl-a: the engine still counts endpoints", "docker network disconnect")
    refused = HostError("remove labctl-b-n1: device or resource busy")
    holding = Holding("a", "b", "c", refusals={"labctl-a": leaked, "labctl-b-n1": refused})
    with pytest.raises(HostError) as refusal:
        down(holding, None)
    assert refusal.value.exit_code == 4
    assert "endpoints" in refusal.value.message
    assert "busy" in refusal.value.message
    assert "docker network disconnect" in refusal.value.hint
    assert "labctl down again" in refusal.value.hint
    assert sorted(holding.parts) == ["labctl-a", "labctl-b-n1"]
    assert holding.locks.held == {}


def test_a_mistake_of_ours_is_not_made_an_error_of_the_lab() -> None:
    holding = Holding("a")
    observed = holding.observe("a")
    holding.parts.clear()
    holding.observe = lambda *_: observed  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        down(holding, "a")


def test_steps_say_what_goes() -> None:
    assert [str(step) for step in down(Holding("a"), "a") if isinstance(step, RemoveContainer)] == [
        "remove labctl-a-n1"
    ]
