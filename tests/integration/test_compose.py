"""The shipped Compose files bring a cluster up without labctl."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labctl.asterisk.output import parse_hints
from labctl.blueprint.addresses import free_subnet
from labctl.engine.client import Engine
from labctl.timing import Deadline

pytestmark = pytest.mark.docker

FILES = sorted((Path(__file__).parents[2] / "compose").glob("*.yaml"))


NETWORKS_TRIED = 5
LIMIT_S = 600
"""So long no command of Compose takes, not even on a machine that is busy."""


def compose(file: Path, *arguments: str) -> str:
    command = ["docker", "compose", "--project-name", f"composed-{file.stem}", "--file", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def project(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """A shipped lab, brought up by Compose and taken away again. Where a lab of that name runs, and has its addresses,
    its file is as labctl would have written it now: with others."""
    found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if found.returncode != 0:
        pytest.skip("Docker Compose v2 is not installed")
    shipped: Path = request.param
    file = tmp_path / shipped.name
    try:
        brought_up(shipped, file, engine)
        yield file
    finally:
        compose(file, "down", "--timeout", "0", "--volumes")


def brought_up(shipped: Path, file: Path, engine: Engine) -> None:
    """Bring a shipped lab up by a file of its own. A network that was free may be another lab's by then."""
    text = shipped.read_text("utf-8")
    network = str(yaml.safe_load(text)["networks"]["lab"]["ipam"]["config"][0]["subnet"])
    taken: list[str] = []
    while True:
        taken.append(free_subnet(shipped.stem, [*engine.subnets(), *taken]))
        file.write_text(text.replace(network.removesuffix("0/24"), taken[-1].removesuffix("0/24")), "utf-8")
        try:
            compose(file, "up", "--detach", "--no-build")
        except AssertionError as error:
            if "overlap" not in str(error) or len(taken) == NETWORKS_TRIED:
                raise
        else:
            return


def state(file: Path, node: str) -> str:
    hints = parse_hints(compose(file, "exec", "-T", node, "sh", "-c", "asterisk -rx 'core show hints' 2>&1 || true"))
    return {hint.extension: hint.state for hint in hints}.get("mystate", "")


NODES = {"three-node": ("n1", "n3", 3), "two-sites": ("east1", "east2", 2)}
"""Of each shipped lab two nodes of a cluster, and how many are in it."""


def test_state_crosses_in_a_lab_that_compose_brought_up(project: Path) -> None:
    origin, observer, members = NODES[project.stem]
    deadline = Deadline(120)
    while state(project, origin) == "" or state(project, observer) == "":
        assert not deadline.passed, "Asterisk did not boot"
    change = f"until asterisk -rx 'corosync show members' | grep -c Nodeid | grep -qx {members}; do :; done;"
    compose(project, "exec", "-T", origin, "sh", "-c", change + "asterisk -rx 'devstate change Custom:mystate BUSY'")
    while state(project, observer) != "Busy":
        assert not deadline.passed, "the state did not cross"
