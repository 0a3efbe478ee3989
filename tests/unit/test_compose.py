"""The Compose files in compose/ are those that `labctl export` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cluster import lifecycle
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab, shipped_labs
from tests import quick_yaml
from tests.unit.labs import lab, stack

FOLDER = Path(__file__).parents[2] / "compose"


@pytest.mark.long
@pytest.mark.parametrize("name", shipped_labs())
def test_the_compose_file_of_a_shipped_lab_is_up_to_date(name: str) -> None:
    written = (FOLDER / f"{name}.yaml").read_text("utf-8")
    assert written == lifecycle.export(*find_lab(name, Overrides())), "make compose writes it anew"


def test_no_compose_file_is_left_of_a_lab_that_is_shipped_no_more() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == shipped_labs()


@pytest.mark.parametrize("name", shipped_labs())
def test_a_compose_file_publishes_no_port_and_asks_for_no_privilege(name: str) -> None:
    services = quick_yaml.load((FOLDER / f"{name}.yaml").read_text("utf-8"))["services"]
    asked = {key for service in services.values() for key in service}
    assert not asked & {"ports", "privileged", "network_mode", "pid", "volumes"}


def configs(text: str) -> dict[str, str]:
    """Of the first node's service: path -> the text of its config."""
    document = quick_yaml.load(lifecycle.export(lab(text), stack()))
    texts = {name: config["content"] for name, config in document["configs"].items()}
    service = next(iter(document["services"].values()))
    return {config["target"]: texts[config["source"]] for config in service["configs"]}


def test_who_is_not_to_be_started_waits_for_a_profile() -> None:
    text = lifecycle.export(lab("name: lab\nwithout: [n3]\n"), stack())
    services = quick_yaml.load(text)["services"]
    assert [name for name, service in services.items() if "profiles" in service] == ["n3"]
    assert "# Not started by that: n3; `docker compose -f FILE --profile late up" in text


def test_files_whose_names_differ_in_a_character_that_no_config_has_are_two() -> None:
    text = "name: lab\nconfig: {all: {asterisk/a.b.conf: dot, asterisk/a-b.conf: dash, asterisk/a/b.conf: slash}}\n"
    texts = configs(text)
    paths = [f"/etc/asterisk/{name}.conf" for name in ("a.b", "a-b", "a/b")]
    assert [texts[path].strip() for path in paths] == ["dot", "dash", "slash"]


def test_a_file_of_one_node_takes_no_name_from_one_of_all() -> None:
    text = (
        "name: lab\nnodes: [n1, n2]\nconfig:\n  all: {asterisk/n1-x.conf: shared}\n"
        "  n1: {asterisk/x.conf: first}\n  n2: {asterisk/x.conf: second}\n"
    )
    texts = configs(text)
    assert (texts["/etc/asterisk/n1-x.conf"], texts["/etc/asterisk/x.conf"]) == ("shared\n", "first\n")


@pytest.mark.parametrize("name", shipped_labs())
def test_every_service_has_limits_and_gains_no_privileges(name: str) -> None:
    services = quick_yaml.load((FOLDER / f"{name}.yaml").read_text("utf-8"))["services"].values()
    assert all({"pids_limit", "mem_limit"} <= set(service) for service in services)
    assert {tuple(service["security_opt"]) for service in services} == {("no-new-privileges:true",)}
