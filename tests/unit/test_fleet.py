"""Several hosts as one engine: each container is asked for where it is, and a host that is lost is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from labctl.engine import client, endpoint, fleet, member
from labctl.engine import engine as one_engine
from labctl.engine.actions import (
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    Step,
)
from labctl.engine.api_client import EngineTimeouts
from labctl.engine.commands import Output
from labctl.engine.engine import Engine
from labctl.engine.fleet import Fleet
from labctl.engine.fleet_locks import FleetLocks
from labctl.engine.host import Host, PlacedImage, dump, parse
from labctl.engine.member import Member
from labctl.engine.observation import Container, LostHost, Network, Observation
from labctl.engine.side_container import SideContainer
from labctl.engine.swarm import SwarmState
from labctl.engine.volume_lock import VolumeLocks
from labctl.errors import HostError, LabError, UsageError
from labctl.names import LABEL_HOSTS, LABEL_LAB

ONE, TWO = Host("one", "ssh://one", "id-1", ("n1", "phones")), Host("two", "ssh://two", "id-2", ("n2",))
LABEL = dump([ONE, TWO])


@dataclass
class Locks:
    """Locks of one host: who holds each."""

    held: dict[str, str] = field(default_factory=dict)
    failing: bool = False

    def take(self, name: str, process: str) -> str:
        self._check()
        return self.held.setdefault(name, process)

    def release(self, name: str) -> None:
        self._check()
        self.held.pop(name, None)

    def _check(self) -> None:
        if self.failing:
            raise HostError("it is gone")


@dataclass
class Started:
    """What has started on a host, which hangs up then."""

    names: list[str]
    closed: bool = False

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def close(self) -> None:
        """Remember that."""
        self.closed = True


@dataclass
class FakeHost:
    """An engine of one host, which does what it is told and remembers it."""

    containers: list[Container] = field(default_factory=list)
    networks_there: list[Network] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    images_there: dict[str, str] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    loaded: list[bytes] = field(default_factory=list)
    beside: list[SideContainer] = field(default_factory=list)
    lost: bool = False
    locks: Locks = field(default_factory=Locks)
    lists_for: int = 0
    _api: Any = None

    def observe(self, lab: str | None = None) -> Observation:
        if self.lost:
            raise HostError("look for labs: it hung up")
        return Observation(
            tuple(self.networks_there), tuple(part for part in self.containers if lab in (None, part.lab))
        )

    @property
    def networks(self) -> FakeHost:
        """The part of it that knows networks."""
        return self

    def apply(self, step: Step) -> None:
        self.done.append(str(step))

    def run(self, container: str, command: list[str]) -> Output:
        return Output(0, f"{container} {' '.join(command)}")

    def lists(self, network: str) -> bool:
        """So often it lists a network that is gone."""
        self.lists_for -= 1
        return self.lists_for >= 0

    def subnets(self) -> list[str]:
        return [network.subnet for network in self.networks_there]

    def image_id(self, reference: str) -> str:
        return self.images_there.get(reference, "")

    def image_content(self, reference: str) -> str:
        return self.contents.get(reference, self.image_id(reference))

    def save_image(self, reference: str) -> Iterator[bytes]:
        assert reference in self.images_there
        yield f"{reference}={self.image_content(reference)}".encode()

    def load_image(self, archive: Iterable[bytes]) -> None:
        """As the archive of an engine that stores images in another way: the image has another id here."""
        for text in archive:
            self.loaded.append(text)
            reference, _, content = text.decode().partition("=")
            self.images_there[reference], self.contents[reference] = f"here-{content}", content

    def start_beside(self, side: SideContainer) -> None:
        self.beside.append(side)

    def starts(self, lab: str) -> Started:
        if self.lost:
            raise HostError("it hung up")
        self.followed = Started([f"{lab} {part.name}" for part in self.containers])
        return self.followed


def part(node: str, hosts: str = LABEL) -> Container:
    return Container(f"id-{node}", f"labctl-lab-{node}", "lab", "node", node, "running", "hash", hosts=hosts)


def network(hosts: str = LABEL) -> Network:
    return Network("net", "labctl-lab", "lab", "198.18.7.0/24", "seed", overlay=True, hosts=hosts)


def spec(node: str, host: str) -> ContainerSpec:
    return ContainerSpec(f"labctl-lab-{node}", "image", "", node, "labctl-lab", "198.18.7.12", (), (), host=host)


def of(host: Host, engine: FakeHost | None, *, manager: bool = False, why: str = "") -> Member:
    return Member(host, cast(Any, engine), why, SwarmState(host, active=True, node=host.id, manager=manager))


@pytest.fixture
def one() -> FakeHost:
    return FakeHost([part("n1")], [network()])


@pytest.fixture
def two() -> FakeHost:
    return FakeHost([part("n2")], [network()])


@pytest.fixture
def home() -> FakeHost:
    return FakeHost()


@pytest.fixture
def both(home: FakeHost, one: FakeHost, two: FakeHost) -> Fleet:
    return Fleet(cast(Any, home), [of(ONE, one), of(TWO, two, manager=True)], (ONE, TWO))


def test_what_is_there_is_seen_on_all_hosts_and_the_network_once(both: Fleet) -> None:
    there = both.observe("lab")
    assert [(container.node, container.host) for container in there.containers] == [("n1", "one"), ("n2", "two")]
    assert (len(there.networks), there.lost) == (1, ())
    assert sorted(both.subnets()) == ["198.18.7.0/24"] * 2


def test_a_container_is_asked_on_the_host_that_has_it(both: Fleet, one: FakeHost, two: FakeHost) -> None:
    assert both.run("labctl-lab-n2", ["true"]).text == "labctl-lab-n2 true"
    both.apply(StartContainer("labctl-lab-n2"))
    both.apply(RenameContainer("labctl-lab-n1", "labctl-lab-n9"))
    both.apply(StartContainer("labctl-lab-n9"))
    assert two.done == ["start labctl-lab-n2"]
    assert one.done == ["rename labctl-lab-n1 to labctl-lab-n9", "start labctl-lab-n9"]
    with pytest.raises(LabError, match="labctl-lab-n7 is on none of the hosts"):
        both.run("labctl-lab-n7", ["true"])


def test_what_is_made_is_made_where_it_is_to_be(both: Fleet, home: FakeHost, one: FakeHost, two: FakeHost) -> None:
    both.apply(CreateNetwork("labctl-lab", "198.18.7.0/24", (), overlay=True))
    both.apply(CreateContainer(spec("n3", "one")))
    both.apply(StartContainer("labctl-lab-n3"))
    both.apply(CreateContainer(spec("n4", "")))
    both.apply(CreateNetwork("labctl-lab", "198.18.7.0/24", ()))
    assert two.done == ["create overlay network labctl-lab 198.18.7.0/24"]  # the manager
    assert one.done == ["create labctl-lab-n3 198.18.7.12 from image on one", "start labctl-lab-n3"]
    assert [line.split()[1] for line in home.done] == ["labctl-lab-n4", "network"]


def test_the_network_is_taken_away_by_the_manager(both: Fleet, one: FakeHost, two: FakeHost) -> None:
    both.observe()
    one.lists_for = 2
    both.apply(RemoveNetwork("labctl-lab", "net"))
    assert (one.done, two.done) == ([], ["remove network labctl-lab"])
    assert one.lists_for == -1, "it was asked until it did not list the network any more"


def test_images_go_to_the_hosts_that_lack_them_from_one_that_has_them(
    both: Fleet, one: FakeHost, two: FakeHost
) -> None:
    one.images_there["image:1"] = "sha256:1"
    at_one, at_two = (PlacedImage(host, "image:1") for host in ("one", "two"))
    assert both.lacking([at_one, at_two, at_two, PlacedImage("", "x")]) == [at_two]
    both.send_image(at_two)
    assert (one.loaded, two.loaded) == ([], [b"image:1=sha256:1"])


def test_another_image_of_the_name_makes_way_for_the_one_that_is_wanted_once(
    both: Fleet, home: FakeHost, one: FakeHost, two: FakeHost
) -> None:
    one.images_there["image:1"], two.images_there["image:1"] = "sha256:new", "sha256:old"
    home.images_there["image:1"] = "sha256:older"
    wanted = [PlacedImage(host, "image:1", "sha256:new") for host in ("one", "two")]
    assert both.lacking(wanted) == wanted[1:]
    both.send_image(wanted[1])
    assert (one.loaded, two.loaded) == ([], [b"image:1=sha256:new"])
    assert two.images_there["image:1"] != wanted[1].id, "that engine calls the same image by another id"
    assert both.lacking(wanted) == []


def test_a_host_that_does_not_answer_is_lost_with_what_was_on_it(home: FakeHost, one: FakeHost) -> None:
    half = Fleet(cast(Any, home), [of(ONE, one, manager=True), of(TWO, None, why="no route")])
    assert half.observe("lab").lost == (LostHost("two", "no route", ("n2",)),)
    assert half.hosts("lab") == (ONE, TWO)
    with pytest.raises(HostError, match="the host two does not answer: no route"):
        half.require_hosts((ONE, TWO))
    with pytest.raises(HostError, match="the host two does not answer"):
        half.apply(CreateContainer(spec("n2", "two")))


def test_a_host_that_hangs_up_meanwhile_is_lost_too(both: Fleet, two: FakeHost) -> None:
    two.lost = True
    assert both.observe("lab").lost == (LostHost("two", "look for labs: it hung up", ("n2",)),)


def test_a_lab_on_one_engine_beside_one_over_hosts_stays_as_it_is(home: FakeHost, one: FakeHost) -> None:
    one.containers = [part("n1"), Container("id", "labctl-other-n1", "other", "node", "n1", "running", "hash")]
    one.networks_there = [network(), Network("bridge", "labctl-other", "other", "198.18.8.0/24", "seed")]
    known = Fleet(cast(Any, one), [of(ONE, one), of(TWO, None, why="no route")])
    one.networks_there.pop(0)
    there = known.observe("other")
    assert [container.host for container in there.containers] == [""]
    assert (known.hosts("other"), there.lost) == ((), ())


def test_a_container_is_beside_another_on_its_host_or_else_at_home(
    both: Fleet, home: FakeHost, one: FakeHost, two: FakeHost
) -> None:
    side = SideContainer("labctl-lab-capture", "image", (), (), (), 1, 1)
    both.start_beside(side)
    both.start_beside(replace(side, beside="labctl-lab-n2"))
    assert [[at.beside for at in host.beside] for host in (home, one, two)] == [[""], [], ["labctl-lab-n2"]]


def test_starts_come_from_every_host(both: Fleet, one: FakeHost, two: FakeHost) -> None:
    starts = both.starts("lab")
    assert {*starts} == {"lab labctl-lab-n1", "lab labctl-lab-n2"}
    starts.close()
    assert (one.followed.closed, two.followed.closed) == (True, True)


def test_a_host_that_is_lost_tells_of_no_starts_and_of_a_lab_on_one_engine_none_but_that(
    home: FakeHost, one: FakeHost, two: FakeHost
) -> None:
    two.lost = True
    over = Fleet(cast(Any, home), [of(ONE, one), of(TWO, two, manager=True)], (ONE, TWO))
    assert [*over.starts("lab")] == ["lab labctl-lab-n1"]
    one.containers = [Container("id", "labctl-other-n1", "other", "node", "n1", "running", "hash")]
    one.networks_there = []
    known = Fleet(cast(Any, one), [of(ONE, one), of(TWO, two)])
    assert [*known.starts("other")] == ["other labctl-other-n1"]


def test_a_lock_is_held_on_every_host_or_on_none() -> None:
    first, second = Locks(), Locks({"lab": "another"})
    locks = FleetLocks([cast(VolumeLocks, first), cast(VolumeLocks, second)])
    assert (locks.take("lab", "this"), first.held) == ("another", {})
    locks.release("lab")
    assert locks.take("lab", "this") == "this"
    assert (first.held, second.held) == ({"lab": "this"}, {"lab": "this"})


def test_a_host_that_fails_keeps_the_locks_of_no_other() -> None:
    first, second, third = Locks(), Locks(), Locks()
    locks = FleetLocks([cast(VolumeLocks, one) for one in (first, second, third)])
    assert locks.take("lab", "this") == "this"
    second.failing = True
    with pytest.raises(HostError):
        locks.release("lab")
    assert (first.held, third.held) == ({}, {})
    with pytest.raises(HostError):
        locks.take("lab", "this")
    assert first.held == {}


def test_the_label_is_read_back_and_any_other_text_is_none() -> None:
    assert parse(LABEL) == (ONE, TWO)
    assert parse("") == parse("[1]") == parse('{"name": 1}') == ()


def test_two_names_of_one_engine_are_refused(monkeypatch: pytest.MonkeyPatch, home: FakeHost) -> None:
    monkeypatch.setattr(fleet, "reach_all", lambda hosts, _: [of(Host(host.name, "", "id"), home) for host in hosts])
    with pytest.raises(UsageError, match="--hosts: b is a once more"):
        fleet.over(["a", "b"], cast(Any, home), EngineTimeouts())


class FakeApi:
    """docker-py's client, which only says who it is."""

    def __init__(self, _: EngineTimeouts, **arguments: Any) -> None:
        if "gone" in str(arguments.get("base_url")):
            raise OSError(113, "No route to host")

    def info(self) -> dict[str, Any]:
        return {"ID": "id-9", "Swarm": {}}


