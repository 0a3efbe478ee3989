"""Commands in containers, and the logs of containers: to their end, or as they come."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from labctl import names
from labctl.engine.access import Access, translated
from labctl.engine.streams import ExecStream, LogStream, lines

NO_EXIT_CODE = -1


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
        self._api = access.api

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        with translated(f"run `{command[0]}` in {container}"):
            identity = self._api.exec_create(container, command)["Id"]
            text = self._api.exec_start(identity).decode("utf-8", "replace")
            code = self._api.exec_inspect(identity)["ExitCode"]
            return Output(NO_EXIT_CODE if code is None else int(code), text)

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container, with its standard input and output open."""
        with translated(f"run `{command[0]}` in {container}"):
            identity = self._api.exec_create(container, command, stdin=True)["Id"]
            return ExecStream(self._api.exec_start(identity, socket=True))

    def logs(self, container: str, tail: int | None = None, since: int | None = None) -> str:
        """What a container has logged so far; `tail` is a number of lines, `since` is in seconds since 1970."""
        with translated(f"read the logs of {container}"):
            raw = self._api.logs(container, tail="all" if tail is None else tail, since=since)
        return cast(bytes, raw).decode("utf-8", "replace")

    def follow_logs(self, container: str, tail: int | None = None, since: int | None = None) -> LogStream:
        """What a container logs, as it comes; `tail` and `since` as in `logs`."""
        with translated(f"read the logs of {container}"):
            return LogStream(
                self._api.logs(container, stream=True, follow=True, tail="all" if tail is None else tail, since=since)
            )

    def follow_lines(self, container: str, tail: int | None = None) -> Generator[str, None, None]:
        """What a container logs, line by line, until it ends."""
        with closing(self.follow_logs(container, tail)) as chunks:
            yield from lines(chunks)

    def starts(self, lab: str) -> Iterator[str]:
        """The name of each container of the lab that starts or goes on from now on, as it does."""
        filters = {"label": f"{names.LABEL_LAB}={lab}", "event": ["start", "unpause"], "type": "container"}
        with translated("follow the engine's events"):
            for event in self._api.events(filters=filters, decode=True):
                yield str(event["Actor"]["Attributes"].get("name", ""))

    def read_file(self, container: str, path: str) -> str:
        """The text of a file in a container, running or not."""
        with translated(f"read {path} in {container}"):
            chunks, _ = self._api.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.extractfile(archive.next() or path)
                return member.read().decode("utf-8", "replace") if member else ""
