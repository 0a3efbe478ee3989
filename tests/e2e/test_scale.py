"""What a lab takes as it grows, measured on real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.corosync import totem
from labctl.engine import client as engines
from labctl.names import container_name
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

MEASURED = ("proven_s", "p50_ms", "p99_ms", "packets_s", "bytes_s", "asterisk_mb", "corosync_mb", "cpu_percent")


def test_each_size_is_a_row_and_all_of_them_a_page(tmp_path: Path) -> None:
    page = tmp_path / "scale.html"
    for _ in range(3):  # a change that is timed is lost where the machine breaks the ring
        done = labctl(
            *("bench", "scale", "--nodes", "2,3", "--sites", "", "--changes", "20", "--timeout", "5m"),
            *("--report", str(page), "-o", "json"),
        )
        assert done.code == 0, done.err
        if not any(row["remark"] for row in done.data["rows"]):
            break
    rows = done.data["rows"]
    assert [row["size"]["nodes"] for row in rows] == [2, 3]
    assert [(row["remark"], [figure for figure in MEASURED if not row[figure]]) for row in rows] == [("", [])] * 2
    assert done.data["sentences"] == ["One cluster: this machine held the largest, 3 nodes."]
    assert page.read_text("utf-8").count("<svg") >= 4
    for size in ("2 nodes", "3 nodes"):
        assert f"{size}: proven in " in done.err
    assert "scale" not in [lab["name"] for lab in labctl("ls", "-o", "json").data]


def test_what_does_not_come_up_in_time_is_a_row_that_says_so_and_the_last() -> None:
    done = labctl("bench", "scale", "--nodes", "2,3", "--sites", "", "--timeout", "1ms", "-q", "-o", "json")
    assert done.code == 0, done.err
    (row,) = done.data["rows"]
    assert row["size"] == {"nodes": 2, "sites": 0}
    assert row["proven_s"] is None
    assert "after 0.001 s" in row["remark"]
    assert "scale" not in [lab["name"] for lab in labctl("ls", "-o", "json").data]


def test_a_page_that_cannot_be_written_is_said_before_any_lab_is_made(tmp_path: Path) -> None:
    done = labctl("bench", "scale", "--nodes", "2", "--report", str(tmp_path / "no" / "where.html"), "-q")
    assert done.code == 2
    assert "--report" in done.err


def test_a_ring_that_formed_by_a_shorter_token_has_its_own_once_it_is_proven() -> None:
    name, nodes = "scale-token", [f"n{number}" for number in range(1, 18)]
    asked = "tr '\\0' ' ' < /proc/$(pidof corosync)/cmdline; echo; corosync-cmapctl -g runtime.config.totem.token"
    try:
        done = labctl("up", "--name", name, "--nodes", str(len(nodes)), "--timeout", "10m", "-q")
        assert done.code == 0, done.err
        engine = engines.connect()
        answers = {node: engine.run(container_name(name, node), ["sh", "-c", asked]).text for node in nodes}
    finally:
        labctl("down", "--name", name)
    began, own = "corosync -f -c /etc/corosync/forming.conf", totem.timers(1000, len(nodes)).token
    assert {node: began in answer for node, answer in answers.items()} == dict.fromkeys(nodes, True)
    assert {node: answer.split()[-1] for node, answer in answers.items()} == dict.fromkeys(nodes, str(own))
