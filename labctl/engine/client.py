"""A Docker Engine: what labctl asks of it, each by the part that does it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import docker
import requests
from docker import errors as docker_errors

from labctl.engine.access import Access
from labctl.engine.actions import File, Step
from labctl.engine.commands import Commands, Output
from labctl.engine.containers import Containers
from labctl.engine.image_store import ImageStore
from labctl.engine.networks import Networks, SubnetTaken
from labctl.engine.observation import Observation
from labctl.engine.observer import EngineInfo, Observer
from labctl.engine.streams import ExecStream, LogStream
from labctl.engine.volume_lock import VolumeLocks
from labctl.errors import HostError

__all__ = ["Engine", "EngineInfo", "ExecStream", "LogStream", "Output", "SubnetTaken", "connect"]

API_TIMEOUT_S = 60


class Engine:
    """A Docker Engine, made of parts that each do one kind of thing.

    Its methods hand on to those parts, where they are described. All raise HostError where the engine refuses or does
    not answer, and LabError where a container, a network or a file is gone.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        access = Access(api)
        self.observer = Observer(access)
        self.networks = Networks(access)
        self.containers = Containers(access, self.networks)
        self.commands = Commands(access)
        self.image_store = ImageStore(access)
        self.locks = VolumeLocks(access)

    # What is there

    def info(self) -> EngineInfo:
        """Version and abilities of the engine."""
        return self.observer.info()

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs."""
        return self.observer.observe(lab)

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on this engine."""
        return self.networks.subnets()

    # Steps

    def apply(self, step: Step) -> None:
        """Do one step of a plan."""
        self.containers.apply(step)

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        self.containers.put_files(container, files)

    # Commands and logs

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        return self.commands.run(container, command)

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container, with its standard input and output open."""
        return self.commands.open_stream(container, command)

    def logs(self, container: str, tail: int | None = None, since: int | None = None) -> str:
        """What a container has logged so far."""
        return self.commands.logs(container, tail, since)

    def follow_logs(self, container: str, tail: int | None = None, since: int | None = None) -> LogStream:
        """What a container logs, as it comes."""
        return self.commands.follow_logs(container, tail, since)

    def follow_lines(self, container: str, tail: int | None = None) -> Generator[str, None, None]:
        """What a container logs, line by line, until it ends."""
        return self.commands.follow_lines(container, tail)

    def starts(self, lab: str) -> Iterator[str]:
        """The name of each container of the lab that starts from now on."""
        return self.commands.starts(lab)

    def read_file(self, container: str, path: str) -> str:
        """The text of a file in a container."""
        return self.commands.read_file(container, path)

    # Images

    def images(self) -> dict[str, str]:
        """The tags of every image that is present, with the image's id."""
        return self.image_store.tags()

    def image_id(self, reference: str) -> str:
        """The id of an image, or "" if it is not present."""
        return self.image_store.image_id(reference)

    def image_labels(self, reference: str) -> dict[str, str] | None:
        """The labels of an image, or None if it is not present."""
        return self.image_store.image_labels(reference)

    def pull(self, reference: str) -> None:
        """Pull an image."""
        self.image_store.pull(reference)

    def import_image(self, archive: Any, reference: str, labels: dict[str, str]) -> None:
        """Make an image of a tar archive."""
        self.image_store.import_image(archive, reference, labels)

    def build(
        self, archive: bytes, tag: str, args: dict[str, str], labels: dict[str, str], fresh: bool = False
    ) -> Iterator[str]:
        """Build an image, giving the builder's output as it comes."""
        return self.image_store.build(archive, tag, args, labels, fresh)

    def remove_image(self, reference: str) -> None:
        """Take an image's tag away."""
        self.image_store.remove_image(reference)

    def ask_registry(self, reference: str) -> None:
        """Ask the registry for an image without pulling it."""
        self.image_store.ask_registry(reference)

    def probe(self, image: str, script: str) -> str:
        """What a shell script prints in a new container of an image."""
        return self.image_store.probe(image, script)

    def create_idle(self, image: str) -> str:
        """A container of an image that is never started."""
        return self.image_store.create_idle(image)

    def commit(self, container: str, reference: str, labels: dict[str, str]) -> None:
        """Make an image of a container."""
        self.image_store.commit(container, reference, labels)

    def remove_idle(self, container: str) -> None:
        """Remove what create_idle made."""
        self.image_store.remove_idle(container)


def connect(timeout_s: int = API_TIMEOUT_S) -> Engine:
    """The engine that DOCKER_HOST or the default socket leads to. Raises HostError."""
    try:
        return Engine(docker.from_env(version="auto", timeout=timeout_s).api)
    except (docker_errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
        hint = "start it (on Debian: apt-get install docker.io), or set DOCKER_HOST"
        raise HostError(f"no Docker Engine answers: {error}", hint) from None  # ValueError: urllib's, of DOCKER_HOST
