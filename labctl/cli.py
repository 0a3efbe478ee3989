"""The command line: argv -> verb -> exit code. The only file that prints, reads the environment, or exits.

Libraries that take long to load (Docker's, pydantic) are imported within the commands that use them,
so that `labctl --help` and the shell's completion answer at once.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from labctl import __version__
from labctl.errors import LabctlError, LabError, UsageError
from labctl.options import (
    Duration,
    build_options,
    complete_node,
    dry_run_option,
    file_option,
    lab_options,
    name_option,
    node_argument,
    output_option,
    quiet_option,
    stack_option,
    timeout_option,
)

if TYPE_CHECKING:
    from labctl.build import Options
    from labctl.engine import Engine
    from labctl.lab import Running, UpPlan
    from labctl.progress import Progress
    from labctl.spec import Lab
    from labctl.stack import Stack

EXIT_BUG = 3
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LABCTL"})
@click.version_option(__version__, "-V", "--version", prog_name="labctl")
def command_line() -> None:
    """A lab of real Asterisk servers in one cluster, in containers.

    `labctl up` builds the images, starts three nodes, and proves that state crosses between them.
    Every option can be set in the environment too: LABCTL_COMMAND_OPTION, such as LABCTL_UP_TIMEOUT=2m.

    Exit codes: 0 passed, 1 the lab failed a check or a wait, 2 usage or lab file, 3 a bug in labctl,
    4 Docker or this machine, 130 interrupted.
    """


# Verbs that change something


@command_line.command()
@lab_options
@build_options
@timeout_option
@dry_run_option
@quiet_option
@output_option
def up(
    file: str | None,
    name: str | None,
    stack: str | None,
    nodes: int | None,
    mirror: str,
    refresh: bool,
    timeout: float,
    dry_run: bool,
    quiet: bool,
    output: str,
) -> None:
    """Make a lab and return when it is proven ready; mend or change it if it is there.

    Without a file, a lab that is there stays as it was made; a new one is the shipped three-node.

    Examples:

    \b
        labctl up                         the shipped lab three-node
        labctl up --nodes 5 --name big    one with five nodes beside it
        labctl up -f my-lab.yaml          your own
    """
    from labctl import lab, report

    options = _build_options(mirror, refresh)
    engine, wanted, of_stack = _wanted(file, name, stack, nodes)
    if dry_run:
        _print_plan(lab.plan_up(engine, wanted, of_stack, options), output)
        return
    done = lab.up(engine, wanted, of_stack, options, timeout, _progress(quiet))
    if output == "json":
        changed = [str(each) for each in done.done]
        data = {"lab": wanted.name, "changed": changed, "nodes": done.nodes, "crossings": done.crossings}
        click.echo(report.as_json(data))
        return
    if done.done:
        _print(_tables().ps(done.nodes, len(wanted.nodes), bool(wanted.share)))
    else:
        _say(f"{wanted.name}: nothing to change")
    _say(f"{wanted.name}: {report.crossings(done.crossings)}")


@command_line.command()
@file_option
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab on this engine.")
@dry_run_option
@quiet_option
@output_option
def down(file: str | None, name: str | None, every: bool, dry_run: bool, quiet: bool, output: str) -> None:
    """Take a lab away, in whatever state it is; nothing of it is left behind."""
    from labctl import lab, report

    if every and (name or file):
        raise UsageError("--all and one lab do not go together", "leave one of them out")
    engine = _connect()
    target = None if every else _running_name(engine, file, name)
    if target is None and not every:
        _say("no lab is up")
        return
    steps = lab.plan_down(engine, target) if dry_run else lab.down(engine, target, _progress(quiet))
    if output == "json":
        click.echo(report.as_json([str(step) for step in steps]))
    elif dry_run:
        click.echo("\n".join(str(step) for step in steps))
    elif not steps:
        _say(f"{target or 'labs'}: nothing was there")


@command_line.command()
@stack_option
@build_options
@dry_run_option
@quiet_option
@output_option
def build(stack: str | None, mirror: str, refresh: bool, dry_run: bool, quiet: bool, output: str) -> None:
    """Make the images of a stack that are not there yet, and say what is in them."""
    from labctl import build as building
    from labctl import report

    of_stack = _find_stack(stack or "22")
    options = _build_options(mirror, refresh)
    engine = _connect()
    if dry_run:
        for recipe in building.plan(engine, of_stack, options):
            click.echo(f"build {recipe.tag}")
        return
    made = building.build(engine, of_stack, options, _progress(quiet))
    contents = {image: engine.image_labels(image) or {} for image in (made.node, made.phone)}
    if output == "json":
        click.echo(report.as_json(contents))
        return
    rows = [
        (image, key.removeprefix("labctl.").removeprefix("contents."), value)
        for image, labels in contents.items()
        for key, value in sorted(labels.items())
        if key.startswith("labctl.")
    ]
    _print(_tables().table("", ("IMAGE", "HOLDS", "VERSION"), rows))


# Verbs that look


@command_line.command()
@file_option
@name_option
@output_option
def ps(file: str | None, name: str | None, output: str) -> None:
    """Show each node: container, Corosync's membership, what the module sees, Asterisk."""
    from labctl import lab, report

    engine = _connect()
    running = _running(engine, file, name)
    views = lab.ps(engine, running)
    if output == "json":
        click.echo(report.as_json(views))
    else:
        _print(_tables().ps(views, len(running.lab.nodes), bool(running.lab.share)))


