"""A kind of fault that labctl does not have, out of CONTRIBUTING.md: its class is all that it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import jsonschema
import pytest
from click.testing import CliRunner

from labctl.blueprint.running_lab import Running
from labctl.cli import terminal
from labctl.cli.faults import fault as command
from labctl.cli.faults import heal
from labctl.cli.option_groups import Which
from labctl.engine.client import Engine
from labctl.errors import UsageError
from labctl.faults import fault as faults
from labctl.faults.fault import Fault
from labctl.history.events import FaultBegan
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.scenario import reader
from labctl.scenario.random_steps import Chaos
from labctl.scenario.steps import STEPS
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import parse
from tests import contributing
from tests.unit.sandbox_nodes import UNTOUCHED, SandboxNodes
from tests.unit.test_fault_control import Control

MuteTotem: type[Fault] = contributing.example("fault")["MuteTotem"]
del faults.FAULTS[MuteTotem.kind]  # each test knows it while it lasts


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    faults.fault(MuteTotem)
    yield
    del faults.FAULTS["mute_totem"]


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SandboxNodes:
    """A lab for the command line."""
    lab = SandboxNodes(tmp_path)

    def load(_which: Which, engine: Engine) -> Running:
        assert cast("SandboxNodes", engine) is lab
        return lab.running

    monkeypatch.setattr(terminal, "connect", lambda: lab)
    monkeypatch.setattr(Which, "load", load)
    return lab


def test_it_is_a_step_of_a_scenario_with_its_help() -> None:
    text = "title: T\nsteps:\n- mute_totem: n2\n- settle\n- mute_totem: {node: n1, name: hush}\n- heal: hush\n"
    find = lambda name: parse("nodes: 3\n", name)  # noqa: E731
    scenario = reader.read(text, "my.yaml", find, find_stack, Overrides())
    assert [str(step) for step in scenario.steps] == ["mute_totem n2", "settle", "mute_totem n1 name=hush", "heal hush"]
    verb = STEPS["mute_totem"]
    assert (verb.about, verb.takes) == (MuteTotem.about, "node [name]")
    assert "mute_totem" in list(STEPS)
    with pytest.raises(UsageError, match=r"no node `n9`"):
        reader.read(text.replace("n2", "n9"), "my.yaml", find, find_stack, Overrides())


def test_it_is_in_the_json_schema() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(reader.schema()))
    right, wrong = (
        {"title": "T", "steps": [{"mute_totem": arguments}]} for arguments in ({"node": "n1"}, {"nodes": "n1"})
    )
    assert (schema.is_valid(right), schema.is_valid(wrong)) == (True, False)


def test_it_is_a_command_that_is_shown_and_healed(nodes: SandboxNodes) -> None:
    helped = CliRunner().invoke(command, ["mute-totem", "--help"])
    assert MuteTotem.about in helped.output
    assert "--as TEXT" in helped.output
    assert "mute-totem" in CliRunner().invoke(command, ["--help"]).output
    done = CliRunner().invoke(command, ["mute-totem", "n2", "--as", "hush"], catch_exceptions=False)
    assert done.output == "hush: Corosync of n2 is mute\n"
    assert nodes.state("n2")["chains"] == {
        "labctl-hush": ["-A labctl-hush -p udp --dport 5404:5915 -j DROP"],
    }
    assert nodes.state("n2")["hooks"]["OUTPUT"] == ["labctl-hush"]
    healed = CliRunner().invoke(heal, ["hush"], catch_exceptions=False)
    assert healed.output == "lab: healed hush: Corosync of n2 is mute\n"
    assert nodes.state("n2") == UNTOUCHED


def test_its_kind_need_not_be_known_to_who_heals(nodes: SandboxNodes) -> None:
    CliRunner().invoke(command, ["mute-totem", "n2"], catch_exceptions=False)
    faults.FAULTS.pop("mute_totem")
    assert "healed mute-totem.1" in CliRunner().invoke(heal, [], catch_exceptions=False).output
    assert nodes.state("n2") == UNTOUCHED
    faults.fault(MuteTotem)


def test_history_has_it_and_what_it_excuses(tmp_path: Path) -> None:
    control = Control(tmp_path)
    assert control.inflict("mute_totem", node="n2") == "mute-totem.1"
    assert control.faults.expected_rings() is None
    control.faults.heal("mute-totem.1")
    assert control.events() == [("FaultBegan", "mute-totem.1"), ("Healed", "mute-totem.1")]
    (event,) = (event for event in control.journal.events if isinstance(event, FaultBegan))
    assert (event.what, event.nodes, event.uncalled) == ("Corosync of n2 is mute", ("n2",), ())


def test_soak_runs_try_it() -> None:
    lab, _ = find_lab("three-node", Overrides())
    chaos = Chaos(lab, 1)
    moves = [step for _ in range(1000) for step in chaos.next([], []).steps]
    assert {arguments["node"] for verb, arguments in moves if verb == "mute_totem"} == {"n1", "n2", "n3"}


def test_a_kind_is_known_once() -> None:
    class Other(Fault):
        """Another of the same kind."""

        kind = "mute_totem"

    with pytest.raises(ValueError, match="two faults of the kind `mute_totem`"):
        faults.fault(Other)
