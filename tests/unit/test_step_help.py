"""What `labctl scenarios --steps` teaches. The examples are run in tests/e2e/test_step_examples.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from labctl.cli.scenarios import scenarios
from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario
from tests import quick_yaml, step_examples


@pytest.mark.parametrize("needs", step_examples.LAB)
def test_every_step_has_an_example_in_which_it_comes(needs: str) -> None:
    for verb, text in step_examples.examples(needs).items():
        verbs = [next(iter(step)) if isinstance(step, dict) else step for step in quick_yaml.load(text) or ()]
        assert verb in verbs, f"no example of `{verb}` (its docstring)"


@pytest.mark.parametrize("needs", step_examples.LAB)
def test_the_examples_together_are_a_scenario(needs: str, tmp_path: Path) -> None:
    file = tmp_path / "examples.yaml"
    file.write_text(step_examples.scenario(needs))
    assert len(find_scenario(str(file), Overrides()).steps) >= len(step_examples.examples(needs))


def test_a_step_is_told_with_its_arguments_what_it_does_and_an_example() -> None:
    told = CliRunner().invoke(scenarios, ["answer", "--steps"]).output
    assert told == (
        "answer phone [peer]\n"
        "    Answer the call that rings at a phone\n"
        "    Whoever dialled: a phone, or a node as for a queue. Returns when both ends know. Other calls of\n"
        "    the phone go on.\n"
        "\n"
        "    - register: bob\n"
        "    - call: {caller: alice, callee: bob}\n"
        "    - answer: bob\n"
        "\n"
    )
    every = json.loads(CliRunner().invoke(scenarios, ["--steps", "-o", "json"]).output)
    taught = {verb for needs in (*step_examples.LAB, "hosts") for verb in step_examples.examples(needs)}
    assert {row["step"] for row in every} == taught
    assert all(row["example"] and row["about"] for row in every)


def test_a_step_that_is_not_there_is_refused_with_one_like_it() -> None:
    refused = CliRunner().invoke(scenarios, ["anser", "--steps"]).exception
    assert isinstance(refused, UsageError)
    assert "did you mean `answer`?" in refused.hint
