"""A lab over several Docker hosts: what a file and flags say of it, what is shown, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from labctl.blueprint import drawing, record
from labctl.blueprint.drawing import Blueprint
from labctl.blueprint.record import Request
from labctl.cluster import changed_files, image_delivery, lifecycle, status
from labctl.cluster.lab_hosts import GONE_FOR_GOOD
from labctl.cluster.views import HOST_LOST, NodeView
from labctl.engine import client
from labctl.engine.actions import ContainerSpec
from labctl.engine.client import Engine
from labctl.engine.fleet import Fleet
from labctl.engine.host import Host, PlacedImage, dump
from labctl.engine.observation import Container, LostHost, Network, Observation
from labctl.errors import HostError, InvalidFile, LabError, UsageError
from labctl.images import lab_images
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile import writer
from labctl.names import LABEL_CONFIG, LABEL_HOSTS, LABEL_ROLE, ROLE_SERVICE
from labctl.progress import Silent
from labctl.report import tables
from labctl.scenario.fault_control import target_of
from labctl.sip.phones import Phones
from tests.unit.commands import run
from tests.unit.fake_nodes import FakeLab
from tests.unit.labs import IMAGES, SUBNET, lab, stack
from tests.unit.test_down import Holding
from tests.unit.test_fleet import FakeHost, of
from tests.unit.test_tables import text as lines_of

TEXT = "name: lab\nhosts: [one, 'ssh://two.example']\nnodes: [n1, {name: n2, host: one}]\n"
NAMES = ("one", "ssh://two.example")


# What a file and flags say


def test_a_file_says_hosts_and_where_a_node_is() -> None:
    made = lab(TEXT)
    assert (made.docker_hosts, [node.host for node in made.nodes]) == (NAMES, ["", "one"])
    assert lab(writer.to_yaml(made)) == made
    assert "hosts" not in writer.to_data(lab("name: lab\n"))


def test_flags_go_before_the_file() -> None:
    plain = "name: lab\nhosts: [one]\n"
    assert lab(plain, overrides=Overrides(hosts=("two", "three"))).docker_hosts == ("two", "three")
    assert lab(plain, overrides=Overrides(hosts=())).docker_hosts == ()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: lab\nhosts: [one, http://two]\n", 2, "host"),
        ("name: lab\nhosts:\n- one\n- one\n", 4, "one"),
        ("name: lab\nhosts: [one, two]\nnodes:\n- n1\n- {name: n2, host: tow}\n", 5, "no host `tow`"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(InvalidFile) as refusal:
        lab(text)
    assert f"lab.yaml:{line}" in refusal.value.message
    assert what in refusal.value.message


@pytest.mark.parametrize("hosts", [("one", "one"), ("http://two",), ("a b",)])
def test_a_mistake_in_a_flag_is_told(hosts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--hosts: "):
        lab("name: lab\n", overrides=Overrides(hosts=hosts))


def test_the_record_keeps_it_and_says_that_an_older_labctl_does_not_know_it() -> None:
    made = lab(TEXT)
    kept = record.parse("lab", record.dump(made, stack(), Request.of(made)))
    assert (kept.lab, kept.version) == (made, record.VERSION)
    assert kept.with_flags(Overrides(hosts=("one", "three"))).lab.docker_hosts == ("one", "three")


@pytest.mark.parametrize(
    ("variables", "words", "expected"),
    [
        ({"LABCTL_HOSTS": "a,b"}, ["ps"], ["a", "b"]),
        ({"LABCTL_HOSTS": "a,b"}, ["ls"], ["a", "b"]),
        ({"LABCTL_HOSTS": "a,b"}, ["down", "--hosts", "c, d,"], ["c", "d"]),
        ({}, ["up", "--hosts", "a"], ["a"]),
        ({"LABCTL_HOSTS": "a"}, ["up"], ["a"]),
        ({"LABCTL_HOSTS": "a"}, ["up", "--hosts", ""], []),
        ({}, ["up", "-f", "file.yaml"], ["one", "ssh://two.example"]),
        ({}, ["ps"], []),
    ],
)
def test_every_verb_is_told_the_hosts(
    variables: dict[str, str],
    words: list[str],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: list[list[str]] = []

    def connect(**options: Any) -> None:
        asked.append([*options.get("hosts", ())])
        raise HostError("no Docker Engine answers")

    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.yaml").write_text(TEXT, "utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(*words) == 4
    assert asked == [expected]


# What one engine does with it


class OneEngine:
    """An engine without other hosts."""

    def hosts_of(self, _names: Sequence[str]) -> tuple[()]:
        return ()


def test_a_lab_that_is_to_be_over_hosts_is_not_made_on_one_engine() -> None:
    with pytest.raises(UsageError, match=r"the lab lab is to be over one,ssh://two\.example") as refusal:
        lifecycle.plan_up(cast(Engine, OneEngine()), lab(TEXT), stack(), Options())
    assert refusal.value.hint == "set LABCTL_HOSTS=one,ssh://two.example"


def test_it_is_exported_as_a_lab_of_one_machine() -> None:
    assert "n2" in lifecycle.export(lab(TEXT), stack())


# Images


class Lacking:
    """Hosts of which one lacks an image, and one refuses what is sent to it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def lacking(self, images: Iterable[PlacedImage]) -> list[PlacedImage]:
        return [image for image in images if image.host != "one"]

    def send_image(self, image: PlacedImage) -> None:
        self.sent.append((image.host, image.reference))
        if image.host == "full":
            raise HostError("load an image: no space left on device")


