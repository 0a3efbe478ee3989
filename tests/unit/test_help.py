"""Help is whole, at any width."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from labctl.cli import command_line


def listed(group: click.Command) -> dict[str, click.Command]:
    """The commands of a group, also where it makes them when they are asked for."""
    if not isinstance(group, click.Group):
        return {}
    context = click.Context(group)
    inner = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in inner.items() if command}


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, by the words that lead to it."""
    yield path, command
    for name, inner in listed(command).items():
        yield from commands(inner, *path, name)


EVERY = dict(commands(command_line))


def words_of_help(path: tuple[str, ...], width: int) -> list[str]:
    """Every word of a command's help, on a terminal of that width."""
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(command_line, [*path, "--help"], terminal_width=width)
    assert done.exit_code == 0, done.output
    return done.output.split()


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_says_the_same_at_any_width_and_cuts_nothing(path: tuple[str, ...]) -> None:
    wide, narrow = (words_of_help(path, width) for width in (400, 40))
    assert "".join(wide) == "".join(narrow)  # a long word may be broken over two lines, none is left out


@pytest.mark.parametrize(
    "path", [path for path, command in EVERY.items() if isinstance(command, click.Group)], ids=" ".join
)
def test_a_list_of_commands_has_the_whole_first_sentence_of_each(path: tuple[str, ...]) -> None:
    shown = " ".join(words_of_help(path, 80))
    for command in listed(EVERY[path]).values():
        paragraph = " ".join((command.help or "").split("\n\n")[0].split())
        sentence = paragraph.split(". ")[0].removesuffix(".")
        assert sentence
        assert sentence in shown


SLOW = ("pydantic", "docker", "requests", "yaml", "jinja2", "rich", "asyncio")
"""What takes longer to load than all else of `labctl --help`."""


def test_help_loads_nothing_that_takes_long() -> None:
    loaded = "import sys, labctl.cli; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert "labctl.cli" in modules
    assert not {*SLOW} & {*modules}
