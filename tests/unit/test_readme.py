"""README's lists are those of the code, its examples are read, and something shows each claim."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

from labctl.cli import command_line
from labctl.lab import Overrides
from labctl.labfile import reader as lab_reader
from labctl.scenario import reader as scenario_reader
from labctl.scenario.entries import CHECKS
from labctl.scenario.steps import STEPS
from labctl.stack.loader import find_stack, shipped_stacks
from labctl.yamlfile.document import parse
from tests import readme
from tests.e2e.test_readme import CLAIMS, ELSEWHERE, INLINE, MEASURED, NOT_PROVEN, OF_DOCKER, SHOWN
from tests.readme import Command

README = readme.TEXT
REPOSITORY = Path(__file__).parent.parent.parent


def part(begin: str, end: str) -> str:
    """What stands in README from one text to the next other."""
    assert README.count(begin) == 1, begin
    rest = README.split(begin)[1]
    assert end in rest, end
    return rest.split(end)[0]


def test_steps_are_all_named() -> None:
    steps = part("\nSteps: ", "`labctl scenarios --steps`")
    assert sorted(re.findall(r"`(\w+)`", steps)) == sorted(STEPS)


def test_checks_are_all_in_the_table() -> None:
    rows = part("| check | holds if |\n| --- | --- |\n", "\n\n").splitlines()
    checks = [check.strip() for row in rows for check in row.split("|")[1].split(",")]
    assert sorted(checks) == sorted(CHECKS)


def test_faults_are_all_shown() -> None:
    faults = command_line.commands["fault"]
    assert isinstance(faults, click.Group)
    shown = set(re.findall(r"^labctl fault ([\w-]+)", part("\n## Faults\n", "\n## "), re.M))
    assert shown == set(faults.list_commands(click.Context(faults)))


def test_faults_that_may_be_given_a_name_are_those_that_it_says() -> None:
    said = re.findall(r"`([\w-]+)`", part("`--as NAME` gives ", " a name for `heal`"))
    faults = command_line.commands["fault"]
    assert isinstance(faults, click.Group)
    context = click.Context(faults)
    kinds = {kind: faults.get_command(context, kind) for kind in faults.list_commands(context)}
    assert sorted(said) == sorted(
        kind for kind, command in kinds.items() if command and any("--as" in given.opts for given in command.params)
    )


@pytest.mark.parametrize("command", command_line.commands)
def test_every_command_is_in_the_table(command: str) -> None:
    table = part("\n## Commands\n", "\n**Which lab.**")
    assert re.search(rf"`labctl {command}[ `]", table)


# Examples


def test_the_steps_of_all_kinds_are_read_as_they_stand() -> None:
    text = readme.files("yaml")["asks.yaml"]
    scenario = scenario_reader.read(text, "asks.yaml", lambda _: parse("nodes: 3\n", "three-node"), find_stack)
    assert [step.verb for step in scenario.steps[:4]] == ["cli"] * 4
    assert not scenario.commands


def test_the_steps_that_expect_sip_are_read_as_they_stand() -> None:
    text = readme.files("yaml")["sip.yaml"]
    scenario = scenario_reader.read(text, "sip.yaml", lambda _: parse("nodes: 3\n", "three-node"), find_stack)
    assert [step.verb for step in scenario.steps].count("expect_sip") == 4


def test_the_scenario_is_read_as_it_stands() -> None:
    text = readme.files("yaml")["mine.yaml"]
    scenario = scenario_reader.read(text, "mine.yaml", lambda _: parse("nodes: 3\n", "three-node"), find_stack)
    assert scenario.expect == ("agreement", "truth", "calls")
    assert all(known.names_what_fails for known in scenario.known)


LAB_FILES = {
    "office.yaml": ["hq", "branch"],
    "sites.yaml": ["east1", "east2", "gate"],
    "spread.yaml": ["n1", "n2", "n3", "n4"],
    "database.yaml": ["n1", "n2", "n3"],
}


@pytest.mark.parametrize(("file", "nodes"), LAB_FILES.items())
def test_a_lab_file_is_read_as_it_stands(file: str, nodes: list[str]) -> None:
    lab, _ = lab_reader.read(readme.files("yaml")[file], file, find_stack, Overrides())
    assert [node.name for node in lab.nodes] == nodes


def test_every_yaml_example_is_read_by_a_test() -> None:
    assert set(readme.files("yaml")) == {"mine.yaml", "asks.yaml", "sip.yaml", *LAB_FILES}


def test_the_python_example_is_python() -> None:
    for text in readme.files("python").values():
        ast.parse(text)


# Commands and claims


def test_every_command_is_run_or_has_a_test_elsewhere() -> None:
    lines = [command.line for command in readme.commands()]
    assert set(ELSEWHERE) <= set(lines)
    assert set(readme.inline_commands()) == set(INLINE)
    assert set(readme.shown_commands()) == set(SHOWN)


def test_make_has_what_readme_says() -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    targets = {
        word for command in [*readme.inline_commands(), *ELSEWHERE] for word in re.findall(r"^make (\S+)", command)
    }
    assert {"up", "down", "down-all", "test", "bench"} <= targets
    assert [target for target in sorted(targets) if not re.search(rf"^{target}:.*##", makefile, re.M)] == []
    assert "labctl down --name three-node" in makefile


@cache
def functions(file: str) -> frozenset[str]:
    """The functions of a Python file."""
    tree = ast.parse((REPOSITORY / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    "place",
    sorted(
        {shows for _, shows in CLAIMS if shows not in (MEASURED, NOT_PROVEN, OF_DOCKER)}
        | {place for place in INLINE.values() if not isinstance(place, Command)}
        | {place for _, place in ELSEWHERE.values()}
        | set(SHOWN.values())
    ),
)
def test_what_shows_a_claim_is_there(place: str) -> None:
    file, _, function = place.partition("::")
    assert (REPOSITORY / file).is_file()
    assert not function or function in functions(file)


PARAGRAPHS = readme.paragraphs()


@pytest.mark.parametrize("words", [words for words, _ in CLAIMS])
def test_a_claim_stands_in_readme_once(words: str) -> None:
    assert sum(paragraph.count(words) for paragraph in PARAGRAPHS) == 1


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=lambda paragraph: paragraph[:30])
def test_every_paragraph_has_a_claim_that_something_shows(paragraph: str) -> None:
    assert any(words in paragraph for words, _ in CLAIMS)


@pytest.mark.parametrize("words", [words for words, shows in CLAIMS if shows in (MEASURED, NOT_PROVEN)])
def test_what_no_test_shows_is_marked(words: str) -> None:
    paragraph = next(paragraph for paragraph in PARAGRAPHS if words in paragraph)
    assert re.search(r"not proven|not tested|never run|measured", paragraph, re.IGNORECASE)


def test_stacks_are_all_in_the_table_with_what_is_proven() -> None:
    rows = {row[0].strip("`"): row for row in readme.rows("Stacks")}
    assert set(rows) == set(shipped_stacks())
    for name in rows:
        stack = find_stack(name)
        assert rows[name][1].replace("`", "") == stack.title
