"""The commands that make things go wrong in a lab by hand, and right again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import click

from labctl.cli import shared
from labctl.errors import UsageError
from labctl.options import Duration, complete_fault, complete_node, name_option, output_option

if TYPE_CHECKING:
    from labctl.engine import Engine
    from labctl.faults import Fault
    from labctl.running import Running

only_option = click.option(
    "--only", "traffic", type=click.Choice(["all", "totem", "sip", "dundi"]), default="all", help="What is cut."
)
for_option = click.option("--for", "duration", type=Duration(), help="Undo it after this time, and return then.")
fault_name_option = click.option("--as", "fault", default="", help="A name of the fault's own, for heal.")


@click.group()
def fault() -> None:
    """Make something go wrong in a lab that is up. labctl heal undoes it, labctl ps shows it.

    \b
        labctl fault partition n1,n2 n3 --only totem
        labctl fault pause n2 --for 10s
        labctl fault impair n1 --loss 10
    """


def _inflict(lab: str | None, fault: str, duration: float | None, make: Callable[[str, Ground], Fault]) -> None:
    """Put a fault in force on the lab that is meant; with a duration, undo it when that is over, or interrupted."""
    from labctl import sabotage
    from labctl.wait import Deadline, Signal

    engine = shared.connect()
    running = shared.running_lab(engine, None, lab)
    there = [each.name for each in sabotage.in_force(engine, running.lab.name)]
    if fault in there:
        raise UsageError(f"a fault `{fault}` is in force already", f"labctl heal {fault}, or another name with --as")
    made = make(fault, Ground(engine, running, tuple(there)))
    sabotage.inflict(engine, running.lab.name, made)
    shared.say(f"{made.name}: {made.what}")
    if duration is not None:
        try:
            Signal().wait_beyond(0, Deadline(duration))
        finally:
            sabotage.undo(engine, running.lab.name, made)
            shared.say(f"{made.name}: healed")


@dataclass(frozen=True)
class Ground:
    """What a fault is made for: a lab that runs, and the names of the faults that are in force in it."""

    engine: Engine
    running: Running
    there: tuple[str, ...]

    @property
    def addresses(self) -> dict[str, str]:
        """Node -> address."""
        from labctl.blueprint import address

        subnet = self.running.seen.networks[0].subnet
        return {node.name: address(subnet, node.nodeid) for node in self.running.lab.nodes}

    def name(self, given: str, kind: str) -> str:
        """The name that was given, or the first free one of its kind."""
        return given or next(each for number in count(1) if (each := f"{kind}.{number}") not in self.there)


service_option = click.option(
    "--service", type=click.Choice(["node", "corosync", "asterisk"]), default="node", show_default=True, help="What."
)


def _container_fault(kind: str, about: str) -> None:
    """Add `labctl fault KIND NODE`, for a whole node or one of its daemons."""

    @fault.command(kind, help=about)
    @click.argument("node", shell_complete=complete_node)
    @service_option
    @name_option
    @for_option
    def command(node: str, service: str, name: str | None, duration: float | None) -> None:
        from labctl import faults

        def make(_: str, ground: Ground) -> Fault:
            if service == faults.NODE:
                return faults.container(f"{kind}-{node}", kind, node, ground.addresses)
            return faults.service(f"{kind}-{service}-{node}", kind, node, service, ground.addresses)

        _inflict(name, "", duration, make)


_container_fault("kill", "End a node at once, or one of its daemons, which its supervisor brings back.")
_container_fault("stop", "End a node or one of its daemons in an orderly way; it stays down.")


@fault.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--service", type=click.Choice(["corosync", "asterisk"]), required=True, help="Which daemon.")
@name_option
def restart(node: str, service: str, name: str | None) -> None:
    """End one of a node's daemons in an orderly way, and start it again."""
    from labctl import faults

    _inflict(name, "", None, lambda _, ground: faults.service("restart", "restart", node, service, ground.addresses))


@fault.command()
@click.argument("node", shell_complete=complete_node)
@name_option
@for_option
def pause(node: str, name: str | None, duration: float | None) -> None:
    """Freeze all of a node."""
    from labctl import faults

    _inflict(name, "", duration, lambda _, ground: faults.container(f"pause-{node}", "pause", node, ground.addresses))


