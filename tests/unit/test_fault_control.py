"""The faults of one lab: what they come to in its history, who is gone by them, and what of them is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from labctl.engine.actions import KillContainer
from labctl.engine.client import Engine
from labctl.errors import HostError, LabError, NotReady, UsageError
from labctl.faults import injector, registry
from labctl.faults.model import SIP
from labctl.history.events import Back, Event, FaultBegan, Gone, Healed
from labctl.history.journal import Journal
from labctl.scenario.fault_control import FaultControl
from labctl.timing import Deadline
from tests.unit.sandbox_nodes import UNTOUCHED, SandboxNodes

BOTH_WAYS = (("n1", "n3"), ("n2", "n3"), ("n3", "n1"), ("n3", "n2"))


class Connections:
    """What is done to the connections, in its order; a node of `lost` does not come back."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lost: set[str] = set()

    def disconnect(self, node: str) -> None:
        self.calls.append(f"disconnect {node}")

    def await_gone(self, node: str, _deadline: Deadline) -> None:
        self.calls.append(f"await_gone {node}")

    def reconnect(self, node: str, _deadline: Deadline) -> None:
        self.calls.append(f"reconnect {node}")
        if node in self.lost:
            raise NotReady(f"{node} is not back", {})


class Control:
    """A FaultControl on nodes that run its scripts."""

    def __init__(self, folder: Path, text: str = "name: lab\n") -> None:
        self.nodes = SandboxNodes(folder, text)
        self.connections = Connections()
        self.journal = Journal()
        self.lost_calls: list[str] = []
        engine = cast("Engine", self.nodes)
        self.faults = FaultControl(engine, self.nodes.running, self.connections, self.journal, self.lost_calls.append)

    def inflict(self, kind: str, **arguments: Any) -> str:
        return self.faults.inflict(registry.make(kind, arguments))

    def events(self, *kinds: type[Event]) -> list[tuple[str, str]]:
        """Events by kind and by the fault or node that they are of."""
        return [
            (type(event).__name__, event.fault if isinstance(event, FaultBegan | Healed) else event.node)
            for event in self.journal.events
            if isinstance(event, FaultBegan | Healed | Gone | Back) and (not kinds or isinstance(event, kinds))
        ]


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


# What calls a fault excuses


@pytest.mark.parametrize(
    ("kind", "arguments", "uncalled"),
    [
        ("partition", {"groups": [["n1", "n2"], ["n3"]]}, BOTH_WAYS),
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "sip"}, BOTH_WAYS),
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "totem"}, ()),
        ("cut", {"sender": "n1", "receiver": "n2"}, (("n1", "n2"),)),
        ("cut", {"sender": "n1", "receiver": "n2", "traffic": "dundi"}, ()),
        ("iface_down", {"node": "n1"}, None),
        ("impair", {"node": "n1", "loss": 5}, None),
        ("impair", {"node": "n1", "loss": 5, "traffic": "sip"}, None),
        ("impair", {"node": "n1", "loss": 5, "traffic": "totem"}, ()),
        ("impair", {"node": "n1", "loss": 5, "traffic": "dundi"}, ()),
        ("kill", {"node": "n1"}, None),
        ("stop", {"node": "n1"}, None),
        ("pause", {"node": "n1"}, None),
        ("kill", {"node": "n1", "service": "asterisk"}, None),
        ("stop", {"node": "n1", "service": "asterisk"}, None),
        ("restart", {"node": "n1", "service": "asterisk"}, None),
        ("kill", {"node": "n1", "service": "corosync"}, ()),
        ("stop", {"node": "n1", "service": "corosync"}, ()),
        ("restart", {"node": "n1", "service": "corosync"}, ()),
    ],
    ids=str,
)
def test_history_has_what_calls_were_in_the_way_of_a_fault(
    kind: str, arguments: dict[str, Any], uncalled: Any, control: Control
) -> None:
    name = control.inflict(kind, **arguments)
    (event,) = (event for event in control.journal.events if isinstance(event, FaultBegan))
    assert (event.fault, event.uncalled, event.unasked) == (name, uncalled, ())


