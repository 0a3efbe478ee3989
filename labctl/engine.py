"""Docker: the only file that imports its library. Applies steps, observes, opens streams."""

from __future__ import annotations

import io
import json
import socket
import struct
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import docker
import requests
from docker import errors as docker_errors
from docker.types import IPAMConfig, IPAMPool
from docker.utils import socket as docker_socket

from labctl import blueprint
from labctl.errors import BuildError, HostError, LabctlError, LabError
from labctl.facts import Container, Network, Observation
from labctl.steps import (
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

API_TIMEOUT_S = 60
STOP_TIMEOUT_S = 5
"""How long a container that is asked to end may take before it is killed."""

FRAME_HEAD = struct.Struct(">BxxxL")

LOG_LIMIT = {"max-size": "20m", "max-file": "2"}

_LOST = (docker_errors.DockerException, requests.exceptions.RequestException, OSError)


class SubnetTaken(LabctlError):
    """Somebody took the addresses between looking and taking; look again."""


@dataclass(frozen=True)
class Output:
    """What a command in a container said (both streams together), and its exit code."""

    code: int
    text: str


@dataclass(frozen=True)
class EngineInfo:
    """The engine, as `labctl doctor` shows it."""

    version: str
    api: str
    storage: str
    root: str
    kernel: str
    system: str
    cpus: int
    memory_bytes: int


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Docker's errors become ours."""
    try:
        yield
    except docker_errors.NotFound as error:
        raise LabError(f"{doing}: {error.explanation or error}", "labctl up makes what is missing") from None
    except docker_errors.APIError as error:
        raise HostError(f"{doing}: {error.explanation or error}") from None
    except (docker_errors.DockerException, requests.exceptions.RequestException) as error:
        raise HostError(f"{doing}: {error}", "is the Docker Engine running? labctl doctor tells more") from None


def connect(timeout_s: int = API_TIMEOUT_S) -> Engine:
    """The engine that DOCKER_HOST or the default socket leads to. Raises HostError."""
    try:
        return Engine(docker.from_env(version="auto", timeout=timeout_s).api)
    except _LOST as error:
        hint = "start it (on Debian: apt-get install docker.io), or set DOCKER_HOST"
        raise HostError(f"no Docker Engine answers: {error}", hint) from None


class ExecStream:
    """The two ways of a command that runs in a container, as bytes. What it says on stderr is left out."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._socket = cast(socket.socket, getattr(raw, "_sock", raw))
        # What came together with the reply's head lies in the reader of that head, where docker-py would leave it.
        self._reader = getattr(getattr(getattr(raw, "_response", None), "raw", None), "_fp", None)
        self._reader = getattr(self._reader, "fp", None)
        if isinstance(self._reader, io.BufferedReader):
            self._socket.settimeout(None)

    def send(self, data: bytes) -> None:
        """Write to the command's standard input. Raises OSError once it has ended."""
        self._socket.sendall(data)

    def __iter__(self) -> Iterator[bytes]:
        """What the command says, as it comes, until it ends or the stream is closed."""
        with suppress(OSError, ValueError):
            for kind, data in self._frames():
                if kind == docker_socket.STDOUT:
                    yield data

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """The frames of the attach protocol: a byte that tells the stream, three more, the length of what follows."""
        if not isinstance(self._reader, io.BufferedReader):  # over ssh there is no such reader
            yield from docker_socket.frames_iter(self._raw, tty=False)  # type: ignore[no-untyped-call]
            return
        while len(head := self._reader.read(FRAME_HEAD.size)) == FRAME_HEAD.size:
            kind, size = FRAME_HEAD.unpack(head)
            yield kind, self._reader.read(size)

    def close(self) -> None:
        """Hang up. A reader in another thread ends; the command sees the end of its input."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for each in (self._raw, self._socket):
            with suppress(OSError):
                each.close()
            self._socket.close()


class LogStream:
    """What a container says, as bytes, until it ends or the stream is closed."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[bytes]:
        """What is said, as it comes."""
        with suppress(OSError, ValueError, AttributeError, requests.exceptions.RequestException):
            yield from self._raw

    def close(self) -> None:
        """Hang up. A reader in another thread ends."""
        with suppress(OSError, AttributeError, docker_errors.DockerException):
            self._raw.close()
        with suppress(OSError, AttributeError):
            self._raw._response.raw._fp.close()  # docker-py leaves the socket's own reader open
        with suppress(OSError, AttributeError):
            self._raw._response.close()


class Engine:
    """A Docker Engine. Raises HostError where it refuses, LabError where something is gone."""

    def __init__(self, api: Any) -> None:
        self._api = api

    # What is there

    def info(self) -> EngineInfo:
        """Version and abilities of the engine."""
        with _translated("ask the engine what it is"):
            info = self._api.info()
        return EngineInfo(
            version=info["ServerVersion"],
            api=self._api._version,
            storage=info["Driver"],
            root=info["DockerRootDir"],
            kernel=info["KernelVersion"],
            system=info["OperatingSystem"],
            cpus=info["NCPU"],
            memory_bytes=info["MemTotal"],
        )

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs, found by label alone."""
        label = f"{blueprint.LABEL_LAB}={lab}" if lab else blueprint.LABEL_LAB
        with _translated("look for labs"):
            containers = self._api.containers(all=True, filters={"label": label})
            networks = self._api.networks(filters={"label": label})
        return Observation(
            tuple(sorted((_network(each) for each in networks), key=lambda each: each.name)),
            tuple(sorted((_container(each) for each in containers), key=lambda each: each.name)),
        )

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on this engine."""
        with _translated("list networks"):
            networks = self._api.networks()
        configs = [config for each in networks for config in (each["IPAM"].get("Config") or [])]
        return [config["Subnet"] for config in configs if "Subnet" in config]

    def exit_code(self, container: str) -> int:
        """The exit code of a container that has ended."""
        with _translated(f"inspect {container}"):
            return int(self._api.inspect_container(container)["State"]["ExitCode"])

    # Steps

    def apply(self, step: Step) -> None:
        """Do one step. What is gone already counts as removed."""
        with _translated(str(step)):
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
            # Internal: what is in the lab stays in it, and what is outside stays out.
            self._api.create_network(step.name, "bridge", ipam=ipam, labels=dict(step.labels), internal=True)
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

    # Commands and streams

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        with _translated(f"put files into {container}"):
            self._api.put_archive(container, "/", _archive(files))

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        with _translated(f"run `{command[0]}` in {container}"):
            created = self._api.exec_create(container, command)["Id"]
            text = self._api.exec_start(created).decode("utf-8", "replace")
            return Output(int(self._api.exec_inspect(created)["ExitCode"] or 0), text)

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container and keep both its ways open."""
        with _translated(f"run `{command[0]}` in {container}"):
            created = self._api.exec_create(container, command, stdin=True)["Id"]
            return ExecStream(self._api.exec_start(created, socket=True))

    def logs(self, container: str, tail: int | None = None, since: int | None = None) -> str:
        """What a container has said so far; `since` is in seconds since 1970."""
        with _translated(f"read the logs of {container}"):
            raw = self._api.logs(container, tail="all" if tail is None else tail, since=since)
        return cast(bytes, raw).decode("utf-8", "replace")

    def follow_logs(self, container: str, tail: int | None = None, since: int | None = None) -> LogStream:
        """What a container says, as it says it."""
        with _translated(f"read the logs of {container}"):
            return LogStream(
                self._api.logs(container, stream=True, follow=True, tail="all" if tail is None else tail, since=since)
            )

    def follow_lines(self, container: str, tail: int | None = None) -> Generator[str, None, None]:
        """What a container says, line by line, until it ends."""
        rest = ""
        with closing(self.follow_logs(container, tail)) as chunks:
            for chunk in chunks:
                *lines, rest = (rest + chunk.decode("utf-8", "replace")).split("\n")
                yield from lines
        if rest:
            yield rest

    def starts(self, lab: str) -> Iterator[str]:
        """The name of each container of the lab that starts or goes on from now on, as it does."""
        filters = {"label": f"{blueprint.LABEL_LAB}={lab}", "event": ["start", "unpause"], "type": "container"}
        with _translated("follow the engine's events"):
            for event in self._api.events(filters=filters, decode=True):
                yield str(event["Actor"]["Attributes"].get("name", ""))

    def read_file(self, container: str, path: str) -> str:
        """The text of a file in a container, running or not."""
        with _translated(f"read {path} in {container}"):
            chunks, _ = self._api.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.extractfile(archive.next() or path)
                return member.read().decode("utf-8", "replace") if member else ""

    # Images

    def images(self) -> dict[str, str]:
        """The tags of every image that is present, with the image's id."""
        with _translated("list images"):
            images = self._api.images()
        return {tag: image["Id"] for image in images for tag in image.get("RepoTags") or []}

    def image_id(self, reference: str) -> str:
        """The id of an image, or "" if it is not present."""
        with _translated(f"inspect {reference}"):
            try:
                return str(self._api.inspect_image(reference)["Id"])
            except docker_errors.ImageNotFound:
                return ""

    def image_labels(self, reference: str) -> dict[str, str] | None:
        """The labels of an image, or None if it is not present."""
        with _translated(f"inspect {reference}"):
            try:
                found = self._api.inspect_image(reference)
            except docker_errors.ImageNotFound:
                return None
        return dict(found["Config"].get("Labels") or {})

    def pull(self, reference: str) -> None:
        """Pull an image. Raises HostError if no registry gives it."""
        with _translated(f"pull {reference}"):
            self._api.pull(reference)  # of a name without a tag: latest

    def import_image(self, archive: Any, reference: str, labels: dict[str, str]) -> None:
        """Make an image of the tar archive that a file object gives."""
        with _translated(f"import {reference}"):
            repository, tag = reference.rsplit(":", 1)
            # Chunks, not the file: given a file, docker-py announces both a length and chunks.
            chunks = iter(lambda: archive.read(1 << 20), b"")
            reply = self._api.import_image_from_stream(
                chunks, repository=repository, tag=tag, changes=_label_changes(labels)
            )
        if '"error"' in reply:
            raise BuildError(f"import {reference}: {reply}")

    def build(
        self, archive: bytes, tag: str, args: dict[str, str], labels: dict[str, str], fresh: bool = False
    ) -> Iterator[str]:
        """Build an image from a packed context, giving the builder's output as it comes.

        `fresh` sets the builder's cache aside. Raises BuildError with the last lines.
        """
        lines: list[str] = []
        with _translated(f"build {tag}"):
            replies = self._api.build(
                fileobj=io.BytesIO(archive),
                custom_context=True,
                encoding=None,
                tag=tag,
                buildargs=args,
                labels=labels,
                rm=True,
                forcerm=True,
                nocache=fresh,
                decode=True,
                timeout=3600,
            )
            failed = False
            for reply in replies:  # to their end, also after an error: that closes the socket
                text = str(reply.get("stream") or reply.get("error") or "").rstrip()
                lines.extend(text.splitlines())
                failed = failed or "error" in reply
                if text and not failed:
                    yield text
            if failed:
                raise BuildError(f"build {tag}:\n" + "\n".join(f"  {line}" for line in lines[-15:]))

    def remove_image(self, reference: str) -> None:
        """Take an image's tag away, and the image where that was its last."""
        with _translated(f"remove {reference}"), suppress(docker_errors.ImageNotFound):
            self._api.remove_image(reference, force=True)

    def ask_registry(self, reference: str) -> None:
        """Ask the registry for an image without pulling it. Raises HostError if it is not to be had."""
        with _translated(f"ask for {reference}"):
            self._api.inspect_distribution(reference)

    def probe(self, image: str, script: str) -> str:
        """What a shell script says in a new container with NET_ADMIN and only loopback for a network."""
        with _translated(f"look into {image}"):
            host_config = self._api.create_host_config(network_mode="none", cap_add=["NET_ADMIN"])
            made = self._api.create_container(image, ["sh", "-c", script], host_config=host_config)["Id"]
            try:
                self._api.start(made)
                self._api.wait(made)
                return cast(bytes, self._api.logs(made)).decode("utf-8", "replace")
            finally:
                self._api.remove_container(made, force=True, v=True)

    def create_idle(self, image: str) -> str:
        """A container of an image that is never started, to look into it or to commit it."""
        with _translated(f"look into {image}"):
            command = self._api.inspect_image(image)["Config"].get("Cmd") or ["sh"]
            return str(self._api.create_container(image, command)["Id"])

    def commit(self, container: str, reference: str, labels: dict[str, str]) -> None:
        """Make an image of a container, with labels."""
        repository, tag = reference.rsplit(":", 1)
        with _translated(f"commit {reference}"):
            self._api.commit(container, repository=repository, tag=tag, changes=_label_changes(labels))

    def remove_idle(self, container: str) -> None:
        """Remove what create_idle made."""
        with _translated(f"remove {container}"), suppress(docker_errors.NotFound):
            self._api.remove_container(container, force=True, v=True)


def _label_changes(labels: dict[str, str]) -> list[str]:
    return [f"LABEL {json.dumps(name)}={json.dumps(value)}" for name, value in labels.items()]


def _archive(files: tuple[File, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            content = file.text.encode()
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size, info.mode = len(content), file.mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _network(raw: Any) -> Network:
    labels = raw.get("Labels") or {}
    return Network(
        id=raw["Id"],
        name=raw["Name"],
        lab=labels.get(blueprint.LABEL_LAB, ""),
        subnet=labels.get(blueprint.LABEL_SUBNET, ""),
        seed=labels.get(blueprint.LABEL_SEED, ""),
    )


def _container(raw: Any) -> Container:
    labels = raw.get("Labels") or {}
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = [network.get("IPAddress") for network in networks.values()]
    return Container(
        id=raw["Id"],
        name=raw["Names"][0].lstrip("/"),
        lab=labels.get(blueprint.LABEL_LAB, ""),
        role=labels.get(blueprint.LABEL_ROLE, ""),
        node=labels.get(blueprint.LABEL_NODE, ""),
        state=raw["State"],
        config_hash=labels.get(blueprint.LABEL_CONFIG, ""),
        address=next((address for address in addresses if address), ""),
        spec=labels.get(blueprint.LABEL_SPEC, ""),
        image=raw.get("Image", ""),
    )
