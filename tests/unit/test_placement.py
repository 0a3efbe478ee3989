"""Which host each part of a lab is on, and what a lab over several hosts looks like as containers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.blueprint import drawing, plan, record
from labctl.blueprint.addresses import PHONES_CONTAINERS
from labctl.blueprint.drawing import Blueprint
from labctl.blueprint.placement import phones_of, spread
from labctl.engine.actions import CreateContainer, CreateNetwork, RemoveNetwork, flatten
from labctl.engine.host import Host, parse
from labctl.engine.observation import Container, LostHost, Network, Observation
from labctl.errors import UsageError
from labctl.names import LABEL_CONFIG, LABEL_HOSTS, LABEL_ROLE, LABEL_SPEC
from tests.unit.labs import IMAGES, lab, stack

HOSTS = (Host("one", "ssh://one.example", "id-1"), Host("two", "ssh://two.example", "id-2"))
SUBNET = "198.18.7.0/24"


def over(text: str, hosts: tuple[Host, ...] = HOSTS) -> Blueprint:
    return drawing.draw(lab(text), stack(), IMAGES, SUBNET, "seed", hosts=hosts)


def held(blueprint: Blueprint, **where: str) -> Observation:
    """What there is where all of it was made; `where`: the hosts of some that are elsewhere."""
    containers = tuple(
        Container(
            id=f"id-{spec.hostname}",
            name=spec.name,
            lab="lab",
            role=dict(spec.labels)[LABEL_ROLE],
            node=spec.hostname,
            state="running" if spec.starts else "created",
            config_hash=dict(spec.labels)[LABEL_CONFIG],
            host=where.get(spec.hostname, spec.host),
        )
        for spec in blueprint.containers
    )
    return Observation((Network("net", blueprint.network, "lab", SUBNET, "seed", overlay=True),), containers)


def test_nodes_are_spread_evenly_in_their_order_and_phones_are_where_their_nodes_are() -> None:
    places = spread(lab("name: lab\nnodes: 5\n"), ["one", "two"])
    nodes = {"n1": "one", "n2": "two", "n3": "one", "n4": "two", "n5": "one"}
    assert places == nodes | {"phones": "one", "phones-2": "two"}
    of_phones = phones_of(lab("name: lab\nnodes: 5\n"), places)
    assert list(of_phones.values())[:3] == [1, 2, 1]


@pytest.mark.parametrize(
    ("phones", "containers"),
    [
        ("phones: 0", {"phones": "one"}),
        ("phones: [{name: alice, extension: 101, node: n3}]", {"phones": "one", "phones-3": "three"}),
        ("phones: [{name: alice, extension: 101, node: n1}]", {"phones": "one"}),
    ],
)
def test_a_host_has_a_container_of_phones_where_a_node_of_it_has_one(phones: str, containers: dict[str, str]) -> None:
    """The first has one in any case: it carries the lab's record."""
    places = spread(lab(f"name: lab\nnodes: 3\n{phones}\n"), ["one", "two", "three"])
    assert {name: host for name, host in places.items() if name.startswith("phones")} == containers


def test_each_container_of_phones_has_an_address_below_those_of_the_nodes() -> None:
    hosts = tuple(Host(f"h{number}", f"ssh://h{number}.example", f"id-{number}") for number in range(1, 10))
    blueprint = over("name: lab\nnodes: 9\n", hosts)
    of_phones = [spec for spec in blueprint.containers if dict(spec.labels)[LABEL_ROLE] == "phones"]
    assert [(spec.address, spec.host) for spec in of_phones] == [
        (f"198.18.7.{10 - number}", f"h{number}") for number in range(1, PHONES_CONTAINERS + 1)
    ]
    assert len({spec.address for spec in blueprint.containers}) == len(blueprint.containers)
    beyond = phones_of(blueprint.lab, spread(blueprint.lab, [host.name for host in hosts]))
    assert list(beyond.values()) == [1, 2, 3, 4, 5, 6, 7, 1, 1]


def test_a_node_is_where_its_host_says_and_the_others_fill_up() -> None:
    places = spread(lab("name: lab\nnodes: [{name: a, host: two}, {name: b, host: two}, c, d]\n"), ["one", "two"])
    assert [places[node] for node in "abcd"] == ["two", "two", "one", "one"]


