"""The containers that the phones of a lab are in: one, or of a lab over several Docker hosts one on each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labctl.blueprint import addresses
from labctl.blueprint.placement import phones_of
from labctl.blueprint.running_lab import Running
from labctl.engine.actions import File, StartContainer
from labctl.engine.client import Engine
from labctl.engine.commands import Output
from labctl.engine.streams import ExecStream
from labctl.names import PHONES_HOST, ROLE_PHONES, phones_host
from labctl.sip import kept_agents
from labctl.sip.container_files import KEPT, run_script
from labctl.sip.kept_agents import KeptAgent


@dataclass(frozen=True)
class PhoneContainer:
    """A container of phones: its id and its address."""

    id: str
    address: str


class PhoneContainers:
    """Which container each phone is in, that on its node's Docker host or the only one, and what is done there.

    Raises LabError where there is none at all.
    """

    def __init__(self, engine: Engine, running: Running) -> None:
        observation = running.observation
        containers = {one.node: one for one in observation.containers if one.role == ROLE_PHONES}
        if not containers or not observation.networks:
            raise running.missing(PHONES_HOST)
        self._engine = engine
        self._running = running
        self._begun = {one.id for one in containers.values() if one.state == "running"}
        hosts = {one.node: one.host for one in observation.containers if one.host}
        self._of = {
            phone: PhoneContainer(container.id, addresses.phones_address(observation.networks[0].subnet, number))
            for phone, number in phones_of(running.lab, hosts).items()
            if (container := containers.get(phones_host(number)))
        }

    def open(self, files: tuple[File, ...]) -> None:
        """Start those that there are, with files in them: nobody needed them until now."""

        def begin(container: PhoneContainer) -> None:
            self._engine.apply(StartContainer(container.id))
            self._engine.put_files(container.id, files)

        with ThreadPoolExecutor(max_workers=max(1, len(self.all))) as pool:
            list(pool.map(begin, self.all))
        self._begun = {container.id for container in self.all}

    @property
    def all(self) -> frozenset[PhoneContainer]:
        """Those that hold a phone."""
        return frozenset(self._of.values())

    def of(self, phone: str) -> PhoneContainer:
        """That of a phone. Raises LabError where it is gone, or its Docker host is lost."""
        if phone not in self._of:
            lost = self._running.observation.lost
            raise self._running.missing(self._running.lab.phone(phone).node if lost else PHONES_HOST)
        return self._of[phone]

    def kept(self) -> tuple[KeptAgent, ...]:
        """The agents that were left on in them."""
        agents: list[KeptAgent] = []
        for container in self.all:
            if container.id not in self._begun:
                continue
            listing = self._engine.run(container.id, run_script("list-kept", KEPT))
            here = {phone for phone, its_own in self._of.items() if its_own == container}
            agents += (agent for agent in kept_agents.parse(listing.text) if agent.phone in here)
        return tuple(agents)

    def put_files(self, phone: str, files: tuple[File, ...]) -> None:
        """Put files into a phone's container."""
        self._engine.put_files(self.of(phone).id, files)

    def run(self, phone: str, command: list[str]) -> Output:
        """Run a command in a phone's container."""
        return self._engine.run(self.of(phone).id, command)

    def stream(self, container: PhoneContainer, script: str, *arguments: str) -> ExecStream:
        """Run a script of labctl's in a container, and follow what it says."""
        return self._engine.open_stream(container.id, run_script(script, *arguments))
