"""Verbs that look at a lab that is up, or open a shell in it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from labctl.cli.completion import complete_node
from labctl.cli.option_groups import Which
from labctl.cli.options import (
    condition_option,
    long_which_options,
    node_argument,
    output_option,
    timeout_option,
    which_options,
)
from labctl.cli.terminal import connect, console, echo, is_said, pass_on, show, tables, width
from labctl.errors import LabError, UsageError
from labctl.timing import PATIENCE, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from labctl.blueprint.running_lab import Running
    from labctl.cluster.views import StateRow
    from labctl.engine.client import Engine
    from labctl.engine.commands import Output
    from labctl.engine.observation import Container
    from labctl.lab import Lab


@click.command()
@output_option
def ls(output: str) -> None:
    """List the labs on this engine."""
    from labctl.cluster import lifecycle
    from labctl.report import formats

    labs = lifecycle.summaries(connect())
    if output == "json":
        echo(formats.as_json(labs))
    else:
        rows = [(lab.name, lab.stack or "-", f"{lab.running}/{lab.nodes}", lab.subnet or "-") for lab in labs]
        show(tables().table("", ("LAB", "STACK", "NODES", "SUBNET"), rows))


@click.command()
@which_options
@output_option
def ps(which: Which, output: str) -> None:
    """Show each node: container, Corosync's membership, what the module sees, Asterisk."""
    from labctl.cluster import status
    from labctl.names import PHONES_HOST
    from labctl.report import formats

    engine = connect()
    running = which.load(engine)
    views = status.ps(engine, running)
    if output == "json":
        echo(formats.as_json(views))
    else:
        show(tables().ps(views, running.lab))
        for view in views:
            for remark in view.remarks:
                echo(f"{view.node}: {remark}")
        for host in running.observation.lost:
            if PHONES_HOST in {part.partition("-")[0] for part in host.parts}:
                echo(f"{PHONES_HOST}: their host {host.name} does not answer: {host.why}")
        faults = dict.fromkeys(fault for view in views for fault in view.faults)
        if faults:
            echo("\n".join(["faults in force (labctl heal undoes them):", *(f"  {fault}" for fault in faults)]))


@click.command()
@which_options
@click.option("-w", "--watch", "live", is_flag=True, help="Go on as states change, until Ctrl-C.")
@click.option("--site", "by_site", is_flag=True, help="What each site says, of others' phones by DUNDi.")
@output_option
def state(which: Which, live: bool, by_site: bool, output: str) -> None:
    """Show extension by node: what every node says, and where they differ.

    With --watch a live screen, with how many ms after the first node each other learned a state; where output is no
    terminal, the states there are and a line for each change, with its time (UTC).
    """
    from labctl.cluster import status
    from labctl.pressure import look_at_machine
    from labctl.report import formats

    look_at_machine()
    engine = connect()
    running = which.load(engine)
    if live:
        _watch(engine, running, output)
        return
    if by_site:
        sites = status.site_states(engine, running)
        echo(formats.as_json(sites)) if output == "json" else show(tables().sites(sites, running.lab.sites))
        return
    rows = status.state(engine, running)
    if output == "json":
        echo(formats.as_json([vars(row) | {"agreed": row.agreed} for row in rows]))
    else:
        _show_states(rows, running.lab)


def _watch(engine: Engine, running: Running, output: str) -> None:
    """Until it is interrupted: a screen that draws itself ten times a second, or a line for each change."""
    from rich.live import Live

    from labctl.cluster.watch import Watch
    from labctl.report import formats
    from labctl.report.watch_screen import Screen

    people, lock, screen = console(), threading.Lock(), Screen([node.name for node in running.lab.nodes])

    def tell(line: str, at_s: float, **data: object) -> None:
        if output == "json":
            echo(formats.as_json_line({"utc": utc(at_s), **data, "at_s": at_s}))
        elif not people.is_terminal:
            echo(f"{utc(at_s)[11:23]} {line}")

    def on_state(node: str, extension: str, state: str, at_s: float) -> None:
        with lock:
            line = screen.told(node, extension, state, at_s)
        tell(line, at_s, node=node, extension=extension, state=state)

    def on_node(node: str, says: dict[str, str] | None) -> None:
        with lock:
            line = screen.came(node, says)
        tell(line, time.monotonic(), node=node, there=says is not None)

    def draw() -> RenderableType:
        with lock:
            return screen.render()

    with Watch(engine, running, on_state, on_node) as watch:
        rows = watch.states()
        with lock:
            screen.begin(rows)
        if output != "json" and not people.is_terminal:
            _show_states(rows, running.lab)
        elif output != "json":
            with Live(get_renderable=draw, console=people, refresh_per_second=10, screen=True):
                threading.Event().wait()
        threading.Event().wait()


