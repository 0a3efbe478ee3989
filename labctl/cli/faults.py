"""The commands that make things go wrong in a lab by hand, and right again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_fault, complete_node
from labctl.cli.help import WholeHelpGroup
from labctl.cli.option_groups import Which
from labctl.cli.options import Duration, gathered, name_option, output_option, together
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.blueprint.running_lab import Running
    from labctl.engine.client import Engine
    from labctl.faults.model import Fault

only_option = click.option(
    "--only", "traffic", type=click.Choice(["all", "totem", "sip", "dundi"]), default="all", help="What is cut."
)


@click.group(cls=WholeHelpGroup)
def fault() -> None:
    """Make something go wrong in a lab that is up. labctl heal undoes it, labctl ps shows it.

    \b
        labctl fault partition n1,n2 n3 --only totem
        labctl fault pause n2 --for 10s
        labctl fault impair n1 --loss 10
    """


@dataclass(frozen=True)
class Ground:
    """What a fault is made for: a lab that runs, the faults that are in force in it, and the name that was given."""

    engine: Engine
    running: Running
    there: tuple[str, ...]
    given: str

    @property
    def addresses(self) -> dict[str, str]:
        """Node -> address."""
        return self.running.addresses

    def name(self, kind: str) -> str:
        """The name that was given, or the first free one of a kind of fault."""
        return self.given or next(each for number in count(1) if (each := f"{kind}.{number}") not in self.there)

    def service(self, kind: str, node: str, daemon: str) -> Fault:
        """Something done to one daemon of a node. Raises UsageError."""
        from labctl.faults import model

        return model.service(f"{kind}-{daemon}-{node}", kind, node, daemon, self.addresses, self.running.lab.rings)


@dataclass(frozen=True)
class Force:
    """How a fault is put in force: on which lab, under what name, and for how many seconds; None until it is healed."""

    name: str | None
    fault: str = ""
    duration: float | None = None

    def put(self, make: Callable[[Ground], Fault]) -> None:
        """Put in force what is made for the lab; with a duration, undo it when that is over, or interrupted."""
        from labctl.faults import injector
        from labctl.timing import Deadline, Signal

        engine = terminal.connect()
        running = Which(self.name).load(engine)
        lab = running.lab.name
        there = tuple(each.name for each in injector.in_force(engine, lab))
        if self.fault in there:
            way_out = f"labctl heal {self.fault}, or another name with --as"
            raise UsageError(f"a fault `{self.fault}` is in force already", way_out)
        made = make(Ground(engine, running, there, self.fault))
        injector.inflict(engine, lab, made)
        terminal.say(f"{made.name}: {made.what}")
        if made.daemon == "corosync" and running.stack.lost_ring and not running.lab.follows_corosync:
            module = running.stack.cluster_module
            terminal.say(f"its {module} may not find Corosync again afterwards; labctl up --name {lab} mends that")
        if self.duration is not None:
            try:
                Signal().wait_beyond(0, Deadline(self.duration))
            finally:
                injector.undo(engine, lab, made)
                terminal.say(f"{made.name}: healed")


_for_option = click.option("--for", "duration", type=Duration(), help="Undo it after this time, and return then.")
force_options = together(name_option, _for_option, gathered("force", Force))
named_force_options = together(
    click.option("--as", "fault", default="", help="A name of the fault's own, for heal."), force_options
)
service_option = click.option(
    "--service", type=click.Choice(["node", "corosync", "asterisk"]), default="node", show_default=True, help="What."
)


def _container_fault(kind: str, about: str) -> None:
    """Add `labctl fault KIND NODE`, for a whole node or one of its daemons."""

    @fault.command(kind, help=about)
    @click.argument("node", shell_complete=complete_node)
    @service_option
    @force_options
    def command(node: str, service: str, force: Force) -> None:
        from labctl.faults import injector, model

        def make(ground: Ground) -> Fault:
            if service == model.NODE:
                # What ended it cannot be told of a container, so that is in no name.
                return model.container(f"{injector.DOWN}-{node}", kind, node, ground.addresses)
            return ground.service(kind, node, service)

        force.put(make)


_container_fault("kill", "End a node at once, or one of its daemons, which its supervisor brings back.")
_container_fault("stop", "End a node or one of its daemons in an orderly way; it stays down.")


@fault.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--service", type=click.Choice(["corosync", "asterisk"]), required=True, help="Which daemon.")
@name_option
@gathered("force", Force)
def restart(node: str, service: str, force: Force) -> None:
    """End one of a node's daemons in an orderly way, and start it again."""
    force.put(lambda ground: ground.service("restart", node, service))


