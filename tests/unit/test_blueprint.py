"""What a lab is made into: addresses, secrets, configuration files, modules, hashes.

The whole configuration of a node stands in golden/WHAT/NODE, where WHAT begins with the stack's name. After a change
that is meant: LABCTL_UPDATE_GOLDEN=1 pytest tests/unit/test_blueprint.py, and look at what git shows.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.blueprint import addresses, drawing
from labctl.blueprint.secrets import Secrets
from labctl.errors import HostError
from labctl.lab import Node
from labctl.labfile import reader
from labctl.names import LABEL_CONFIG
from labctl.stack.loader import find_stack, shipped_stacks
from labctl.stack.model import ContainerLimits
from tests.unit.labs import IMAGES, draw, files, stack

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = "name: three-node\nnodes: 3\n"
TWO_SITES = "name: two-sites\nsites: {east: 2, west: 2}\n"
SEEDS = st.text("0123456789abcdef", min_size=32, max_size=32)
SLASH_24S = [f"198.{18 + at // 256}.{at % 256}.0/24" for at in range(512)]


def hashes(text: str = "name: lab\n") -> dict[str, str]:
    """node -> the hash of all that its container is."""
    return {spec.hostname: dict(spec.labels)[LABEL_CONFIG] for spec in draw(text).containers}


GOLDEN_NODES = [
    *((name, SHIPPED, "n1") for name in shipped_stacks()),
    ("22-pjsip-publish", f"{SHIPPED}share: {{via: pjsip-publish}}\n", "n1"),
    ("22-two-sites", TWO_SITES, "east1"),
    ("1.6-two-sites", TWO_SITES, "west2"),
]


@pytest.mark.parametrize(("what", "lab", "node"), GOLDEN_NODES, ids=[golden[0] for golden in GOLDEN_NODES])
def test_the_configuration_of_a_node_is_the_golden_one(what: str, lab: str, node: str) -> None:
    written = files(lab, node, "golden", what.partition("-")[0])
    texts = {path: "A key\n" if path.startswith("asterisk/keys/") else text for path, text in written.items()}
    folder = GOLDEN / what / node
    if os.environ.get("LABCTL_UPDATE_GOLDEN"):
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    golden = {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}
    assert texts == golden


def test_nodes_have_addresses_of_their_own_in_the_smallest_network() -> None:
    nodes = draw("name: lab\nnodes: 16\n", subnet="198.18.0.64/26").containers
    assert len({node.address for node in nodes}) == 17
    assert nodes[0].address == "198.18.0.75"
    assert nodes[-1].address == addresses.phones_address("198.18.0.64/26") == "198.18.0.73"


@given(st.lists(st.integers(1, 0xFFFF), unique=True, min_size=2))
def test_entity_ids_are_unique(nodeids: list[int]) -> None:
    assert len({Node("n", nodeid).entityid for nodeid in nodeids}) == len(nodeids)


def test_every_node_has_its_own_entity_id_and_no_other_one() -> None:
    entity_ids = [re.findall("entityid = (.+)", files(SHIPPED, f"n{at}")["asterisk/asterisk.conf"]) for at in (1, 2, 3)]
    assert entity_ids == [["02:00:00:00:00:01"], ["02:00:00:00:00:02"], ["02:00:00:00:00:03"]]


@given(SEEDS, SEEDS)
def test_secrets_differ_by_seed_and_by_purpose(one: str, other: str) -> None:
    here, there = Secrets(one), Secrets(other)
    assert (here == there) == (here.ami == there.ami) == (here.authkey == there.authkey) == (one == other)
    assert len({here.ami, here.authkey[:32], here.sip("ami"), here.sip("alice")}) == 4


def test_secrets_have_the_form_that_their_readers_want() -> None:
    secrets = Secrets("seed")
    assert re.fullmatch("[0-9a-f]{256}", secrets.authkey)
    assert re.fullmatch("[0-9]{4}", secrets.pin("101"))
    assert re.fullmatch("[0-9a-f]{32}", secrets.sip("alice"))


def test_a_node_without_a_mailbox_has_no_voicemail() -> None:
    loaded = {node: files(SHIPPED, node)["asterisk/modules.conf"] for node in ("n1", "n2")}
    assert "app_voicemail.so" in loaded["n1"]
    assert "app_voicemail.so" not in loaded["n2"]


def test_nodes_that_share_nothing_have_no_cluster_module() -> None:
    assert files(SHIPPED, "n1")["asterisk/cluster-module"] == "res_corosync\n"
    assert files("name: lab\nshare: []\n", "n1")["asterisk/cluster-module"] == ""


@pytest.mark.parametrize("modules", ["used", "all"])
def test_asterisk_leaves_the_cluster_module_to_join_cluster(modules: str) -> None:
    text = files(f"name: lab\nmodules: {modules}\n", "n1")["asterisk/modules.conf"]
    assert "noload = res_corosync.so" in text
    assert ("autoload = yes" in text) == (modules == "all")


def test_a_lab_without_phones_loads_no_sip() -> None:
    assert "pjsip" not in files("name: lab\nphones: 0\n", "n1")["asterisk/modules.conf"]


@pytest.mark.parametrize("share", ["mwi", "device_state"])
def test_what_is_shared_is_published_and_subscribed_to(share: str) -> None:
    text = files(f"name: lab\nshare: [{share}]\n", "n1")["asterisk/res_corosync.conf"]
    assert text.splitlines()[1:] == [f"publish_event = {share}", f"subscribe_event = {share}"]


def test_the_key_is_there_only_where_it_is_used_and_for_root_alone() -> None:
    assert "corosync/authkey" not in files("name: lab\ntotem: {transport: udpu}\n", "n1")
    key = next(file for file in draw().containers[0].files if file.path == "/etc/corosync/authkey")
    assert key.mode == 0o400


@pytest.mark.long
def test_no_file_with_a_password_is_for_all_to_read() -> None:
    blueprint = draw(TWO_SITES)
    secrets = Secrets("seed")
    passwords = {secrets.ami, secrets.authkey, *(secrets.sip(phone.name) for phone in blueprint.lab.phones)}
    passwords |= {secrets.pin(mailbox.number) for mailbox in blueprint.lab.mailboxes}
    all_files = [file for container in blueprint.containers for file in container.files]
    holding = [
        file for file in all_files if any(password in file.text for password in passwords) or "PRIV" in file.text
    ]
    assert {(file.mode, file.group) for file in holding} == {(0o640, "asterisk"), (0o400, "")}
    assert {file.mode & 0o007 for file in all_files if file.path.startswith("/etc/asterisk/")} == {0}


def test_a_stack_says_what_a_container_may_take() -> None:
    small = stack().model_copy(update={"limits": ContainerLimits(processes=100, memory=300)})
    limited = drawing.draw(reader.read(SHIPPED, "-", find_stack)[0], small, IMAGES, "198.18.7.0/24", "seed")
    assert {(spec.processes, spec.memory_bytes) for spec in limited.containers} == {(100, 300 << 20)}
    assert all(container.processes and container.memory_bytes for container in draw().containers)


def test_extra_configuration_goes_where_the_lab_file_says() -> None:
    text = "name: lab\nconfig: {all: {asterisk/rtp.conf: a}, n2: {asterisk/rtp.conf: b, asterisk/manager.conf: c}}\n"
    assert [files(text, node)["asterisk/rtp.conf"] for node in ("n1", "n2")] == ["a\n", "a\nb\n"]
    assert files(text, "n2")["asterisk/manager.conf"] == files(SHIPPED, "n2")["asterisk/manager.conf"] + "c\n"


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("name: lab\n", set()),
        ("name: lab\nnodes: [n1, n2, n3]\n", set()),
        ("name: lab\nconfig: {n2: {asterisk/rtp.conf: x}}\n", {"n2", "phones"}),
        ("name: lab\ntotem: {token: 2000}\n", {"n1", "n2", "n3", "phones"}),
    ],
)
def test_a_containers_hash_changes_with_what_it_is(text: str, nodes: set[str]) -> None:
    before, after = hashes(), hashes(text)
    assert {node for node in before if before[node] != after[node]} == nodes


def test_an_image_built_anew_is_a_change() -> None:
    newer = draw(images=replace(IMAGES, node_id="sha256:newer")).containers
    assert [dict(spec.labels)[LABEL_CONFIG] == hashes()[spec.hostname] for spec in newer] == [False] * 3 + [True]


@pytest.mark.parametrize("name", shipped_stacks())
def test_an_entity_id_that_a_lab_file_adds_takes_the_place_of_the_nodes_own(name: str) -> None:
    text = f"{SHIPPED}config: {{n2: {{asterisk/asterisk.conf: 'entityid = x'}}}}\n"
    parser = configparser.ConfigParser(strict=False)
    parser.read_string(files(text, "n2", name=name)["asterisk/asterisk.conf"])
    assert parser["options"]["entityid"] == "x"


def test_no_module_is_loaded_twice() -> None:
    lab = reader.read(SHIPPED, "-", find_stack)[0]
    loaded = drawing.modules(lab, stack(), lab.nodes[0])
    assert len(set(loaded)) == len(loaded)


@given(st.text(), st.lists(st.sampled_from(["198.18.0.0/16", "198.19.0.0/17", "10.0.0.0/8", "fd00::/8"])))
def test_a_free_network_meets_none_that_is_taken(name: str, taken: list[str]) -> None:
    free = addresses.free_subnet(name, taken)
    assert free in SLASH_24S
    assert not any(free.startswith(subnet[:7]) for subnet in taken if subnet == "198.18.0.0/16")


@pytest.mark.long
def test_the_last_free_network_is_found() -> None:
    assert addresses.free_subnet("lab", SLASH_24S[:77] + SLASH_24S[78:]) == "198.18.77.0/24"


@pytest.mark.long
@pytest.mark.parametrize("taken", [SLASH_24S, ["198.18.0.0/15"], ["0.0.0.0/0"], ["198.16.0.0/13", "::/0"]])
def test_no_network_free_is_an_error(taken: list[str]) -> None:
    with pytest.raises(HostError, match=r"no /24 of 198\.18\.0\.0/15 is free") as refusal:
        addresses.free_subnet("lab", taken)
    assert (refusal.value.exit_code, "docker network" in refusal.value.hint) == (4, True)


def test_a_name_tends_to_the_same_network() -> None:
    assert addresses.free_subnet("lab", []) == addresses.free_subnet("lab", ["198.19.0.0/32", "10.0.0.0/8"])
