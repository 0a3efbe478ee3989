"""Nodes that are part of a lab and were not started yet: made, not waited for, not blamed, and started late."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from labctl.blueprint import plan
from labctl.checks.finding import Limits
from labctl.checks.propagation import changes
from labctl.checks.reading import as_read
from labctl.checks.registry import CHECKS
from labctl.cluster.node_links import NodeLinks
from labctl.cluster.readiness import Readiness
from labctl.engine.actions import CreateContainer, RemoveContainer, StartContainer, flatten
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Observation
from labctl.errors import NotReady, UsageError
from labctl.history.events import NOT_STARTED, Back, Began, Event, Gone, Looked, Over, Said, Seen
from labctl.lab import Overrides
from labctl.names import LABEL_CONFIG, container_name
from labctl.timing import Deadline
from tests.unit.fake_nodes import FakeLab
from tests.unit.labs import draw, lab

TEXT = "name: lab\nwithout: [n3]\n"
N3 = container_name("lab", "n3")


def there(state: str) -> Observation:
    wanted = draw(TEXT)
    spec = next(spec for spec in wanted.containers if spec.name == N3)
    config_hash = dict(spec.labels)[LABEL_CONFIG]
    networks = plan.up(wanted, Observation((), ()))
    assert networks
    container = Container("id-n3", N3, "lab", "node", "n3", state, config_hash)
    return Observation((), (container,))


def test_such_a_node_is_made_and_not_started() -> None:
    steps = flatten(plan.up(draw(TEXT), Observation((), ())))
    assert N3 in [step.container.name for step in steps if isinstance(step, CreateContainer)]
    assert N3 not in [step.name for step in steps if isinstance(step, StartContainer)]


def test_flags_say_it_too_and_an_empty_one_takes_it_back() -> None:
    assert lab("nodes: 2\n", overrides=Overrides(without=("n2",))).without == ("n2",)
    assert lab(TEXT, overrides=Overrides(without=())).without == ()
    with pytest.raises(UsageError, match="--without: no node `n9`"):
        lab(TEXT, overrides=Overrides(without=("n9",)))
    with pytest.raises(UsageError, match="no node is started"):
        lab("nodes: 2\n", overrides=Overrides(without=("n1", "n2")))


def test_a_lab_is_ready_without_those_that_were_never_started() -> None:
    fake = FakeLab()
    fake.states["n3"] = "created"
    for node in fake.nodes.values():
        node.log = fake.ring_log(["n1", "n2"])
        node.commands[fake.stack.members_command] = fake.members(["n1", "n2"])
    links = NodeLinks(cast(Engine, fake), fake.running)
    links.open()
    try:
        Readiness(links, 0.1, 0.05).wait(Deadline(3))
        assert [node.name for node in links.started] == ["n1", "n2"]
    finally:
        links.close()


def test_one_that_has_ended_is_waited_for_all_the_same() -> None:
    fake = FakeLab()
    fake.states["n3"] = "exited"
    links = NodeLinks(cast(Engine, fake), fake.running)
    links.open()
    try:
        with pytest.raises(NotReady, match="n3: its container does not run"):
            Readiness(links, 0.1, 0.05).wait(Deadline(0.2))
    finally:
        links.close()


NODES = ("n1", "n2", "n3")
BEGAN = Began(0.0, "s", "lab", "22", NODES, {"mystate": "Custom:mystate"})
WAITING = Gone(0.0, "n3", NOT_STARTED, whole=True)
SAID = Said(1.0, "n1", "Custom:mystate", "BUSY")
TOLD = [Seen(1.01, node, "mystate", "Busy") for node in ("n1", "n2")]


def look(at_s: float, states: dict[str, str]) -> Looked:
    nodes = tuple(states)
    return Looked(at_s, {node: {"mystate": state} for node, state in states.items()}, dict.fromkeys(nodes, nodes))


def findings(check: str, *events: Event) -> list[str]:
    verdict = CHECKS[check].judge(as_read([BEGAN, WAITING, *events, Over(99.0)]), Limits())
    return [finding.text for finding in verdict.findings]


def test_a_change_is_judged_on_the_nodes_that_are_there() -> None:
    [change] = changes(as_read([BEGAN, WAITING, SAID, *TOLD, Over(99.0)]), Limits()).judged
    assert (change.nodes, sorted(change.told_s)) == (("n1", "n2"), ["n1", "n2"])
    assert findings("bounded_delay", SAID, *TOLD) == []


def test_who_was_never_there_is_no_ghost_and_misses_in_no_ring() -> None:
    two = look(20.0, {"n1": "Busy", "n2": "Busy"})
    for check in ("agreement", "truth", "no_ghosts", "course", "views"):
        assert findings(check, SAID, *TOLD, two) == []


def test_once_it_is_there_it_is_held_to_the_same_as_all() -> None:
    whole = look(40.0, {"n1": "Busy", "n2": "Busy", "n3": "Idle"})
    [text] = findings("agreement", SAID, *TOLD, Back(20.0, "n3"), whole)
    assert "Idle on n3; right is Busy" in text


def test_the_ring_of_a_look_that_still_lacks_it_is_wrong_then() -> None:
    two = look(40.0, {"n1": "Busy", "n2": "Busy"})
    assert findings("course", SAID, *TOLD, replace(two, at_s=39.0), Back(20.0, "n3"), two) != []


def test_one_that_was_never_started_is_made_anew_by_the_next_up_and_one_that_runs_is_left() -> None:
    kept = plan._keep_waiting
    spec = next(spec for spec in draw(TEXT).containers if spec.name == N3)
    [created], [running] = there("created").containers, there("running").containers
    assert kept(spec, created) == (RemoveContainer(N3, "id-n3"), CreateContainer(spec))
    assert kept(spec, running) == ()