@pytest.mark.parametrize(
    ("kind", "arguments", "unheard", "absent"),
    [
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "totem"}, BOTH_WAYS, ()),
        ("partition", {"groups": [["n1", "n2"], ["n3"]], "traffic": "sip"}, (), ()),
        ("iface_down", {"node": "n3"}, BOTH_WAYS, ()),
        ("impair", {"node": "n1", "loss": 5}, None, ()),
        ("impair", {"node": "n1", "loss": 5, "traffic": "totem"}, None, ()),
        ("impair", {"node": "n1", "loss": 5, "traffic": "sip"}, (), ()),
        ("impair", {"node": "n1", "loss": 100}, (("n1", "n2"), ("n1", "n3")), ()),
        ("impair", {"node": "n1", "loss": 100, "traffic": "totem"}, (("n2", "n1"), ("n3", "n1")), ()),
        ("pause", {"node": "n1"}, (), ("n1",)),
        ("stop", {"node": "n1", "service": "corosync"}, (), ("n1",)),
        ("kill", {"node": "n1", "service": "asterisk"}, (), ()),
    ],
    ids=str,
)
def test_history_has_whose_corosync_hears_whom(
    kind: str, arguments: dict[str, Any], unheard: Any, absent: tuple[str, ...], control: Control
) -> None:
    control.inflict(kind, **arguments)
    (event,) = (event for event in control.journal.events if isinstance(event, FaultBegan))
    assert (event.unheard, event.absent) == (unheard, absent)


def test_where_asterisk_follows_corosync_that_takes_calls_with_it(tmp_path: Path) -> None:
    control = Control(tmp_path, "name: lab\nfollows_corosync: yes\n")
    control.inflict("stop", node="n1", service="corosync")
    assert [event.uncalled for event in control.journal.events if isinstance(event, FaultBegan)] == [None]
    assert (control.faults.gone, control.connections.calls) == ({"n1"}, [])


def test_between_sites_history_has_what_questions_do_not_cross(tmp_path: Path) -> None:
    control = Control(tmp_path, "name: lab\nsites: {east: [n1], west: [n2, n3]}\n")
    control.inflict("cut", sender="n1", receiver="n2", traffic="dundi")
    (event,) = (event for event in control.journal.events if isinstance(event, FaultBegan))
    assert (event.unasked, event.uncalled) == ((("n1", "n2"),), ())


# Who is gone


def test_a_node_is_gone_from_its_fault_until_it_is_booted_again(control: Control) -> None:
    control.inflict("kill", node="n2")
    assert (control.faults.gone, control.faults.in_force) == ({"n2"}, ("kill-n2",))
    assert control.faults.expected_rings() == {"n1": ("n1", "n3"), "n2": (), "n3": ("n1", "n3")}
    control.faults.start("n2")
    assert control.connections.calls == ["disconnect n2", "await_gone n2", "reconnect n2"]
    assert control.events() == [("Gone", "n2"), ("FaultBegan", "kill-n2"), ("Healed", "kill-n2"), ("Back", "n2")]
    assert (control.faults.gone, control.faults.in_force, control.lost_calls) == (set(), (), ["n2"])


def test_what_a_supervisor_mends_is_in_force_until_the_lab_has_settled(control: Control) -> None:
    control.inflict("kill", node="n1", service="asterisk")
    assert control.faults.in_force == ()
    control.faults.await_returned()
    control.inflict("kill", node="n1", service="asterisk")  # as often as one likes
    control.faults.await_returned()
    assert control.events(Healed, Back) == [("Back", "n1"), ("Back", "n1")]
    control.faults.note_settled()
    assert control.events(Healed) == [("Healed", "kill-asterisk-n1")]


def test_a_restart_is_over_when_the_node_is_back(control: Control) -> None:
    control.inflict("restart", node="n1", service="asterisk")
    assert control.events(Gone, Back) == [("Gone", "n1"), ("Back", "n1")]


def test_a_node_comes_back_when_the_last_fault_that_keeps_it_away_is_undone(control: Control) -> None:
    control.inflict("stop", node="n1", service="corosync")
    control.inflict("stop", node="n1", service="asterisk")
    control.faults.start("n1", "corosync")
    assert control.faults.gone == {"n1"}
    control.faults.start("n1", "asterisk")
    assert control.faults.gone == set()
    assert control.nodes.state("n1") == UNTOUCHED


def test_a_node_that_does_not_come_back_is_told(control: Control) -> None:
    control.inflict("pause", node="n1")
    control.connections.lost.add("n1")
    with pytest.raises(NotReady, match="n1 is not back"):
        control.faults.heal()
    assert control.faults.gone == {"n1"}


@pytest.mark.parametrize(("node", "service"), [("n2", "node"), ("n1", "asterisk")])
def test_start_of_what_runs_is_refused(node: str, service: str, control: Control) -> None:
    control.inflict("kill", node="n1")
    with pytest.raises(UsageError, match="nothing of it was killed"):
        control.faults.start(node, service)


