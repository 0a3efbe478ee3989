"""Servers beside the nodes: as containers and images, in which order they start, and what faults make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from labctl.blueprint import plan
from labctl.capture.datagrams import Endpoint
from labctl.cluster.lifecycle import export
from labctl.engine.actions import AwaitReady, StartContainer, flatten
from labctl.engine.commands import Commands, Output
from labctl.engine.observation import Observation
from labctl.errors import LabctlError, NotReady, UsageError
from labctl.faults.model import Target
from labctl.faults.node import Kill, Pause, Restart, Stop
from labctl.images import builder
from labctl.images import recipes as images
from labctl.images.builder import Options
from labctl.images.recipes import ServiceImage
from labctl.lab import Overrides
from labctl.labfile import writer
from labctl.report.lab_names import names_of
from labctl.scenario.loader import find_scenario
from tests import quick_yaml
from tests.unit.labs import IMAGES, draw, lab, stack

TEXT = """
name: lab
nodes: 2
services:
  db:
    packages: [postgresql, gdb]
    command: exec postgres
    environment: {DB: "${db.address}", NODE: "${n2.address}"}
    files: {/lab/hosts: "${n1.address} n1\\n${EXTEN} $HOME ${nobody}"}
    ready: pg_isready
    within: 9s
    capabilities: [NET_ADMIN]
  front: {image: "my/front:1", command: [front, --verbose]}
config: {all: {asterisk/res_pgsql.conf: "dbhost = ${db.address}"}}
"""
WITH_SERVICES = replace(
    IMAGES, services=(ServiceImage("db", "labctl/sid-service:x", "sha256:db"), ServiceImage("front", "my/front:1"))
)
TARGET = Target({"n1": "198.18.16.11", "n2": "198.18.16.12"}, services={"db": "198.18.16.41"})


def test_service_is_a_container_with_an_address_of_its_own_and_the_limits_of_a_node() -> None:
    specs = {spec.hostname: spec for spec in draw(TEXT, images=WITH_SERVICES).containers}
    db, front = specs["db"], specs["front"]
    assert [*specs] == ["n1", "n2", "db", "front", "phones"]
    assert (db.address, front.address) == ("198.18.16.41", "198.18.16.42")
    assert (db.image, db.image_id, front.image) == ("labctl/sid-service:x", "sha256:db", "my/front:1")
    assert (db.command, front.command) == (("sh", "-c", "exec postgres"), ("front", "--verbose"))
    assert dict(db.environment) == {"DB": "198.18.16.41", "NODE": "198.18.16.12"}
    assert [(file.path, file.text) for file in db.files] == [
        ("/lab/hosts", "198.18.16.11 n1\n${EXTEN} $HOME ${nobody}")
    ]
    assert (db.capabilities, front.capabilities) == (("NET_ADMIN",), ())
    assert (db.processes, db.memory_bytes) == (specs["n1"].processes, specs["n1"].memory_bytes)


@pytest.mark.parametrize("command", ["'front -l ${front.address} ${HOME}'", "[front, '${front.address}', '${HOME}']"])
def test_what_a_service_runs_may_name_nodes_and_services(command: str) -> None:
    text = TEXT.replace("[front, --verbose]", command).replace("pg_isready", "pg_isready -h ${db.address} $${HOME}")
    drawn = draw(text, images=WITH_SERVICES)
    ran = next(spec for spec in drawn.containers if spec.hostname == "front").command
    assert " ".join(ran).removeprefix("sh -c ").split("front ")[1].split() in (
        ["-l", "198.18.16.42", "${HOME}"],
        ["198.18.16.42", "${HOME}"],
    )
    steps = flatten(plan.up(drawn, Observation()))
    assert AwaitReady("labctl-lab-db", "pg_isready -h 198.18.16.41 $${HOME}", 9.0) in steps
    document = quick_yaml.load(export(lab(text), stack()))
    front = document["services"]["front"]
    assert front["networks"]["lab"]["ipv4_address"] in " ".join(front["command"])
    assert "$${HOME}" in " ".join(front["command"])


def test_files_of_nodes_may_name_a_service() -> None:
    container = next(spec for spec in draw(TEXT, images=WITH_SERVICES).containers if spec.hostname == "n2")
    assert {file.path: file.text for file in container.files}[
        "/etc/asterisk/res_pgsql.conf"
    ] == "dbhost = 198.18.16.41\n"


def test_address_that_moves_is_nobodys() -> None:
    text = TEXT.replace("dbhost = ${db.address}", "a = ${lab.virtual}")
    for subnet in ("198.18.16.0/24", "198.18.16.64/26"):
        specs = draw(text, subnet, images=WITH_SERVICES).containers
        line = next(file.text for file in specs[0].files if file.path == "/etc/asterisk/res_pgsql.conf")
        assert line.strip().removeprefix("a = ") not in [spec.address for spec in specs]
        assert line.startswith("a = 198.18.16.")


def test_ladders_name_services() -> None:
    names = names_of("name: lab\nsubnet: 198.18.16.0/24\nnodes: [n1]\nphones: []\nservices: {db: {image: x}}\n", [])
    assert names.place(Endpoint("198.18.16.41", 5060)) == "db"
    assert names.place(Endpoint("198.18.16.11", 5060)) == "n1"


def test_addresses_of_services_fit_in_the_smallest_network() -> None:
    many = "".join(f"  s{number}: {{image: x}}\n" for number in range(16))
    images_of_all = replace(IMAGES, services=tuple(ServiceImage(f"s{number}", "x") for number in range(16)))
    drawn = draw(f"name: lab\nnodes: 16\nservices:\n{many}", "198.18.16.64/26", images=images_of_all)
    addresses = [spec.address for spec in drawn.containers]
    assert len({*addresses}) == 33
    assert max(int(address.rpartition(".")[2]) for address in addresses) < 127


def test_lab_without_services_is_what_it_was() -> None:
    before = {spec.hostname: dict(spec.labels) for spec in draw("name: lab\nnodes: 2\n").containers}
    after = {
        spec.hostname: dict(spec.labels) for spec in draw(TEXT.partition("config:")[0], images=WITH_SERVICES).containers
    }
    assert before["n1"]["labctl.config"] == after["n1"]["labctl.config"]


def test_nodes_start_once_services_are_ready() -> None:
    steps = flatten(plan.up(draw(TEXT, images=WITH_SERVICES), Observation()))
    shown = [str(step) for step in steps if isinstance(step, StartContainer | AwaitReady)]
    assert shown[:3] == ["start labctl-lab-db", "wait for labctl-lab-db", "start labctl-lab-front"]
    assert {*shown[3:]} == {"start labctl-lab-n1", "start labctl-lab-n2"}
    assert AwaitReady("labctl-lab-db", "pg_isready", 9.0) in steps


def test_lab_file_that_is_written_again_is_the_same_lab() -> None:
    one = lab(TEXT)
    assert lab(writer.to_yaml(one)) == one


def test_services_of_the_same_packages_share_an_image_on_the_debian_of_the_phones() -> None:
    text = "name: lab\nservices:\n" + "".join(
        f"  {name}: {{packages: {packages}, command: x}}\n"
        for name, packages in (("a", "[kamailio]"), ("b", "[kamailio]"), ("c", "[keepalived, kamailio]"))
    )
    for name in ("22", "1.8"):
        options = Options(services=lab(text).services)
        recipes = builder.recipes(stack(name), options)
        made = images.services_of(recipes)
        assert len(made) == 2
        assert all(recipe.tag.startswith("labctl/sid-service:") for recipe in made)
        assert {recipe.needs for recipe in made} == {recipes["phone"].needs}
        references = [service.reference for service in builder.references(stack(name), options).services]
        assert references[0] == references[1] != references[2]
        assert {recipe.tag for recipe in images.missing(recipes, set())} >= {*references}
    assert images.services_of(builder.recipes(stack(), Options())) == []


def test_compose_file_has_services_and_builds_them() -> None:
    document = quick_yaml.load(export(lab(TEXT), stack()))
    db, front = document["services"]["db"], document["services"]["front"]
    assert db["command"] == ["sh", "-c", "exec postgres"]
    assert db["build"]["dockerfile_inline"].count("PACKAGES='postgresql gdb'") == 1
    assert db["environment"]["DB"] == db["networks"]["lab"]["ipv4_address"]
    assert "privileged" not in db
    assert front["image"] == "my/front:1"
    assert "build" not in front


# Ready


class Engine(Commands):
    """Commands that end as they are told, in turn; the last for ever."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.asked = list(codes), 0

    def run(self, container: str, command: list[str]) -> Output:
        assert (container, command[4]) == ("labctl-lab-db", "pg_isready")
        self.asked += 1
        return Output(self.codes.pop(0) if len(self.codes) > 1 else self.codes[0], "no response")

    def logs(
        self, container: str, tail: int | None = None, ago_s: float | None = None, *, stamped: bool = False
    ) -> str:
        return "FATAL: out of luck"


