"""A Docker Engine: what labctl asks of it, each by the part that does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import requests
from docker import errors as docker_errors

from labctl.engine.access import Access, connection_error
from labctl.engine.actions import AwaitReady, File, Step
from labctl.engine.api_client import ApiClient, EngineTimeouts
from labctl.engine.commands import Commands, Output
from labctl.engine.containers import Containers
from labctl.engine.endpoint import EngineAddress
from labctl.engine.host import Host, PlacedImage
from labctl.engine.image_store import ImageStore
from labctl.engine.networks import Networks
from labctl.engine.observation import Observation
from labctl.engine.observer import EngineInfo, Observer
from labctl.engine.side_container import SideContainer, SideContainers
from labctl.engine.ssh_tunnel import Tunnel
from labctl.engine.starts import Starts
from labctl.engine.streams import ExecStream, LogStream
from labctl.engine.volume_lock import VolumeLocks
from labctl.errors import HostError

TIMEOUTS = EngineTimeouts()


class Engine:
    """A Docker Engine, made of parts that each do one kind of thing.

    Its methods hand on to those parts, where they are described. All raise HostError where the engine refuses or does
    not answer, and LabError where a container, a network or a file is gone.
    """

    def __init__(self, api: Any, tunnel: Tunnel | None = None) -> None:
        self._api = api
        self._tunnel = tunnel  # it ends with this object
        access = Access(api)
        self.observer = Observer(access)
        self.networks = Networks(access)
        self.containers = Containers(access, self.networks)
        self.commands = Commands(access)
        self.side_containers = SideContainers(access)
        self.image_store = ImageStore(access)
        self.locks = VolumeLocks(access)

    # What is there

    def info(self) -> EngineInfo:
        """Version and abilities of the engine."""
        return self.observer.info()

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs."""
        return self.observer.observe(lab)

    def hosts(self, lab: str) -> tuple[Host, ...]:  # noqa: ARG002 - labs of a fleet are (fleet.py)
        """The hosts that a lab is on, or is to be on; none where it is on this engine alone."""
        return ()

    def hosts_of(self, names: Sequence[str]) -> tuple[Host, ...]:  # noqa: ARG002 - as above
        """The hosts that a lab is to be over which wants those of these names; none where not all are known here."""
        return ()

    def require_hosts(self, hosts: Sequence[Host]) -> None:
        """Raise HostError where a lab cannot be over these hosts."""

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on this engine."""
        return self.networks.subnets()

    # Steps

    def apply(self, step: Step) -> None:
        """Do one step of a plan."""
        if isinstance(step, AwaitReady):
            self.commands.await_ready(step)
        else:
            self.containers.apply(step)

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        self.containers.put_files(container, files)

    def find_file(self, container: str, path: str) -> str | None:
        """The text of a file in a container, running or not; None where there is none."""
        return self.containers.find_file(container, path)

    def copy_between(self, source: str, target: str, path: str) -> None:
        """Copy a file or folder of one container to the same place in another."""
        self.containers.copy_between(source, target, path)

    # Commands and logs

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        return self.commands.run(container, command)

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container, with its standard input and output open."""
        return self.commands.open_stream(container, command)

    def start_beside(self, side: SideContainer) -> ExecStream:
        """Start a container beside a lab, with its standard input and output open."""
        return self.side_containers.start(side)

    def logs(
        self, container: str, tail: int | None = None, ago_s: float | None = None, *, stamped: bool = False
    ) -> str:
        """What a container has logged so far."""
        return self.commands.logs(container, tail, ago_s, stamped=stamped)

    def follow_logs(
        self, container: str, tail: int | None = None, since: str = "", *, stamped: bool = False
    ) -> LogStream:
        """What a container logs, as it comes."""
        return self.commands.follow_logs(container, tail, since, stamped=stamped)

    def starts(self, lab: str) -> Starts:
        """What starts or goes on in a lab from now on."""
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

    def image_content(self, reference: str) -> str:
        """What is in an image, in the same words on every engine; "" if it is not present."""
        return self.image_store.image_content(reference)

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

    def save_image(self, reference: str) -> Iterator[bytes]:
        """An image as `docker save` has it, bit by bit."""
        return self.image_store.save(reference)

    def load_image(self, archive: Iterable[bytes]) -> None:
        """Load what `save_image` gave, as it comes."""
        self.image_store.load(archive)

    def lacking(self, images: Iterable[PlacedImage]) -> list[PlacedImage]:  # noqa: ARG002 - as above
        """Of the images that are wanted on hosts, those that are not there: labs on this engine alone lack none."""
        return []

    def send_image(self, image: PlacedImage) -> None:
        """Send one of those that `lacking` names: never asked of one engine."""
        raise TypeError(f"{image.reference} is where it was made, and {image.host} is no host of this engine")

    def tag_image(self, reference: str, name: str) -> None:
        """Give an image another name."""
        self.image_store.tag(reference, name)

    def remove_image(self, reference: str) -> None:
        """Take an image's tag away."""
        self.image_store.remove_image(reference)

    def ask_registry(self, reference: str) -> None:
        """Ask the registry for an image without pulling it."""
        self.image_store.ask_registry(reference)

    def probe(self, image: str, script: str, *, of_machine: bool = False) -> str:
        """What a shell script prints in a new container of an image; `of_machine`: on the network of the engine's
        machine, without a capability."""
        return self.image_store.probe(image, script, of_machine=of_machine)

    def create_idle(self, image: str) -> str:
        """A container of an image that is never started."""
        return self.image_store.create_idle(image)

    def commit(self, container: str, reference: str, labels: dict[str, str]) -> None:
        """Make an image of a container."""
        self.image_store.commit(container, reference, labels)

    def put_archive(self, container: str, archive: bytes) -> None:
        """Put what a tar archive holds into a container, from its root on."""
        self.image_store.put_archive(container, archive)

    def remove_idle(self, container: str) -> None:
        """Remove what create_idle made."""
        self.image_store.remove_idle(container)


def open_endpoint(where: EngineAddress, timeouts: EngineTimeouts = TIMEOUTS) -> Engine:
    """The engine at an endpoint. Raises HostError where none answers in time."""
    arguments, tunnel = where.arguments, None
    if where.url.startswith("ssh://"):
        tunnel = Tunnel(where.url, timeouts.reach_s)
        arguments = {"base_url": f"unix://{tunnel.socket}"}
    try:
        api = ApiClient(timeouts, version="auto", **arguments)
    except (docker_errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
        # ValueError is urllib's, of DOCKER_HOST
        hint = "start it (on Debian: apt-get install docker.io), or set DOCKER_HOST or DOCKER_CONTEXT"
        raise HostError(f"no Docker Engine answers: {connection_error(error)}", hint) from None
    return Engine(api, tunnel)
