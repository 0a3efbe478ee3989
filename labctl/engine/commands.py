"""Commands in containers, and the logs of containers: to their end, or as they come."""

from __future__ import annotations

import datetime
import io
import math
import tarfile
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from labctl.engine.access import Access, translated
from labctl.engine.actions import AwaitReady
from labctl.engine.starts import EngineStarts
from labctl.engine.streams import ExecStream, LogStream
from labctl.errors import NotReady, UsageError
from labctl.timing import Deadline

NO_EXIT_CODE = -1
AT_ONCE_S = 20.0
"""So long a service is asked for by one command; then by another, so that none outlives by much whoever waits."""

LONGEST = 48 << 10
"""How long a command may be: an engine hands it to runc by a pipe that holds 64 KiB, and where that is full both wait
for good, with every later command in that container (seen with Docker 20.10.24 and runc 1.1.5)."""

LOG_TAIL = 12
"""So many lines of what never got ready are shown."""

_UNTIL_READY = """end=$(($(date +%s) + $2))
until said=$(sh -c "$1" 2>&1); do
    [ "$(date +%s)" -lt "$end" ] || { echo "$said"; exit 1; }
    sleep 0.1
done"""
"""Asks again and again for so many seconds; what was said last is printed where that was in vain."""


@dataclass(frozen=True)
class Output:
    """What a command in a container printed (standard output and standard error as one text), and its exit code.

    The code is NO_EXIT_CODE where the engine knows of none, as where the container ended first.
    """

    code: int
    text: str


class Commands:
    """Runs commands in containers, and reads what containers log."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._api = access.api

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        with translated(f"run `{command[0]}` in {container}"):
            identity = self._made(container, command)
            with closing(ExecStream(self._api.exec_start(identity, socket=True))) as stream:
                printed = b"".join(data for _, data in stream.frames())
            code = self._api.exec_inspect(identity)["ExitCode"]
            return Output(NO_EXIT_CODE if code is None else int(code), printed.decode("utf-8", "replace"))

    def _made(self, container: str, command: list[str], *, stdin: bool = False) -> str:
        """A command that can be started. Raises UsageError for one that is too long."""
        size = sum(len(word.encode("utf-8", "replace")) + 1 for word in command)
        if size > LONGEST:
            raise UsageError(
                f"a command of {size} bytes is longer than {LONGEST}, which every engine takes", "put it into a file"
            )
        return str(self._api.exec_create(container, command, stdin=stdin)["Id"])

    def await_ready(self, step: AwaitReady) -> None:
        """Return when the line of shell ends with 0.

        Raises NotReady, with what it said last and the end of the container's log.
        """
        deadline, output = Deadline(step.timeout_s), Output(NO_EXIT_CODE, "")
        while output.code and not deadline.passed:
            span_s = math.ceil(min(deadline.left_s, AT_ONCE_S))
            output = self.run(step.name, ["sh", "-c", _UNTIL_READY, "sh", step.command, f"{span_s}"])
        if output.code:
            last = [*output.text.strip().splitlines(), *self.logs(step.name, tail=LOG_TAIL).strip().splitlines()]
            lines = [
                f"{step.name} is not ready after {step.timeout_s:g} s: {step.command}",
                *(f"    {line}" for line in last),
            ]
            raise NotReady("\n".join(lines), {}, f"docker logs {step.name} shows all that it said")

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container, with its standard input and output open."""
        with translated(f"run `{command[0]}` in {container}"):
            identity = self._made(container, command, stdin=True)
            return ExecStream(self._api.exec_start(identity, socket=True))

    def logs(
        self, container: str, tail: int | None = None, ago_s: float | None = None, *, stamped: bool = False
    ) -> str:
        """What a container has logged so far: of that the last `tail` lines, and what is not older than `ago_s`
        seconds. `stamped`: when, by the engine's clock, at the beginning of each line (streams.split_stamp)."""
        since = None if ago_s is None else max(1, int(self._access.clock_s() - ago_s))
        with translated(f"read the logs of {container}"):
            raw = self._api.logs(container, tail="all" if tail is None else tail, since=since, timestamps=stamped)
        return cast(bytes, raw).decode("utf-8", "replace")

    def follow_logs(
        self, container: str, tail: int | None = None, since: str = "", *, stamped: bool = False
    ) -> LogStream:
        """What a container logs, as it comes; `since`: a stamp, from whose second on it is read; the rest as in
        `logs`."""
        epoch_s = int(datetime.datetime.fromisoformat(since).timestamp()) if since else None
        last = "all" if tail is None else tail
        with translated(f"read the logs of {container}"):
            return LogStream(
                self._api.logs(container, stream=True, follow=True, tail=last, since=epoch_s, timestamps=stamped)
            )

    def starts(self, lab: str) -> EngineStarts:
        """What starts or goes on in a lab from now on."""
        return EngineStarts(self._access, lab)

    def read_file(self, container: str, path: str) -> str:
        """The text of a file in a container, running or not."""
        with translated(f"read {path} in {container}"):
            chunks, _ = self._api.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.extractfile(archive.next() or path)
                return member.read().decode("utf-8", "replace") if member else ""