def test_what_never_gets_ready_is_told_with_what_it_said_last() -> None:
    with pytest.raises(NotReady) as raised:
        Engine(1).await_ready(AwaitReady("labctl-lab-db", "pg_isready", 0.01))
    assert "labctl-lab-db is not ready after 0.01 s: pg_isready" in raised.value.message
    assert "no response" in raised.value.message
    assert "FATAL: out of luck" in raised.value.message


def test_it_is_asked_again_until_it_is_ready() -> None:
    engine = Engine(1, 1, 0)
    engine.await_ready(AwaitReady("labctl-lab-db", "pg_isready", 60.0))
    assert engine.asked == 3


# Faults, and trust


@pytest.mark.parametrize("kind", [Kill, Stop, Pause])
def test_service_ends_without_any_node_and_may_be_in_the_way_of_any_call(kind: type[Kill | Stop | Pause]) -> None:
    fault = kind.of({"node": "db"})
    prepared = fault.prepare(fault.named(), TARGET)
    assert (prepared.nodes, prepared.action, prepared.leaving, prepared.absent) == (("db",), kind.kind, (), ())
    assert (prepared.uncalled, prepared.unheard) == ((("n1", "n1"), ("n2", "n2")), ())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Kill.of({"node": "db", "service": "asterisk"}), "db is a service, and runs no asterisk"),
        (Restart.of({"node": "db", "service": "asterisk"}), "no node `db` in this lab"),
        (Kill.of({"node": "dc"}), "no node `dc` in this lab"),
    ],
)
def test_fault_that_a_service_cannot_have_is_refused(fault: Kill | Restart, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        fault.prepare("f", TARGET)
    assert error in cast(LabctlError, raised.value).message


def test_what_services_run_is_named_for_trust() -> None:
    scenario = find_scenario("realtime-shared", Overrides())
    assert any(": services: db: sh /lab/start" in line for line in scenario.commands)
