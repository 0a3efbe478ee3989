"""The steps between what is wanted and what is there: no more than needed, and always enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.blueprint import plan
from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import (
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    Plan,
    RemoveContainer,
    RemoveNetwork,
    StartContainer,
    Step,
    UnpauseContainer,
    flatten,
)
from labctl.engine.observation import Container, Network, Observation
from labctl.names import LABEL_CONFIG, LABEL_NODE, LABEL_ROLE
from tests.unit.labs import SUBNET, draw

WANTED = draw()
OTHER_SUBNET = "198.18.99.0/24"
STATES = ("created", "running", "exited", "paused", "dead", "restarting", "removing")


@dataclass
class Docker:
    """What Docker holds, and as strict: an unexpected step fails."""

    networks: dict[str, Network] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)

    @classmethod
    def holding(cls, seen: Observation) -> Docker:
        return cls({each.id: each for each in seen.networks}, {each.id: each for each in seen.containers})

    def observe(self) -> Observation:
        return Observation(tuple(self.networks.values()), tuple(self.containers.values()))

    def by_name(self, name: str) -> Container:
        return next(each for each in self.containers.values() if each.name == name)

    def move(self, name: str, states: tuple[str, ...], to: str) -> None:
        container = self.by_name(name)
        assert container.state in states
        self.containers[container.id] = replace(container, state=to)

    def apply(self, step: Step) -> None:
        match step:
            case CreateNetwork():
                made = Network(f"new-{step.name}", step.name, "lab", step.subnet, "seed")
                assert made.id not in self.networks
                self.networks[made.id] = made
            case CreateContainer(container):
                assert all(each.name != container.name for each in self.containers.values())
                assert [each.name for each in self.networks.values()] == [container.network]
                self.containers[f"new-{container.name}"] = as_seen(container, "created", f"new-{container.name}")
            case StartContainer():
                self.move(step.name, ("created", "exited"), "running")
            case UnpauseContainer():
                self.move(step.name, ("paused",), "running")
            case RemoveContainer():
                del self.containers[step.id]
            case RemoveNetwork():
                assert not self.containers
                del self.networks[step.id]

    def carry_out(self, steps: Plan) -> None:
        for step in flatten(steps):
            self.apply(step)


def as_seen(container: ContainerSpec, state: str = "running", identity: str = "") -> Container:
    labels = dict(container.labels)
    name = container.name
    return Container(
        identity or f"id-{name}", name, "lab", labels[LABEL_ROLE], labels[LABEL_NODE], state, labels[LABEL_CONFIG]
    )


def network(number: int = 1, subnet: str = SUBNET) -> Network:
    return Network(f"net-{number}", WANTED.network, "lab", subnet, "seed")


def standing(of: Blueprint = WANTED, **states: str) -> Observation:
    """A lab as it is wanted, but for the states that some nodes are in; `gone` for none."""
    wanted = {each: states.get(each.hostname, "running") for each in of.containers}
    seen = tuple(as_seen(each, state) for each, state in wanted.items() if state != "gone")
    return Observation((network(),), seen)


def said(steps: Plan) -> list[str]:
    return [str(step) for step in flatten(steps)]


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ("running", []),
        ("exited", ["start labctl-lab-n2"]),
        ("paused", ["unpause labctl-lab-n2"]),
        ("gone", ["create", "start"]),
        ("created", ["remove", "create", "start"]),
        ("dead", ["remove", "create", "start"]),
    ],
)
def test_one_node_is_mended_as_its_state_needs(state: str, steps: list[str]) -> None:
    done = said(plan.up(WANTED, standing(n2=state)))
    assert len(done) == len(steps)
    assert all(each.startswith(wanted) and "labctl-lab-n2" in each for each, wanted in zip(done, steps, strict=True))


def test_a_changed_configuration_of_one_node_replaces_that_node_alone() -> None:
    changed = draw("name: lab\nconfig: {n2: {asterisk/rtp.conf: '[general]'}}\n")
    done = plan.up(changed, standing())
    assert {getattr(step, "name", "labctl-lab-n2") for step in flatten(done)} <= {"labctl-lab-n2", "labctl-lab-phones"}
    assert not any("network" in each or "n1" in each or "n3" in each for each in said(done))


def test_another_subnet_replaces_all() -> None:
    done = said(plan.up(draw(subnet=OTHER_SUBNET), standing()))
    assert [each.split()[0] for each in done] == ["remove"] * 5 + ["create"] + ["create", "start"] * 3 + ["create"]
    assert done[4:6] == ["remove network labctl-lab", f"create network labctl-lab {OTHER_SUBNET}"]


def test_two_networks_of_one_name_become_one() -> None:
    seen = standing()
    docker = Docker.holding(replace(seen, networks=(network(1), network(2))))
    docker.carry_out(plan.up(WANTED, docker.observe()))
    assert len(docker.networks) == 1


def test_a_node_that_is_wanted_no_more_goes() -> None:
    assert said(plan.up(draw("name: lab\nnodes: [n1, n2]\nphones: 0\n"), standing()))[0] == "remove labctl-lab-n3"


def test_from_nothing_the_network_comes_before_the_containers_side_by_side() -> None:
    network, containers = plan.up(WANTED, Observation())
    assert [type(step) for chain in network for step in chain] == [CreateNetwork]
    nodes, phones = [CreateContainer, StartContainer], [CreateContainer]
    assert [[type(step) for step in chain] for chain in containers] == [nodes, nodes, nodes, phones]


CONTAINERS = st.builds(
    lambda name, state, config_hash: Container(
        f"id-{name}", name, "lab", "node", name.removeprefix("labctl-lab-"), state, config_hash
    ),
    st.sampled_from([*(each.name for each in WANTED.containers), "labctl-lab-n9"]),
    st.sampled_from(STATES),
    st.sampled_from(["old", *(dict(each.labels)[LABEL_CONFIG] for each in WANTED.containers)]),
)
NETWORKS = st.builds(network, st.integers(1, 3), st.sampled_from([SUBNET, OTHER_SUBNET]))
OBSERVATIONS = st.builds(
    Observation,
    st.lists(NETWORKS, max_size=3, unique_by=lambda each: each.id).map(tuple),
    st.lists(CONTAINERS | st.sampled_from(standing().containers), max_size=6, unique_by=lambda each: each.name).map(
        tuple
    ),
)


@given(OBSERVATIONS)
def test_whatever_is_there_up_makes_what_is_wanted(seen: Observation) -> None:
    docker = Docker.holding(seen)
    docker.carry_out(plan.up(WANTED, seen))
    assert plan.up(WANTED, docker.observe()) == ()
    assert {each.state for each in docker.containers.values() if each.node != "phones"} == {"running"}
    assert len(docker.containers) == len(WANTED.containers)


@given(OBSERVATIONS, st.integers(0, 12))
def test_an_up_that_was_interrupted_goes_on(seen: Observation, after: int) -> None:
    docker = Docker.holding(seen)
    for step in flatten(plan.up(WANTED, seen))[:after]:
        docker.apply(step)
    docker.carry_out(plan.up(WANTED, docker.observe()))
    assert plan.up(WANTED, docker.observe()) == ()


@given(OBSERVATIONS)
def test_down_leaves_nothing(seen: Observation) -> None:
    docker = Docker.holding(seen)
    docker.carry_out(plan.down(seen))
    assert docker.observe().empty
    assert plan.down(docker.observe()) == ()
