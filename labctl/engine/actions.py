"""What is to be done to Docker: steps as frozen data, which `--dry-run` prints and the engine applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

NO_ROUTER = {
    "com.docker.network.bridge.enable_ip_masquerade": "false",
    "com.docker.network.bridge.inhibit_ipv4": "true",
}
"""Options of a bridge network that keep in it what is in it, where Docker's filter does not: the bridge has no address
(the default route of its containers leads to one that nobody has), and addresses are not translated
(docs.docker.com/engine/network/drivers/bridge, options)."""


@dataclass(frozen=True)
class File:
    """A file to put into a container, owned by root; `group` is one of the container's own groups, by name."""

    path: str
    text: str
    mode: int = 0o644
    group: str = ""

    @property
    def plain_mode(self) -> int:
        """Its mode where groups go by number alone, which is the image's own affair: for all, then."""
        return self.mode | 0o044 if self.group else self.mode


@dataclass(frozen=True)
class ContainerSpec:
    """All that makes a container what it is.

    `image_id` is "" as long as the image is not there. One that does not start with the lab is started by whoever
    needs it. No process in it gains privileges by setuid programs (no-new-privileges). `command` is what it runs, the
    image's own where there is none. Other containers of its network find it by its hostname. `host` is the Docker host
    that it is on, "" where the lab is on one engine.
    """

    name: str
    image: str
    image_id: str
    hostname: str
    network: str
    address: str
    files: tuple[File, ...]
    labels: tuple[tuple[str, str], ...]
    capabilities: tuple[str, ...] = ()
    shm_bytes: int | None = None
    init: bool = False
    starts: bool = True
    processes: int | None = None
    memory_bytes: int | None = None
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    host: str = ""


@dataclass(frozen=True)
class CreateNetwork:
    """Make a bridge network that nothing leaves.

    `internal`: by Docker's own filter, which lets no multicast pass, not even within the network. Where that is
    False, the network has no router instead: its bridge has no address, and addresses are not translated. `overlay`: it
    is no bridge of one machine, but goes over all hosts of a Swarm; made on one of its managers.
    """

    name: str
    subnet: str
    labels: tuple[tuple[str, str], ...]
    internal: bool = True
    overlay: bool = False

    def __str__(self) -> str:
        return f"create {'overlay ' if self.overlay else ''}network {self.name} {self.subnet}"


@dataclass(frozen=True)
class CreateContainer:
    """Make a container and put its files into it; it does not run yet."""

    container: ContainerSpec

    def __str__(self) -> str:
        place = f" on {self.container.host}" if self.container.host else ""
        return f"create {self.container.name} {self.container.address} from {self.container.image}{place}"


@dataclass(frozen=True)
class _ToContainer:
    """What is done to a container that exists, by its name."""

    name: str
    word: ClassVar[str]

    def __str__(self) -> str:
        return f"{self.word} {self.name}"


def mac_of(address: str) -> str:
    """The MAC of a container, by its IPv4 address: as Docker's bridges made them until 28.0 (GenerateMACFromIP)."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


class StartContainer(_ToContainer):
    """Start a container that exists."""

    word = "start"


class KillContainer(_ToContainer):
    """End a container at once (SIGKILL); it stays, and can be started again."""

    word = "kill"


class StopContainer(_ToContainer):
    """Ask a container to end (SIGTERM); it stays, and can be started again."""

    word = "stop"


class PauseContainer(_ToContainer):
    """Freeze every process of a container."""

    word = "pause"


class UnpauseContainer(_ToContainer):
    """Let a paused container go on."""

    word = "unpause"


@dataclass(frozen=True)
class AwaitReady:
    """Wait until a line of shell in a container ends with 0."""

    name: str
    command: str
    timeout_s: float

    def __str__(self) -> str:
        return f"wait for {self.name}"


@dataclass(frozen=True)
class RenameContainer:
    """Give a container another name."""

    name: str
    to: str

    def __str__(self) -> str:
        return f"rename {self.name} to {self.to}"


@dataclass(frozen=True)
class RemoveContainer:
    """End a container and take it away with its volumes."""

    name: str
    id: str

    def __str__(self) -> str:
        return f"remove {self.name}"


@dataclass(frozen=True)
class RemoveNetwork:
    """Take a network away."""

    name: str
    id: str

    def __str__(self) -> str:
        return f"remove network {self.name}"


Step = (
    CreateNetwork
    | CreateContainer
    | StartContainer
    | KillContainer
    | StopContainer
    | PauseContainer
    | UnpauseContainer
    | AwaitReady
    | RenameContainer
    | RemoveContainer
    | RemoveNetwork
)
Chain = tuple[Step, ...]
"""Steps to be done one after the other."""
Plan = tuple[tuple[Chain, ...], ...]
"""Stages, one after the other; within a stage the chains go side by side."""


def flatten(plan: Plan) -> list[Step]:
    """Every step of a plan, in an order in which it could be done."""
    return [step for stage in plan for chain in stage for step in chain]
