"""The way to the engine, or engines, that labs are on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from labctl.engine import endpoint, fleet
from labctl.engine.api_client import EngineTimeouts
from labctl.engine.commands import Output
from labctl.engine.engine import TIMEOUTS, Engine, open_endpoint
from labctl.engine.networks import SubnetTaken
from labctl.engine.observer import EngineInfo
from labctl.engine.streams import ExecStream, LogStream
from labctl.errors import HostError, UsageError

__all__ = [
    "TIMEOUTS",
    "Engine",
    "EngineInfo",
    "EngineTimeouts",
    "ExecStream",
    "LogStream",
    "Output",
    "SubnetTaken",
    "connect",
]

AT_ONCE = EngineTimeouts(2, 2, 2)
"""For what is of no use later, such as what a shell offers."""


def connect(timeouts: EngineTimeouts = TIMEOUTS, hosts: Sequence[str] = ()) -> Engine:
    """The engine that DOCKER_HOST, a Docker context or the default socket leads to, with the other hosts of the labs
    on it, where they are over several; or these hosts as one.

    Raises HostError where no engine answers, UsageError for a context that is
    none.
    """
    if not hosts:
        return fleet.with_known_hosts(open_endpoint(endpoint.of_environment(), timeouts), timeouts)
    home: Engine | None = None
    with suppress(HostError, UsageError):  # images then are made on the first of the hosts
        home = open_endpoint(endpoint.of_environment(), timeouts)
    return fleet.over(hosts, home, timeouts)
