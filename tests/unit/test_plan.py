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
    RenameContainer,
    StartContainer,
    Step,
    UnpauseContainer,
    flatten,
)
from labctl.engine.observation import Container, Network, Observation
from labctl.names import LABEL_CONFIG, LABEL_NODE, LABEL_ROLE, ROLE_CAPTURE
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
    def holding(cls, observation: Observation) -> Docker:
        networks = {network.id: network for network in observation.networks}
        return cls(networks, {container.id: container for container in observation.containers})

    def observe(self) -> Observation:
        return Observation(tuple(self.networks.values()), tuple(self.containers.values()))

    def by_name(self, name: str) -> Container:
        return next(container for container in self.containers.values() if container.name == name)

    def move(self, name: str, states: tuple[str, ...], to: str) -> None:
        container = self.by_name(name)
        assert container.state in states
        self.containers[container.id] = replace(container, state=to)

    def apply(self, step: Step) -> None:
        match step:
            case CreateNetwork():
                created = Network(f"new-{step.name}", step.name, "lab", step.subnet, "seed")
                assert created.id not in self.networks
                self.networks[created.id] = created
            case CreateContainer(container):
                assert all(other.name != container.name for other in self.containers.values())
                assert [network.name for network in self.networks.values()] == [container.network]
                self.containers[f"new-{container.name}"] = as_observed(container, "created", f"new-{container.name}")
            case StartContainer():
                self.move(step.name, ("created", "exited"), "running")
            case UnpauseContainer():
                self.move(step.name, ("paused",), "running")
            case RemoveContainer():
                del self.containers[step.id]
            case RenameContainer():
                assert all(other.name != step.to for other in self.containers.values())
                renamed = self.by_name(step.name)
                del self.containers[renamed.id]
                self.containers[f"new-{step.to}"] = replace(renamed, id=f"new-{step.to}", name=step.to)
            case RemoveNetwork():
                assert not self.containers
                del self.networks[step.id]

    def carry_out(self, steps: Plan) -> None:
        for step in flatten(steps):
            self.apply(step)


def as_observed(container: ContainerSpec, state: str = "running", identity: str = "") -> Container:
    labels = dict(container.labels)
    name = container.name
    return Container(
        identity or f"id-{name}", name, "lab", labels[LABEL_ROLE], labels[LABEL_NODE], state, labels[LABEL_CONFIG]
    )


def network(number: int = 1, subnet: str = SUBNET) -> Network:
    return Network(f"net-{number}", WANTED.network, "lab", subnet, "seed")


def standing(of: Blueprint = WANTED, **states: str) -> Observation:
    """A lab as it is wanted, but for the states that some nodes are in; `gone` for none."""
    wanted = {spec: states.get(spec.hostname, "running") for spec in of.containers}
    containers = tuple(as_observed(spec, state) for spec, state in wanted.items() if state != "gone")
    return Observation((network(),), containers)


def words(steps: Plan) -> list[str]:
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
    done = words(plan.up(WANTED, standing(n2=state)))
    assert len(done) == len(steps)
    assert all(line.startswith(wanted) and "labctl-lab-n2" in line for line, wanted in zip(done, steps, strict=True))


def test_a_changed_configuration_of_one_node_replaces_that_node_alone() -> None:
    changed = draw("name: lab\nconfig: {n2: {asterisk/rtp.conf: '[general]'}}\n")
    done = plan.up(changed, standing())
    replaced = {getattr(step, "name", "labctl-lab-n2").removesuffix("-next") for step in flatten(done)}
    assert replaced == {"labctl-lab-n2", "labctl-lab-phones"}
    assert not any("network" in line or "n1" in line or "n3" in line for line in words(done))


def test_another_subnet_replaces_all() -> None:
    done = words(plan.up(draw(subnet=OTHER_SUBNET), standing()))
    assert [line.split()[0] for line in done] == ["remove"] * 5 + ["create"] * 2 + ["create", "start"] * 3
    assert done[4:6] == ["remove network labctl-lab", f"create network labctl-lab {OTHER_SUBNET}"]


def test_two_networks_of_one_name_become_one() -> None:
    docker = Docker.holding(replace(standing(), networks=(network(1), network(2))))
    docker.carry_out(plan.up(WANTED, docker.observe()))
    assert len(docker.networks) == 1


def test_a_node_that_is_wanted_no_more_goes() -> None:
    assert "remove labctl-lab-n3" in words(plan.up(draw("name: lab\nnodes: [n1, n2]\nphones: 0\n"), standing()))