@command_line.command()
@file_option
@name_option
@output_option
def state(file: str | None, name: str | None, output: str) -> None:
    """Show extension by node: what every node says, and where they differ."""
    from labctl import lab, report

    engine = _connect()
    running = _running(engine, file, name)
    rows = lab.state(engine, running)
    if output == "json":
        click.echo(report.as_json([vars(row) | {"agreed": row.agreed} for row in rows]))
    else:
        _print(_tables().state(rows, [node.name for node in running.lab.nodes]))


@command_line.command()
@name_option
@click.option("--for", "condition", default="ready", help="ready, proven, or state=EXTENSION:STATE.")
@timeout_option
def wait(name: str | None, condition: str, timeout: float) -> None:
    """Wait until a lab is ready, proven, or all its nodes say a state of an extension."""
    from labctl import lab

    engine = _connect()
    lab.wait(engine, _running(engine, None, name), condition, timeout)


@command_line.command()
@click.argument("caller")
@click.argument("callee")
@name_option
@click.option("--duration", type=Duration(), default="1s", show_default=True, help="How long they talk.")
@timeout_option
@quiet_option
@output_option
def call(caller: str, callee: str, name: str | None, duration: float, timeout: float, quiet: bool, output: str) -> None:
    """Have one phone call another: real SIP, audio that is checked to arrive both ways.

    Shows when each node learned the states of the called extension. Example: labctl call alice bob
    """
    from labctl import lab, report

    engine = _connect()
    running = _running(engine, None, name)
    placed = lab.call(engine, running, caller, callee, duration, timeout + duration, _progress(quiet))
    if output == "json":
        click.echo(report.as_json(placed))
        return
    _print(_tables().call(placed, [node.name for node in running.lab.nodes]))
    _say(f"{caller} heard {placed.caller_heard} packets, {callee} heard {placed.callee_heard}")


@command_line.command()
@click.argument("node", required=False, shell_complete=complete_node)
@name_option
@click.option("-f", "--follow", is_flag=True, help="Go on as more comes.")
@click.option("--tail", type=click.IntRange(0), help="Only so many of the last lines of each node.")
def logs(node: str | None, name: str | None, follow: bool, tail: int | None) -> None:
    """Show what the nodes say: Corosync and Asterisk as one."""
    engine = _connect()
    running = _running(engine, None, name)
    nodes = [node] if node else [each.name for each in running.lab.nodes]
    containers = {each: running.container(each).id for each in nodes}
    if follow:
        _follow(engine, containers, tail)
        return
    for each, container in containers.items():
        for line in engine.logs(container, tail=tail).splitlines():
            click.echo(line if node else f"{each} | {line}")


@command_line.command(context_settings={"ignore_unknown_options": True})
@node_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@name_option
def cli(node: str, command: tuple[str, ...], name: str | None) -> None:
    """Asterisk's command line on a node: one COMMAND, or an interactive one without it.

    Example: labctl cli n1 core show hints
    """
    if command:
        _exec(node, name, ["asterisk", "-rx", " ".join(command)])
    elif not sys.stdin.isatty():
        # Asterisk's console runs at full load for ever when its input has ended.
        raise UsageError("Asterisk's console needs a terminal", f"or a COMMAND: labctl cli {node} core show hints")
    else:
        _exec_terminal(node, name, ["asterisk", "-r"])


