"""The labs that an engine holds: listed, read back, and who made them. Changes nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from labctl.blueprint import record
from labctl.blueprint.owner import USER_KIND, Owner, OwnerKind, Process
from labctl.blueprint.record import LabRecord
from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine
from labctl.engine.observation import Network, Observation
from labctl.errors import LabError, UsageError
from labctl.lab import Lab
from labctl.lock import claimed
from labctl.names import ROLE_NODE, ROLE_PHONES, check_lab_name

NAMED_BY: Mapping[OwnerKind, str] = {"run": "--name NAME", "soak": "--name NAME", "test": "name=NAME"}
"""How who makes a lab is told its name; others have one of their own."""

USERS = ("test", "session")
"""Who may use a lab that another process made: a cluster in a test, and a whole session of tests."""


@dataclass(frozen=True)
class Summary:
    """One row of `labctl ls`. `stack` is empty where the lab is not whole."""

    name: str
    stack: str
    running: int
    nodes: int
    subnet: str


def names(engine: Engine) -> list[str]:
    """The names of all labs. A network without containers is none: an engine that failed to remove it left it."""
    observation = engine.observe()
    return sorted({container.lab for container in observation.containers} - {""})


def remnants(engine: Engine) -> list[str]:
    """The names of all labs, and of those of which a network alone is left."""
    return _all_names(engine.observe())


def _all_names(observation: Observation) -> list[str]:
    labs = {container.lab for container in observation.containers} | {network.lab for network in observation.networks}
    return sorted(labs - {""})


def summaries(engine: Engine) -> list[Summary]:
    """Every lab that Docker holds, in whatever state it is."""
    observation = engine.observe()
    return [_summary(name, observation) for name in _all_names(observation)]


def _summary(name: str, observation: Observation) -> Summary:
    containers = [container for container in observation.containers if container.lab == name]
    states = [container.state for container in containers if container.role == ROLE_NODE]
    stack, nodes = record.glance(next((container.spec for container in containers if container.spec), ""))
    subnet = next((network.subnet for network in observation.networks if network.lab == name), "")
    return Summary(name, stack, states.count("running"), len(nodes) or len(states), subnet)


def load(engine: Engine, name: str | None) -> Running:
    """A lab that Docker holds, by name, or the only one there is. Raises UsageError, LabError."""
    if name is not None:
        check_lab_name(name)
    known = names(engine)
    if name is None:
        if len(known) != 1:
            here = f"these are here: {', '.join(known)}" if known else "there is none"
            raise UsageError(f"which lab? {here}", "--name NAME tells; labctl up makes one")
        name = known[0]
    if name not in known:
        here = ", ".join(known) or "none"
        raise UsageError(f"no lab `{name}` is up (here: {here})", f"labctl up --name {name}")
    observation = engine.observe(name)
    text = _record_text(observation)
    if not text:
        raise LabError(
            f"the lab {name} is not whole: its phones' container is gone", f"labctl up --name {name} mends it"
        )
    as_made = record.parse(name, text)
    return Running(as_made.lab, as_made.stack, observation)


def find_record(engine: Engine, name: str) -> LabRecord | None:
    """What the containers of a lab say of it; None where Docker holds none of that name. Raises UsageError."""
    text = _record_text(engine.observe(name))
    return record.parse(name, text) if text else None


def refuse_guess(engine: Engine, lab: Lab) -> None:
    """Raise LabError where a lab of that name is there without its record, and has nodes that `lab` has not.

    To make the one into the other would take nodes away that somebody asked for.
    """
    nodes = {container.node for container in engine.observe(lab.name).containers if container.role == ROLE_NODE}
    foreign = sorted(nodes - {node.name for node in lab.nodes})
    if foreign:
        raise LabError(
            f"the lab {lab.name} is not whole: its phones' container is gone, and with it what the lab was made of; "
            f"{', '.join(foreign)} would be taken away",
            f"say what it is to be: labctl up --name {lab.name} --file FILE; or labctl down --name {lab.name}",
        )


def _record_text(observation: Observation) -> str:
    """The record, of the phones' container before all others: that is made anew with it."""
    in_order = sorted(observation.containers, key=lambda container: container.role != ROLE_PHONES)
    return next((container.spec for container in in_order if container.spec), "")


# Who made them


def require_own(engine: Engine, name: str, owner: Owner) -> None:
    """Raise UsageError where a lab of that name is there that another made: a user, another verb, or another process
    that still runs or of which that cannot be known."""
    observation = engine.observe(name)
    if observation.empty:
        return
    network = observation.networks[0] if observation.networks else None
    maker = _maker(network)
    process = Process.parse(network.process) if network else None
    if maker == owner.kind and process and (process == owner.process or process.alive is False):
        return
    who = f"labctl {maker}" if maker else "who is not known"
    by = f" (process {process.pid} on {process.host})" if process and maker != USER_KIND else ""
    other_name = f"another name for this one: {NAMED_BY[owner.kind]}; or " if owner.kind in NAMED_BY else ""
    raise UsageError(
        f"labctl {owner.kind} needs a fresh lab `{name}`, and one of that name is there, made by {who}{by}",
        f"{other_name}take that one away: labctl down --name {name}",
    )


@contextmanager
def in_use(name: str, who: str = "test") -> Iterator[None]:
    """Keep a lab from others while the block runs: its labels tell who made it, not who found it there and uses it.

    Holds for this user on this host. Raises UsageError where another uses it, be it in this process.
    """
    with claimed(f"{who}-{name}") as free:
        if not free:
            raise UsageError(f"the lab {name} is in use by another test", "another name for this one, or wait for it")
        yield


def _is_in_use(name: str) -> bool:
    def is_claimed(who: str) -> bool:
        with claimed(f"{who}-{name}") as free:
            return not free

    return any(is_claimed(who) for who in USERS)


def orphans(engine: Engine, older_than_s: float | None = None) -> list[str]:
    """The names of labs that belong to no process any more; labs that a user made with `up` are never among them.

    Without `older_than_s` those whose process is dead; with it those that were made so many seconds ago, but for
    those whose process is known to run. Those that are in use are none either.
    """
    networks = [network for network in engine.observe().networks if _is_orphan(network, older_than_s)]
    return sorted(network.lab for network in networks if not _is_in_use(network.lab))


def _is_orphan(network: Network, older_than_s: float | None) -> bool:
    process = Process.parse(network.process)
    if _maker(network) in ("", USER_KIND) or process is None or process.alive:
        return False
    return process.alive is False if older_than_s is None else _age_s(network) >= older_than_s


def _maker(network: Network | None) -> str:
    return network.owner if network else ""


def _age_s(network: Network) -> float:
    created = datetime.datetime.fromisoformat(network.created)
    return (datetime.datetime.now(datetime.UTC) - created).total_seconds()