def test_start_brings_back_a_node_that_ended_by_itself(control: Control) -> None:
    control.nodes.apply(KillContainer("labctl-lab-n2"))
    control.faults.note_crash("n2", 1.0, "", whole=True)
    control.faults.start("n2")
    assert [node.state for node in control.nodes.observe("lab").containers] == ["running"] * 3
    assert control.faults.gone == {"n2"}  # until it is connected to


def test_a_node_that_is_gone_cannot_go(control: Control) -> None:
    control.inflict("pause", node="n1")
    with pytest.raises(UsageError, match="n1 is gone already"):
        control.inflict("kill", node="n1")
    assert control.events() == [("Gone", "n1"), ("FaultBegan", "pause-n1")]


@pytest.mark.parametrize("way", ["kill", "stop", "pause"])
def test_a_node_that_comes_back_has_the_faults_that_are_in_force(way: str, control: Control) -> None:
    split = control.inflict("partition", groups=[["n1"], ["n2", "n3"]])
    filters = control.nodes.state("n2")
    control.inflict(way, node="n2")
    control.faults.start("n2")
    assert control.nodes.state("n2") == filters != UNTOUCHED
    assert control.faults.in_force == (split,)
    control.faults.heal()
    assert control.nodes.state("n2") == UNTOUCHED


# What is left


def test_a_fault_that_could_not_be_undone_is_not_healed_and_the_rest_is(control: Control) -> None:
    dark = control.inflict("iface_down", node="n1")
    split = control.inflict("cut", sender="n2", receiver="n3")
    control.nodes.refuse("n1", "ip link set")
    with pytest.raises(LabError, match=rf"still in force: {dark}"):
        control.faults.heal()
    assert control.events(Healed) == [("Healed", split)]
    assert control.faults.in_force == (dark,)
    control.nodes.refuse("n1")
    control.faults.heal(dark)
    assert list(control.faults.in_force) == []
    assert control.nodes.state("n1") == UNTOUCHED


def test_one_fault_that_could_not_be_undone_stays_in_force(control: Control) -> None:
    dark = control.inflict("iface_down", node="n1")
    control.nodes.refuse("n1", "ip link set")
    with pytest.raises(LabError, match="refused: ip"):
        control.faults.heal(dark)
    assert control.faults.in_force == (dark,)
    assert control.events(Healed) == []


DATABASE = "name: lab\nservices: {db: {image: x, ready: 'pg_isready -h ${db.address}'}}\n"


def test_a_service_that_does_not_come_back_keeps_nothing_else_from_being_undone(tmp_path: Path) -> None:
    control = Control(tmp_path, DATABASE)
    split = control.inflict("partition", groups=[["n1"], ["n2", "n3"]])
    killed = control.inflict("kill", node="db")
    gone = control.inflict("kill", node="n3")
    with pytest.raises(LabError, match=r"labctl-lab-db is not ready: pg_isready -h 198\.18\.16\.41"):
        control.faults.heal()
    assert {name for _, name in control.events(Healed)} == {split, killed, gone}
    assert control.events(Back) == [("Back", "n3")]
    assert control.faults.in_force == ()
    assert [control.nodes.state(node) for node in ("n1", "n2")] == [UNTOUCHED] * 2


@pytest.mark.parametrize("arguments", [{"sender": "n1", "receiver": "db"}, {"sender": "db", "receiver": "n1"}])
@pytest.mark.parametrize("whole", [False, True])
def test_what_cuts_a_node_off_from_a_service_is_the_nodes_alone(
    arguments: dict[str, str], whole: bool, tmp_path: Path
) -> None:
    control = Control(tmp_path, DATABASE)
    name = control.inflict("cut", **arguments)
    assert [*control.nodes.state("n1")["chains"]] == [f"labctl-{name}"]
    assert control.faults.expected_rings() == dict.fromkeys(("n1", "n2", "n3"), ("n1", "n2", "n3"))
    [began] = [event for event in control.journal.events if isinstance(event, FaultBegan)]
    assert (began.unheard, began.unasked) == ((), ())
    assert began.uncalled == (("db", "db"), ("n1", "n1"))
    control.nodes.apply(KillContainer("labctl-lab-db"))  # what becomes of the service has nothing to do with it
    if whole:
        control.faults.heal(name)
    else:
        healing = injector.heal(cast("Engine", control.nodes), "lab", name)
        healing.check()
    assert control.nodes.state("n1") == UNTOUCHED


