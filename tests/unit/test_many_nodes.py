"""Labs of many nodes: addresses and ports for all, what Corosync goes by, and what each node tells the others."""

from __future__ import annotations

import ipaddress
from contextlib import nullcontext
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.blueprint import addresses
from labctl.cluster import neighbours
from labctl.cluster.connections import Cluster
from labctl.cluster.proof import Proof
from labctl.corosync import totem
from labctl.corosync.membership import Membership, RingLog
from labctl.engine.client import Engine
from labctl.errors import HostError, InvalidFile
from labctl.lab import MAX_NODES
from labctl.labfile import writer
from labctl.labfile.entries import FEW_NODES
from labctl.labfile.service_entries import MAX_SERVICES
from labctl.sip.phones import FIRST_MEDIA_PORT
from labctl.timing import Deadline
from tests.unit.fake_nodes import FakeLab
from tests.unit.labs import SUBNET, draw, files, lab

MANY = f"name: many\nnodes: {MAX_NODES}\n"


def totem_of(text: str, name: str = "22") -> dict[str, str]:
    """What corosync.conf says in lines of a key and a value."""
    lines = files(text, "n1", name=name)["corosync/corosync.conf"].splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line and "#" not in line)


# Addresses, ports and numbers


@pytest.mark.long
def test_every_container_of_the_largest_lab_has_an_address_of_its_own() -> None:
    taken = [spec.address for spec in draw(MANY).containers]
    taken += [addresses.service_address(SUBNET, number) for number in range(1, MAX_SERVICES + 1)]
    taken += [addresses.virtual_address(SUBNET)]
    assert len({*taken}) == len(taken) == MAX_NODES + MAX_SERVICES + 2
    hosts = [str(host) for host in ipaddress.ip_network(SUBNET).hosts()]
    assert {*taken} <= {*hosts[1:]}  # the first is the engine's


@pytest.mark.parametrize(("prefix", "nodes"), [(26, FEW_NODES), (25, MAX_NODES)])
def test_a_small_subnet_holds_as_many_as_it_says(prefix: int, nodes: int) -> None:
    network = ipaddress.ip_network(f"198.18.7.0/{prefix}")
    assert all(
        ipaddress.ip_address(addresses.address(str(network), number)) in list(network.hosts())
        for number in range(1, nodes + 1)
    )


def test_a_subnet_without_room_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidFile, match=r"lab.yaml:2: .*31 nodes have no room in 198.18.7.0/26") as raised:
        lab(f"nodes: {FEW_NODES + 1}\nsubnet: 198.18.7.0/26\n")
    assert "a /25 or wider" in raised.value.message
    assert lab(f"nodes: {FEW_NODES}\nsubnet: 198.18.7.0/26\n").subnet == "198.18.7.0/26"


def test_each_of_many_phones_has_a_number_and_ports_of_its_own() -> None:
    phones = lab(MANY).phones
    assert len({phone.extension for phone in phones}) == len({phone.name for phone in phones}) == MAX_NODES
    ports = [port for index in range(MAX_NODES) for port in addresses.sip_ports(index)]
    media = range(FIRST_MEDIA_PORT, FIRST_MEDIA_PORT + addresses.PORTS_A_PHONE * MAX_NODES)
    assert len(ports) == len({*ports})
    assert max(ports) < media[0]
    assert media[-1] < 1 << 15


def test_nodes_of_few_have_the_addresses_they_always_had() -> None:
    assert [addresses.address(SUBNET, number) for number in (1, 3, 16, 30)] == [
        "198.18.16.11",
        "198.18.16.13",
        "198.18.16.26",
        "198.18.16.40",
    ]


def test_ten_sites_of_six_are_ten_rings() -> None:
    sites = {f"site{letter}": 6 for letter in "abcdefghij"}
    filled = lab(f"sites: {sites}\n")
    assert len(filled.nodes) == 60
    assert all(len(filled.cluster_of(node.name)) == 6 for node in filled.nodes)
    groups = {addresses.multicast(SUBNET, number) for number in range(10)}
    assert len({address for address, _ in groups}) == 10


@pytest.mark.parametrize("text", [f"nodes: {MAX_NODES + 1}\n", "sites: {east: 40, west: 25}\n"])
def test_more_than_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidFile, match=str(MAX_NODES)):
        lab(text)


# What Corosync goes by


@pytest.mark.parametrize(("nodes", "token_ms"), [(1, 1000), (2, 1000), (3, 1650), (16, 10100), (30, 19200)])
def test_the_token_is_what_corosync_makes_of_it(nodes: int, token_ms: int) -> None:
    """By `corosync-cmapctl` of 3.1.10 in a lab of 30: token 19200, consensus 23040."""
    timers = totem.timers(1000, nodes)
    assert timers.token == token_ms
    assert timers.consensus == token_ms * 6 // 5


@pytest.mark.long
def test_a_user_may_say_otherwise() -> None:
    timers = totem.timers(3000, 30, coefficient_ms=0, consensus_ms=4000)
    assert (timers.token, timers.consensus) == (3000, 4000)
    said = totem_of("nodes: 30\ntotem: {token: 3000, token_coefficient: 0, consensus: 4000}\n")
    assert (said["token"], said["token_coefficient"], said["consensus"]) == ("3000", "0", "4000")
    assert not {"token_coefficient", "consensus"} & {*totem_of("nodes: 30\n")}  # Corosync's own rule holds


def test_a_large_ring_forms_by_a_shorter_token_than_is_its_own() -> None:
    before = {nodes: files(f"nodes: {nodes}\n", "n1")["service/corosync/before-start"] for nodes in (3, 16, 17, 64)}
    assert [nodes for nodes, text in before.items() if "token_coefficient: 130" in text] == [17, 64]
    assert "await-ring all 128" in before[64]
    assert "totem.token_coefficient u32 650" in before[17]


