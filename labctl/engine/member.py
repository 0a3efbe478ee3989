"""The hosts of a fleet: reached side by side, and what each says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from labctl.engine import endpoint
from labctl.engine.access import translated
from labctl.engine.api_client import EngineTimeouts
from labctl.engine.endpoint import EngineAddress
from labctl.engine.engine import Engine, open_endpoint
from labctl.engine.host import Host
from labctl.engine.swarm import SwarmState
from labctl.errors import HostError, UsageError
from labctl.timing import LookPool

REACH_S, FIRST_S = 2, 15
"""How long a host may take until it can be connected to: one that is gone is told of within that time, and is not
waited for. How long one that is there may take to answer at first: it may be busy."""


@dataclass(frozen=True)
class Member:
    """A host; `engine` is None where it does not answer, and `why` then says why not."""

    host: Host
    engine: Engine | None = None
    why: str = ""
    swarm: SwarmState = field(default_factory=SwarmState)

    @property
    def manager(self) -> bool:
        """Whether it is a manager of a Swarm."""
        return self.swarm.manager


def reach_all(hosts: Sequence[Host], timeouts: EngineTimeouts) -> list[Member]:
    """All of these hosts, which are asked side by side. Raises UsageError for a name that is none."""
    with LookPool(max_workers=max(1, len(hosts))) as pool:
        return list(pool.map(lambda host: reach(host, timeouts), hosts))


def reach(host: Host, timeouts: EngineTimeouts) -> Member:
    """A host; where its id is known, no other one that answers in its place. Raises UsageError for a name that is
    none."""
    where = _endpoint(host)
    host = replace(host, url=where.url or host.url)
    try:
        member = of_engine(host, open_endpoint(where, _of_many(timeouts)))
    except HostError as error:
        return Member(host, why=_shortly(error.message))
    if host.id and member.host.id != host.id:
        return Member(host, why="another engine answers in its place")
    return member


def _of_many(timeouts: EngineTimeouts) -> EngineTimeouts:
    """What is left of it for one host of several."""
    reach_s, first_s = min(timeouts.reach_s, REACH_S), min(timeouts.first_s, FIRST_S)
    return replace(timeouts, reach_s=reach_s, first_s=first_s)


def _shortly(message: str) -> str:
    """What an error of the connection comes to, without the objects in which docker-py's wraps it."""
    if reason := re.search(r"\[Errno \d+\] ([\w .-]+)", message):
        return reason[1]
    return message.removeprefix("no Docker Engine answers: ")


def of_engine(host: Host, engine: Engine) -> Member:
    """The member that an engine is. Raises HostError."""
    with translated(f"ask {host.name or 'the engine'} what it is"):
        info = engine._api.info()
    return Member(replace(host, id=str(info["ID"])), engine, swarm=SwarmState.of(host, info.get("Swarm") or {}))


def _endpoint(host: Host) -> EngineAddress:
    """Where a host answers: by the context of that name, or by the address that a lab's label has, where there is no
    such context here."""
    try:
        return endpoint.of_host(host.name)
    except UsageError:
        if not host.url:
            raise
        return EngineAddress(host.url)
