"""A server beside the nodes, of Debian's packages: seen and reached by every verb, cut off, ended, mended, or never
ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine.client import Engine
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

LAB = """
nodes: 2
phones: 0
services:
  web:
    packages: [busybox]
    command: exec busybox httpd -f -v -p 8000 -h /srv/web
    files: {/srv/web/index.html: "I am at ${web.address}\\n"}
    ready: READY
    within: WITHIN
"""


def write(folder: Path, ready: str = "busybox wget -q -O - http://web:8000/index.html", within: str = "90s") -> str:
    path = folder / "lab.yaml"
    path.write_text(LAB.replace("READY", ready).replace("WITHIN", within), "utf-8")
    return str(path)


def state(name: str, host: str) -> str:
    rows = labctl("ps", "-n", name, "-o", "json").data
    return str(next(row["container"] for row in rows if row["node"] == host))


def reaches(name: str, node: str) -> bool:
    """Whether a node has a connection to the server, within a time in which every machine has one."""
    return labctl("sh", "-n", name, node, "--", "timeout", "10", "bash", "-c", "exec 3<> /dev/tcp/web/8000").code == 0


def test_service_is_seen_reached_ended_and_mended(name: str, engine: Engine, tmp_path: Path) -> None:
    up = labctl("up", "-f", write(tmp_path), "-n", name)
    assert up.code == 0, up.err
    assert "wait for" in up.err
    address = next(part.address for part in engine.observe(name).containers if part.node == "web")
    assert state(name, "web") == "running"
    asked = labctl("sh", "-n", name, "n1", "--", "getent", "hosts", "web")
    assert (asked.code, asked.out.split()) == (0, [address, "web"])
    assert labctl("sh", "-n", name, "web", "--", "cat", "/srv/web/index.html").out == f"I am at {address}\n"
    assert labctl("cli", "-n", name, "web", "core show version").code != 0
    assert "web | " in labctl("logs", "-n", name).out
    refused = labctl("sh", "-n", name, "web", "--", "mount", "-t", "tmpfs", "none", "/mnt")
    assert refused.code != 0, "it is privileged"

    assert [reaches(name, node) for node in ("n1", "n2")] == [True, True]
    assert labctl("fault", "partition", "n1,n2", "n1,web", "-n", name).code == 0
    assert [reaches(name, node) for node in ("n1", "n2")] == [True, False]
    shown = labctl("ps", "-n", name, "-o", "json").data
    assert {row["node"] for row in shown if any("partition" in fault for fault in row["faults"])} == {"n2", "web"}
    assert labctl("heal", "-n", name).code == 0
    for one_way in (("n2", "web"), ("web", "n2")):
        assert labctl("fault", "cut", *one_way, "-n", name).code == 0
        assert [reaches(name, node) for node in ("n1", "n2")] == [True, False]
        assert labctl("heal", "cut.1", "-n", name).code == 0
        assert reaches(name, "n2")

    assert labctl("fault", "kill", "web", "-n", name).code == 0
    assert state(name, "web") == "exited"
    assert "down-web" in labctl("ps", "-n", name).out
    again = labctl("fault", "kill", "web", "-n", name)
    assert (again.code, "web is exited" in again.err) == (2, True)
    assert labctl("heal", "-n", name).code == 0
    assert state(name, "web") == "running"
    assert labctl("fault", "stop", "web", "-n", name).code == 0
    mended = labctl("up", "-n", name, "-o", "json")
    assert mended.data["changed"] == [f"start labctl-{name}-web", f"wait for labctl-{name}-web"]


def test_service_that_never_gets_ready_keeps_the_lab_from_coming_up(name: str, tmp_path: Path) -> None:
    result = labctl("up", "-f", write(tmp_path, "echo not yet; false", "3s"), "-n", name)
    assert result.code == 1
    assert f"labctl-{name}-web is not ready after 3 s: echo not yet; false" in result.err
    assert "    not yet" in result.err
