"""A lab over three Docker hosts that are one Swarm: each an engine in a container, on one kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.client import Engine
from labctl.history.events import Capture
from labctl.scenario import run_folder
from labctl.timing import Deadline
from tests.integration import docker_hosts
from tests.integration.conftest import RUN, Result, labctl
from tests.integration.docker_hosts import DockerHost

pytestmark = pytest.mark.docker

NAME = f"t{RUN}-over"
STEPS = """
title: Two calls, and between them the node of who is called is killed
steps:
- register: [alice, bob]
- call: {caller: alice, callee: bob}
- answer: bob
- talk: [alice, bob]
- hang_up: alice
- kill: n2
- settle
- start: n2
- call: {caller: alice, callee: bob}
- answer: bob
- hang_up: bob
- settle
known:
- stack: "22"
  check: no_ghosts
  extension: "102"
  finding: nothing was said of it since
  reason: the finding hints-of-the-departed
"""

RINGS_S = 120.0
"""How long rings may take to be what a fault leaves of them, each look over three engines."""


@pytest.fixture(scope="module")
def swarm(engine: Engine) -> Iterator[Sequence[DockerHost]]:
    """Three hosts in one Swarm, the first its manager. They have no images: labctl sends them."""
    with docker_hosts.hosts(engine, 3, "swarm", [NAME, f"{NAME}-run"]) as members:
        docker_hosts.swarm(members)
        yield members


@pytest.fixture
def lab(swarm: Sequence[DockerHost]) -> Iterator[Sequence[DockerHost]]:
    """A lab over the three, taken away when the test is over."""
    try:
        up = over(swarm, "up", "-o", "json")
        assert up.code == 0, up.err
        yield swarm
    finally:
        down = over(swarm, "down")
        assert (down.code, [docker_hosts.left_on(host) for host in swarm]) == (0, [[], [], []]), down.err


def over(swarm: Sequence[DockerHost], *arguments: str) -> Result:
    """Run labctl over the hosts."""
    return labctl(*arguments, "-n", NAME, variables={"LABCTL_HOSTS": ",".join(host.url for host in swarm)})


def at(host: DockerHost, *arguments: str) -> Result:
    """Run labctl with one host alone named, by DOCKER_HOST."""
    return labctl(*arguments, "-n", NAME, variables={"DOCKER_HOST": host.url, "LABCTL_HOSTS": ""})


def test_a_lab_is_proven_over_three_hosts_and_seen_from_each(lab: Sequence[DockerHost], engine: Engine) -> None:
    assert engine.observe(NAME).empty, "it is on this machine's own engine"
    assert [len(docker_hosts.left_on(host)) for host in lab] == [3, 3, 3]  # node, its phone, network
    for looked_from in lab:
        rows = at(looked_from, "ps", "-o", "json").data
        assert [(row["container"], row["host"], len(row["cluster"])) for row in rows] == [
            ("running", host.url, 3) for host in lab
        ]
    assert "HOST" in at(lab[2], "ps").out
    assert over(lab, "up", "-o", "json").data["changed"] == []


def test_a_call_crosses_hosts_with_audio_both_ways(lab: Sequence[DockerHost], tmp_path: Path) -> None:
    packets = tmp_path / "call.pcapng"
    call = over(lab, "call", "alice", "bob", "-o", "json", "--capture", str(packets))
    assert call.code == 0, call.err
    assert min(call.data["caller_heard"], call.data["callee_heard"]) > 25
    assert {change["node"] for change in call.data["learned"]} == {"n1", "n2", "n3"}
    for host, phones in zip(lab, ("phones", "phones-2", "phones-3"), strict=True):
        state = host.api.inspect_container(f"labctl-{NAME}-{phones}")["State"]
        assert state["Running"], "a phone is on the host of its node"
    seen = calls_in(packets)
    assert [(of_call["state"], len(of_call["columns"])) for of_call in seen] == [("completed", 4)]
    assert over(lab, "fault", "iface-down", "n3").code == 0
    again = over(lab, "call", "alice", "bob", "--capture", str(packets))
    assert (again.code, len(calls_in(packets))) == (0, 1), again.err


AGAIN_S = 0.4


def calls_in(packets: Path) -> list[dict[str, Any]]:
    """The calls that a capture, or that of a run, shows. Each message is there once, for it was seen where it was sent;
    what is sent again comes no sooner than after half a second (RFC 3261, 17.1.1.1)."""
    ladder = labctl("ladder", str(packets), "-o", "json")
    assert ladder.code == 0, ladder.err
    assert ladder.data["broken"] == ""
    for call in ladder.data["calls"]:
        sent = [row for row in call["rows"] if "frame" in row]
        for number, row in enumerate(sent):
            soon = [one for one in sent[:number] if one["text"] == row["text"] and row["at_s"] - one["at_s"] < AGAIN_S]
            assert not soon, row
    assert ladder.data["packets"]["RTP"] > 50, "audio between hosts"
    assert ladder.data["packets"]["Totem"] > 50
    return [call for call in ladder.data["calls"] if call["kind"] == "INVITE"]


def test_a_run_over_hosts_has_the_packets_of_all_also_after_a_node_was_killed(
    swarm: Sequence[DockerHost], tmp_path: Path
) -> None:
    steps, runs = tmp_path / "steps.yaml", tmp_path / "runs"
    steps.write_text(STEPS, "utf-8")
    hosts = ",".join(host.url for host in swarm)
    words = ("run", str(steps), "--name", f"{NAME}-run", "--folder", str(runs), "-q")
    run = labctl(*words, variables={"LABCTL_HOSTS": hosts})
    assert run.code == 0, run.err
    events = run_folder.read_events(runs / "latest")
    assert [event.ended for event in events if isinstance(event, Capture)] == [""]
    assert [call["columns"] for call in calls_in(runs / "latest")] == [["alice", "n1", "n2", "bob"]] * 2
    assert [docker_hosts.left_on(host) for host in swarm] == [[], [], []]


def test_partition_heal_ends_as_it_does_on_one_host(swarm: Sequence[DockerHost], tmp_path: Path) -> None:
    verdicts = []
    for hosts in ("", ",".join(host.url for host in swarm)):
        folder = tmp_path / (hosts and "over") / "runs"
        words = ("run", "partition-heal", "--name", f"{NAME}-run", "--folder", str(folder), "-q")
        run = labctl(*words, variables={"LABCTL_HOSTS": hosts})
        assert run.code == 0, run.err
        judged = json.loads((folder / "latest" / "verdict.json").read_text("utf-8"))["judged"]
        verdicts.append({part["verdict"]["check"]: part["standing"] for part in judged})
    assert verdicts[0] == verdicts[1]
    assert [docker_hosts.left_on(host) for host in swarm] == [[], [], []]


def test_a_lost_host_is_named_and_down_finishes_when_it_is_back(swarm: Sequence[DockerHost]) -> None:
    first, second, _ = swarm
    assert over(swarm, "up").code == 0
    second.stop()
    ps = at(first, "ps")
    assert (ps.code, f"n2: its host {second.url} does not answer" in ps.out) == (0, True), ps
    refused = at(first, "up")
    assert (refused.code, f"the host {second.url} does not answer" in refused.err) == (4, True), refused
    for _ in range(2):
        down = at(first, "down")
        assert (down.code, f"the host {second.url} does not answer, and n2, phones-2 of" in down.err) == (4, True), down
    second.start()
    assert at(first, "down").code == 0
    assert [docker_hosts.left_on(host) for host in swarm] == [[], [], []]


def test_up_mends_what_was_on_a_host_that_is_back(lab: Sequence[DockerHost]) -> None:
    lab[2].stop()
    lab[2].start()
    mended = over(lab, "up", "-o", "json")
    assert mended.code == 0, mended.err
    assert mended.data["changed"] == [f"start labctl-{NAME}-n3"]


def test_a_list_of_hosts_that_shrinks_is_followed(lab: Sequence[DockerHost]) -> None:
    first, second, third = lab
    fewer = over((first, second), "up", "-o", "json")
    assert fewer.code == 0, fewer.err
    assert docker_hosts.left_on(third) == []
    again = at(first, "up", "-o", "json")
    assert (again.code, again.data["changed"]) == (0, []), again.err
    assert {row["host"] for row in at(first, "ps", "-o", "json").data} == {first.url, second.url}
    third.stop()
    try:
        down = at(first, "down")
        assert down.code == 0, down.err
    finally:
        third.start()


def rings(lab: Sequence[DockerHost]) -> dict[str, list[int]]:
    """Who is in the ring of each node, by number."""
    return {row["node"]: row["ring"]["members"] for row in over(lab, "ps", "-o", "json").data}


def test_what_befalls_a_host_befalls_every_node_on_it(lab: Sequence[DockerHost]) -> None:
    second, deadline = lab[1].url, Deadline(RINGS_S)
    cut = over(lab, "fault", "host-cut", second)
    assert cut.code == 0, cut.err
    while rings(lab) != {"n1": [1, 3], "n2": [2], "n3": [1, 3]}:
        assert not deadline.passed, rings(lab)
    assert f"host-cut {second} (n2)" in over(lab, "ps").out
    assert over(lab, "heal").code == 0
    assert over(lab, "wait", "--for", "proven").code == 0
    pause = over(lab, "fault", "host-pause", second)
    assert pause.code == 0, pause.err
    states = [row["container"] for row in over(lab, "ps", "-o", "json").data]
    assert states == ["running", "paused", "running"]
    assert over(lab, "heal").code == 0
    assert over(lab, "wait", "--for", "proven").code == 0
    refused = over(lab, "fault", "host-cut", "nowhere")
    assert (refused.code, f"its hosts: {lab[0].url}, {second}, {lab[2].url}" in refused.err) == (2, True), refused.err


def killed_after(seconds: float, swarm: Sequence[DockerHost], verb: str) -> None:
    """Run labctl over the hosts, and end it with SIGKILL after so long."""
    hosts = {"LABCTL_HOSTS": ",".join(host.url for host in swarm)}
    words = [sys.executable, "-m", "labctl", verb, "-n", NAME, "-q"]
    process = subprocess.Popen(words, env={**os.environ, **hosts}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_up_and_down_killed_on_the_way_go_on_from_there(swarm: Sequence[DockerHost]) -> None:
    took_s = {}
    for verb in ("up", "down"):
        began_s = time.monotonic()
        assert over(swarm, verb).code == 0
        took_s[verb] = time.monotonic() - began_s
    for share in (number / 11 for number in range(1, 11)):
        killed_after(share * took_s["up"], swarm, "up")
        up = over(swarm, "up")
        assert up.code == 0, f"up after a kill at {share:.0%}: {up.err}"
        killed_after(share * took_s["down"], swarm, "down")
        down = over(swarm, "down")
        assert down.code == 0, f"down after a kill at {share:.0%}: {down.err}"
        assert [docker_hosts.left_on(host) for host in swarm] == [[], [], []], f"after a kill at {share:.0%}"


def test_a_host_outside_the_swarm_is_named_with_how_it_joins(swarm: Sequence[DockerHost]) -> None:
    third = swarm[2]
    docker_hosts.leave(third)
    try:
        refused = over(swarm, "up")
        assert refused.code == 4
        assert f"not in the Swarm of {swarm[0].url}: {third.url}" in refused.err
        assert f"docker --host {third.url} swarm join --token TOKEN {swarm[0].address}:2377" in refused.err
    finally:
        docker_hosts.join(swarm[0], [third])