def test_a_host_is_reached_by_its_context_or_by_the_address_on_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_engine, "ApiClient", FakeApi)
    there = member.reach(Host("tcp://there:2375"), EngineTimeouts())
    assert (there.host.id, bool(there.engine)) == ("id-9", True)
    gone = member.reach(Host("tcp://gone:2375"), EngineTimeouts())
    assert (gone.engine, gone.why) == (None, "No route to host")
    other = member.reach(Host("here-no-such-context", "tcp://there:2375", "id-1"), EngineTimeouts())
    assert (other.engine, other.why) == (None, "another engine answers in its place")
    with pytest.raises(UsageError, match="no Docker context `here-no-such-context`"):
        member.reach(Host("here-no-such-context"), EngineTimeouts())


def test_without_labs_over_hosts_the_engine_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(FakeApi):
        def containers(self, **_: Any) -> list[Any]:
            return []

        networks = containers

    monkeypatch.setattr(one_engine, "ApiClient", Bare)
    monkeypatch.setattr(endpoint, "of_environment", endpoint.EngineAddress)
    assert type(client.connect()) is Engine


def labelled(hosts: list[Host], lab: str = "lab") -> dict[str, Any]:
    return {"Labels": {LABEL_LAB: lab, LABEL_HOSTS: dump(hosts)}}