def test_from_nothing_the_network_comes_before_the_record_and_that_before_the_nodes_side_by_side() -> None:
    network, record, nodes = plan.up(WANTED, Observation())
    assert [type(step) for chain in network for step in chain] == [CreateNetwork]
    assert [str(step) for chain in record for step in chain] == [str(CreateContainer(WANTED.containers[-1]))]
    assert [[type(step) for step in chain] for chain in nodes] == [[CreateContainer, StartContainer]] * 3


@pytest.mark.parametrize(
    "other", [draw("name: lab\nnodes: 4\n"), draw("name: lab\nnodes: 2\n"), draw("name: lab\nphones: 5\n")]
)
@pytest.mark.parametrize("before", [Observation(), standing()])
def test_whenever_it_is_ended_a_lab_of_more_than_its_network_has_its_record(
    before: Observation, other: Blueprint
) -> None:
    docker = Docker.holding(before)
    for step in flatten(plan.up(other, before)):
        docker.apply(step)
        held = docker.observe()
        assert not held.containers or "phones" in {container.role for container in held.containers}
        again = Docker.holding(held)
        for number, further in enumerate(flatten(plan.up(WANTED, held))):
            again.apply(further)
            roles = {container.role for container in again.observe().containers}
            assert not roles or "phones" in roles, number
        assert plan.up(WANTED, again.observe()) == ()


CONTAINERS = st.builds(
    lambda name, state, config_hash: Container(
        f"id-{name}", name, "lab", "node", name.removeprefix("labctl-lab-"), state, config_hash
    ),
    st.sampled_from([*(spec.name for spec in WANTED.containers), "labctl-lab-n9", "labctl-lab-phones-next"]),
    st.sampled_from(STATES),
    st.sampled_from(["old", *(dict(spec.labels)[LABEL_CONFIG] for spec in WANTED.containers)]),
)
NETWORKS = st.builds(network, st.integers(1, 3), st.sampled_from([SUBNET, OTHER_SUBNET]))
OBSERVATIONS = st.builds(
    Observation,
    st.lists(NETWORKS, max_size=3, unique_by=lambda network: network.id).map(tuple),
    st.lists(
        CONTAINERS | st.sampled_from(standing().containers), max_size=6, unique_by=lambda container: container.name
    ).map(tuple),
)


@given(OBSERVATIONS)
def test_whatever_is_there_up_makes_what_is_wanted(observation: Observation) -> None:
    docker = Docker.holding(observation)
    docker.carry_out(plan.up(WANTED, observation))
    assert plan.up(WANTED, docker.observe()) == ()
    assert {container.state for container in docker.containers.values() if container.node != "phones"} == {"running"}
    assert len(docker.containers) == len(WANTED.containers)


@given(OBSERVATIONS, st.integers(0, 12))
def test_an_up_that_was_interrupted_goes_on(observation: Observation, after: int) -> None:
    docker = Docker.holding(observation)
    for step in flatten(plan.up(WANTED, observation))[:after]:
        docker.apply(step)
    docker.carry_out(plan.up(WANTED, docker.observe()))
    assert plan.up(WANTED, docker.observe()) == ()


def test_a_down_that_was_interrupted_leaves_the_record_with_the_nodes() -> None:
    docker = Docker.holding(standing(draw("name: lab\nnodes: 4\n")))
    for step in flatten(plan.down(docker.observe())):
        docker.apply(step)
        roles = {container.role for container in docker.observe().containers}
        assert not roles or "phones" in roles


@given(OBSERVATIONS)
def test_down_leaves_nothing(observation: Observation) -> None:
    docker = Docker.holding(observation)
    docker.carry_out(plan.down(observation))
    assert docker.observe().empty
    assert plan.down(docker.observe()) == ()


def test_what_captures_is_left_to_itself_while_it_runs_and_goes_last() -> None:
    docker = Docker()
    docker.carry_out(plan.up(WANTED, docker.observe()))
    capture = Container("id", "labctl-lab-capture-1", "lab", ROLE_CAPTURE, "", "running", "")
    docker.containers["id"] = capture
    assert plan.up(WANTED, docker.observe()) == ()
    assert plan.down(docker.observe())[-1] == ((RemoveContainer(capture.name, "id"),),)
    docker.containers["id"] = replace(capture, state="created")
    assert flatten(plan.up(WANTED, docker.observe())) == [RemoveContainer(capture.name, "id")]
