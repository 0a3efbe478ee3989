"""Faults put in force on nodes, found again, and undone by what the nodes keep of them alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from labctl.engine.actions import PauseContainer
from labctl.engine.client import Engine
from labctl.errors import LabError, UsageError
from labctl.faults import injector, records, registry
from labctl.faults.model import PreparedFault, Record
from labctl.scenario.fault_control import target_of
from tests.faults import lasting
from tests.unit.sandbox_nodes import UNTOUCHED, SandboxNodes

NODES = ("n1", "n2", "n3")

EVERY_KIND = [
    ("partition", {"groups": [["n1", "n2"], ["n3"]]}),
    ("partition", {"groups": [["n1"], ["n2", "n3"]], "traffic": "totem"}),
    ("cut", {"sender": "n1", "receiver": "n2", "traffic": "sip"}),
    ("iface_down", {"node": "n1"}),
    ("impair", {"node": "n1", "loss": 10, "delay": "20ms"}),
    ("impair", {"node": "n1", "loss": 10, "traffic": "totem"}),
    ("stop", {"node": "n1", "service": "asterisk"}),
    ("stop", {"node": "n1", "service": "corosync"}),
    ("kill", {"node": "n1"}),
    ("stop", {"node": "n2"}),
    ("pause", {"node": "n3"}),
]
EVERY_KIND += lasting({kind for kind, _ in EVERY_KIND}).items()


@pytest.fixture
def nodes(tmp_path: Path) -> SandboxNodes:
    return SandboxNodes(tmp_path)


def engine(nodes: SandboxNodes) -> Engine:
    return cast("Engine", nodes)


def inflict(nodes: SandboxNodes, kind: str, **arguments: Any) -> PreparedFault:
    """As `labctl fault` does it."""
    in_force = injector.in_force(engine(nodes), "lab")
    fault = registry.make(kind, arguments)
    prepared = fault.prepare(fault.named([record.name for record in in_force]), target_of(engine(nodes), nodes.running))
    injector.inflict(engine(nodes), "lab", prepared, in_force)
    return prepared


def in_force(nodes: SandboxNodes) -> list[str]:
    return sorted(record.name for record in injector.in_force(engine(nodes), "lab"))


def assert_untouched(nodes: SandboxNodes) -> None:
    assert in_force(nodes) == []
    assert {node: nodes.state(node) for node in NODES} == dict.fromkeys(NODES, UNTOUCHED)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "arguments"), EVERY_KIND, ids=str)
def test_whoever_heals_needs_what_the_nodes_keep_alone(
    kind: str, arguments: dict[str, Any], nodes: SandboxNodes
) -> None:
    fault = inflict(nodes, kind, **arguments)
    (name,) = in_force(nodes)
    assert (name,) == injector.names_on_nodes(fault)
    healing = injector.heal(engine(nodes), "lab", name)
    assert ([record.name for record in healing.healed], healing.left, healing.errors) == ([name], (), ())
    assert_untouched(nodes)


@pytest.mark.long
def test_all_at_once_are_undone_at_once(nodes: SandboxNodes) -> None:
    inflict(nodes, "partition", groups=[["n1", "n2"], ["n3"]])
    inflict(nodes, "cut", sender="n1", receiver="n2", traffic="sip")
    inflict(nodes, "iface_down", node="n1")
    inflict(nodes, "impair", node="n1", loss=10)
    inflict(nodes, "impair", node="n2", loss=10, traffic="totem")
    inflict(nodes, "stop", node="n1", service="asterisk")
    inflict(nodes, "stop", node="n1", service="corosync")
    inflict(nodes, "kill", node="n2")
    inflict(nodes, "pause", node="n3")
    healing = injector.heal(engine(nodes), "lab")
    names = {record.name for record in healing.healed}
    assert names > {"partition.1", "iface-down.1", "impair.1", "stop-asterisk-n1", "stop-corosync-n1", "pause-n3"}
    assert (healing.left, healing.errors) == ((), ())
    assert_untouched(nodes)


def test_what_a_paused_node_remembers_is_healed_and_told(nodes: SandboxNodes) -> None:
    inflict(nodes, "impair", node="n1", loss=10)
    inflict(nodes, "pause", node="n1")
    healing = injector.heal(engine(nodes), "lab")
    assert sorted(record.name for record in healing.healed) == ["impair.1", "pause-n1"]
    assert_untouched(nodes)


def test_a_fault_that_has_the_name_of_a_containers_state_is_not_hidden_by_it(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n2", receiver="n1", name="down-n3")
    inflict(nodes, "kill", node="n3")
    assert in_force(nodes) == ["down-n3", "down-n3"]
    injector.heal(engine(nodes), "lab", "down-n3").check()
    assert_untouched(nodes)


def test_of_two_faults_one_is_undone_and_the_other_stays(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n1", receiver="n2", name="one")
    inflict(nodes, "cut", sender="n3", receiver="n2", name="One.1_x")
    injector.heal(engine(nodes), "lab", "one")
    assert in_force(nodes) == ["One.1_x"]
    assert list(nodes.state("n2")["chains"]) == ["labctl-One.1_x"]


@pytest.mark.long
def test_one_that_cannot_be_undone_stays_in_force_and_the_rest_is_undone(nodes: SandboxNodes) -> None:
    inflict(nodes, "iface_down", node="n1", name="dark")
    inflict(nodes, "cut", sender="n2", receiver="n1")
    nodes.refuse("n1", "ip link set")
    healing = injector.heal(engine(nodes), "lab")
    assert ([record.name for record in healing.healed], [record.name for record in healing.left]) == (
        ["cut.1"],
        ["dark"],
    )
    with pytest.raises(LabError, match=r"still in force: dark\nn1: .*refused: ip"):
        healing.check()
    assert in_force(nodes) == ["dark"]
    with pytest.raises(LabError):
        injector.heal(engine(nodes), "lab", "dark").check()
    nodes.refuse("n1")
    injector.heal(engine(nodes), "lab", "dark").check()
    assert_untouched(nodes)


def test_a_sweep_undoes_what_nobody_remembers(nodes: SandboxNodes) -> None:
    nodes.touch("n2", chains={"labctl-x": [], "mine": []}, hooks={"INPUT": ["labctl-x", "mine"], "OUTPUT": []})
    nodes.touch("n1", qdisc="qdisc netem loss 5%", interface="down")
    nodes.touch("n3", services={"asterisk": "down", "corosync": "run"})
    injector.heal(engine(nodes), "lab").check()
    assert nodes.state("n2") == UNTOUCHED | {"chains": {"mine": []}, "hooks": {"INPUT": ["mine"], "OUTPUT": []}}
    assert [nodes.state(node) for node in ("n1", "n3")] == [UNTOUCHED, UNTOUCHED]


def test_what_labctl_0_1_recorded_is_left_where_the_sweep_fails(nodes: SandboxNodes) -> None:
    inflict(nodes, "iface_down", node="n1", name="dark")
    (nodes.records("n1") / "old").write_text('{"name": "old", "kind": "cut", "what": "old", "nodes": ["n1"]}\n')
    nodes.refuse("n1", "ip link set")
    healing = injector.heal(engine(nodes), "lab")
    assert {record.name for record in healing.left} == {"dark", "old"}


def test_a_script_of_somebody_elses_fails_alone(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n2", receiver="n1", name="odd")
    (nodes.records("n1") / "odd" / "undo").write_text("echo cannot; exit 1")
    (nodes.records("n1") / "old").write_text('{"name": "old", "kind": "cut", "what": "old", "nodes": ["n1"]}\n')
    healing = injector.heal(engine(nodes), "lab")
    assert ([record.name for record in healing.left], healing.errors) == (["odd"], ("n1: odd: cannot",))


def test_healing_starts_nothing_that_was_not_to_run(nodes: SandboxNodes) -> None:
    nodes.keep_down("n1", "corosync")
    inflict(nodes, "cut", sender="n2", receiver="n1")
    injector.heal(engine(nodes), "lab").check()
    assert nodes.state("n1")["services"] == {"asterisk": "run", "corosync": "down"}


def test_healing_one_fault_starts_nothing_that_another_holds_down(nodes: SandboxNodes) -> None:
    inflict(nodes, "stop", node="n1", service="corosync")
    inflict(nodes, "stop", node="n1", service="asterisk")
    injector.heal(engine(nodes), "lab", "stop-asterisk-n1").check()
    assert nodes.state("n1")["services"] == {"asterisk": "run", "corosync": "down"}


OLD = [
    ("iface_down", {"interface": "down"}),
    ("impair", {"qdisc": "qdisc tbf rate 64kbit"}),
    ("impair", {"chains": {"labctl-old": []}, "hooks": {"INPUT": ["labctl-old"], "OUTPUT": []}}),
    ("cut", {"chains": {"labctl-old": []}, "hooks": {"INPUT": ["labctl-old"], "OUTPUT": []}}),
    ("stop", {"services": {"asterisk": "down", "corosync": "run"}}),
]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "state"), OLD, ids=str)
@pytest.mark.parametrize("by_name", [True, False])
def test_what_labctl_0_1_recorded_is_undone(
    kind: str, state: dict[str, Any], by_name: bool, nodes: SandboxNodes
) -> None:
    record = {"name": "old", "kind": kind, "what": "as it was", "nodes": ["n1"]}
    nodes.records("n1").mkdir()
    (nodes.records("n1") / "old").write_text(json.dumps(record) + "\n")
    nodes.touch("n1", **state)
    assert in_force(nodes) == ["old"]
    injector.heal(engine(nodes), "lab", "old" if by_name else None).check()
    assert_untouched(nodes)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("impair", {"loss": 5}, {"rate": 64}),
        ("iface_down", {}, {}),
        ("impair", {"loss": 5, "traffic": "sip"}, {"delay": 1}),
    ],
)
def test_a_second_one_on_a_node_is_refused_with_the_name_of_the_first(
    kind: str, first: dict[str, Any], second: dict[str, Any], nodes: SandboxNodes
) -> None:
    inflict(nodes, kind, node="n1", name="mine", **first)
    before = nodes.state("n1")
    with pytest.raises(UsageError, match="of n1 is taken by the fault `mine`"):
        inflict(nodes, kind, node="n1", **second)
    assert nodes.state("n1") == before
    inflict(nodes, kind, node="n2", **second)


def test_what_labctl_0_1_made_bad_is_not_made_worse_unseen() -> None:
    record = {"name": "old", "kind": "impair", "what": "as it was", "nodes": ["n1"]}
    (old,) = records.parse_records(json.dumps(record))
    assert old == Record("old", "impair", "as it was", ("n1",), ("the link of n1",))


def test_a_record_that_is_none_hides_no_other() -> None:
    record = '{"name": "old", "kind": "cut", "what": "as it was", "nodes": ["n1"]}'
    assert [entry.name for entry in records.parse_records(f'{{"na\n{{}}\n{record}\n{{"name": 1}}\n')] == ["old"]


def test_a_name_that_is_in_force_is_refused(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n1", receiver="n2", name="mine")
    with pytest.raises(UsageError, match="a fault `mine` is in force already: cut n1 -> n2"):
        inflict(nodes, "cut", sender="n1", receiver="n3", name="mine")


def test_a_daemon_that_is_stopped_cannot_be_killed(nodes: SandboxNodes) -> None:
    inflict(nodes, "stop", node="n1", service="asterisk")
    with pytest.raises(UsageError, match="asterisk on n1 is taken by the fault `stop-asterisk-n1`"):
        inflict(nodes, "kill", node="n1", service="asterisk")


def test_nothing_is_undone_behind_the_back_of_a_pause(nodes: SandboxNodes) -> None:
    inflict(nodes, "partition", groups=[["n1"], ["n2", "n3"]], name="split")
    inflict(nodes, "pause", node="n2")
    with pytest.raises(LabError, match="n2 is paused, so `split` cannot be undone there"):
        injector.heal(engine(nodes), "lab", "split").check()
    assert in_force(nodes) == ["pause-n2"]
    injector.heal(engine(nodes), "lab", "pause-n2").check()
    assert in_force(nodes) == ["split"]
    injector.heal(engine(nodes), "lab").check()
    assert_untouched(nodes)


def test_a_name_like_that_of_a_pause_hides_no_pause(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n1", receiver="n3", name="pause-n2")
    nodes.apply(PauseContainer("labctl-lab-n2"))
    assert [record.kind for record in injector.in_force(engine(nodes), "lab")] == ["pause", "cut"]
    injector.heal(engine(nodes), "lab", "pause-n2").check()
    assert_untouched(nodes)


def test_a_fault_on_a_paused_node_that_has_the_name_of_the_pause_is_undone_after_it(nodes: SandboxNodes) -> None:
    inflict(nodes, "impair", node="n2", loss=10, name="pause-n2")
    nodes.apply(PauseContainer("labctl-lab-n2"))
    injector.heal(engine(nodes), "lab", "pause-n2")
    assert [record.kind for record in injector.in_force(engine(nodes), "lab")] == ["impair"]
    injector.heal(engine(nodes), "lab", "pause-n2").check()
    assert_untouched(nodes)


def test_a_fault_that_fails_on_one_node_is_undone_on_all(nodes: SandboxNodes) -> None:
    nodes.refuse("n3", "iptables-restore --noflush ")
    with pytest.raises(LabError, match="n3: refused: iptables-restore"):
        inflict(nodes, "partition", groups=[["n1"], ["n2", "n3"]])
    nodes.refuse("n3")
    assert_untouched(nodes)


def test_a_fault_that_can_neither_be_put_in_force_nor_undone_says_both(nodes: SandboxNodes) -> None:
    nodes.refuse("n1", "ip link set")
    with pytest.raises(LabError, match="refused: ip\nn1: refused: ip"):
        inflict(nodes, "iface_down", node="n1")
    assert in_force(nodes) == ["iface-down.1"]


@pytest.mark.parametrize("state", ["kill", "pause"])
def test_no_fault_is_put_on_a_node_that_does_not_run(state: str, nodes: SandboxNodes) -> None:
    inflict(nodes, state, node="n2")
    with pytest.raises(UsageError, match=r"n2 is (exited|paused)"):
        inflict(nodes, "partition", groups=[["n1"], ["n2", "n3"]])
    assert nodes.state("n1") == UNTOUCHED


def test_heal_of_an_unknown_fault_says_which_there_are(nodes: SandboxNodes) -> None:
    inflict(nodes, "cut", sender="n1", receiver="n2", name="mine")
    with pytest.raises(UsageError, match="no fault `yours`") as refused:
        injector.heal(engine(nodes), "lab", "yours")
    assert "mine" in refused.value.hint


@pytest.mark.parametrize("name", ["my fault", "a;b", "$(x)", "../up", "", "-x", ".x", "all", "é", "a" * 42, "a\n"])
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"not a name|a reserved word") as refused:
        registry.make("cut", {"sender": "n1", "receiver": "n2", "name": name})
    assert refused.value.hint