@dataclass
class Labels:
    """docker-py's client of a host that has these containers and networks of labs over several."""

    id: str
    of_containers: list[dict[str, Any]] = field(default_factory=list)
    of_networks: list[dict[str, Any]] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        return {"ID": self.id}

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return self.of_containers

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return self.of_networks


def test_the_label_of_a_network_counts_where_no_container_of_its_lab_is() -> None:
    three = Host("three", "ssh://three", "id-3")
    first, now = [ONE, TWO, three], [ONE, TWO]
    other = labelled([three], "other")
    api = Labels("id-1", [labelled(now)], [labelled(first), other])
    assert one_engine.Engine(api).observer.hosts_of_labs() == {dump(now), dump([three])}


def test_a_lab_is_followed_to_hosts_that_only_its_other_hosts_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made over one and two, and moved on to three, and to four: one has but the network, as managers do."""
    ids = {"one": "id-1", "two": "id-2", "three": "id-3", "four": "id-4"}
    hosts = {name: Host(name, "", identity) for name, identity in ids.items()}
    apis = {name: Labels(identity) for name, identity in ids.items()}
    apis["one"].of_networks = [labelled([hosts["one"], hosts["two"]])]
    apis["two"].of_containers = [labelled([hosts["two"], hosts["three"]])]
    apis["three"].of_containers = [labelled([hosts["three"], hosts["four"]])]

    def reach_all(wanted: list[Host], _: EngineTimeouts) -> list[Member]:
        return [Member(host, Engine(apis[host.name])) for host in wanted]

    monkeypatch.setattr(fleet, "reach_all", reach_all)
    found = fleet.with_known_hosts(Engine(apis["one"]), EngineTimeouts())
    assert isinstance(found, Fleet)
    assert sorted(host.name for host in found.hosts_of(list(ids))) == sorted(ids)
    assert found.hosts_of(["one", "five"]) == ()
