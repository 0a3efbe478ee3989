"""Faults on real nodes: what they do, that `ps` shows them, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.engine.streams import lines
from labctl.faults import injector
from labctl.progress import Silent
from tests.faults import command_of, lasting
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

NAME = "e2e-faults"
MERGED = "[QUORUM] Members[3]: 1 2 3"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with a lab of this file's own."""
    assert labctl("up", "-n", NAME, "-q").code == 0
    connected = engines.connect()
    yield connected
    verbs.down(connected, NAME, Silent())


@pytest.fixture(autouse=True)
def healed(engine: Engine) -> Iterator[None]:
    """Nothing in force, and a whole ring, after each test; a module that is deaf for good gets a new lab."""
    yield
    assert labctl("heal", "-n", NAME).code == 0
    if labctl("wait", "-n", NAME, "--timeout", "8s").code:
        verbs.down(engine, NAME, Silent())
        assert labctl("up", "-n", NAME, "-q").code == 0


def sh(engine: Engine, node: str, script: str) -> str:
    return engine.run(f"labctl-{NAME}-{node}", ["sh", "-c", script]).text


def left_behind(engine: Engine) -> list[str]:
    """What tells of a fault on any node, or of a container that does not run."""
    containers = [container for container in engine.observe(NAME).containers if container.role == "node"]
    ended = [container.node for container in containers if container.state != "running"]
    look = "iptables -S | grep labctl; ip link show eth0 | grep 'state DOWN'; tc qdisc show | grep -e tbf -e netem"
    return ended + [text for node in ("n1", "n2", "n3") if not ended and (text := sh(engine, node, look))]


FAULTS: list[tuple[str, ...]] = [
    ("partition", "n1,n2", "n3"),
    ("partition", "n1,n2", "n2,n3", "--only", "totem"),
    ("cut", "n1", "n2"),
    ("iface-down", "n3"),
    ("impair", "n2", "--loss", "30", "--rate", "512"),
    ("pause", "n1"),
    ("kill", "n2"),
    ("stop", "n3"),
    ("stop", "n1", "--service", "asterisk"),
    ("stop", "n2", "--service", "corosync"),
]
FAULTS += [command_of(kind, given) for kind, given in lasting({words[0].replace("-", "_") for words in FAULTS}).items()]


@pytest.mark.parametrize("fault", FAULTS, ids=" ".join)
def test_fault_is_shown_by_ps_and_undone_by_heal(engine: Engine, fault: tuple[str, ...]) -> None:
    made = labctl("fault", *fault, "-n", NAME)
    assert made.code == 0, made.err
    shown = labctl("ps", "-n", NAME, "-o", "json").data
    assert any(row["faults"] for row in shown)
    assert labctl("heal", "-n", NAME).code == 0
    assert left_behind(engine) == []
    assert injector.in_force(engine, NAME) == ()


def test_partition_splits_the_ring_and_its_undoing_merges_it(engine: Engine) -> None:
    with closing(engine.follow_logs(f"labctl-{NAME}-n3", tail=0)) as log:
        said = lines(log)
        assert labctl("fault", "partition", "n1,n2", "n3", "-n", NAME, "--as", "split").code == 0
        next(line for line in said if "[QUORUM] Members[1]: 3" in line)
        assert labctl("heal", "split", "-n", NAME).code == 0
        next(line for line in said if MERGED in line)


def test_fault_for_a_time_undoes_itself(engine: Engine) -> None:
    assert labctl("fault", "cut", "n1", "n2", "-n", NAME, "--for", "300ms").code == 0
    assert left_behind(engine) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("partition", "n1,n9", "n2"), "no node `n9`"),
        (("partition", "n1,n2,n3"), "cuts nothing"),
        (("cut", "n1", "n1"), "cannot be cut off from itself"),
        (("impair", "n1"), "nothing is wrong with this link"),
        (("pause", "n9"), "no node `n9`"),
        (("cut", "n1", "n2", "--as", "my fault"), "not a name: 'my fault'"),
    ],
)
def test_wrong_fault_is_refused_and_nothing_done(engine: Engine, wrong: tuple[str, ...], message: str) -> None:
    done = labctl("fault", *wrong, "-n", NAME)
    assert done.code == 2
    assert message in done.err
    assert left_behind(engine) == []


def test_heal_of_an_unknown_fault_says_which_there_are(engine: Engine) -> None:
    labctl("fault", "cut", "n1", "n2", "-n", NAME, "--as", "mine")
    done = labctl("heal", "yours", "-n", NAME)
    assert done.code == 2
    assert "mine" in done.err


SCENARIO = """
title: Everything wrong at once
steps:
- partition: [[n1, n2], [n3]]
- impair: {node: n1, loss: 10}
- pause: n2
- wait_for: {extension: mystate, state: Busy, timeout: 5m}
"""


def start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "labctl", "run", str(path), "--folder", str(path.parent), "--timeout", "60s"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("after", ["heal", "run"])
def test_scenario_ended_by_sigkill_leaves_nothing_once_healed_or_run_again(tmp_path: Path, after: str) -> None:
    path = tmp_path / f"killed-{after}.yaml"
    path.write_text(SCENARIO, "utf-8")
    lab, engine = f"run-killed-{after}", engines.connect()
    try:
        with start(path) as process:
            assert process.stderr
            next(line for line in process.stderr if line.startswith("ok   pause"))
            os.kill(process.pid, signal.SIGKILL)
        assert injector.in_force(engine, lab)
        if after == "heal":
            assert labctl("heal", "-n", lab).code == 0
            assert labctl("wait", "-n", lab).code == 0
        else:
            path.write_text("title: Quiet\nsteps:\n- settle\n", "utf-8")
            assert labctl("run", str(path), "--folder", str(tmp_path), "--keep-lab", "-q").code == 0
        assert injector.in_force(engine, lab) == ()
        for node in ("n1", "n2", "n3"):
            assert "labctl" not in engine.run(f"labctl-{lab}-{node}", ["iptables", "-S"]).text
    finally:
        verbs.down(engine, lab, Silent())
