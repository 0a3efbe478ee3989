"""The folder of a run: its history, what it is judged by, its verdict, the lab as it was and the nodes' logs."""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from labctl.checks import judgement
from labctl.checks.judgement import Result, Terms
from labctl.cluster import node_logs
from labctl.engine.client import Engine
from labctl.engine.observation import Observation
from labctl.errors import HostError, LabctlError, UsageError
from labctl.history import lines as history
from labctl.history.events import Event
from labctl.lab import Lab
from labctl.labfile import writer
from labctl.lock import locked
from labctl.names import ROLE_NODE, ROLE_SERVICE
from labctl.scenario import writer as scenarios
from labctl.scenario.reader import Scenario

HISTORY = "history.jsonl"
TERMS = "terms.json"
VERDICT = "verdict.json"
LAB = "lab.yaml"
SCENARIO = "scenario.yaml"
CAPTURE = "capture.pcapng"
LATEST = "latest"


def create(parent: Path, scenario: str) -> Path:
    """A folder of a run's own in `parent`, by scenario and time; `latest` leads to it. Raises UsageError."""
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (f"{scenario}-{stamp}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    try:
        with locked("run-folders"):
            folder = next(path for name in names if not (path := parent / name).exists())
            folder.mkdir(parents=True)
            latest = parent / LATEST
            latest.unlink(missing_ok=True)
            latest.symlink_to(folder.name)
    except OSError as error:
        raise UsageError(f"{parent}: {error.strerror}", "--folder names another place for the run") from None
    return folder


def write_terms(folder: Path, terms: Terms) -> None:
    """Keep what the run is judged by. Raises HostError."""
    write(folder / TERMS, json.dumps(asdict(terms), indent=2))


def write_scenario(folder: Path, scenario: Scenario, seed: int | None) -> None:
    """Keep what is run, as a file that can be run again. Raises HostError."""
    write(folder / SCENARIO, scenarios.to_yaml(scenario, seed))


def told_name(name: str) -> str:
    """The name of a file as JSON can hold it: bytes of it that are no UTF-8 as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_result(folder: Path, result: Result) -> None:
    """Keep what the run came to. Raises HostError."""
    verdict = {**asdict(result), "standing": result.standing, "folder": told_name(result.folder)}
    write(folder / VERDICT, json.dumps(verdict, indent=2))


def save_lab(engine: Engine, lab: Lab, observation: Observation, folder: Path) -> None:
    """Keep the lab as its file would have it, and the log of each node that has a container in an observation.

    A log that cannot be had is left out: whatever is in the way of it is told where the run is. Raises HostError.
    """
    write(folder / LAB, writer.to_yaml(lab))
    logs: dict[str, str] = {}
    with suppress(LabctlError):
        for container in observation.containers:
            if container.role in (ROLE_NODE, ROLE_SERVICE):
                logs[container.node] = node_logs.logged(engine, container.id)
    for node, log in logs.items():
        write(folder / f"{node}.log", log)


def read_events(folder: Path) -> tuple[Event, ...]:
    """The history of a run. Raises UsageError, InvalidFile."""
    if (folder / TERMS).exists() and not (folder / HISTORY).exists():
        raise UsageError(
            f"{folder}: nothing to judge: the lab of this run did not come up", f"{VERDICT} there says why"
        )
    return history.parse(read_file(folder / HISTORY), str(folder / HISTORY))


def read_terms(folder: Path) -> Terms:
    """What a run is judged by. Raises UsageError, InvalidFile."""
    return judgement.parse_terms(read_file(folder / TERMS), str(folder / TERMS))


def write(path: Path, content: str | bytes) -> None:
    """Keep a file of a run, in whatever folder of it. Raises HostError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        hint = "is there room? --folder names another place for the run"
        raise HostError(f"{path}: {error.strerror}", hint) from None


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of whatever lies at `target` once it is whole; else nothing is left of it.

    A link there is not followed, and no pipe waited for: a run's folder may be a stranger's. Raises OSError,
    ValueError.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".labctl-", delete=False) as file:
            temporary = Path(file.name)
            yield file  # type: ignore[misc]
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        temporary = None
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def read_file(path: Path) -> str:
    """The text of a file of a run. Raises UsageError; also for what is no regular file, such as a pipe that nobody
    writes to."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file", "labctl run writes such files")
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", "is it the folder of a run? labctl run says where it is"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})", "labctl run writes such files") from None
