"""Networks and containers: made, started, frozen, ended and taken away."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress

from docker import errors as docker_errors
from docker.types import IPAMConfig, IPAMPool

from labctl.engine.access import Access, translated
from labctl.engine.actions import (
    NO_ROUTER,
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
from labctl.errors import LabctlError

STOP_TIMEOUT_S = 5
"""How long a container that is asked to end may take before it is killed."""

LOG_LIMIT = {"max-size": "20m", "max-file": "2"}


class SubnetTaken(LabctlError):
    """Somebody took the addresses between looking and taking; look again."""


class Containers(Access):
    """An engine that does steps."""

    def apply(self, step: Step) -> None:
        """Do one step. What is gone already counts as removed."""
        with translated(str(step)):
            self._apply(step)

    def _apply(self, step: Step) -> None:
        match step:
            case CreateNetwork():
                self._create_network(step)
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
                with suppress(docker_errors.NotFound):
                    self._api.remove_network(step.id)

    def _remove_container(self, container: str) -> None:
        try:
            self._api.remove_container(container, force=True, v=True)
        except docker_errors.APIError as error:
            if error.status_code != 409 or "in progress" not in str(error.explanation):
                raise
            # Somebody else, such as an interrupted `down`, asked for it first: it goes all the same.
            self._api.wait(container, condition="removed")

    def _create_network(self, step: CreateNetwork) -> None:
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=step.subnet)])
        try:
            self._api.create_network(
                step.name,
                "bridge",
                ipam=ipam,
                labels=dict(step.labels),
                internal=step.internal,
                options=None if step.internal else NO_ROUTER,
            )
        except docker_errors.APIError as error:
            if "overlap" in str(error.explanation):
                raise SubnetTaken(f"{step.subnet} is taken: {error.explanation}") from None
            raise

    def _create_container(self, spec: ContainerSpec) -> None:
        host_config = self._api.create_host_config(
            network_mode=spec.network,
            cap_add=list(spec.capabilities) or None,
            shm_size=spec.shm_bytes,
            init=spec.init or None,
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
            self._api.put_archive(spec.name, "/", _archive(spec.files))

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        with translated(f"put files into {container}"):
            self._api.put_archive(container, "/", _archive(files))


def _archive(files: tuple[File, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            content = file.text.encode()
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size, info.mode = len(content), file.mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
