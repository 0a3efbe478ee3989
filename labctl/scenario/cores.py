"""What a daemon that crashed has left of its memory, copied into the folder of the run while its node is there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from labctl.blueprint.drawing import CORES
from labctl.corosync import daemon
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.history.events import BY_ITSELF, Core, Event, Gone, Line
from labctl.history.journal import Journal
from labctl.names import container_name
from labctl.paths import SCRIPTS

LIMIT_BYTES = 64 << 20
"""Of a compressed core: that of an Asterisk with all its modules takes a quarter of it."""

BACKTRACE_BYTES = 1 << 20

FRAMES = 16
"""So many frames of a backtrace are told."""

COMPRESS = ("sh", "-c", 'gzip -1 -c "$1"', "sh")
BACKTRACE = (
    "sh",
    "-c",
    'gdb -q -batch -ex "set filename-display absolute" -ex "thread apply all bt" "$(command -v "$2")" "$1" 2>&1'
    ' | sed "s# /usr/src/[a-z]*/# #"',
    "sh",
)
"""Of what was compiled here, files are told by their place in Asterisk's tree."""


def crashed(events: Iterable[Event]) -> list[tuple[str, str]]:
    """The nodes and daemons that may have left a core that is not kept yet: an Asterisk that ended by itself, or a
    Corosync that began anew, whatever ended it. Pure."""
    found: dict[tuple[str, str], None] = {}
    for event in events:
        if isinstance(event, Gone) and event.what == BY_ITSELF and not event.whole:
            found[event.node, "asterisk"] = None
        elif isinstance(event, Line) and daemon.starts(event.text):
            found[event.node, "corosync"] = None
        elif isinstance(event, Core):
            found.pop((event.node, event.daemon), None)
    return [*found]


def keep(engine: Engine, lab: str, journal: Journal) -> None:
    """Copy the last core of each daemon that crashed, and its backtrace where the node has gdb; the history tells."""
    folder = journal.folder
    for node, name in crashed(journal.events) if folder else []:
        assert folder
        try:
            event = _keep(engine, container_name(lab, node), node, name, folder)
        except (LabctlError, OSError) as error:
            why = error.message if isinstance(error, LabctlError) else str(error)
            event = Core(0.0, node, name, (), f"it could not be had: {why}")
        if event:
            journal.write(replace(event, at_s=journal.now_s()))


def _keep(engine: Engine, container: str, node: str, name: str, folder: Path) -> Core | None:
    """What is kept of one; None of a Corosync that left nothing: it was ended."""
    _, place = CORES[name]
    script = (SCRIPTS / "list-cores.sh").read_text("utf-8")
    listing = engine.run(container, ["sh", "-c", script, "list-cores", place]).text
    core = re.search(r"^core \d+ (.+)$", listing, re.MULTILINE)
    if core is None:
        pattern = re.search(r"^pattern (.*)$", listing, re.MULTILINE)
        return Core(0.0, node, name, (), no_core(pattern[1] if pattern else "")) if name == "asterisk" else None
    files, lacking, frames = [], "", tuple[str, ...]()
    target = folder / f"{node}.{name}.core.gz"
    if _copy(engine, container, [*COMPRESS, core[1]], target, LIMIT_BYTES):
        files.append(target.name)
    else:
        lacking = f"the core takes more than {LIMIT_BYTES >> 20} MB: {core[1]} on the node has it, with --keep-lab"
    if re.search("^gdb$", listing, re.MULTILINE):
        target = folder / f"{node}.{name}.backtrace.txt"
        if _copy(engine, container, [*BACKTRACE, core[1], name], target, BACKTRACE_BYTES):
            files.append(target.name)
            frames = frames_of(target.read_text("utf-8", "replace"))
    return Core(0.0, node, name, tuple(files), lacking, frames)


def frames_of(backtrace: str) -> tuple[str, ...]:
    """Where the thread was that crashed, innermost first: gdb has it as number 1, and lists it last. Pure."""
    _, _, of_thread = backtrace.rpartition("\nThread 1 ")
    frames = (frame for line in of_thread.splitlines() if re.match(r"#\d+ ", frame := line.strip()))
    return tuple(frame[:200] for frame in itertools.islice(frames, FRAMES))


def no_core(pattern: str) -> str:
    """Why there is none, by the kernel's core_pattern (core(5)), and the way out. Pure."""
    if pattern.startswith("|"):
        program = pattern[1:].partition(" ")[0]
        way_out = "sysctl kernel.core_pattern=core there leaves them in the node"
        return f"the kernel of the engine's machine hands cores to {program} there; {way_out}"
    if pattern.startswith("/"):
        return f"the kernel writes cores to {pattern}, which is not where labctl looks; a name alone, as core, is"
    return "no core was written: an image of another make, or no room"


def _copy(engine: Engine, container: str, command: list[str], target: Path, limit: int) -> bool:
    """Keep what a command prints; whether that is no more than so many bytes. Of more nothing is kept."""
    stream, size = engine.open_stream(container, command), 0
    try:
        with target.open("wb") as file:
            for data in stream:
                size += len(data)
                if size > limit:
                    break
                file.write(data)
    finally:
        stream.close()
    if size > limit:
        target.unlink()
    return size <= limit
