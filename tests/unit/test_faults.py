"""Faults as scripts, and what they leave of the rings."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.blueprint import addresses
from labctl.errors import HostError, UsageError
from labctl.faults import abilities, model, packet_filter, records
from labctl.faults.fault import Fault
from labctl.faults.host import HostCut, HostPause
from labctl.faults.link import Impair, InterfaceDown
from labctl.faults.model import PreparedFault, Target
from labctl.faults.network import Cut, Partition
from labctl.faults.node import Kill, Stop

NODES = ("n1", "n2", "n3")
ADDRESSES = {node: f"198.18.0.1{number}" for number, node in enumerate(NODES, 1)}
NETEM = frozenset({"iptables", "statistic", "tbf", "netem"})
WITHOUT_NETEM = NETEM - {"netem"}
TARGET = Target(ADDRESSES, ask_abilities=lambda: NETEM)
BARE = Target(ADDRESSES, ask_abilities=lambda: WITHOUT_NETEM)


def partition(*groups: list[str], traffic: str = "all", name: str = "p") -> PreparedFault:
    return Partition.of({"groups": groups, "traffic": traffic}).prepare(name, TARGET)


def cut(sender: str, receiver: str, traffic: str = "all", name: str = "c") -> PreparedFault:
    return Cut.of({"sender": sender, "receiver": receiver, "traffic": traffic}).prepare(name, TARGET)


def impair(target: Target = TARGET, **wrongs: object) -> PreparedFault:
    return Impair.of({"node": "n1", **wrongs}).prepare("i", target)


def test_partition_drops_what_comes_from_the_other_side_and_nothing_else() -> None:
    fault = partition(["n1", "n2"], ["n3"])
    assert "-A labctl-p -s 198.18.0.13 -j DROP" in fault.scripts["n1"]
    assert fault.scripts["n1"].count(" -s ") == 1
    assert fault.scripts["n3"].count(" -s ") == 2


def test_partition_can_be_held_to_totem() -> None:
    fault = partition(["n1"], ["n2", "n3"], traffic="totem")
    assert "-s 198.18.0.12 -p udp --dport 5404:5915 -j DROP" in fault.scripts["n1"]
    assert fault.what == "partition n1 | n2,n3, totem only"


@given(st.integers(18, 19), st.integers(0, 255), st.integers(0, 15))
def test_whatever_a_filter_holds_to_totem_holds_for_the_ports_of_any_lab(second: int, third: int, site: int) -> None:
    _, port = addresses.multicast(f"198.{second}.{third}.0/24", site)
    first, last = packet_filter.TRAFFIC["totem"].split()[-1].split(":")
    assert int(first) <= port - 1 < port <= int(last)


OLD, NEW = "no", "yes"
STUB = """#!/bin/sh
echo "${0##*/} $*" >> "$LOG"
case " $* " in *" -w "*) [ "$KNOWS" = yes ] || exit 2 ;; esac
case $* in
    --help) [ "$KNOWS" = no ] || echo "[ --wait=SECONDS ]" ;;
    *noflush) cat >> "$LOG" ;;
