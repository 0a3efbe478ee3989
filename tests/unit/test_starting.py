"""A container that is started: an overlay network that does not let it in is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from docker.errors import APIError

from labctl.engine.access import Access
from labctl.engine.actions import StartContainer
from labctl.engine.containers import ATTACH_TIMES, Containers
from labctl.engine.networks import Networks
from labctl.errors import HostError

NOT_LET_IN = "attaching to network failed, make sure your network options are correct: context deadline exceeded"


def start(refusals: list[str]) -> int:
    """How often a container is started that the engine refuses so first."""
    asked = 0

    def ask(_name: str) -> None:
        nonlocal asked
        asked += 1
        if refusals:
            raise APIError("500", explanation=refusals.pop(0))

    engine = SimpleNamespace(start=ask)
    containers = Containers(cast("Access", SimpleNamespace(api=engine)), cast("Networks", None))
    containers.apply(StartContainer("n1"))
    return asked


@pytest.mark.parametrize("refused", range(ATTACH_TIMES))
def test_a_network_that_took_too_long_to_let_a_container_in_is_asked_again(refused: int) -> None:
    assert start([NOT_LET_IN] * refused) == refused + 1


def test_it_is_given_up_in_the_end_and_anything_else_at_once() -> None:
    with pytest.raises(HostError, match="attaching to network failed"):
        start([NOT_LET_IN] * ATTACH_TIMES)
    with pytest.raises(HostError, match="no such thing"):
        start(["no such thing"])
