"""What the commands take: options and arguments that several share. Some come to a command together, as one value."""

from __future__ import annotations

import functools
import math
import os
import random
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from labctl.cli.completion import (
    complete_condition,
    complete_file,
    complete_lab,
    complete_node,
    complete_patch,
    complete_run,
    complete_stack,
)
from labctl.cli.option_groups import Conduct, Making, Which
from labctl.cli.terminal import HOSTS
from labctl.errors import UsageError
from labctl.lab import CARRIERS, MAX_NODES, Overrides

Command = TypeVar("Command", bound=Callable[..., Any])

VERDICTS = (
    "A verdict is `passed`: it was judged, and is right; `failed`; `known`: it fails as the scenario says that it "
    "does; `fixed`: it did not, though it is known to; `nothing`: there was nothing of that to judge; `unknown`: it "
    "could not be judged, with the reason. A run whose lab did not come up is an `error`."
)
"""What the words mean, for the help of who judges."""

READY_TIMEOUT = "60s"
LONGEST_S = 10_000 * 3600
"""More than a year. What threads can wait has an end too (threading.TIMEOUT_MAX)."""


if TYPE_CHECKING:
    _Float = click.ParamType[float]
else:
    _Float = click.ParamType  # before click 8.4 it takes no type in brackets


def _hosts(context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """The hosts that were named, which `connect` of cli.terminal then has; None where none were."""
    if text is None:
        return None
    hosts = tuple(name.strip() for name in text.split(",") if name.strip())
    context.meta[HOSTS] = hosts
    return hosts


class Duration(_Float):
    """Seconds, or a number with a unit: 90, 90s, 1.5m, 500ms."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. A text of another form ends the command with a message."""
        duration = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", str(value))
        if not duration:
            self.fail(f"{value!r} is not a duration; 90, 90s, 2m or 500ms are", param, ctx)
        seconds = float(duration[1]) * {"ms": 0.001, "s": 1, None: 1, "m": 60, "h": 3600}[duration[2]]
        if seconds > LONGEST_S:
            self.fail(f"{value!r} is longer than {LONGEST_S // 3600} h", param, ctx)
        return seconds


class Span(click.FloatRange):
    """A number from a span; what is no number (`nan`) is in none, though no bound is less or more."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. A text of another form ends the command with a message."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class SharedOption(click.Option):
    """An option that one variable of the environment sets for every command that has it, such as LABCTL_NAME.

    The variable of one command alone, such as LABCTL_CONFIG_NAME, goes before.
    """

    def __init__(self, *args: Any, variable: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.variable = variable

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """As click does; after that the variable of all commands. One that is empty is not set."""
        return super().resolve_envvar_value(ctx) or os.environ.get(self.variable) or None


def gathered(argument: str, kind: type[Any]) -> Callable[[Command], Command]:
    """Has a command get all options that are named like a field of `kind`, a dataclass, as one argument."""
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def called(**options: Any) -> Any:
            value = kind(**{name: options.pop(name) for name in names if name in options})
            return command(**{argument: value}, **options)

        return cast(Command, called)

    return decorate


def together(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, in the order in which they would stand above a command."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def folder_option(about: str) -> Callable[[Command], Command]:
    """`--folder`: of runs."""
    return click.option(
        "--folder", type=click.Path(path_type=Path), default="labctl-runs", show_default=True, help=about
    )


_FILE: dict[str, Any] = {
    "help": "Lab file: a path, - for stdin, or a shipped name.",
    "shell_complete": complete_file,
}
file_option = click.option("-f", "--file", **_FILE)
long_file_option = click.option("--file", **_FILE)  # where -f means something else, to labctl or to the node
_NAME: dict[str, Any] = {"help": "The lab's name.", "shell_complete": complete_lab}
name_option = click.option("-n", "--name", cls=SharedOption, variable="LABCTL_NAME", **_NAME)
# Of verbs that make a lab of their own and take it away: the environment names the user's lab, not that one.
own_name_option = click.option("-n", "--name", allow_from_autoenv=False, **_NAME)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs."
)
timeout_option = click.option(
    "--timeout",
    cls=SharedOption,
    variable="LABCTL_TIMEOUT",
    type=Duration(),
    default=READY_TIMEOUT,
    help="How long to wait: 90, 90s, 2m.",
    show_default=True,
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
stack_option = click.option(
    "--stack", help="The stack: a shipped name, or the path of a stack file.", shell_complete=complete_stack
)
via_option = click.option(
    "--via",
    type=click.Choice(CARRIERS),
    help="What carries state between the nodes, in place of the file's `share.via`.",
)
condition_option = click.option(
    "--for",
    "condition",
    default="ready",
    help="ready, proven, or state=EXTENSION:STATE.",
    shell_complete=complete_condition,
)


def _image_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An image's name, or "" for none of one's own. Raises UsageError."""
    from labctl.labfile.service_entries import IMAGE, IMAGE_FIX

    if value and not re.fullmatch(IMAGE, value):
        raise UsageError(f"--image: not a name of an image: {value!r}", IMAGE_FIX)
    return value


image_option = click.option(
    "--image",
    callback=_image_name,
    help="A node image that was built elsewhere, in place of the stack's (see images/README.md).",
)
seed_option = click.option(
    "--seed",
    type=int,
    default=lambda: random.randrange(1 << 31),  # noqa: S311 - chance, not secrets
    help="Seed of everything random; printed, so that it can be given again.",
)
run_argument = click.argument("run", shell_complete=complete_run)
_HOSTS: dict[str, Any] = {
    "cls": SharedOption,
    "variable": "LABCTL_HOSTS",
    "callback": _hosts,
    "help": "Docker hosts that the lab is over, by context or address, with `,` between: members of one Swarm.",
}
hosts_option = click.option("--hosts", **_HOSTS)
known_hosts_option = click.option("--hosts", expose_value=False, **_HOSTS)  # of a lab that is up: `connect` has them
node_argument = click.argument("node", shell_complete=complete_node)

# What comes to a command together


def _named_nodes(
    _context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The nodes that were named; None where the option is not there."""
    return tuple(name for given in names for name in given.split(",") if name) if names else None


which_options = together(file_option, name_option, known_hosts_option, gathered("which", Which))
long_which_options = together(long_file_option, name_option, known_hosts_option, gathered("which", Which))
lab_options = together(
    file_option,
    name_option,
    stack_option,
    click.option("--nodes", type=click.IntRange(1, MAX_NODES), help="How many nodes, in place of the file's."),
    via_option,
    click.option(
        "--without",
        multiple=True,
        callback=_named_nodes,
        help="A node that is part of the lab, and is not started; '' starts all.",
    ),
    hosts_option,
    gathered("flags", Overrides),
)
build_options = together(
    click.option(
        "--mirror",
        default="",
        help="A Debian mirror to build from, other than the tools' own; for an old stack a folder too.",
    ),
    click.option("--refresh", is_flag=True, help="Build anew what is there already."),
    click.option("--insecure", is_flag=True, help="Take a base system whose signatures cannot be checked."),
    image_option,
    click.option(
        "--patch",
        multiple=True,
        type=click.Path(),
        shell_complete=complete_patch,
        help="A patch of Asterisk, a folder of them, or a mend by its name. Where the cluster module alone is patched, "
        "it alone is compiled; for any other part all of Asterisk is, once, which takes minutes.",
    ),
    click.option(
        "--source",
        metavar="DIR[@COMMIT]",
        help="What was changed in a working tree of `labctl source`, also what is not committed; or up to a commit.",
    ),
    gathered("making", Making),
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run a scenario that has nodes run commands or builds of its own, or has services."
)
junit_option = click.option(
    "--junit", type=click.Path(path_type=Path), help="Write JUnit XML there, whole after each scenario."
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 8),
    help="How many at a time; one for each CPU of the machine, 2 to 8, by default.",
)
retries_option = click.option(
    "--retries", type=click.IntRange(0, 10), default=0, help="How often a run that came to no verdict is made again."
)
no_capture_option = click.option("--no-capture", is_flag=True, help="Keep no packets.")
report_option = click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Write HTML pages into that folder: index.html, and one for each run; whole after each scenario.",
)
keep_lab_option = click.option("--keep-lab", is_flag=True, help="Leave the lab up afterwards, its faults healed.")
conduct_options = together(
    folder_option("Where run folders go."),
    junit_option,
    report_option,
    keep_lab_option,
    no_capture_option,
    quiet_option,
    output_option,
    gathered("how", Conduct),
)
run_options = together(seed_option, conduct_options)
