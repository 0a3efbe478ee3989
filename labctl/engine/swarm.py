"""Whether hosts are one Swarm, and how those that are not become it. Pure: nothing is joined or left from here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.engine.host import Host
from labctl.errors import HostError


@dataclass(frozen=True)
class SwarmState:
    """What a host says of its Swarm (Docker Engine API, SystemInfo, Swarm): `active` where it is in one, its own `node`
    id there, whether it is a `manager`, and the addresses of those that it knows."""

    host: Host = field(default_factory=lambda: Host(""))
    active: bool = False
    node: str = ""
    manager: bool = False
    managers: tuple[str, ...] = ()

    @classmethod
    def of(cls, host: Host, info: Mapping[str, Any]) -> SwarmState:
        """What an engine's answer says."""
        addresses = tuple(str(manager["Addr"]) for manager in info.get("RemoteManagers") or ())
        active = info.get("LocalNodeState") == "active"
        return cls(host, active, str(info.get("NodeID", "")), bool(info.get("ControlAvailable")), addresses)


def review(states: Sequence[SwarmState], nodes: Collection[str]) -> None:
    """Raise HostError where these hosts are not one Swarm with a manager among them; the hint is how they become it.

    `nodes` are the ids that the first manager among them knows.
    """
    active = [state for state in states if state.active]
    outside = [state for state in states if not state.active]
    if not active:
        first, *others = states
        lines = [f"{docker(first.host)} swarm init --advertise-addr ADDRESS   # one of its own that the others reach"]
        lines += [f"{docker(first.host)} swarm join-token worker   # prints what joins another:"] if others else []
        lines += [f"{docker(other.host)} swarm join --token TOKEN ADDRESS:2377" for other in others]
        raise HostError(f"no host is in a Swarm: {_names(states)}", "\n".join(lines))
    manager = next((state for state in active if state.manager), None)
    trusted = [manager] if manager else active  # what is in another Swarm knows that one's managers
    known = next((address for state in trusted for address in state.managers), "ADDRESS:2377")
    if manager is None:
        hint = f"name one that is, such as that at {known}; or there: docker node promote NODE"
        raise HostError(f"none of {_names(states)} is a manager of the Swarm: only one makes its networks", hint)
    how = [f"{docker(manager.host)} swarm join-token worker   # prints the token"]
    if outside:
        how += [f"{docker(state.host)} swarm join --token TOKEN {known}" for state in outside]
        raise HostError(f"not in the Swarm of {manager.host.name}: {_names(outside)}", "\n".join(how))
    strangers = [state for state in states if state.node not in nodes]
    if strangers:
        for state in strangers:
            how.append(f"{docker(state.host)} swarm leave{' --force' if state.manager else ''}")
            how.append(f"{docker(state.host)} swarm join --token TOKEN {known}")
        raise HostError(f"in another Swarm than {manager.host.name}: {_names(strangers)}", "\n".join(how))


def docker(host: Host) -> str:
    """How Docker's own client is told to ask a host."""
    return f"docker --host {host.name}" if "://" in host.name else f"docker --context {host.name}"


def _names(states: Sequence[SwarmState]) -> str:
    return ", ".join(state.host.name for state in states)
