"""A container is paused once all commands in it have begun: one that is frozen as it begins holds the engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker import errors as docker_errors

from labctl.engine.access import Access
from labctl.engine.actions import PauseContainer
from labctl.engine.containers import Containers
from labctl.engine.networks import Networks

BEGINS, RUNS, HAS_ENDED = ({"ExitCode": code, "Pid": pid} for code, pid in ((None, 0), (None, 7), (0, 0)))


class Engine:
    """An engine with a container in which commands are as each inspection says, the last for good."""

    def __init__(self, *inspections: dict[str, Any] | None) -> None:
        self.inspections = list(inspections)
        self.did: list[str] = []

    def inspect_container(self, _container: str) -> dict[str, Any]:
        return {"ExecIDs": ["one"] if self.inspections else None}

    def exec_inspect(self, _command: str) -> dict[str, Any]:
        self.did.append("asked")
        told = self.inspections.pop(0) if len(self.inspections) > 1 else self.inspections[0]
        if told is None:
            raise docker_errors.NotFound("no such exec")
        return told

    def pause(self, _container: str) -> None:
        self.did.append("paused")


@pytest.mark.parametrize(
    ("inspections", "asked"),
    [((), 0), ((RUNS,), 1), ((HAS_ENDED,), 1), ((None,), 1), ((BEGINS, BEGINS, RUNS), 3)],
)
def test_it_is_paused_once_all_commands_have_begun(inspections: tuple[dict[str, Any] | None, ...], asked: int) -> None:
    engine = Engine(*inspections)
    containers = Containers(cast("Access", SimpleNamespace(api=engine)), cast("Networks", None))
    containers.apply(PauseContainer("n3"))
    assert engine.did == ["asked"] * asked + ["paused"]
