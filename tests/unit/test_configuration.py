"""Files of `config:` that a node complains of, or that nobody reads."""

from __future__ import annotations

from typing import cast

import pytest

from labctl.cluster import configuration
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.timing import Deadline
from tests.unit.fake_nodes import FakeLab

CONFIG_LIST = """core                 /etc/asterisk/acl.conf
res_rtp_asterisk     /etc/asterisk/rtp.conf
97b2beb0-7a77-4f37-a /etc/asterisk/pjsip.conf
"""
COMPLAINT = (
    "[2026-11-26 15:31:18.001] WARNING[9]: config.c:2000 process_text_line: No '=' in line 3 of /etc/asterisk/rtp.conf"
)
LOG = f"""[2026-11-26 15:31:18.000] NOTICE[9]: loader.c:2568 load_modules: 45 modules will be loaded, rtp.conf
{COMPLAINT}
{COMPLAINT}
[2026-11-26 15:31:18.002] ERROR[9]: acl.c:1 load: acl.conf is wrong
"""


@pytest.mark.parametrize(
    ("paths", "lines"),
    [(("asterisk/rtp.conf",), (COMPLAINT,)), (("asterisk/pjsip.conf",), ()), ((), ())],
)
def test_complaints_name_a_file_that_the_lab_file_adds_to(paths: tuple[str, ...], lines: tuple[str, ...]) -> None:
    assert configuration.complaints(paths, LOG) == lines


@pytest.mark.parametrize(
    ("path", "nobody"),
    [
        ("asterisk/queues.conf", True),
        ("asterisk/rtp.conf", False),
        ("asterisk/asterisk.conf", False),
        ("asterisk/extensions.ael", False),
        ("corosync/corosync.conf", False),
    ],
)
def test_a_file_is_unread_where_no_module_has_loaded_it(path: str, nobody: bool) -> None:
    assert configuration.unread([path], CONFIG_LIST) == ((path,) if nobody else ())
    assert configuration.unread([path], "No such command 'config list'") == ()


def test_up_says_so_of_each_node_that_the_lab_file_adds_to() -> None:
    lab = FakeLab("name: lab\nconfig: {n1: {asterisk/queues.conf: '[q]', asterisk/rtp.conf: 'x'}}\n")
    for node in lab.nodes.values():
        node.commands |= {"core show version": "Asterisk 22.10.1", "core show uptime": "System uptime: 5 seconds"}
    lab.nodes["n1"].log += LOG
    lab.nodes["n1"].commands["config list"] = CONFIG_LIST
    with Cluster(cast(Engine, lab), lab.running) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(5))
        remarks = {view.node: view.remarks for view in cluster.views()}
    assert remarks == {
        "n1": (
            "no loaded module reads asterisk/queues.conf, which `config:` adds to",
            f"complaint about a file of `config:`: {COMPLAINT}",
        ),
        "n2": (),
        "n3": (),
    }
