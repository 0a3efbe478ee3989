"""The shipped stacks as this machine can have them, and nodes from an image that was built elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.engine.client import Engine
from labctl.images.builder import Options, prepare, recipes, references
from labctl.images.mmdebstrap import KEYRINGS
from labctl.images.recipes import BUILDER
from labctl.paths import images_folder
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from tests.integration.conftest import RUN, labctl
from tests.integration.old_repository import OldStack

pytestmark = pytest.mark.docker

OLD = ("1.6", "1.8")


@pytest.fixture(scope="module")
def standings(engine: Engine) -> dict[str, dict[str, Any]]:
    """What `labctl stacks` says, by name, where the container is there that asks for the old ones."""
    prepare(engine, find_stack(OLD[0]), Silent())
    return {standing["name"]: standing for standing in labctl("stacks", "-o", "json").data}


def test_each_stack_says_whether_it_is_here(standings: dict[str, dict[str, Any]]) -> None:
    assert set(standings) >= {"22", *OLD}
    assert {standing["images"] for standing in standings.values()} <= {"here", "can be built", "cannot be built here"}
    assert all(standing["title"] and standing["suite"] and standing["how"] for standing in standings.values())
    assert (standings["22"]["images"], standings["22"]["how"]) == ("here", references(find_stack("22"), Options()).node)


@pytest.mark.parametrize("verb", ["build", "up"])
@pytest.mark.parametrize("name", OLD)
def test_a_stack_that_is_out_of_reach_says_so_at_once(
    verb: str, name: str, standings: dict[str, dict[str, Any]], engine: Engine
) -> None:
    if standings[name]["images"] != "cannot be built here":
        assert labctl("build", "--stack", name, "--dry-run").code == 0
        return
    result = labctl(verb, "--stack", name, *(["-n", f"t-stack-{name.replace('.', '-')}"] if verb == "up" else []))
    assert result.code == 4
    assert all(word in result.err for word in ("mmdebstrap from", "--mirror URL", "--image IMAGE", "docker load"))
    assert engine.image_id(references(find_stack(name), Options()).node) == ""


@pytest.fixture
def at_once(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    """A stack of Debian sid, as no older suite is in reach everywhere, whose node comes at once: without its module.

    Its keyring is a copy, so that its images are those of no other run on this engine.
    """
    prepare(engine, find_stack(OLD[0]), Silent())
    builder = recipes(find_stack(OLD[0]), Options())[BUILDER].tag
    keyring = engine.probe(builder, f"base64 {KEYRINGS}/debian-archive-keyring.gpg")
    (tmp_path / "keyring.gpg").write_bytes(base64.b64decode(keyring))
    data = yaml.safe_load((images_folder() / "stacks/22.yaml").read_text("utf-8"))
    del data["build"]["module"], data["build"]["source"]
    data["build"]["phone"]["suite"] = "not built"
    data["build"] |= {"at_once": True, "keyring": str(tmp_path / "keyring.gpg")}
    data |= {"name": f"t-whole-{RUN}", "phone_image": references(find_stack("22"), Options()).phone}
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(data))
    yield tmp_path / "stack.yaml"
    for tag in OldStack(str(tmp_path / "stack.yaml"), engine).images():
        engine.remove_image(tag)


def test_a_node_that_came_at_once_is_proven_ready(at_once: Path, name: str) -> None:
    lab = "nodes: 2\nshare: {events: [device_state], via: pjsip-publish}\n"
    try:
        result = labctl("up", "-n", name, "--stack", str(at_once), "-f", "-", "-o", "json", text=lab)
        assert (result.code, len(result.data["crossings"])) == (0, 2), result.err
        assert labctl("call", "-n", name, "alice", "bob", "--duration", "300ms").code == 0
    finally:
        labctl("down", "-n", name)  # before its image goes


def test_a_lab_on_an_image_from_elsewhere_is_proven_ready_and_stays_on_it(name: str, engine: Engine) -> None:
    image = references(find_stack("22"), Options()).node
    engine._api.tag(image, "labctl/t-elsewhere", RUN)
    try:
        first = labctl("up", "-n", name, "--stack", "22", "--image", f"labctl/t-elsewhere:{RUN}", "-o", "json")
        assert (first.code, len(first.data["crossings"])) == (0, 6), first.err
        again = labctl("up", "-n", name, "-o", "json")
        assert (again.code, again.data["changed"]) == (0, []), again.err
    finally:
        labctl("down", "-n", name)
        engine.remove_image(f"labctl/t-elsewhere:{RUN}")


def test_an_image_that_is_nowhere_is_named_with_the_ways_out(name: str, engine: Engine) -> None:
    result = labctl("up", "-n", name, "--image", "labctl/t-nowhere:1")
    assert result.code == 4
    assert "the image labctl/t-nowhere:1 is not here, and no registry gives it" in result.err
    assert "docker load" in result.err
    assert engine.observe(name).empty


def test_a_compose_file_of_an_image_from_elsewhere_builds_but_the_phones() -> None:
    text = labctl("export", "--image", "registry.example/node:1").out
    assert text.count("image: registry.example/node:1") == 3
    assert text.count("dockerfile_inline") == 1
    assert "Compose cannot build registry.example/node:1" in text
