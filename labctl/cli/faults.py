"""The commands that make things go wrong in a lab by hand, and right again. There is one for each kind of fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_fault, complete_group, complete_node
from labctl.cli.help import WholeHelpGroup
from labctl.cli.option_groups import Which
from labctl.cli.options import Duration, name_option, output_option
from labctl.errors import LabctlError, LabError, UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from labctl.blueprint.running_lab import Running
    from labctl.faults.fault import Fault
    from labctl.faults.injector import Healing
    from labctl.faults.model import PreparedFault


class FaultGroup(WholeHelpGroup):
    """A command for each kind of fault that is known, made when it is asked for: they take a while to load."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """As the kinds, but with `-`."""
        from labctl.faults.registry import FAULTS

        return [kind.replace("_", "-") for kind in FAULTS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one kind; it takes the defaults that the group has."""
        from labctl.faults.registry import FAULTS

        kind = FAULTS.get(cmd_name.replace("-", "_"))
        if kind is None or "_" in cmd_name:
            return None
        shared = {key: value for key, value in (ctx.default_map or {}).items() if not isinstance(value, dict)}
        ctx.default_map = {cmd_name: shared, **(ctx.default_map or {})}
        return _command(kind)


@click.group(cls=FaultGroup)
def fault() -> None:
    """Make something go wrong in a lab that is up. labctl heal undoes it, labctl ps shows it.

    \b
        labctl fault partition n1,n2 n3 --only totem
        labctl fault pause n2 --for 10s
        labctl fault impair n1 --loss 10
    """


def _command(kind: type[Fault]) -> click.Command:
    """`labctl fault KIND …`: the arguments of the fault, the lab, and for how long."""

    def run(name: str | None, **values: Any) -> None:
        duration_s = values.pop("for", None)
        arguments = {
            field: values[_destination(field)]
            for field in kind.model_fields
            if values[_destination(field)] not in (None, ())
        }
        _put_in_force(Which(name), lambda nodes: kind.from_command_line(arguments, nodes), duration_s)

    parameters: list[click.Parameter] = [
        _parameter(field, description, kind) for field, description in kind.model_fields.items()
    ]
    if not kind.waits_for_return:
        about = "Undo it after this time, and return then."
        parameters.append(click.Option(["--for", "for"], type=Duration(), help=about))
    name = kind.kind.replace("_", "-")
    return name_option(
        click.Command(name, params=parameters, callback=run, help=f"{kind.about}.", short_help=kind.about)
    )


def _destination(field: str) -> str:
    """What click calls an argument of a fault: `name` is the lab's there."""
    return "fault" if field == "name" else field


def _parameter(name: str, field: FieldInfo, kind: type[Fault]) -> click.Parameter:
    """An argument of a fault as click has it. Its value is checked by the fault, as that of a scenario's step is."""
    from labctl.faults.fault import description_of

    argument = kind.argument(name)
    if argument.words:
        destination, form = [_destination(name)], "N1,N2 N3..."
        return click.Argument(destination, nargs=-1, required=True, metavar=form, shell_complete=complete_group)
    if argument.node and field.is_required():
        return click.Argument([_destination(name)], shell_complete=complete_node)
    if argument.docker_host:
        return click.Argument([_destination(name)])
    option = f"--{argument.option or name.replace('_', '-')}"
    names = [option, _destination(name)]
    about = (description_of(field) or name.replace("_", " ").capitalize()).rstrip(".") + "."
    if bool in (field.annotation, *get_args(field.annotation)):
        names[0] = f"{option}/--no-{option[2:]}"
        return click.Option(names, default=None, help=about, required=field.is_required())
    words = _words(field)
    return click.Option(
        names,
        type=click.Choice(words) if words else None,
        metavar=None if words else _metavar(field),
        default=field.default if isinstance(field.default, str) else None,
        show_default=isinstance(field.default, str),
        required=field.is_required(),
        shell_complete=complete_node if argument.node else None,
        help=about,
    )


def _words(field: FieldInfo) -> list[str]:
    """The words of which the argument is one; none if it is of another type."""
    types = (field.annotation, *get_args(field.annotation))
    return [word for part in types if get_origin(part) is Literal for word in get_args(part)]


def _metavar(field: FieldInfo) -> str:
    """What stands for a value in `--help`."""
    from labctl.faults.fault import marks_of
    from labctl.yamlfile.duration import Seconds

    if any(isinstance(mark, Seconds) for mark in marks_of(field)):
        return "DURATION"
    types = str(field.annotation)
    return "NUMBER" if "float" in types or "int" in types else "TEXT"


def _put_in_force(which: Which, make: Callable[[tuple[str, ...]], Fault], duration_s: float | None) -> None:
    """Put in force what is made for the lab's nodes; with a duration, undo it when that is over, or interrupted."""
    from labctl.faults import injector
    from labctl.lock import locked
    from labctl.scenario.fault_control import target_of
    from labctl.timing import pass_time

    engine = terminal.connect()
    running = which.load(engine)
    lab, target = running.lab.name, target_of(engine, running)
    with locked(f"faults-{lab}"):  # of two at once the second sees the first
        in_force = injector.in_force(engine, lab)
        chosen = make(target.nodes)
        prepared = chosen.prepare(chosen.named([record.name for record in in_force]), target)
        try:
            injector.inflict(engine, lab, prepared, in_force)
        except KeyboardInterrupt:
            injector.undo(engine, lab, prepared)
            raise
    names = ", ".join(injector.names_on_nodes(prepared))
    terminal.say(f"{names}: {prepared.what}")
    _warn(running, prepared)
    if duration_s is not None:
        try:
            pass_time(duration_s)
        finally:
            injector.undo(engine, lab, prepared)
            terminal.say(f"{names}: healed")


def _warn(running: Running, prepared: PreparedFault) -> None:
    if prepared.daemon == "corosync" and running.stack.lost_ring and not running.lab.follows_corosync:
        module = running.stack.cluster_module
        way_out = f"labctl up --name {running.lab.name} mends that"
        terminal.say(f"its {module} may not find Corosync again afterwards; {way_out}")


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
    healings: dict[str, Healing] = {}
    for lab in labs:
        try:
            healings[lab] = injector.heal(engine, lab, fault)
        except LabctlError as error:
            if not every:
                raise
            healings[lab] = injector.Healing((), (), (error.message,))
    if output == "json":
        keys = ("name", "kind", "what", "nodes")
        rows = [
            {key: getattr(record, key) for key in keys} | {"lab": lab}
            for lab, healing in healings.items()
            for record in healing.healed
        ]
        terminal.echo(formats.as_json(rows))
    else:
        for lab, healing in healings.items():
            _tell(lab, healing)
    _check(healings)


def _tell(lab: str, healing: Healing) -> None:
    for record in healing.healed:
        terminal.say(f"{lab}: healed {record.name}: {record.what}")
    if not healing.healed and not healing.left and not healing.errors:
        terminal.say(f"{lab}: no fault was in force")


def _check(healings: dict[str, Healing]) -> None:
    """Raise LabError with what is left in force in any lab."""
    errors: list[LabctlError] = []
    for lab, healing in healings.items():
        try:
            healing.check()
        except LabError as error:
            errors.append(LabError(f"{lab}: {error.message}", error.hint))
    if errors:
        raise LabError("\n".join(error.message for error in errors), errors[0].hint)


COMMANDS = (fault, heal)
