"""A container that is started: an overlay network that does not let it in is asked again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from docker.errors import APIError

from labctl.engine import containers as module
from labctl.engine.access import Access
from labctl.engine.actions import StartContainer
from labctl.engine.containers import Containers
from labctl.engine.networks import Networks
from labctl.errors import HostError

NOT_LET_IN = "attaching to network failed, make sure your network options are correct: context deadline exceeded"


NOT_TOLD = "network lmb6x6bcg398ivejnx95onaj6 not found"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again at once."""
    monkeypatch.setattr(module, "LET_IN_AGAIN_S", 0.0)


def start(refusals: Iterator[str], swarm: str = "active") -> int:
    """How often a container is started that the engine refuses so first."""
    asked = 0

    def ask(_name: str) -> None:
        nonlocal asked
        asked += 1
        if refusal := next(refusals, None):
            raise APIError("500", explanation=refusal)

    engine = SimpleNamespace(start=ask, info=lambda: {"Swarm": {"LocalNodeState": swarm}})
    containers = Containers(cast("Access", SimpleNamespace(api=engine)), cast("Networks", None))
    containers.apply(StartContainer("n1"))
    return asked


@pytest.mark.parametrize("refusal", [NOT_LET_IN, NOT_TOLD])
@pytest.mark.parametrize("refused", [0, 1, 2, 20])
def test_a_network_that_does_not_let_a_container_in_is_asked_again(refused: int, refusal: str) -> None:
    """However often: what counts is how long the Swarm may take to tell a host that is back."""
    assert start(itertools.repeat(refusal, refused)) == refused + 1


def test_it_is_given_up_in_the_end_and_anything_else_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="no such thing"):
        start(iter(["no such thing"]))
    with pytest.raises(HostError, match="not found"):  # no Swarm will tell of it
        start(itertools.repeat(NOT_TOLD), swarm="inactive")
    monkeypatch.setattr(module, "LET_IN_S", 0.05)
    with pytest.raises(HostError, match="attaching to network failed"):
        start(itertools.repeat(NOT_LET_IN))