@fault.command()
@click.argument("node", shell_complete=complete_node)
@force_options
def pause(node: str, force: Force) -> None:
    """Freeze all of a node."""
    from labctl.faults import model

    force.put(lambda ground: model.container(f"pause-{node}", "pause", node, ground.addresses))


@fault.command()
@click.argument("groups", nargs=-1, required=True, metavar="N1,N2 N3...")
@only_option
@named_force_options
def partition(groups: tuple[str, ...], traffic: str, force: Force) -> None:
    """Cut the network: only nodes that share a group hear each other. A node in two groups is a bridge."""
    from labctl.faults import model

    split = [[node for node in group.split(",") if node] for group in groups]

    def make(ground: Ground) -> Fault:
        named = {node for group in split for node in group}
        rest = [node for node in ground.addresses if node not in named]
        return model.partition(ground.name("partition"), [*split, rest] if rest else split, traffic, ground.addresses)

    force.put(make)


@fault.command()
@click.argument("sender", shell_complete=complete_node)
@click.argument("receiver", shell_complete=complete_node)
@only_option
@named_force_options
def cut(sender: str, receiver: str, traffic: str, force: Force) -> None:
    """Cut one way: what SENDER sends does not reach RECEIVER."""
    from labctl.faults import model

    force.put(lambda ground: model.cut(ground.name("cut"), sender, receiver, traffic, ground.addresses))


@fault.command("iface-down")
@click.argument("node", shell_complete=complete_node)
@named_force_options
def iface_down(node: str, force: Force) -> None:
    """Take a node's interface down: another fault than a partition, its own kernel knows."""
    from labctl.faults import model

    force.put(lambda ground: model.interface_down(ground.name("iface-down"), node, ground.addresses))


@fault.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--loss", type=click.FloatRange(0, 100), default=0.0, help="Packets lost, percent.")
@click.option("--delay", type=Duration(), default=0.0, help="Delay: 50ms. Needs netem.")
@click.option("--jitter", type=Duration(), default=0.0, help="Spread of the delay: 10ms. Needs netem.")
@click.option("--duplicate", type=click.FloatRange(0, 100), default=0.0, help="Packets twice, percent. Needs netem.")
@click.option("--rate", type=click.IntRange(8), help="kbit/s.")
@only_option
@named_force_options
def impair(
    node: str,
    loss: float,
    delay: float,
    jitter: float,
    duplicate: float,
    rate: int | None,
    traffic: str,
    force: Force,
) -> None:
    """Make a node's link bad, by the best that this kernel has (labctl doctor)."""
    from labctl.faults import injector, model

    def make(ground: Ground) -> Fault:
        wrong = model.Impairment(loss, delay * 1000, jitter * 1000, duplicate, rate or 0)
        can = injector.abilities(ground.engine, ground.running.container(node).image)
        return model.impair(ground.name("impair"), node, wrong, traffic, can, ground.addresses)

    force.put(make)


@click.command()
@click.argument("fault", required=False, shell_complete=complete_fault)
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab on this engine.")
@output_option
def heal(fault: str | None, name: str | None, every: bool, output: str) -> None:
    """Undo a FAULT by its name, or every fault of a lab, also those that nobody remembers."""
    from labctl.cluster import lifecycle
    from labctl.faults import injector
    from labctl.report import formats

    if every and (fault or terminal.is_typed("name")):
        raise UsageError("--all and one fault or lab do not go together", "leave one of them out")
    engine = terminal.connect()
    labs = lifecycle.names(engine) if every else [Which(name).load(engine).lab.name]
    healed = {each: injector.heal(engine, each, fault) for each in labs}
    if output == "json":
        click.echo(
            formats.as_json([vars(record) | {"lab": each} for each, records in healed.items() for record in records])
        )
        return
    for each, records in healed.items():
        for record in records:
            terminal.say(f"{each}: healed {record.name}: {record.what}")
        if not records:
            terminal.say(f"{each}: no fault was in force")


COMMANDS = (fault, heal)