def test_what_a_user_says_is_written_back() -> None:
    given_totem = {"token": 3000, "token_coefficient": 0, "consensus": 4000}
    data = writer.to_data(lab(f"nodes: 30\ntotem: {given_totem}\n"))["totem"]
    assert {key: data[key] for key in given_totem} == given_totem
    assert {*writer.to_data(lab())["totem"]} == {"token", "transport", "encryption"}


def test_a_consensus_below_the_token_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidFile, match=r"lab.yaml:2: .*too short.*\n? *.*23040"):
        lab("nodes: 30\ntotem: {consensus: 5000}\n")
    assert lab("nodes: 3\ntotem: {consensus: 5000}\n").totem.consensus_ms == 5000


def test_corosync_1_which_has_no_rule_gets_what_it_comes_to() -> None:
    assert totem_of("nodes: 30\n", "1.8")["token"] == "19200"
    assert totem_of("nodes: 3\n", "1.8")["token"] == "1000"


@given(st.integers(1, MAX_NODES))
def test_what_is_sent_to_keep_a_ring_grows_no_faster_than_the_ring(nodes: int) -> None:
    """A ping goes from each node to each other: twice that many packets in each interval."""
    timers = totem.timers(1000, nodes)
    packets_s = 2 * nodes * (nodes - 1) / (timers.ping_interval / 1000)
    assert packets_s <= 10 * totem.FEW_NODES * nodes
    assert timers.ping_timeout >= 2 * timers.ping_interval


def test_few_nodes_are_what_they_were() -> None:
    said = totem_of("nodes: 16\n")
    assert (said["knet_ping_interval"], said["knet_ping_timeout"]) == ("200", "1000")
    assert "join" not in said


# What a log says of many


def test_a_list_of_members_over_several_lines_is_one() -> None:
    """As Corosync 3.1.10 logged it in a lab of 30 nodes."""
    log = RingLog({})
    first = f"Nov 27 07:09:14.879 notice  [QUORUM] Members[30]: {' '.join(map(str, range(1, 25)))}\\"
    assert log.feed(first) == Membership()
    whole = log.feed("Nov 27 07:09:14.879 notice  [QUORUM] Members[30]: 25 26 27 28 29 30")
    assert whole.members == tuple(range(1, 31))
    assert log.feed("[QUORUM] Members[2]: 1 2").members == (1, 2)


def test_the_end_of_a_list_whose_beginning_was_not_read_is_no_membership() -> None:
    log = RingLog({})
    assert log.feed("[QUORUM] Members[30]: 25 26 27 28 29 30") == Membership()
    log.feed("[QUORUM] Members[30]: 1 2 3\\")  # and then it was restarted
    assert log.feed("[QUORUM] Members[1]: 7").members == (7,)


# What each node tells the others


def test_many_nodes_have_one_endpoint_for_all_others() -> None:
    """Each endpoint has a state that its node tells whenever one joins: n nodes, n joins, n endpoints."""
    written = files("nodes: 17\nphones: 17\n", "n1")
    pjsip, extensions = written["asterisk/pjsip.conf"], written["asterisk/extensions.conf"]
    assert pjsip.count("type = endpoint\n") == 2  # the template of phones, and that of all other nodes
    assert pjsip.count("match = ") == 16
    assert f"exten = 102,1,Dial(PJSIP/node/sip:102@{addresses.address('198.18.16.0/24', 2)}:5060,30)" in extensions
    assert "node-n2" in files("nodes: 16\n", "n1")["asterisk/extensions.conf"]


def test_a_proof_of_all_pairs_takes_one_change_a_node() -> None:
    fake = FakeLab("name: lab\nnodes: 24\n")
    changes: list[tuple[str, str]] = []

    def spread(origin: str, device: str, state: str) -> None:
        changes.append((origin, state))
        fake.spread(origin, device, state)

    fake.on_change = spread
    with Cluster(cast(Engine, fake), fake.running) as cluster:
        proof = Proof(cluster)
        cluster.open()
        cluster.await_booted(Deadline(20))
        crossings = proof.crossings(Deadline(60))
    assert len(crossings) == 24 * 23
    assert len(changes) == 2 * 24 * max(crossing.round for crossing in crossings)  # there, and back to rest


class Machine:
    """An engine on a machine whose kernel keeps so many neighbours."""

    def __init__(self, keeps: str) -> None:
        self.keeps, self.asked = keeps, 0

    def probe(self, _image: str, script: str, *, of_machine: bool = False) -> str:
        assert (of_machine, script) == (True, "cat /proc/sys/net/ipv4/neigh/default/gc_thresh3")
        self.asked += 1
        return f"{self.keeps}\n"


@pytest.mark.parametrize(
    ("text", "keeps", "asked", "refused"),
    [
        ("nodes: 26", "1024", 0, False),
        ("nodes: 30", "1024", 1, False),
        ("nodes: 48", "1024", 1, True),
        ("nodes: 48", "4096", 1, False),
        ("nodes: 48", "cat: can't open", 1, False),  # where nobody can tell it is tried
        ("sites: {a: 16, b: 16, c: 16}", "1024", 1, False),
    ],
)
def test_a_lab_whose_nodes_could_not_find_each_other_is_refused_before_it_is_made(
    text: str, keeps: str, asked: int, refused: bool
) -> None:
    machine = Machine(keeps)
    with pytest.raises(HostError, match="48 nodes want 2304 neighbours") if refused else nullcontext():
        neighbours.check(cast(Engine, machine), lab(f"name: many\n{text}\n"), "image")
    assert machine.asked == asked