@command_line.command(context_settings={"ignore_unknown_options": True})
@node_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@name_option
def sh(node: str, command: tuple[str, ...], name: str | None) -> None:
    """A shell on a node, or one COMMAND in it, whose exit code is passed on.

    Example: labctl sh n1 -- corosync-quorumtool -s
    """
    words = command[1:] if command[:1] == ("--",) else command
    if words:
        _exec(node, name, list(words))
    else:
        _exec_terminal(node, name, ["sh"])


# Verbs that need no lab


@command_line.command()
@lab_options
@output_option
def config(file: str | None, name: str | None, stack: str | None, nodes: int | None, output: str) -> None:
    """Print the lab file with every default filled in."""
    from labctl import labfile, report

    wanted, _ = _find_lab(file, name, stack, nodes)
    text = report.as_json(labfile.to_data(wanted)) + "\n" if output == "json" else labfile.to_yaml(wanted)
    click.echo(text, nl=False)


@command_line.command()
def schema() -> None:
    """Print the JSON Schema of the lab file, for editors."""
    from labctl import labfile

    click.echo(labfile.schema())


@command_line.command()
@lab_options
def export(file: str | None, name: str | None, stack: str | None, nodes: int | None) -> None:
    """Print the lab as one Docker Compose file that needs no labctl."""
    from labctl import lab

    wanted, of_stack = _find_lab(file, name, stack, nodes)
    click.echo(lab.export(wanted, of_stack), nl=False)


@command_line.command()
@stack_option
@output_option
def doctor(stack: str | None, output: str) -> None:
    """Say what this machine can and cannot do for a lab, and how to mend it."""
    from labctl import build as building
    from labctl import doctor as doctoring
    from labctl import report

    of_stack = _find_stack(stack or "22")
    engine = _connect()
    images = building.resolve(engine, of_stack, _build_options("", False))
    findings = list(doctoring.examine(engine, of_stack, images))
    if output == "json":
        click.echo(report.as_json(findings))
    else:
        rows = [(each.what, each.level, each.detail, each.fix) for each in findings]
        _print(_tables().table("", ("WHAT", "", "SEEN", "WAY OUT"), rows))
    if any(each.level == "broken" for each in findings):
        sys.exit(4)


@command_line.command()
@output_option
def version(output: str) -> None:
    """Print the versions of labctl and of the engine."""
    from labctl import engine, report

    try:
        found = engine.connect().info().version
    except LabctlError:
        found = ""
    data = {"labctl": __version__, "python": sys.version.split()[0], "docker": found}
    if output == "json":
        click.echo(report.as_json(data))
    else:
        click.echo("\n".join(f"{key} {value or 'not reached'}" for key, value in data.items()))


@command_line.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell's completion script: eval "$(labctl completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"no completion for {shell}")
    click.echo(found(command_line, {}, "labctl", "_LABCTL_COMPLETE").source())


# What the commands share


class Lines:
    """Progress as lines: one at the end of each step, and one at the start of those that may take long."""

    def begin(self, what: str) -> None:
        """A step began."""
        if what.startswith(("build", "base", "pull", "wait")):
            _say(f"... {what}")

    def detail(self, what: str, line: str) -> None:
        """Left out: a log has no place for it."""

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """A step has ended."""
        _say(f"{'fail' if failed else 'ok':4} {what} {seconds:.2f} s")


def _connect() -> Engine:
    from labctl import engine

    return engine.connect()


def _build_options(mirror: str, refresh: bool) -> Options:
    from labctl.build import Options

    return Options(mirror, refresh)


def _find_lab(file: str | None, name: str | None, stack: str | None, nodes: int | None) -> tuple[Lab, Stack]:
    from labctl.labfile import Overrides
    from labctl.sources import find_lab

    return find_lab(file, Overrides(name, stack, nodes))


