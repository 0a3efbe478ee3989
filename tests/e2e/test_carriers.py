"""State carried by PUBLISH, with no Corosync at all: the same scenarios, and both ways in one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

SCENARIOS = ("distributed-device-state", "aggregation", "call-seen-from-third-node", "voicemail-lamp", "late-join")


def test_scenarios_of_state_hold_by_publish_too(tmp_path: Path) -> None:
    done = labctl("run", *SCENARIOS, "--via", "pjsip-publish", "--folder", str(tmp_path), "-q", "-o", "json")
    assert done.code == 0, done.out + done.err
    assert {each["standing"] for each in done.data} == {"passed"}


def test_no_node_runs_corosync_where_publish_carries_state() -> None:
    try:
        assert labctl("up", "--via", "pjsip-publish", "-n", "e2e-publish", "--nodes", "2", "-q").code == 0
        running = labctl("sh", "n1", "-n", "e2e-publish", "--", "sh", "-c", "cat /proc/[0-9]*/comm").out.split()
        assert "asterisk" in running
        assert "corosync" not in running
        shown = labctl("ps", "-n", "e2e-publish", "-o", "json").data
        assert [each["ring"]["members"] for each in shown] == [[], []]
    finally:
        labctl("down", "-n", "e2e-publish")


def test_one_table_shows_what_each_carrier_does(tmp_path: Path) -> None:
    scenarios = ("partition-heal", "corosync-crash")
    for _ in range(3):  # a change that is timed is lost where the machine breaks the ring
        done = labctl("compare", *scenarios, "--changes", "20", "--folder", str(tmp_path), "-q", "-o", "json")
        if "-" not in {cell["outcome"] for cell in done.data["rows"]["delay p50"].values()}:
            break
    assert done.code == 0, done.err
    rows, (corosync, publish) = done.data["rows"], done.data["variants"]
    assert rows["partition-heal"][corosync]["outcome"] == "agreement"
    assert rows["partition-heal"][publish]["outcome"] == "holds"
    assert rows["corosync-crash"][publish]["outcome"] == "-"
    assert float(rows["packets a change"][publish]["outcome"]) == pytest.approx(4, abs=1)  # two PUBLISH, two answers
    assert all(rows["delay p99"][each]["outcome"].endswith(" ms") for each in (corosync, publish))


def test_footprint_is_smallest_with_what_is_used() -> None:
    done = labctl("bench", "footprint", "--stack", "22", "-q", "-o", "json")
    assert done.code == 0, done.err
    held = {each["loaded"]: each for each in done.data}
    rows = [held[each] for each in ("everything", "the rest unloaded", "what the lab uses")]
    if rows[1]["asterisk"] is None:  # Asterisk may crash as its modules are unloaded: that is said, and not counted
        assert "Asterisk ended as its modules were unloaded" in rows.pop(1)["remark"]
    sizes = [row["asterisk"]["resident_mb"] for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert rows[0]["modules"] > 300 > rows[-1]["modules"]
