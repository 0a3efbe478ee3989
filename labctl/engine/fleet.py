"""Several Docker hosts as one engine: each container is asked for on the host that holds it.

The network of a lab goes over all of them, as the overlay network of the Swarm that they are. Images are made on one
engine, `home`: that of this machine where there is one, else the first host's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from labctl.engine import swarm
from labctl.engine.actions import CreateContainer, CreateNetwork, File, RemoveNetwork, RenameContainer, Step
from labctl.engine.api_client import EngineTimeouts
from labctl.engine.commands import Output
from labctl.engine.engine import Engine
from labctl.engine.fleet_locks import FleetLocks
from labctl.engine.host import Host, PlacedImage, parse
from labctl.engine.member import Member, of_engine, reach_all
from labctl.engine.observation import Container, LostHost, Network, Observation
from labctl.engine.side_container import SideContainer
from labctl.engine.starts import FleetStarts, Starts
from labctl.engine.streams import ExecStream, LogStream
from labctl.errors import HostError, LabctlError, LabError, UsageError
from labctl.timing import Deadline, LookPool, Signal

Answer = TypeVar("Answer")

GONE_S = 10.0
"""How long hosts may take to drop a network of their Swarm. Measured: under 1 s, of three in containers."""

ASK_AGAIN_S = 0.05


def over(names: Sequence[str], home: Engine | None, timeouts: EngineTimeouts) -> Engine:
    """The hosts of these names as one engine. Images are made on `home`, or on the first that answers without it.

    Raises UsageError for a name that is none, HostError where no host answers.
    """
    members = reach_all([Host(name) for name in names], timeouts)
    _refuse_doubles(members)
    maker = home or next((member.engine for member in members if member.engine), None)
    if maker is None:
        lines = [f"the host {member.host.name} does not answer: {member.why}" for member in members]
        raise HostError("\n".join(lines))
    return Fleet(maker, _with_others(members, timeouts), tuple(member.host for member in members))


def with_known_hosts(engine: Engine, timeouts: EngineTimeouts) -> Engine:
    """An engine with the other hosts of the labs that it has a part of; itself where there are none."""
    known = _parsed(engine.observer.hosts_of_labs())
    if not known:
        return engine
    own = of_engine(Host(""), engine)
    own = replace(own, host=next((host for host in known if host.id == own.host.id), own.host))
    others = reach_all([host for host in known if host.id != own.host.id], timeouts)
    return Fleet(engine, _with_others([own, *others], timeouts))


def _parsed(texts: Iterable[str]) -> list[Host]:
    """The hosts of several labels, each once."""
    return [*{host.id: host for text in texts for host in parse(text)}.values()]


def _with_others(members: Sequence[Member], timeouts: EngineTimeouts) -> list[Member]:
    """These hosts, those that the labs on them are on besides, and so on: a lab may have moved since its network was
    made, of which the first hosts alone may know."""
    while others := _others(members, timeouts):
        members = [*members, *others]
    return [*members]


def _others(members: Sequence[Member], timeouts: EngineTimeouts) -> list[Member]:
    """The hosts that the labs on these are on besides."""

    def ask(member: Member) -> set[str]:
        with suppress(LabctlError):  # it is lost since it was reached, and told of where it is looked at
            return member.engine.observer.hosts_of_labs() if member.engine else set()
        return set()

    with LookPool(max_workers=len(members)) as pool:
        named = _parsed(text for several in pool.map(ask, members) for text in several)
    ids, names = {member.host.id for member in members}, {member.host.name for member in members}
    return reach_all([host for host in named if host.id not in ids and host.name not in names], timeouts)


def _refuse_doubles(members: Sequence[Member]) -> None:
    """Raise UsageError where two names lead to one engine."""
    first: dict[str, str] = {}
    for member in members:
        key = member.host.id or member.host.name
        if key in first:
            raise UsageError(f"--hosts: {member.host.name} is {first[key]} once more", "each host once")
        first[key] = member.host.name


class Fleet(Engine):
    """Several hosts. `wanted` are those that labs are to be made over; without any, each lab stays where it is, and
    those on `home` alone are as they would be without a fleet."""

    def __init__(self, home: Engine, members: Sequence[Member], wanted: tuple[Host, ...] = ()) -> None:
        super().__init__(home._api)
        self._home = home
        self._members = tuple(members)
        self._wanted = wanted
        self._holders: dict[str, Engine] = {}
        answering = sorted((member for member in members if member.engine), key=lambda member: member.host.id)
        self._answering = tuple(sorted(answering, key=lambda member: not member.manager))
        self.locks = FleetLocks([member.engine.locks for member in answering if member.engine])

    # Hosts

    def hosts(self, lab: str) -> tuple[Host, ...]:
        """The hosts that a lab is on, or is to be on; none where it is on one engine."""
        if self._wanted:
            return self._wanted
        return _hosts_of(self.observe(lab))

    def hosts_of(self, names: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that a lab is to be over which wants those of these names: those that the fleet is wanted for, or
        else these; none where not all are known here."""
        known = {member.host.name: member.host for member in self._members}
        here = all(name in known for name in names)
        return self._wanted or tuple(known[name] for name in names if here)

    def require_hosts(self, hosts: Sequence[Host]) -> None:
        """Raise HostError where some of these do not answer, or are not one Swarm with a manager among them."""
        names = {host.name for host in hosts}
        members = [member for member in self._members if member.host.name in names]
        lost = [member for member in members if not member.engine]
        if lost:
            lines = (f"the host {member.host.name} does not answer: {member.why}" for member in lost)
            raise HostError("\n".join(lines), "labctl ps tells what is left; up mends the lab once it is back")
        if members:
            swarm.review([member.swarm for member in members], self._swarm_nodes(members))

    def _swarm_nodes(self, members: Sequence[Member]) -> frozenset[str]:
        manager = next((member for member in members if member.manager and member.engine), None)
        return manager.engine.networks.swarm_nodes() if manager and manager.engine else frozenset()

    def lacking(self, images: Iterable[PlacedImage]) -> list[PlacedImage]:
        """Of the images that are wanted on hosts, those that are not there; another one of that name is not it."""
        wanted = [image for image in dict.fromkeys(images) if image.host]

        def lacks(image: PlacedImage) -> bool:
            engine = self._named(image.host)
            there = engine.image_id(image.reference)
            if not there or image.id in ("", there):
                return not there
            # Engines that store images in another way give the same one another id.
            return engine.image_content(image.reference) != self._source(image).image_content(image.reference)

        with LookPool(max_workers=max(1, len(wanted))) as pool:
            return [image for image, is_lacking in zip(wanted, pool.map(lacks, wanted), strict=True) if is_lacking]

    def send_image(self, image: PlacedImage) -> None:
        """Send an image from the engine that has it to a host, as it comes: no file lies between."""
        self._named(image.host).load_image(self._source(image).save_image(image.reference))

    def _source(self, image: PlacedImage) -> Engine:
        """The engine that has an image; of one that none has, that on which images are made."""
        engines = [self._home, *(member.engine for member in self._answering if member.engine)]
        ids = ((engine, engine.image_id(image.reference)) for engine in engines)
        return next((engine for engine, there in ids if there and image.id in ("", there)), self._home)

    def _named(self, host: str) -> Engine:
        """The engine of a host. Raises HostError where it does not answer."""
        for member in self._members:
            if member.host.name == host and member.engine:
                return member.engine
        raise HostError(f"the host {host} does not answer", "labctl ps tells what is left of the lab")

    # What is there

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs, on the hosts that answer; and those that do not."""
        seen: list[tuple[Member, Observation]] = []
        lost = {member.host.name: member.why for member in self._members if not member.engine}
        for member, answer in self._ask_all(lambda engine: engine.observe(lab)):
            if isinstance(answer, LabctlError):
                lost[member.host.name] = answer.message
            else:
                seen.append((member, answer))
        containers: list[Container] = []
        networks: dict[str, Network] = {}
        for member, part in seen:
            assert member.engine
            for container in part.containers:
                self._holders[container.id] = self._holders[container.name] = member.engine
                containers.append(replace(container, host=member.host.name if container.hosts else ""))
            for network in part.networks:
                self._holders.setdefault(network.id, member.engine)  # managers are asked first
                networks.setdefault(network.id, network)
        whole = Observation(
            tuple(sorted(networks.values(), key=lambda network: network.name)),
            tuple(sorted(containers, key=lambda container: container.name)),
        )
        return replace(whole, lost=self._lost(whole, lost))

    def _lost(self, observation: Observation, why: dict[str, str]) -> tuple[LostHost, ...]:
        """The hosts that are missed: of those that what is left tells of, or else of those that are wanted."""
        named = {word for host in self._wanted for word in (host.name, host.url)} - {""}
        return tuple(
            LostHost(host.name, why[host.name], host.parts, not named or not named.isdisjoint((host.name, host.url)))
            for host in _hosts_of(observation) or self._wanted
            if host.name in why
        )

    def _ask_all(self, ask: Callable[[Engine], Answer]) -> list[tuple[Member, Answer | LabctlError]]:
        """What every host that answers says, or the error that it answers with; managers first."""

        def one(member: Member) -> Answer | LabctlError:
            assert member.engine
            try:
                return ask(member.engine)
            except LabctlError as error:
                return error

        with LookPool(max_workers=max(1, len(self._answering))) as pool:
            return list(zip(self._answering, pool.map(one, self._answering), strict=True))

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on any host."""
        answers = self._ask_all(lambda engine: engine.subnets())
        return [subnet for _, answer in answers if not isinstance(answer, LabctlError) for subnet in answer]

    def _holder(self, container: str) -> Engine:
        """The engine that has a container, by its name or id. Raises LabError where none has."""
        if container not in self._holders:
            self.observe()
        if container not in self._holders:
            raise LabError(f"{container} is on none of the hosts that answer", "labctl up makes what is missing")
        return self._holders[container]

    # Steps

    def apply(self, step: Step) -> None:
        """Do one step of a plan, on the host that it is for."""
        if isinstance(step, CreateNetwork):
            (self._manager() if step.overlay else self._home).apply(step)
        elif isinstance(step, RemoveNetwork):
            self._holders.get(step.id, self._home).apply(step)
            self._await_gone(step.id)
        elif isinstance(step, CreateContainer):
            engine = self._named(step.container.host) if step.container.host else self._home
            engine.apply(step)
            self._holders[step.container.name] = engine
        else:
            engine = self._holder(getattr(step, "id", "") or step.name)
            engine.apply(step)
            if isinstance(step, RenameContainer):
                self._holders[step.to] = engine

    def _manager(self) -> Engine:
        for member in self._answering:
            if member.manager and member.engine:
                return member.engine
        raise HostError("no host that answers is a manager of the Swarm: only one makes its networks")

    def _await_gone(self, network: str) -> None:
        """Return when no host lists a network that was taken away: each drops it by itself, as it hears of that.

        After GONE_S it is left at that: whoever takes a lab away next finds it where it still is.
        """
        deadline, again = Deadline(GONE_S), Signal()
        while not deadline.passed:
            answers = [answer for _, answer in self._ask_all(lambda engine: engine.networks.lists(network))]
            if True not in answers:
                return
            again.wait_beyond(again.count, Deadline(ASK_AGAIN_S))

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        self._holder(container).put_files(container, files)

    def find_file(self, container: str, path: str) -> str | None:
        """The text of a file in a container, running or not; None where there is none."""
        return self._holder(container).find_file(container, path)

    def copy_between(self, source: str, target: str, path: str) -> None:
        """Copy a file or folder of one container to the same place in another on the same host."""
        self._holder(source).copy_between(source, target, path)

    # Commands and logs

    def run(self, container: str, command: list[str]) -> Output:
        """Run a command in a container, to its end."""
        return self._holder(container).run(container, command)

    def open_stream(self, container: str, command: list[str]) -> ExecStream:
        """Start a command in a container, with its standard input and output open."""
        return self._holder(container).open_stream(container, command)

    def start_beside(self, side: SideContainer) -> ExecStream:
        """Start a container beside a lab: on the host of the container whose network it has."""
        return (self._holder(side.beside) if side.beside else self._home).start_beside(side)

    def logs(
        self, container: str, tail: int | None = None, ago_s: float | None = None, *, stamped: bool = False
    ) -> str:
        """What a container has logged so far."""
        return self._holder(container).logs(container, tail, ago_s, stamped=stamped)

    def follow_logs(
        self, container: str, tail: int | None = None, since: str = "", *, stamped: bool = False
    ) -> LogStream:
        """What a container logs, as it comes."""
        return self._holder(container).follow_logs(container, tail, since, stamped=stamped)

    def starts(self, lab: str) -> Starts:
        """What starts or goes on in a lab from now on, on any of its hosts that answer."""
        names = {host.name for host in self.hosts(lab)}
        if not names:
            return self._home.starts(lab)
        of_each: list[Starts] = []
        for member in self._answering:
            if member.engine and member.host.name in names:
                with suppress(LabctlError):
                    of_each.append(member.engine.starts(lab))
        return FleetStarts(of_each)

    def read_file(self, container: str, path: str) -> str:
        """The text of a file in a container."""
        return self._holder(container).read_file(container, path)


def _hosts_of(observation: Observation) -> tuple[Host, ...]:
    """The hosts that the labels of what is there name: of a lab's containers, which are made anew as its hosts change,
    and of its network where that alone is left."""
    of_containers = [part for part in observation.containers if part.hosts]
    labs = {part.lab for part in of_containers}
    texts = [part.hosts for part in of_containers]
    texts += [network.hosts for network in observation.networks if network.lab not in labs]
    hosts: dict[str, Host] = {}
    for text in dict.fromkeys(texts):
        for host in parse(text):
            hosts.setdefault(host.name, host)
    return tuple(hosts.values())