def spec(node: str, host: str) -> ContainerSpec:
    return ContainerSpec(node, "image", "", node, "network", "198.18.7.12", (), (), host=host)


def test_images_go_where_they_lack_and_what_fails_is_told_when_all_are_there() -> None:
    hosts = Lacking()
    image_delivery.deliver(cast(Engine, hosts), [spec("n1", "one"), spec("n2", "two")], Silent())
    assert hosts.sent == [("two", "image")]
    with pytest.raises(HostError, match="no space left"):
        image_delivery.deliver(cast(Engine, hosts), [spec("n1", "full"), spec("n2", "three")], Silent())
    assert ("three", "image") in hosts.sent


# A host that is lost

LOST = LostHost("two", "no route to host", ("n2",))


def test_ps_names_a_host_that_is_lost_and_shows_where_each_node_is() -> None:
    fake = FakeLab()
    fake.states |= dict.fromkeys(fake.nodes, "exited")
    seen = fake.running.observation
    kept = tuple(replace(part, host="one") for part in seen.containers if part.node != "n2")
    running = replace(fake.running, observation=replace(seen, containers=kept, lost=(LOST,)))
    rows = {row.node: row for row in status.ps(cast(Engine, fake), running)}
    assert (rows["n2"].container, rows["n2"].host) == (HOST_LOST, "two")
    assert rows["n2"].remarks == ("its host two does not answer: no route to host",)
    assert rows["n1"].host == "one"


def test_what_is_on_a_lost_host_is_not_said_to_be_gone() -> None:
    fake = FakeLab()
    lost = LostHost("two", "no route to host", ("n2", "phones"))
    seen = replace(fake.running.observation, containers=(), lost=(lost,))
    running = replace(fake.running, observation=seen)
    with pytest.raises(LabError, match="the host of n2, two, does not answer: no route to host"):
        running.container("n2")
    with pytest.raises(LabError, match="the container of n1 is gone"):
        running.container("n1")
    with pytest.raises(LabError, match="the host of phones, two, does not answer"):
        Phones(cast(Engine, fake), running)


def test_ps_names_the_lost_host_of_the_phones_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = FakeLab().running
    lost = replace(running.observation, lost=(LostHost("two", "no route to host", ("phones",)),))
    monkeypatch.setattr(client, "connect", lambda: None)
    monkeypatch.setattr(lifecycle, "load", lambda *_: replace(running, observation=lost))
    monkeypatch.setattr(status, "ps", lambda *_: [NodeView("n1", "running")])
    assert run("ps", "-n", "lab") == 0
    assert "phones: their host two does not answer: no route to host\n" in capsys.readouterr().out


