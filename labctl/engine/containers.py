"""The steps of a plan done: containers made, filled with files, started, paused, ended and taken away."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from contextlib import suppress

from docker import errors as docker_errors

from labctl.engine.access import Access, translated
from labctl.engine.actions import (
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    File,
    KillContainer,
    PauseContainer,
    RemoveContainer,
    RemoveNetwork,
    StartContainer,
    Step,
    StopContainer,
    UnpauseContainer,
)
from labctl.engine.networks import Networks

STOP_TIMEOUT_S = 5
"""How long a container that is asked to end may take before it is killed."""

LOG_LIMIT = {"max-size": "20m", "max-file": "2"}


class Containers:
    """The containers of an engine."""

    def __init__(self, access: Access, networks: Networks) -> None:
        self._api = access.api
        self._networks = networks

    def apply(self, step: Step) -> None:
        """Do one step. What is gone already counts as removed."""
        with translated(str(step)):
            self._apply(step)

    def _apply(self, step: Step) -> None:
        match step:
            case CreateNetwork():
                self._networks.create(step)
            case CreateContainer():
                self._create_container(step.container)
            case StartContainer():
                self._api.start(step.name)
            case KillContainer():
                self._api.kill(step.name)
            case StopContainer():
                self._api.stop(step.name, timeout=STOP_TIMEOUT_S)
            case PauseContainer():
                self._api.pause(step.name)
            case UnpauseContainer():
                self._api.unpause(step.name)
            case RemoveContainer():
                with suppress(docker_errors.NotFound):
                    self._remove_container(step.id)
            case RemoveNetwork():
                self._networks.remove(step)

    def _remove_container(self, container: str) -> None:
        try:
            self._api.remove_container(container, force=True, v=True)
        except docker_errors.APIError as error:
            if error.status_code != 409 or "in progress" not in str(error.explanation):
                raise
            # An interrupted `down`, or another client, asked for its removal first: wait until that is done.
            self._api.wait(container, condition="removed")

    def _create_container(self, spec: ContainerSpec) -> None:
        host_config = self._api.create_host_config(
            network_mode=spec.network,
            cap_add=list(spec.capabilities) or None,
            shm_size=spec.shm_bytes,
            init=spec.init or None,
            pids_limit=spec.processes,
            mem_limit=spec.memory_bytes,
            security_opt=["no-new-privileges:true"],
            log_config={"type": "json-file", "config": LOG_LIMIT},
        )
        endpoint = self._api.create_endpoint_config(ipv4_address=spec.address)
        self._api.create_container(
            spec.image,
            name=spec.name,
            hostname=spec.hostname,
            labels=dict(spec.labels),
            host_config=host_config,
            networking_config=self._api.create_networking_config({spec.network: endpoint}),
        )
        if spec.files:
            self._put(spec.name, spec.files)

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        with translated(f"put files into {container}"):
            self._put(container, files)

    def _put(self, container: str, files: tuple[File, ...]) -> None:
        groups = self._groups(container) if any(file.group for file in files) else {}
        self._api.put_archive(container, "/", _archive(files, groups))

    def _groups(self, container: str) -> dict[str, int]:
        """The groups of a container by name, running or not: the engine takes numbers alone."""
        chunks, _ = self._api.get_archive(container, "/etc/group")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile("group")
            lines = member.read().decode("utf-8", "replace").splitlines() if member else []
        fields = (line.split(":") for line in lines)  # group(5)
        return {name: int(number) for name, _, number, *_ in fields if number.isdecimal()}


def _archive(files: tuple[File, ...], groups: Mapping[str, int]) -> bytes:
    """The files as a tar archive. One of a group that the container does not have stays readable for all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            content = file.text.encode()
            info = tarfile.TarInfo(file.path.lstrip("/"))
            known = not file.group or file.group in groups
            info.size, info.mode = len(content), file.mode if known else file.mode | 0o044
            info.gid = groups.get(file.group, 0)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
