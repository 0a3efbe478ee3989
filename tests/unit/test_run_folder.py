"""The folder of a run says what the run was: the scenario, whole in itself, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from labctl import __version__
from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine, EngineInfo, Output
from labctl.engine.observation import Container, Observation
from labctl.errors import HostError
from labctl.lab import Overrides
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.scenario import reader, run_folder, writer
from labctl.scenario.loader import find_scenario, shipped_scenarios
from labctl.scenario.reader import Scenario
from labctl.scenario.versions import versions
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import Document
from tests.unit.labs import lab, stack
from tests.unit.test_scenario import EVERYTHING


def no_other_file(name: str) -> Document:
    """A scenario that is whole in itself names no lab file."""
    raise AssertionError(name)


def read_again(text: str, name: str) -> Scenario:
    """The scenario that a text says."""
    return reader.read(text, f"{name}.yaml", no_other_file, find_stack)


def without_lines(scenario: Scenario) -> Scenario:
    """The same, wherever its steps stand in which file."""
    commands = tuple(command.partition(": ")[2] for command in scenario.commands)
    return replace(scenario, commands=commands, steps=tuple(replace(step, line=1) for step in scenario.steps))


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_is_written_out_says_the_same(name: str) -> None:
    scenario = find_scenario(name, Overrides())
    assert without_lines(read_again(writer.to_yaml(scenario, 7), name)) == without_lines(scenario)


def test_flags_are_in_it() -> None:
    text = writer.to_yaml(find_scenario("late-join", Overrides(nodes=4)))
    assert len(read_again(text, "late-join").lab.nodes) == 4


def test_every_step_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "everything.yaml"
    file.write_text(EVERYTHING)
    scenario = find_scenario(str(file), Overrides())
    run_folder.write_scenario(tmp_path, scenario, 7)
    text = (tmp_path / "scenario.yaml").read_text()
    assert text.startswith("# everything, as labctl ran it with --seed 7\n")
    assert "about: |\n  More about it\n" in text
    assert without_lines(read_again(text, "everything")) == without_lines(scenario)


class ImagesEngine:
    """An engine whose images have these labels, and whose nodes print what their programs say of themselves."""

    def __init__(self, labels: Mapping[str, Mapping[str, str]], printed: str = "") -> None:
        self.labels, self.printed = labels, printed

    def info(self) -> EngineInfo:
        return EngineInfo("29.1", "1.50", "overlay2", "/", "6.12.9", "Debian", 2, 1 << 30)

    def image_id(self, reference: str) -> str:
        return f"sha256:{reference}"

    def image_labels(self, reference: str) -> Mapping[str, str]:
        return self.labels[reference]

    def run(self, container: str, _command: list[str]) -> Output:
        assert container == "1"
        return Output(0, self.printed)


class NoEngine:
    """An engine that is gone."""

    def info(self) -> EngineInfo:
        raise HostError("no Docker Engine answers")

    def image_id(self, _reference: str) -> str:
        raise HostError("no Docker Engine answers")

    image_labels = image_id

    def run(self, _container: str, _command: list[str]) -> Output:
        raise HostError("no Docker Engine answers")


PARTS = (
    Container("1", "labctl-lab-n1", "lab", ROLE_NODE, "n1", "running", "", image="node:1"),
    Container("2", "labctl-lab-phones", "lab", ROLE_PHONES, "phones", "running", "", image="phone:1"),
)
RUNNING = Running(lab("name: lab\nnodes: 1\n"), stack(), Observation(containers=PARTS))


def test_versions_are_those_of_the_engine_and_of_what_is_in_the_images() -> None:
    labels = {
        "node:1": {"labctl.contents.asterisk": "22.10", "labctl.contents.corosync": "3.1.10", "labctl.base": "sid"},
        "phone:1": {"labctl.contents.sip-tester": "3.7", "maintainer": "somebody"},
    }
    learned = versions(cast(Engine, ImagesEngine(labels)), RUNNING)
    assert learned == {
        "labctl": __version__,
        "stack": "22",
        "engine": "29.1",
        "kernel": "6.12.9",
        "system": "Debian",
        "node image": "node:1 sha256:node:1",
        "node asterisk": "22.10",
        "node corosync": "3.1.10",
        "node base": "sid",
        "phones image": "phone:1 sha256:phone:1",
        "phones sip-tester": "3.7",
    }


def test_an_image_from_elsewhere_is_asked_itself() -> None:
    printed = "Asterisk 18.2\nCorosync Cluster Engine, version '3.1.7'\nCopyright\n"
    learned = versions(cast(Engine, ImagesEngine({"node:1": {}, "phone:1": {}}, printed)), RUNNING)
    assert learned["node asterisk"] == "18.2"
    assert learned["node corosync"] == "Cluster Engine, version '3.1.7'"


def test_no_run_ends_for_want_of_a_version() -> None:
    assert versions(cast(Engine, NoEngine()), RUNNING) == {"labctl": __version__, "stack": "22"}
