"""Verbs on what is on the wire."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from labctl.cli.completion import complete_node
from labctl.cli.option_groups import Which
from labctl.cli.options import which_options
from labctl.cli.terminal import connect, say
from labctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.blueprint.running_lab import Running
    from labctl.engine.client import Engine

STDOUT = "-"

capture_file_option = click.option(
    "--capture", "packets", type=click.Path(dir_okay=False), help="Keep the packets in that file, as pcapng."
)


@click.command()
@click.argument("nodes", metavar="[NODE...]", nargs=-1, shell_complete=complete_node)
@which_options
@click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False), default=STDOUT, help="Where it goes; - is stdout."
)
@click.option("--all-bytes", is_flag=True, help="Totem and RTP whole too, not their headers alone.")
def capture(nodes: tuple[str, ...], which: Which, target: str, all_bytes: bool) -> None:
    """Capture what is on the wire of a lab that is up, until Ctrl-C: pcapng, as Wireshark and tshark read it.

    Of all nodes and phones, or what NODEs send and receive alone. SIP, DUNDi and all else is whole, of Totem and RTP
    there are the headers.

    \b
        labctl capture | wireshark -k -i -
        labctl capture n1 -o n1.pcapng
    """
    from labctl.cluster.dumpcap import Selection
    from labctl.cluster.lab_capture import captured

    if target == STDOUT and sys.stdout.isatty():
        raise UsageError("packets are no text for a terminal", "labctl capture | wireshark -k -i -, or -o FILE")
    engine = connect()
    running = which.load(engine)
    for node in nodes:
        running.container(node)
    wanted = Selection(tuple(running.addresses[node] for node in nodes), all_bytes)
    with opened(target) as stream, captured(engine, running, stream, wanted) as capturing:
        say(f"capturing {', '.join(nodes) or running.lab.name}; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            capturing.await_over()


@contextmanager
def captured_in(file: str | None, engine: Engine, running: Running) -> Iterator[None]:
    """Keep in a file, if one is named, what is on the wire of a lab meanwhile. Raises UsageError, HostError."""
    from labctl.cluster.dumpcap import Selection
    from labctl.cluster.lab_capture import captured

    if file is None:
        yield
        return
    if file == STDOUT:
        raise UsageError("--capture wants a file: what is told of the call goes to stdout", "labctl capture > FILE")
    with opened(file) as stream, captured(engine, running, stream, Selection()):
        yield


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """A file to write packets to, or stdout. Raises UsageError."""
    if file == STDOUT:
        yield sys.stdout.buffer
        return
    try:
        stream = Path(file).open("wb")  # noqa: SIM115 - closed below; an error of who writes is another
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "can you write there?") from None
    with stream:
        yield stream


COMMANDS = (capture,)