def test_the_table_has_hosts_where_there_are_several() -> None:
    views = [NodeView("n1", "running", host="one"), NodeView("n2", HOST_LOST, host="two")]
    head, _, second = lines_of(tables.ps(views, lab("name: lab\nnodes: 2\n")))
    assert head.split()[:3] == ["NODE", "HOST", "CONTAINER"]
    assert second.split()[:4] == ["n2", "two", "host", "lost"]
    assert "HOST" not in lines_of(tables.ps([NodeView("n1", "running")], lab()))[0]


def test_down_takes_the_rest_away_and_names_what_it_could_not_reach() -> None:
    holding = Holding("lab")
    observe = holding.observe

    def with_a_loss(name: str | None = None) -> Observation:
        return replace(observe(name), lost=(LOST,))

    holding.observe = with_a_loss  # type: ignore[method-assign]
    with pytest.raises(HostError) as refusal:
        lifecycle.down(cast(Engine, holding), "lab", Silent())
    assert refusal.value.message == "the host two does not answer, and n2 of lab may be there still: no route to host"
    assert refusal.value.hint == f"{GONE_FOR_GOOD}\nlabctl down again goes on from here"
    assert sorted(holding.parts) == ["labctl-lab"], "the network, whose label names the hosts"
    assert holding.locks.held == {}


def test_down_finishes_on_the_hosts_that_were_named_and_says_what_it_leaves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holding = Holding("lab")
    observe = holding.observe
    lost = replace(LOST, meant=False)
    holding.observe = lambda name=None: replace(observe(name), lost=(lost,))  # type: ignore[method-assign]
    monkeypatch.setattr(client, "connect", lambda **_: holding)
    assert run("down", "-n", "lab", "--hosts", "one", "-q") == 0
    assert capsys.readouterr().err == (
        "the host two does not answer, and n2 of lab may be there still: no route to host\n"
    )
    assert holding.parts == {}


def test_faults_of_a_host_are_told_where_nodes_and_services_are() -> None:
    fake = FakeLab()
    nodes = tuple(replace(part, host="two") for part in fake.running.observation.containers)
    db = replace(nodes[0], name="labctl-lab-db", node="db", role=ROLE_SERVICE, host="one")
    running = replace(fake.running, observation=replace(fake.running.observation, containers=(*nodes, db)))
    assert target_of(cast(Engine, fake), running).hosts == dict.fromkeys(fake.nodes, "two") | {"db": "one"}


# Hosts that it is on no more


class Fleeting(FakeHost):
    """A host, which is in a Swarm with the others."""

    def swarm_nodes(self) -> frozenset[str]:
        return frozenset({"id-1", "id-2", "id-3"})

    def find_file(self, _container: str, _path: str) -> None:
        """No file of it was changed."""


THREE = tuple(Host(name, f"tcp://{name}", f"id-{number}") for number, name in enumerate(("one", "two", "three"), 1))


