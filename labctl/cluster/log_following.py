"""The logs of several containers of a lab as one, as they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue

from labctl.cluster.node_logs import in_turn, stamped_logs
from labctl.engine.client import Engine
from labctl.engine.streams import lines, split_stamp, stamped_after
from labctl.errors import LabctlError


@dataclass(frozen=True)
class _Ended:
    """A log that was followed has ended, by itself or by an error."""

    host: str
    error: LabctlError | None = None


@dataclass(frozen=True)
class _Started:
    """The container of a host has started."""

    host: str


class LogFollowing:
    """What the hosts of a lab say, until none of them runs: what they have said so far, in the order of time, then what
    comes. One that starts again while another runs is followed on, from where it was read last."""

    def __init__(self, engine: Engine, lab: str, containers: Mapping[str, str], tail: int | None = None) -> None:
        """`containers`: host -> the name of its container. `tail`: so many of the last lines of each that were said
        so far; all of them by default."""
        self._engine, self._lab, self._tail = engine, lab, tail
        self._containers = containers
        self._read_to: dict[str, str] = {}
        self._news: SimpleQueue[tuple[str, str] | _Ended | _Started | LabctlError] = SimpleQueue()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Host and line. Raises LabctlError where a host that runs cannot be read, or the engine does not answer any
        more."""
        threading.Thread(target=self._watch_starts, name="starts", daemon=True).start()
        yield from self._so_far()
        followed = set(self._containers)
        for host in self._containers:
            self._follow(host)
        while followed:
            match self._news.get():
                case LabctlError() as lost:
                    raise lost
                case _Ended(host, error):
                    if not self._runs(host):
                        followed.discard(host)
                    elif error:
                        raise error
                    else:  # it was started again meanwhile
                        self._follow(host)
                case _Started(host):
                    if host not in followed:
                        followed.add(host)
                        self._follow(host)
                case host, line:
                    yield host, line

    def _so_far(self) -> Iterator[tuple[str, str]]:
        tail = None if self._tail is None else max(self._tail, 1)  # the last of each tells where to go on
        logs = stamped_logs(self._engine, self._containers, tail)
        self._read_to = {host: split_stamp(log[-1])[0] if log else "" for host, log in logs.items()}
        return iter(()) if self._tail == 0 else in_turn(logs)

    def _follow(self, host: str) -> None:
        threading.Thread(target=self._read, args=(host,), name=f"log-{host}", daemon=True).start()

    def _read(self, host: str) -> None:
        since, error = self._read_to[host], None
        try:
            with closing(self._engine.follow_logs(self._containers[host], since=since, stamped=True)) as stream:
                for stamp, line in stamped_after(since, lines(stream)):
                    self._read_to[host] = stamp
                    self._news.put((host, line))
        except LabctlError as raised:
            error = raised
        finally:
            self._news.put(_Ended(host, error))

    def _watch_starts(self) -> None:
        hosts = {container: host for host, container in self._containers.items()}
        try:
            for container in self._engine.starts(self._lab):
                if container in hosts:
                    self._news.put(_Started(hosts[container]))
        except LabctlError as error:
            self._news.put(error)

    def _runs(self, host: str) -> bool:
        name = self._containers[host]
        return any(
            container.name == name and container.state == "running"
            for container in self._engine.observe(self._lab).containers
        )
