"""A container is paused once all commands in it have begun: one that is frozen as it begins holds the engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker import errors as docker_errors

from labctl.engine import containers as module
from labctl.engine.access import Access
from labctl.engine.actions import PauseContainer
from labctl.engine.containers import Containers
from labctl.engine.networks import Networks
from labctl.errors import HostError

BEGINS, RUNS, HAS_ENDED = ({"ExitCode": code, "Pid": pid} for code, pid in ((None, 0), (None, 7), (0, 0)))


class Engine:
    """An engine with a container in which commands are as each inspection says, the last for good."""

    def __init__(self, *inspections: dict[str, Any] | None) -> None:
        self.inspections = list(inspections)
        self.did: list[str] = []
        self.refusals: Iterator[str] = iter(())

    def inspect_container(self, _container: str) -> dict[str, Any]:
        return {"ExecIDs": ["one"] if self.inspections else None}

    def exec_inspect(self, _command: str) -> dict[str, Any]:
        self.did.append("asked")
        told = self.inspections.pop(0) if len(self.inspections) > 1 else self.inspections[0]
        if told is None:
            raise docker_errors.NotFound("no such exec")
        return told

    def pause(self, _container: str) -> None:
        if refusal := next(self.refusals, None):
            raise docker_errors.APIError("500", explanation=refusal)
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


NOT_FROZEN = "Cannot pause container 0d82: OCI runtime pause failed: unable to freeze: unknown"


def test_what_cannot_be_frozen_for_the_moment_is_paused_again_and_anything_else_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen beside busy tests; runc leaves it to who asks to try again."""
    monkeypatch.setattr(module, "FREEZE_AGAIN_S", 0.0)
    engine = Engine(RUNS)
    containers = Containers(cast("Access", SimpleNamespace(api=engine)), cast("Networks", None))
    engine.refusals = itertools.repeat(NOT_FROZEN, 20)
    containers.apply(PauseContainer("n3"))
    assert engine.did == ["asked"] * 21 + ["paused"]
    engine.refusals = iter(["is not running"])
    with pytest.raises(HostError, match="is not running"):
        containers.apply(PauseContainer("n3"))
    monkeypatch.setattr(module, "FREEZE_S", 0.05)
    engine.refusals = itertools.repeat(NOT_FROZEN)
    with pytest.raises(HostError, match="unable to freeze"):
        containers.apply(PauseContainer("n3"))