class Rig:
    """A lab of three nodes that was made over three hosts, and later over some of these alone, or on one engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: tuple[Host, ...] = THREE) -> None:
        monkeypatch.setattr(lab_images, "plan", lambda *_: [])
        monkeypatch.setattr(lab_images, "resolve", lambda *_: IMAGES)
        monkeypatch.setattr(changed_files, "changed", lambda *_: {})
        self.first = self._drawn(THREE)
        self.now = self._drawn(now)
        self.network = Network(
            "net", self.first.network, "lab", SUBNET, "seed", overlay=True, hosts=dict(self.first.labels)[LABEL_HOSTS]
        )
        self.engines = {host.name: Fleeting(self._on(host.name), [self.network]) for host in THREE}

    def _drawn(self, hosts: tuple[Host, ...]) -> Blueprint:
        return drawing.draw(lab("name: lab\nnodes: 3\n"), stack(), IMAGES, SUBNET, "seed", hosts=hosts)

    def _on(self, host: str) -> list[Container]:
        of_it = [(spec, dict(spec.labels)) for spec in self.now.containers if spec.host == host]
        return [
            Container(
                id=f"id-{spec.name}",
                name=spec.name,
                lab="lab",
                role=labels[LABEL_ROLE],
                node=spec.hostname,
                state="running" if spec.starts else "created",
                config_hash=labels[LABEL_CONFIG],
                hosts=labels[LABEL_HOSTS],
            )
            for spec, labels in of_it
        ]

    def fleet(self, wanted: tuple[Host, ...] = (), lost: tuple[str, ...] = ()) -> Fleet:
        members = [
            of(host, None if host.name in lost else self.engines[host.name], manager=host.name == "one", why="no route")
            for host in THREE
        ]
        return Fleet(cast(Engine, self.engines["one"]), members, wanted)

    def places(self, engine: Fleet, text: str) -> set[str]:
        """Where `up` would have the nodes of a lab file's lab."""
        wanted = lifecycle.plan_up(engine, lab(text), stack(), Options()).wanted
        return {spec.host for spec in wanted.containers if spec.hostname.startswith("n")}


def test_a_lab_stays_on_the_hosts_that_are_left_of_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network's label goes on naming those of which it was made: labels of networks cannot be changed."""
    rig = Rig(monkeypatch, now=THREE[:2])
    kept = "name: lab\nnodes: 3\nhosts: [one, two]\n"
    assert rig.places(rig.fleet(), kept) == {"one", "two"}
    assert rig.places(rig.fleet(lost=("three",)), kept) == {"one", "two"}
    assert rig.fleet(lost=("three",)).observe("lab").lost == ()
    assert [host.name for host in rig.fleet().hosts("lab")] == ["one", "two"]


def test_an_up_that_was_killed_as_hosts_were_left_goes_on_to_those_of_its_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch)
    assert rig.places(rig.fleet(), "name: lab\nnodes: 3\nhosts: [one, two]\n") == {"one", "two"}
    assert [host.name for host in rig.fleet(lost=("three",)).observe("lab").lost] == ["three"]


def test_a_file_without_hosts_has_the_lab_on_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    assert rig.places(rig.fleet(), "name: lab\nnodes: 3\n") == {""}
    with pytest.raises(HostError, match="the host three does not answer"):
        rig.places(rig.fleet(lost=("three",)), "name: lab\nnodes: 3\n")


def test_hosts_that_were_named_go_before_those_of_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    assert rig.places(rig.fleet(THREE[::2]), "name: lab\nnodes: 3\nhosts: [one, two]\n") == {"one", "three"}


def test_a_host_that_is_lost_and_not_named_is_told_of_and_kept_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    without = rig.fleet(THREE[:2], lost=("three",))
    assert rig.places(without, "name: lab\nnodes: 3\nhosts: [one, two]\n") == {"one", "two"}
    (lost,) = without.observe("lab").lost
    assert (lost.name, lost.parts, lost.meant) == ("three", ("n3", "phones-3"), False)
    assert lifecycle.left_by_down(without, "lab") == [
        "the host three does not answer, and n3, phones-3 of lab may be there still: no route"
    ]
    assert "remove network labctl-lab" in [str(action) for action in lifecycle.plan_down(without, "lab")]
    all_meant = rig.fleet(THREE, lost=("three",))
    assert lifecycle.left_by_down(all_meant, "lab") == []
    assert "remove network labctl-lab" not in [str(action) for action in lifecycle.plan_down(all_meant, "lab")]


def test_the_network_that_alone_is_left_tells_of_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    for engine in rig.engines.values():
        engine.containers = []
    other = Container("id", "labctl-other-n1", "other", "node", "n1", "running", "hash", hosts=dump(THREE[:1]))
    rig.engines["one"].containers = [other]
    assert [host.name for host in rig.fleet(lost=("three",)).observe().lost] == ["three"]
    assert [host.name for host in rig.fleet(lost=("three",)).observe("lab").lost] == ["three"]