def test_what_its_own_script_cannot_undo_is_in_force_though_it_was_swept(control: Control) -> None:
    name = control.inflict("impair", node="n1", loss=5)
    (control.nodes.records("n1") / name / "undo").write_text("exit 1\n")
    with pytest.raises(LabError, match=f"still in force: {name}"):
        control.faults.heal()
    assert control.nodes.state("n1") == UNTOUCHED
    assert control.faults.in_force == (name,)


def test_what_its_script_undoes_once_the_lab_is_swept_is_healed(control: Control) -> None:
    name = control.inflict("impair", node="n1", loss=5)
    (control.nodes.records("n1") / name / "undo").write_text("! tc qdisc show dev eth0 | grep netem\n")
    control.faults.heal()
    assert control.events(Healed) == [("Healed", name)]
    assert control.nodes.state("n1") == UNTOUCHED


def test_heal_undoes_also_what_somebody_else_did(control: Control) -> None:
    control.nodes.touch("n3", interface="down")
    control.faults.heal()
    assert control.nodes.state("n3") == UNTOUCHED
    assert control.events() == []


def test_behind_a_pause_nothing_is_undone_but_with_it_all_is(control: Control) -> None:
    split = control.inflict("partition", groups=[["n1"], ["n2", "n3"]])
    control.inflict("pause", node="n2")
    with pytest.raises(LabError, match="n2 is paused"):
        control.faults.heal(split)
    assert list(control.faults.in_force) == [split, "pause-n2"]
    control.faults.heal()
    assert list(control.faults.in_force) == []
    assert [control.nodes.state(node) for node in ("n1", "n2", "n3")] == [UNTOUCHED] * 3


def test_a_fault_that_fails_is_healed_at_once(control: Control) -> None:
    control.nodes.refuse("n3", "iptables-restore --noflush ")
    with pytest.raises(LabError, match="refused"):
        control.inflict("partition", groups=[["n1"], ["n2", "n3"]], name="split")
    assert control.events() == [("FaultBegan", "split"), ("Healed", "split")]
    assert control.faults.in_force == ()


def test_a_fault_that_fails_and_cannot_be_undone_is_in_force(control: Control) -> None:
    control.nodes.refuse("n1", "ip link set")
    with pytest.raises(LabError, match="refused"):
        control.inflict("iface_down", node="n1", name="dark")
    assert control.events() == [("FaultBegan", "dark")]
    assert control.faults.in_force == ("dark",)


# What is refused before anything is done


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("impair", {"node": "n1", "rate": 64}, "the link of n1 is taken by the fault `mine`"),
        ("cut", {"sender": "n1", "receiver": "n2", "name": "mine"}, "a fault `mine` is in force already"),
        ("cut", {"sender": "n1", "receiver": "n9"}, "no node `n9`"),
        ("pause", {"node": "n9"}, "no node `n9`"),
        ("partition", {"groups": [["n1", "n2", "n3"], ["n1"]]}, "cuts nothing"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_written_down(
    kind: str, arguments: dict[str, Any], message: str, control: Control
) -> None:
    control.inflict("impair", node="n1", loss=5, name="mine")
    with pytest.raises(UsageError, match=message):
        control.inflict(kind, **arguments)
    assert control.events() == [("FaultBegan", "mine")]
    assert control.faults.in_force == ("mine",)


def test_where_there_is_no_ring_no_corosync_can_end(tmp_path: Path) -> None:
    control = Control(tmp_path, "name: lab\nshare: {via: pjsip-publish}\n")
    with pytest.raises(UsageError, match="no node of this lab runs Corosync"):
        control.inflict("kill", node="n1", service="corosync")
    control.inflict("cut", sender="n1", receiver="n2")
    assert control.faults.expected_rings(SIP) is None


def test_what_the_kernel_cannot_do_is_told(control: Control) -> None:
    control.nodes.abilities = "iptables=yes\nnetem=no\n"
    with pytest.raises(HostError, match="no netem"):
        control.inflict("impair", node="n1", delay="5ms")


def test_heal_of_an_unknown_fault_says_which_there_are(control: Control) -> None:
    control.inflict("cut", sender="n1", receiver="n2", name="mine")
    with pytest.raises(UsageError, match="no fault `yours`") as refused:
        control.faults.heal("yours")
    assert refused.value.hint == "these are: mine"