def test_a_node_on_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="n1: `host: too` is none of the hosts") as refusal:
        spread(lab("name: lab\nnodes: [{name: n1, host: too}]\n"), ["one", "two"])
    assert refusal.value.hint == "did you mean `two`?"
    with pytest.raises(UsageError) as refusal:
        spread(lab("name: lab\nnodes: [{name: n1, host: two}]\n"), [])
    assert "labctl up --hosts" in refusal.value.hint


def test_without_hosts_nothing_of_a_lab_is_other_than_it_was() -> None:
    plain = over("name: lab\n", ())
    assert not plain.overlay
    assert {(spec.host, LABEL_HOSTS in dict(spec.labels)) for spec in plain.containers} == {("", False)}
    assert "host" not in record.dump(lab("name: lab\n"), stack(), record.Request.of(lab("name: lab\n")))


def test_each_container_says_where_it_and_all_others_are_and_what_the_lab_is() -> None:
    blueprint = over("name: lab\nnodes: 3\n")
    assert blueprint.overlay
    assert [spec.host for spec in blueprint.containers] == ["one", "two", "one", "one", "two"]
    for spec in blueprint.containers:
        labels = dict(spec.labels)
        assert [host.parts for host in parse(labels[LABEL_HOSTS])] == [("n1", "n3", "phones"), ("n2", "phones-2")]
        assert record.parse("lab", labels[LABEL_SPEC]).lab.name == "lab"
    assert LABEL_HOSTS in dict(blueprint.labels)


def test_another_record_makes_no_node_anew() -> None:
    of = lab("name: lab\n")
    request = record.Request.of(of)
    one, other = (
        {
            spec.hostname: dict(spec.labels)[LABEL_CONFIG]
            for spec in drawing.draw(of, stack(), IMAGES, SUBNET, "seed", asked, HOSTS).containers
        }
        for asked in (request, replace(request, mirror="http://mirror.example/debian"))
    )
    assert [name for name in one if one[name] != other[name]] == ["phones"]


def test_multicast_is_refused_over_hosts() -> None:
    with pytest.raises(UsageError, match="by multicast, which Docker's overlay network does not carry"):
        over("name: lab\ntotem: {transport: udp, encryption: false}\n")


def test_a_network_of_one_machine_is_replaced_by_one_over_all() -> None:
    blueprint = over("name: lab\n")
    there = held(blueprint)
    bridge = replace(there, networks=(replace(there.networks[0], overlay=False),))
    steps = flatten(plan.up(blueprint, bridge))
    assert [step.overlay for step in steps if isinstance(step, CreateNetwork)] == [True]
    assert plan.up(blueprint, there) == ()


def test_a_node_that_moves_is_taken_away_on_its_old_host_and_made_on_the_new_one() -> None:
    blueprint = over("name: lab\nnodes: 3\n")
    steps = [str(step) for step in flatten(plan.up(blueprint, held(blueprint, n2="one")))]
    image = next(spec.image for spec in blueprint.containers if spec.hostname == "n2")
    assert steps == [
        "remove labctl-lab-n2",
        f"create labctl-lab-n2 198.18.7.12 from {image} on two",
        "start labctl-lab-n2",
    ]


def test_the_record_that_moves_is_made_before_the_old_one_goes() -> None:
    blueprint = over("name: lab\nnodes: 3\n")
    steps = flatten(plan.up(blueprint, held(blueprint, phones="two")))
    assert isinstance(steps[0], CreateContainer)
    assert [str(step) for step in steps[1:]] == ["remove labctl-lab-phones"]


def test_the_network_stays_while_a_host_is_lost() -> None:
    there = held(over("name: lab\n"))
    lost = replace(there, lost=(LostHost("two", "no route", ("n2",)),))
    assert not [step for step in flatten(plan.down(lost)) if isinstance(step, RemoveNetwork)]
    assert [step for step in flatten(plan.down(there)) if isinstance(step, RemoveNetwork)]
    assert lost.lost_host("n2") == lost.lost[0]
    assert lost.lost_host("n1") is None
