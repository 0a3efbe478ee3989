"""A finding is there when its scenario is run, and when its report is followed by hand, without labctl."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.scenario.findings.by_hand import by_hand
from labctl.scenario.findings.reader import find_finding
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker


def test_a_finding_is_still_there(tmp_path: Path) -> None:
    words = ("findings", "run", "state-after-heal", "-o", "json", "--folder", str(tmp_path))
    ran = labctl(*words)
    assert ran.code == 0, ran.err
    (told,) = ran.data
    assert (told["finding"], told["standing"], told["seen"], told["of"]) == ("state-after-heal", "there", 1, 1)


def follow(name: str, folder: Path) -> str:
    """What the script of a finding prints, whose network something else has."""
    script = by_hand(find_finding(name))
    assert script
    network = f"by-hand-{name}-{os.getpid()}"
    nodes = re.sub("^lab=.*$", f"lab={network}", script.nodes, count=1, flags=re.MULTILINE)
    net = re.search(r"^net=(\S+)", nodes, re.MULTILINE)
    assert net
    in_the_way = ["docker", "network", "create", "--internal", "--subnet", f"{net[1]}.0/24", f"{network}-other"]
    subprocess.run(in_the_way, capture_output=True, check=False)  # it may be taken already
    try:
        done = subprocess.run(
            ["sh", "-c", f"set -eu\n{nodes}\n{script.done}"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            cwd=folder,
        )
    finally:
        removed = subprocess.run(["sh", "-c", f"lab={network}\n{script.removal}"], check=False)
        subprocess.run(["docker", "network", "rm", f"{network}-other"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert removed.returncode == 0
    return done.stdout


def until_it_shows(name: str, folder: Path, shows: Callable[[list[str]], bool]) -> None:
    """Follow a report until what it tells of is there, three times at most: its pauses are those of a person, and on a
    machine that is busy one may be too short."""
    for _ in range(3):
        said = follow(name, folder).splitlines()
        if shows(said):
            return
    raise AssertionError(said)


def test_a_report_is_followed_by_hand(tmp_path: Path) -> None:
    def shows(said: list[str]) -> bool:
        last = dict(line.split(": mystate ") for line in said if ": mystate " in line)
        return last == {"n1": "State:Busy", "n2": "State:Busy", "n3": "State:Idle"}

    until_it_shows("state-after-heal", tmp_path, shows)


def test_a_report_with_phones_is_followed_by_hand(tmp_path: Path) -> None:
    until_it_shows("lamp-of-the-departed", tmp_path, lambda said: said[-1] == "1/0")
