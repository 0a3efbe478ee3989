"""What the commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from labctl.errors import UsageError
from labctl.lab import Lab, Overrides
from labctl.shortening import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from labctl.engine.client import Engine
    from labctl.progress import Progress
    from labctl.stack.model import Stack


HOSTS = "labctl.hosts"
"""What the hosts that were named are called in click's context."""

UNBOUNDED = 10_000
"""Columns of what is no terminal."""


class Lines:
    """Progress as lines: one at the end of each step, and one at the start of those that may take long."""

    def begin(self, what: str) -> None:
        """A step began."""
        if what.startswith(("build", "base", "pull", "wait")):
            say(f"... {what}")

    def detail(self, what: str, line: str) -> None:
        """Left out: a log has no place for it."""

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """A step has ended."""
        say(f"{'fail' if failed else 'ok':4} {what} {seconds:.2f} s")


def connect(hosts: Sequence[str] = (), answer_s: int = 0) -> Engine:
    """The engine, or the hosts that --hosts, LABCTL_HOSTS, `hosts` or what is up names, as one.

    Each answer may take `answer_s`, where that is to be longer than usual.
    """
    from labctl.engine import client

    named = named_hosts()
    timeouts = replace(client.TIMEOUTS, answer_s=answer_s) if answer_s else None
    options: dict[str, Any] = {"timeouts": timeouts, "hosts": hosts if named is None else named}
    return client.connect(**{name: value for name, value in options.items() if value})


def named_hosts() -> Sequence[str] | None:
    """The hosts that --hosts names, an empty one none, or else LABCTL_HOSTS, for verbs without it, too; None where
    nobody says."""
    named: Sequence[str] | None = click.get_current_context().meta.get(HOSTS)
    if named is not None:
        return named
    return [name.strip() for name in os.environ.get("LABCTL_HOSTS", "").split(",") if name.strip()] or None


def require_place(option: str, path: Path | None) -> None:
    """Raise UsageError where no file can be written there: it is told before what takes its time is begun."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{option} {path}: it is a folder", "the path of a file in it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no such folder", "make it, or write elsewhere")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{option} {path}: nothing can be written there", "another folder")


def find_lab(file: str | None, overrides: Overrides, image: str | None = None) -> tuple[Lab, Stack]:
    """The lab of a file, or else the shipped one, with what flags say over it."""
    from labctl.blueprint.config_review import find_lab as load_lab

    lab, of_stack = load_lab(file, overrides)
    return lab, of_stack.with_image(image)


def find_stack(name: str | None) -> Stack:
    """A stack that is shipped, or that of a file; the one that labs have by default where none is named."""
    from labctl.labfile.entries import DEFAULT_STACK
    from labctl.stack.loader import find_stack as load_stack

    return load_stack(DEFAULT_STACK if name is None else name)


def progress(quiet: bool) -> Progress:
    """Where a command's steps are shown: live on a terminal, as lines elsewhere, or nowhere."""
    from labctl.progress import Silent

    if quiet:
        return Silent()
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Lines()
    from labctl.report.live_progress import Live

    live = Live(console(stderr=True))
    click.get_current_context().call_on_close(live.close)
    return live


def is_typed(option: str) -> bool:
    """Whether an option stands on the command line itself, and does not come from the environment."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def is_said(option: str) -> bool:
    """Whether an option is the user's, on the command line or in the environment, and no default."""
    source = click.get_current_context().get_parameter_source(option)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def tables() -> ModuleType:
    """labctl.report.tables, with the library that draws: for commands that draw, and no others."""
    from labctl.report import tables

    return tables


def console(*, stderr: bool = False) -> Console:
    """Where people read; without any style, bold and dim too, where NO_COLOR is set."""
    from labctl.report.plain_console import PlainConsole

    if os.environ.get("NO_COLOR"):
        return PlainConsole(stderr=stderr, no_color=True, color_system=None, highlight=False)
    return PlainConsole(stderr=stderr, highlight=False)


def show(renderable: Any) -> None:
    """A table on stdout, as wide as it needs to be where that is no terminal.

    A row that is too wide for a terminal all the same is left for that to wrap: nothing of it is cut.
    """
    people = console()
    if not people.is_terminal:
        people.width = UNBOUNDED
    with people.capture() as drawn:
        people.print(renderable, crop=False)
    click.echo(drawn.get(), nl=False, color=True)


def width() -> int | None:
    """How many columns people have; None where output is no terminal, and nothing needs to fit."""
    people = console()
    return people.width if people.is_terminal else None


def sayer(quiet: bool) -> Callable[[str], None]:
    """`say`, or, where it is to be quiet, what says nothing."""
    return (lambda _text: None) if quiet else say


def say(text: str) -> None:
    """A message for people, on stderr: stdout is for data. Nothing ends because nobody reads it."""
    with suppress(BrokenPipeError):
        click.echo(plain(text), err=True)


def echo(text: object = "", *, nl: bool = True) -> None:
    """Data, on stdout. What a terminal would obey is taken out, here as in all else that is shown: texts of a run, of a
    lab or of a scenario may be a stranger's."""
    click.echo(plain(str(text)), nl=nl)


def pass_on(text: str) -> None:
    """What a program printed that the user had a node run, as it is."""
    click.echo(text, nl=False)