def _show_states(rows: Sequence[StateRow], lab: Lab) -> None:
    show(tables().state(rows, [node.name for node in lab.nodes], width()))


@click.command()
@which_options
@condition_option
@timeout_option
def wait(which: Which, condition: str, timeout: float) -> None:
    """Wait until a lab is ready, proven, or all its nodes say a state of an extension.

    On a busy machine the default --timeout is longer.
    """
    from labctl.cluster import status
    from labctl.pressure import look_at_machine

    look_at_machine()
    engine = connect()
    status.wait(engine, which.load(engine), condition, timeout if is_said("timeout") else PATIENCE.stretch(timeout))


@click.command()
@click.argument("node", required=False, shell_complete=complete_node)
@long_which_options
@click.option("-f", "--follow", is_flag=True, help="Go on as more comes, as long as any of them runs.")
@click.option("--tail", type=click.IntRange(0), help="Only so many of the last lines of each node.")
def logs(node: str | None, which: Which, follow: bool, tail: int | None) -> None:
    """Show what the nodes say, Corosync and Asterisk as one, and the services, in the order of time."""
    from labctl.cluster.log_following import LogFollowing
    from labctl.cluster.node_logs import in_turn, stamped_logs

    engine = connect()
    running = which.load(engine)
    names = [node] if node else [*running.lab.hosts]
    containers = {name: running.container(name).name for name in names}
    if follow:
        said: Iterable[tuple[str, str]] = LogFollowing(engine, running.lab.name, containers, tail)
    else:
        said = in_turn(stamped_logs(engine, containers, tail))
    for name, line in said:
        echo(line if node else f"{name} | {line}")


_REFUSED = re.compile(r"\ANo such command|^Command '.*' failed\.\s*$", re.MULTILINE)
"""What Asterisk says of a command that was in vain (main/cli.c, ast_cli_command_full); it exits with 0 all the same."""


@click.command(context_settings={"ignore_unknown_options": True})
@node_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@long_which_options
def cli(node: str, command: tuple[str, ...], which: Which) -> None:
    """Asterisk's command line on a node: one COMMAND, or an interactive one without it.

    Exit code 1 where Asterisk does not know the COMMAND, or says that it failed.

    Example: labctl cli n1 core show hints
    """
    if command:
        output = _exec(node, which, ["asterisk", "-rx", " ".join(command)])
        sys.exit(output.code or int(bool(_REFUSED.search(output.text))))
    elif not sys.stdin.isatty():
        # Asterisk's console runs at full load for ever when its input has ended.
        raise UsageError("Asterisk's console needs a terminal", f"or a COMMAND: labctl cli {node} core show hints")
    else:
        _exec_terminal(node, which, ["asterisk", "-r"])


@click.command(context_settings={"ignore_unknown_options": True})
@node_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@long_which_options
def sh(node: str, command: tuple[str, ...], which: Which) -> None:
    """A shell on a node or service, or one COMMAND in it, whose exit code is passed on.

    Example: labctl sh n1 -- corosync-quorumtool -s
    """
    words = command[1:] if command[:1] == ("--",) else command
    if words:
        sys.exit(_exec(node, which, list(words)).code)
    else:
        _exec_terminal(node, which, ["sh"])


def _reach(node: str, which: Which) -> tuple[Engine, Container]:
    """A node's container, and the engine that runs it. Raises LabError where it does not run."""
    engine = connect()
    running = which.load(engine)
    container = running.container(node)
    if container.state != "running":
        way_out = f"labctl up --name {running.lab.name} mends it"
        raise LabError(f"{node} is {container.state}", way_out)
    return engine, container


def _exec(node: str, which: Which, command: list[str]) -> Output:
    engine, container = _reach(node, which)
    output = engine.run(container.id, command)
    pass_on(output.text)
    return output


def _exec_terminal(node: str, which: Which, command: list[str]) -> None:
    """Hand the terminal to Docker's own client: it knows terminals, and every engine comes with one."""
    _, container = _reach(node, which)
    client = shutil.which("docker")
    if not client:
        raise UsageError("an interactive session needs Docker's command line client", "or name a COMMAND to run")
    terminal = ["--interactive", "--tty"] if sys.stdin.isatty() else ["--interactive"]
    os.execv(client, [client, "exec", *terminal, container.id, *command])  # noqa: S606 - takes this process's place


COMMANDS = (ls, ps, state, wait, logs, cli, sh)
