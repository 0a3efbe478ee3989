"""The labs on an engine, whole or not."""

from __future__ import annotations

from typing import cast

from labctl.cluster import lifecycle as verbs
from labctl.cluster.lifecycle import Summary
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Network, Observation
from labctl.names import LABEL_SPEC, ROLE_NODE, ROLE_PHONES
from tests.unit.labs import draw


class Holding:
    """An engine that holds these containers and networks."""

    def __init__(self, *containers: Container, networks: tuple[Network, ...] = ()) -> None:
        self._seen = Observation(networks, containers)

    def observe(self) -> Observation:
        """All of it."""
        return self._seen


def node(lab: str, name: str, state: str) -> Container:
    return Container("id", f"labctl-{lab}-{name}", lab, ROLE_NODE, name, state, "hash")


def phones(lab: str, text: str) -> Container:
    labels = [dict(spec.labels) for spec in draw(text).containers]
    spec = next(label[LABEL_SPEC] for label in labels if LABEL_SPEC in label)
    return Container("id", f"labctl-{lab}-phones", lab, ROLE_PHONES, "", "created", "hash", spec=spec)


def test_labs_are_told_by_name_with_the_nodes_that_run() -> None:
    engine = Holding(
        node("b", "n1", "running"),
        node("b", "n2", "exited"),
        phones("b", "name: b\nnodes: 3\n"),
        node("a", "hq", "running"),
        phones("a", "name: a\nnodes: [hq]\n"),
        networks=(Network("id", "labctl-b", "b", "198.18.7.0/24", "seed"),),
    )
    assert verbs.summaries(cast(Engine, engine)) == [
        Summary("a", "22", 1, 1, ""),
        Summary("b", "22", 1, 3, "198.18.7.0/24"),
    ]


def test_what_is_left_of_a_lab_is_told_as_well() -> None:
    network = Network("id", "labctl-rest", "rest", "198.18.9.0/24", "seed")
    assert verbs.summaries(cast(Engine, Holding(networks=(network,)))) == [Summary("rest", "", 0, 0, "198.18.9.0/24")]
    assert verbs.summaries(cast(Engine, Holding(node("half", "n1", "paused")))) == [Summary("half", "", 0, 1, "")]


def test_there_may_be_none() -> None:
    assert verbs.summaries(cast(Engine, Holding())) == []