def _wanted(file: str | None, name: str | None, stack: str | None, nodes: int | None) -> tuple[Engine, Lab, Stack]:
    """The lab that `up` is to make: the file's, or without one the lab of that name as it is, or the shipped one.

    A file is read to its end before Docker is asked anything.
    """
    from labctl import lab
    from labctl.labfile import Overrides
    from labctl.sources import DEFAULT_LAB

    if file or stack:
        wanted, of_stack = _find_lab(file, name, stack, nodes)
        return _connect(), wanted, of_stack
    engine = _connect()
    there = lab.as_made(engine, name or DEFAULT_LAB, Overrides(nodes=nodes))
    return engine, *(there or _find_lab(file, name, stack, nodes))


def _find_stack(name: str) -> Stack:
    from labctl.sources import find_stack

    return find_stack(name)


def _running_name(engine: Engine, file: str | None, name: str | None) -> str | None:
    """The lab that is meant: by name, by file, or the only one there is; None if there is none at all."""
    from labctl import lab

    if name or file:
        return name or _find_lab(file, None, None, None)[0].name
    known = lab.names(engine)
    if len(known) > 1:
        raise UsageError(f"which lab? These are here: {', '.join(known)}", "--name NAME, or --all where that fits")
    return known[0] if known else None


def _running(engine: Engine, file: str | None, name: str | None) -> Running:
    from labctl import lab

    return lab.load(engine, _running_name(engine, file, name))


def _progress(quiet: bool) -> Progress:
    from labctl.progress import Silent

    if quiet:
        return Silent()
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Lines()
    from labctl.console import Live

    return Live()


def _tables() -> ModuleType:
    """labctl.tables, with the library that draws: for commands that draw, and no others."""
    from labctl import tables

    return tables


def _print(renderable: Any) -> None:
    """A table on stdout; as wide as it needs to be where that is no terminal."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(renderable)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print_plan(plan: UpPlan, output: str) -> None:
    from labctl import report
    from labctl.steps import flatten

    lines = [f"build {recipe.tag}" for recipe in plan.builds]
    lines += [str(step) for step in flatten(plan.steps)]
    if output == "json":
        click.echo(report.as_json(lines))
    else:
        click.echo("\n".join(lines) if lines else "nothing to change")


def _exec(node: str, name: str | None, command: list[str]) -> None:
    engine = _connect()
    container = _running(engine, None, name).container(node)
    if container.state != "running":
        raise LabError(f"{node} is {container.state}", "labctl up mends it")
    output = engine.run(container.id, command)
    click.echo(output.text, nl=False)
    sys.exit(output.code)


def _exec_terminal(node: str, name: str | None, command: list[str]) -> None:
    """Hand the terminal to Docker's own client: it knows terminals, and every engine comes with one."""
    engine = _connect()
    container = _running(engine, None, name).container(node)
    client = shutil.which("docker")
    if not client:
        raise UsageError("an interactive session needs Docker's command line client", "or name a COMMAND to run")
    terminal = ["--interactive", "--tty"] if sys.stdin.isatty() else ["--interactive"]
    os.execv(client, [client, "exec", *terminal, container.id, *command])  # noqa: S606 - takes this process's place


def _follow(engine: Engine, containers: dict[str, str], tail: int | None) -> None:
    import threading

    def show(node: str, container: str) -> None:
        for line in engine.follow_lines(container, tail):
            click.echo(line if len(containers) == 1 else f"{node} | {line}")

    threads = [threading.Thread(target=show, args=each, daemon=True) for each in containers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        command_line.main(arguments, prog_name="labctl", standalone_mode=False)
        code = 0
    except LabctlError as error:
        code = _fail(error.message, error.hint, error.exit_code)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        changing = (arguments or sys.argv[1:])[:1] in (["up"], ["down"])
        hint = "labctl up goes on from here, labctl down takes it all away" if changing else ""
        code = _fail("interrupted", hint, EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("LABCTL_DEBUG"):
            traceback.print_exc()
        hint = "please report it with what LABCTL_DEBUG=1 shows"
        code = _fail(f"a bug in labctl: {type(error).__name__}: {error}", hint, EXIT_BUG)
    sys.exit(code)


def _fail(message: str, hint: str, code: int) -> int:
    _say(f"labctl: {message}")
    if hint:
        _say(f"  {hint}")
    return code
