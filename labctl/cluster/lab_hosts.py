"""The Docker hosts of a lab: those that it is to be over, and what is said of those that do not answer."""

from __future__ import annotations

from labctl.engine.client import Engine
from labctl.engine.host import Host
from labctl.engine.observation import LostHost, Observation
from labctl.errors import HostError, UsageError
from labctl.lab import Lab

GONE_FOR_GOOD = "if it never comes back: docker node rm --force NODE, then labctl down --hosts with the others alone"


def required(engine: Engine, lab: Lab) -> tuple[Host, ...]:
    """The hosts that a lab is to be over; none where it is to be on one engine.

    Raises UsageError where the lab wants other hosts than the engine has, HostError where these cannot hold it, or
    where those do not let it go that it leaves for one engine.
    """
    hosts = engine.hosts_of(lab.docker_hosts)
    if lab.docker_hosts and not hosts:
        names = ",".join(lab.docker_hosts)
        raise UsageError(f"the lab {lab.name} is to be over {names}", f"set LABCTL_HOSTS={names}")
    engine.require_hosts(hosts or engine.hosts(lab.name))
    return hosts


def not_reached(lab: str, host: LostHost) -> HostError:
    """What is said of a host that does not answer while a lab is taken away."""
    return HostError(_may_be_there(lab, host), GONE_FOR_GOOD)


def left_alone(lab: str, observation: Observation, hosts: tuple[Host, ...] = ()) -> tuple[str, ...]:
    """What is said of hosts that do not answer, and are none of these, nor of those that the user named."""
    names = {host.name for host in hosts}
    lost = (host for host in observation.lost if not host.meant or (hosts and host.name not in names))
    return tuple(_may_be_there(lab, host) for host in lost)


def _may_be_there(lab: str, host: LostHost) -> str:
    parts = f"{', '.join(host.parts)} of {lab}" if host.parts else lab
    return f"the host {host.name} does not answer, and {parts} may be there still: {host.why}"
