"""The command that hunts for what is wrong by itself."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.option_groups import Making
from labctl.cli.options import (
    Span,
    build_options,
    folder_option,
    gathered,
    no_capture_option,
    output_option,
    quiet_option,
    stack_option,
    timeout_option,
    together,
    via_option,
)
from labctl.lab import Overrides

if TYPE_CHECKING:
    from labctl.scenario.hunt.ledger import Ledger

LONGEST_HUNT = 168
"""Hours: a week."""

UNJUDGED = 5

_drawn_options = together(stack_option, via_option, gathered("flags", Overrides))


@click.command()
@click.option("--hours", type=Span(0.01, LONGEST_HUNT), default=2.0, show_default=True, help="How long.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Draws the same cases again; chance, by default.")
@click.option("--no-faults", is_flag=True, help="Leave everything whole: then nothing may go wrong.")
@click.option("--known", is_flag=True, help="Make what is known smaller, too, the first time that it is seen.")
@click.option("-j", "--jobs", type=click.IntRange(1, 8), default=2, show_default=True, help="How many at a time.")
@click.option(
    "--shrink-minutes", type=Span(0.1, 1440), default=10.0, show_default=True, help="How long a failure is shrunk."
)
@_drawn_options
@build_options
@timeout_option
@folder_option("Where the folder of the hunt goes.")
@no_capture_option
@quiet_option
@output_option
def hunt(
    hours: float,
    seed: int | None,
    no_faults: bool,
    known: bool,
    jobs: int,
    shrink_minutes: float,
    flags: Overrides,
    making: Making,
    timeout: float,
    folder: Path,
    no_capture: bool,
    quiet: bool,
    output: str,
) -> None:
    """Hunt for what is wrong: random labs, random steps and faults, every check on, for hours.

    What fails is compared with the findings that are known (labctl findings). What is new is run again, made smaller,
    and put down as the draft of a finding, with its scenario, in the folder of the hunt. The same seed draws the same
    cases, and the same command goes on where it was ended. Exit code: 0 nothing is new; 1 something is; 5 nothing could
    be judged.

    Example: labctl hunt --hours 2 --seed 7
    """
    from labctl.scenario.hunt import hunter
    from labctl.scenario.runner import RunOptions

    seed = secrets.randbelow(10_000) if seed is None else seed
    how = RunOptions(folder, timeout, images=making.options(), capture=not no_capture)
    options = hunter.HuntOptions(how, seed, hours, flags, not no_faults, known, jobs, shrink_minutes, making.image)
    say = terminal.sayer(quiet)
    engine = terminal.connect()
    say(f"hunt with seed {seed} for {hours:g} h: {options.folder}")
    hunting = hunter.Hunt(engine, options, say)
    hunting.go_on()
    ledger = hunting.ledger
    _tell(ledger, output, faults=options.faults)
    sys.exit(1 if ledger.news else 0 if any(case.judged for case in ledger.tried) else UNJUDGED)


def _tell(ledger: Ledger, output: str, *, faults: bool) -> None:
    """What it came to."""
    from labctl.report import formats, hunt_text

    if output == "json":
        terminal.echo(formats.as_json(hunt_text.data(ledger, faults=faults)))
        return
    terminal.show(terminal.tables().table("", hunt_text.COLUMNS, hunt_text.rows(ledger)))
    for line in (*hunt_text.files(ledger), hunt_text.summary(ledger, faults=faults)):
        terminal.echo(line)


COMMANDS = (hunt,)
