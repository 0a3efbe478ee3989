"""What crosses the networks of a lab, as pcapng.

On one engine a container beside the lab listens at the bridges of its networks: every frame passes there once,
whichever nodes are killed meanwhile. A frame that a fault drops is there where its sender let it go: packet filters
drop what comes in (faults/packet_filter.py). Over several hosts: hosts_capture.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from labctl.blueprint.running_lab import Running
from labctl.cluster import dumpcap
from labctl.cluster.capturing import Capturing
from labctl.cluster.dumpcap import Selection
from labctl.cluster.hosts_capture import HostsCapture
from labctl.cluster.packet_blocks import Block
from labctl.cluster.packet_capture import PacketCapture
from labctl.engine.client import Engine
from labctl.errors import HostError, LabError


def capturing(
    engine: Engine,
    running: Running,
    wanted: Selection,
    sink: Callable[[Block], None],
    broke_off: Callable[[str], None],
) -> Capturing:
    """The capture of a lab, not begun. `sink` gets the blocks of a pcapng file, and `broke_off` is told why where it
    ends by itself after it has begun; both in the capture's thread."""
    if any(network.overlay for network in running.observation.networks):
        return HostsCapture(engine, running, wanted, sink, broke_off)
    return PacketCapture(engine, lambda: dumpcap.at_bridges(running, wanted), sink, broke_off)


@contextmanager
def captured(engine: Engine, running: Running, stream: IO[bytes], wanted: Selection) -> Iterator[Capturing]:
    """Write what passes meanwhile to a stream, block by block.

    Raises HostError where it could not begin, LabError where it ended by itself, OSError where the stream takes no
    more.
    """
    failures: list[Exception] = []

    def write(block: Block) -> None:
        try:
            stream.write(block.data)
            stream.flush()
        except OSError as error:
            failures.append(error)
            capture.close()

    def broke_off(why: str) -> None:
        failures.append(LabError(f"the capture of {running.lab.name} ended: {why}", "labctl ps tells what is up"))

    capture = capturing(engine, running, wanted, write, broke_off)
    capture.start()
    try:
        if not capture.await_begun() and not failures:
            raise HostError(f"the capture of {running.lab.name} could not start: {capture.error}")
        yield capture
    finally:
        capture.end()
        capture.await_ended()
    if failures:
        raise failures[0]