esac
"""


@pytest.mark.parametrize(("knows", "word"), [(OLD, ""), (NEW, "-w ")])
def test_iptables_waits_for_its_lock_where_it_has_one(knows: str, word: str, tmp_path: Path) -> None:
    for name in ("iptables", "iptables-restore"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "KNOWS": knows}
    fault = partition(["n1", "n2"], ["n3"])
    for script in (fault.scripts["n1"], records.undo_one("p")):
        subprocess.run(["sh", "-c", script.replace(records.RECORDS, str(tmp_path / "r"))], env=environment, check=True)
    log = (tmp_path / "log").read_text().splitlines()
    assert f"iptables-restore {word}--noflush" in log
    assert f"iptables {word}-X labctl-p" in log


def test_partition_of_sip_leaves_the_rings_whole() -> None:
    fault = partition(["n1"], ["n2", "n3"], traffic="sip")
    assert model.rings(NODES, [fault]) == dict.fromkeys(NODES, NODES)


def test_rings_of_a_partition_are_its_groups() -> None:
    fault = partition(["n1", "n2"], ["n3"])
    assert model.rings(NODES, [fault]) == {"n1": ("n1", "n2"), "n2": ("n1", "n2"), "n3": ("n3",)}


def test_rings_of_a_bridge_and_of_a_cut_one_way_are_not_foretold() -> None:
    bridge = partition(["n1", "n2"], ["n2", "n3"])
    one_way = cut("n1", "n2")
    assert model.rings(NODES, [bridge]) is None
    assert model.rings(NODES, [one_way]) is None


def test_rings_without_a_node_that_was_killed() -> None:
    fault = Kill.of({"node": "n2"}).prepare("k", TARGET)
    assert model.rings(NODES, [fault]) == {"n1": ("n1", "n3"), "n2": (), "n3": ("n1", "n3")}


@pytest.mark.parametrize("words", [["n1,n2,n3"], ["n1,n2,n3", "n1"]])
def test_partition_that_cuts_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="cuts nothing"):
        Partition.from_command_line({"groups": words}, NODES).prepare("p", TARGET)


def test_nodes_that_a_command_leaves_out_are_a_group() -> None:
    assert Partition.from_command_line({"groups": ["n1", "n2,"]}, NODES).groups == (("n1",), ("n2",), ("n3",))


@pytest.mark.parametrize("kind", ["partition", "cut", "iface_down", "impair", "stop"])
def test_record_is_written_before_the_fault_and_can_be_read_back(kind: str) -> None:
    fault = {
        "partition": partition(["n1"], ["n2", "n3"], name="f"),
        "cut": cut("n2", "n1", name="f"),
        "iface_down": InterfaceDown.of({"node": "n1"}).prepare("f", TARGET),
        "impair": Impair.of({"node": "n1", "loss": 10}).prepare("f", TARGET),
        "stop": Stop.of({"node": "n1", "service": "corosync"}).prepare("f", TARGET),
    }[kind]
    script = fault.scripts["n1"]
    written = next(line for line in script.splitlines() if line.startswith("echo "))
    record = records.parse_records(written.removeprefix("echo '").partition("' >")[0])[0]
    assert (record.name, record.kind, record.what, record.nodes) == ("f", kind, fault.what, fault.nodes)
    done = {"iface_down": "ip link set eth0 down", "stop": "sv -w", "impair": "tc qdisc replace"}
    assert script.index("/undo\n") < script.index("echo '{") < script.index(done.get(kind, "iptables-restore $r"))


def test_long_names_fit_into_a_chain() -> None:
    fault = cut("n1", "n2", name="a-name-that-is-far-longer-than-a-chain")
    chain = next(line for line in fault.scripts["n2"].splitlines() if line.startswith(":"))
    assert len(chain.split()[0]) <= 29


def test_impairment_by_netem_where_the_kernel_has_it() -> None:
    fault = impair(loss=5, delay="20ms", jitter="3ms", duplicate=1, rate=512)
    assert "netem loss 5% delay 20ms 3ms duplicate 1% rate 512kbit" in fault.scripts["n1"]


def test_loss_and_rate_without_netem() -> None:
    fault = impair(BARE, loss=5, rate=64)
    assert "--probability 0.0500" in fault.scripts["n1"]
    assert "tbf rate 64kbit" in fault.scripts["n1"]
    assert "iptables" in fault.what


@pytest.mark.parametrize("wrong", [{"delay": "5ms"}, {"duplicate": 5}])
def test_delay_and_duplicates_without_netem_are_refused_with_the_way_out(wrong: dict[str, object]) -> None:
    with pytest.raises(HostError, match="no netem") as caught:
        impair(BARE, **wrong)
    assert "modprobe" in caught.value.hint


def test_abilities_are_what_the_probe_could_do() -> None:
    assert abilities.parse_abilities("iptables=yes\nnetem=no\ntbf=yes\n") == {"iptables", "tbf"}


OVER_HOSTS = replace(TARGET, hosts={"n1": "one", "n2": "two", "n3": "two"})


def test_a_host_that_is_cut_off_cuts_its_nodes_from_all_others() -> None:
    fault = HostCut.of({"host": "two", "traffic": "totem"}).prepare("h", OVER_HOSTS)
    assert fault.what == "host-cut two (n2, n3), totem only"
    assert fault.blocks("totem") == {("n1", "n2"), ("n2", "n1"), ("n1", "n3"), ("n3", "n1")}
    assert model.rings(NODES, [fault]) == {"n1": ("n1",), "n2": ("n2", "n3"), "n3": ("n2", "n3")}


def test_a_host_that_hangs_freezes_its_nodes() -> None:
    fault = HostPause.of({"host": "two"}).prepare("h", OVER_HOSTS)
    assert (fault.action, fault.nodes, fault.leaving) == ("pause", ("n2", "n3"), ("n2", "n3"))
    assert model.rings(NODES, [fault]) == {"n1": ("n1",), "n2": (), "n3": ()}


WITH_SERVICE = replace(OVER_HOSTS, services={"db": "198.18.0.41"}, hosts={**OVER_HOSTS.hosts, "db": "one"})


def test_the_services_of_a_host_that_hangs_freeze_with_it() -> None:
    fault = HostPause.of({"host": "one"}).prepare("h", WITH_SERVICE)
    assert (fault.nodes, fault.leaving, fault.absent) == (("n1", "db"), ("n1",), ("n1",))
    assert fault.uncalled == WITH_SERVICE.any_call
    alone = replace(WITH_SERVICE, hosts=dict.fromkeys(NODES, "two") | {"db": "one"})
    assert HostPause.of({"host": "one"}).prepare("h", alone).nodes == ("db",)


def test_the_services_of_a_host_that_is_cut_off_are_heard_by_its_own_nodes_alone() -> None:
    fault = HostCut.of({"host": "one"}).prepare("h", WITH_SERVICE)
    assert fault.what == "host-cut one (n1, db)"
    assert [node for node, script in fault.scripts.items() if "-s 198.18.0.41 -j DROP" in script] == ["n2", "n3"]
    assert [node for node, script in fault.scripts.items() if "-d 198.18.0.41 -j DROP" in script] == ["n2", "n3"]
    assert (fault.uncalled, fault.nodes) == (WITH_SERVICE.any_call, (*NODES, "db"))
    assert model.rings(NODES, [fault]) == {"n1": ("n1",), "n2": ("n2", "n3"), "n3": ("n2", "n3")}
    other = HostCut.of({"host": "two"}).prepare("h", WITH_SERVICE)
    assert [node for node, script in other.scripts.items() if "-s 198.18.0.41 -j DROP" in script] == ["n2", "n3"]
    of_rings = HostCut.of({"host": "one", "traffic": "totem"}).prepare("h", WITH_SERVICE)
    assert of_rings.uncalled == ()


@pytest.mark.parametrize(
    ("target", "host", "what"),
    [
        (OVER_HOSTS, "three", "its hosts: one, two"),
        (TARGET, "one", "it is on one engine"),
        (replace(OVER_HOSTS, hosts=dict.fromkeys(NODES, "one")), "one", "every node is on one"),
    ],
)
def test_a_host_that_holds_no_node_or_all_cannot_be_cut_off(target: Target, host: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        HostCut.of({"host": host}).prepare("h", target)
    assert what in f"{caught.value.message} {caught.value.hint}"


# Services


BESIDE = replace(TARGET, services={"db": "198.18.0.41", "front": "198.18.0.42"})
ALONE = [["n1", "n2", "db"], ["n1", "n2", "n3"]]


def rules(fault: PreparedFault, node: str) -> list[str]:
    lines = fault.scripts[node].splitlines()
    return [line.partition(" labctl-f ")[2] or line for line in lines if line.startswith(("-A", "-I"))]


@pytest.mark.parametrize(
    ("sender", "receiver", "traffic", "wanted"),
    [
        ("db", "n1", "all", ["-s 198.18.0.41 -j DROP", "-I INPUT -j labctl-f"]),
        ("n1", "db", "all", ["-d 198.18.0.41 -j DROP", "-I OUTPUT -j labctl-f"]),
        ("n1", "front", "sip", ["-d 198.18.0.42 -p udp --dport 5060 -j DROP", "-I OUTPUT -j labctl-f"]),
    ],
)
def test_a_node_is_cut_off_from_a_service_by_its_own_filter(
    sender: str, receiver: str, traffic: str, wanted: list[str]
) -> None:
    fault = Cut.of({"sender": sender, "receiver": receiver, "traffic": traffic}).prepare("f", BESIDE)
    assert [*fault.scripts] == ["n1"]
    assert rules(fault, "n1") == wanted
    assert {*fault.nodes} == {sender, receiver}


def test_a_node_that_shares_no_group_with_a_service_has_lost_it_and_nothing_else() -> None:
    fault = Partition.of({"groups": ALONE}).prepare("f", BESIDE)
    dropped = ["-s 198.18.0.41 -j DROP", "-d 198.18.0.41 -j DROP"]
    assert [*fault.scripts] == ["n3"]
    assert sorted(rules(fault, "n3")) == sorted([*dropped, "-I INPUT -j labctl-f", "-I OUTPUT -j labctl-f"])
    assert fault.nodes == ("n3", "db")
    assert (fault.unheard, fault.uncalled) == ((), (("db", "db"), ("n3", "n3")))


def test_a_partition_with_a_service_in_a_group_leaves_the_rings_of_its_nodes() -> None:
    fault = Partition.of({"groups": [["n1", "db"], ["n2", "n3"]]}).prepare("f", BESIDE)
    assert model.rings(NODES, [fault]) == {"n1": ("n1",), "n2": ("n2", "n3"), "n3": ("n2", "n3")}
    assert fault.unheard == (("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1"))
    assert fault.nodes == ("n1", "n2", "n3", "db")


@pytest.mark.parametrize("arguments", [{"sender": "n1", "receiver": "db"}, {"sender": "db", "receiver": "n2"}])
def test_who_loses_a_service_is_in_its_ring_as_before(arguments: dict[str, str]) -> None:
    assert model.rings(NODES, [Cut.of(arguments).prepare("f", BESIDE)]) == dict.fromkeys(NODES, NODES)


def test_nodes_that_a_command_leaves_out_are_a_group_and_services_are_reached_by_all() -> None:
    assert Partition.from_command_line({"groups": ["n1,db"]}, NODES).groups == (("n1", "db"), ("n2", "n3"))
    fault = Partition.of({"groups": [["n1"], ["n2", "n3"]]}).prepare("f", BESIDE)
    assert "198.18.0.4" not in "".join(fault.scripts.values())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Cut.of({"sender": "db", "receiver": "front"}), "db and front are services, and filters are on nodes"),
        (Partition.of({"groups": [["n1", "db"], ["n2", "n3", "front"]]}), "db and front are services"),
        (Partition.of({"groups": [[*NODES, "db"], ["n1"]]}), "this partition cuts nothing"),
        (Cut.of({"sender": "n1", "receiver": "dc"}), "no node `dc` in this lab: its nodes: n1, n2, n3; its services"),
        (Impair.of({"node": "db", "loss": 5}), "no node `db` in this lab: it is a service: impair the link of each"),
        (InterfaceDown.of({"node": "db"}), "no node `db` in this lab: it is a service: `cut` or `partition` keeps"),
    ],
)
def test_what_services_cannot_have_is_refused_with_what_can_be_done(fault: Fault, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        fault.prepare("f", BESIDE)
    assert f"{caught.value.message}: {caught.value.hint}".startswith(said)


@pytest.mark.parametrize(("one", "other"), [("n1", "n9"), ("n9", "n1")])
def test_unknown_nodes_are_refused(one: str, other: str) -> None:
    with pytest.raises(UsageError, match="no node `n9`"):
        cut(one, other)