@fault.command()
@click.argument("groups", nargs=-1, required=True, metavar="N1,N2 N3...")
@only_option
@fault_name_option
@name_option
@for_option
def partition(groups: tuple[str, ...], traffic: str, fault: str, name: str | None, duration: float | None) -> None:
    """Cut the network: only nodes that share a group hear each other. A node in two groups is a bridge."""
    from labctl import faults

    split = [[node for node in group.split(",") if node] for group in groups]

    def make(given: str, ground: Ground) -> Fault:
        named = {node for group in split for node in group}
        rest = [node for node in ground.addresses if node not in named]
        return faults.partition(
            ground.name(given, "partition"), [*split, rest] if rest else split, traffic, ground.addresses
        )

    _inflict(name, fault, duration, make)


@fault.command()
@click.argument("sender", shell_complete=complete_node)
@click.argument("receiver", shell_complete=complete_node)
@only_option
@fault_name_option
@name_option
@for_option
def cut(sender: str, receiver: str, traffic: str, fault: str, name: str | None, duration: float | None) -> None:
    """Cut one way: what SENDER sends does not reach RECEIVER."""
    from labctl import faults

    def make(given: str, ground: Ground) -> Fault:
        return faults.cut(ground.name(given, "cut"), sender, receiver, traffic, ground.addresses)

    _inflict(name, fault, duration, make)


@fault.command("iface-down")
@click.argument("node", shell_complete=complete_node)
@fault_name_option
@name_option
@for_option
def iface_down(node: str, fault: str, name: str | None, duration: float | None) -> None:
    """Take a node's interface down: another fault than a partition, its own kernel knows."""
    from labctl import faults

    def make(given: str, ground: Ground) -> Fault:
        return faults.interface_down(ground.name(given, "iface-down"), node, ground.addresses)

    _inflict(name, fault, duration, make)


@fault.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--loss", type=click.FloatRange(0, 100), default=0.0, help="Packets lost, percent.")
@click.option("--delay", type=Duration(), default=0.0, help="Delay: 50ms. Needs netem.")
@click.option("--jitter", type=Duration(), default=0.0, help="Spread of the delay: 10ms. Needs netem.")
@click.option("--duplicate", type=click.FloatRange(0, 100), default=0.0, help="Packets twice, percent. Needs netem.")
@click.option("--rate", type=click.IntRange(8), help="kbit/s.")
@only_option
@fault_name_option
@name_option
@for_option
def impair(
    node: str,
    loss: float,
    delay: float,
    jitter: float,
    duplicate: float,
    rate: int | None,
    traffic: str,
    fault: str,
    name: str | None,
    duration: float | None,
) -> None:
    """Make a node's link bad, by the best that this kernel has (labctl doctor)."""
    from labctl import faults, sabotage

    def make(given: str, ground: Ground) -> Fault:
        wrong = faults.Impairment(loss, delay * 1000, jitter * 1000, duplicate, rate or 0)
        can = sabotage.abilities(ground.engine, ground.running.container(node).image)
        return faults.impair(ground.name(given, "impair"), node, wrong, traffic, can, ground.addresses)

    _inflict(name, fault, duration, make)


@click.command()
@click.argument("fault", required=False, shell_complete=complete_fault)
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab on this engine.")
@output_option
def heal(fault: str | None, name: str | None, every: bool, output: str) -> None:
    """Undo a FAULT by its name, or every fault of a lab, also those that nobody remembers."""
    from labctl import lab, report, sabotage

    if every and (fault or shared.is_typed("name")):
        raise UsageError("--all and one fault or lab do not go together", "leave one of them out")
    engine = shared.connect()
    labs = lab.names(engine) if every else [shared.running_lab(engine, None, name).lab.name]
    healed = {each: sabotage.heal(engine, each, fault) for each in labs}
    if output == "json":
        click.echo(
            report.as_json([vars(record) | {"lab": each} for each, records in healed.items() for record in records])
        )
        return
    for each, records in healed.items():
        for record in records:
            shared.say(f"{each}: healed {record.name}: {record.what}")
        if not records:
            shared.say(f"{each}: no fault was in force")


COMMANDS = (fault, heal)
