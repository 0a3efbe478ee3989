"""What the commands take: options and arguments that several share, and how the shell completes them.

As in labctl.cli, what takes long to load is imported where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from labctl.spec import Lab

Command = TypeVar("Command", bound=Callable[..., Any])

READY_TIMEOUT = "60s"


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 90, 90s, 1.5m, 500ms."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. A text of another form ends the command with a message."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration; 90, 90s, 2m or 500ms are", param, ctx)
        return float(found[1]) * {"ms": 0.001, "s": 1, None: 1, "m": 60, "h": 3600}[found[2]]


def _options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def complete_lab(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The labs that are up."""
    from labctl import engine, lab

    try:
        return [name for name in lab.names(engine.connect(timeout_s=2)) if name.startswith(word)]
    except LabctlError:
        return []


def complete_node(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The nodes of the lab that is named, or of all."""
    from labctl import engine

    try:
        seen = engine.connect(timeout_s=2).observe(context.params.get("name"))
        nodes = {each.node for each in seen.containers if each.role == "node"}
        return sorted(node for node in nodes if node.startswith(word))
    except LabctlError:
        return []


def complete_phone(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The phones of the lab that is meant."""
    found = _lab(context)
    return [phone.name for phone in found.phones if phone.name.startswith(word)] if found else []


def complete_condition(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """What `labctl wait` waits for; after `state=`, every state of every extension."""
    conditions = ["ready", "proven", "state="]
    if word.startswith("state="):
        from labctl.asterisk import EXTENSION_STATES

        found = _lab(context)
        extensions = [*(phone.extension for phone in found.phones), *found.devices] if found else []
        conditions = [f"state={each}:{state}" for each in extensions for state in EXTENSION_STATES.values()]
    return [condition for condition in conditions if condition.startswith(word)]


def _lab(context: click.Context) -> Lab | None:
    """The lab that a command is to look at; None where that is not known, or not up."""
    from labctl import engine, lab

    try:
        return lab.load(engine.connect(timeout_s=2), context.params.get("name")).lab
    except LabctlError:
        return None


def complete_stack(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Any]:
    """The shipped stacks, and files."""
    from click.shell_completion import CompletionItem

    from labctl.sources import shipped_stacks

    return [*(name for name in shipped_stacks() if name.startswith(word)), CompletionItem(word, type="file")]


def complete_file(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Any]:
    """The shipped labs, and files."""
    from click.shell_completion import CompletionItem

    from labctl.sources import shipped_labs

    return [*(name for name in shipped_labs() if name.startswith(word)), CompletionItem(word, type="file")]


def complete_scenario(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Any]:
    """The shipped scenarios, and files."""
    from click.shell_completion import CompletionItem

    from labctl.sources import shipped_scenarios

    return [*(name for name in shipped_scenarios() if name.startswith(word)), CompletionItem(word, type="file")]


def complete_fault(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The faults in force in the lab that is named, or in all."""
    from labctl import engine, lab, sabotage

    try:
        connected = engine.connect(timeout_s=2)
        labs = [context.params["name"]] if context.params.get("name") else lab.names(connected)
        faults = [each.name for name in labs for each in sabotage.in_force(connected, name)]
        return [fault for fault in faults if fault.startswith(word)]
    except LabctlError:
        return []


_FILE: dict[str, Any] = {
    "help": "Lab file: a path, - for stdin, or a shipped name.",
    "shell_complete": complete_file,
}
file_option = click.option("-f", "--file", **_FILE)
long_file_option = click.option("--file", **_FILE)  # where -f means something else, to labctl or to the node
name_option = click.option("-n", "--name", help="The lab's name.", shell_complete=complete_lab)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs."
)
timeout_option = click.option(
    "--timeout", type=Duration(), default=READY_TIMEOUT, help="How long to wait: 90, 90s, 2m.", show_default=True
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
stack_option = click.option(
    "--stack", help="The stack: a shipped name, or the path of a stack file.", shell_complete=complete_stack
)
via_option = click.option(
    "--via",
    type=click.Choice(["corosync", "pjsip-publish"]),
    help="What carries state between the nodes, in place of the file's `share.via`.",
)
condition_option = click.option(
    "--for",
    "condition",
    default="ready",
    help="ready, proven, or state=EXTENSION:STATE.",
    shell_complete=complete_condition,
)
lab_options = _options(
    file_option,
    name_option,
    stack_option,
    click.option("--nodes", type=click.IntRange(1, 16), help="How many nodes, in place of the file's."),
    via_option,
)
image_option = click.option(
    "--image", help="A node image that was built elsewhere, in place of the stack's (see images/README.md)."
)
build_options = _options(
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
        help="A patch of the cluster module, or a folder of them; the module alone is compiled again.",
    ),
)
node_argument = click.argument("node", shell_complete=complete_node)
