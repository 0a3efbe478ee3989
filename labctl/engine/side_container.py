"""A container beside a lab: on the network of the engine's machine, or that of another container, gone as soon as its
one command has ended."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from docker import errors as docker_errors

from labctl.engine.access import Access, translated
from labctl.engine.streams import ExecStream


@dataclass(frozen=True)
class SideContainer:
    """All that makes one what it is. It has no capabilities but these, and no process in it gains any.

    `beside`: the container whose network it has; "" for that of the engine's machine.
    """

    name: str
    image: str
    command: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    capabilities: tuple[str, ...]
    processes: int
    memory_bytes: int
    beside: str = ""


class SideContainers:
    """Those of an engine."""

    def __init__(self, access: Access) -> None:
        self._api = access.api

    def start(self, side: SideContainer) -> ExecStream:
        """Start one, with its standard input and output open: from its first byte on nothing is missed.

        Its input ends as soon as the stream does, however this process ends; the command is to end with its input.
        Raises HostError, LabError.
        """
        with translated(f"start {side.name}"):
            host_config = self._api.create_host_config(
                network_mode=f"container:{side.beside}" if side.beside else "host",
                # With names of users of its own it may not have the machine's network.
                userns_mode=None if side.beside else "host",
                auto_remove=True,
                init=True,
                cap_drop=["ALL"],
                cap_add=list(side.capabilities),
                security_opt=["no-new-privileges:true"],
                pids_limit=side.processes,
                mem_limit=side.memory_bytes,
                log_config={"type": "none"},
            )
            identity = self._api.create_container(
                side.image,
                list(side.command),
                name=side.name,
                labels=dict(side.labels),
                stdin_open=True,
                host_config=host_config,
            )["Id"]
            with ExitStack() as undo:
                undo.callback(self._remove, identity)
                wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = ExecStream(self._api.attach_socket(identity, params=wanted))
                undo.callback(stream.close)
                self._api.start(identity)
                undo.pop_all()
            return stream

    def _remove(self, identity: str) -> None:
        with suppress(docker_errors.APIError):
            self._api.remove_container(identity, force=True, v=True)
