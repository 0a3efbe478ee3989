"""The command of soak runs: what one of them finds is shrunk before it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.option_groups import Conduct, Making
from labctl.cli.options import (
    Span,
    build_options,
    file_option,
    gathered,
    own_name_option,
    run_options,
    stack_option,
    timeout_option,
    trust_option,
    via_option,
)
from labctl.cli.pages import Pages
from labctl.cli.scenarios import allow, conclude, on_image, tell, write_junit
from labctl.cli.shrink import shrink_and_tell
from labctl.errors import LabctlError
from labctl.lab import Overrides

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.engine.client import Engine
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.runner import RunOptions

LONGEST_SOAK = 240
"""Minutes."""


@click.command()
@file_option
@own_name_option
@stack_option
@via_option
@gathered("flags", Overrides)
@click.option("--minutes", type=Span(0.1, LONGEST_SOAK), help="How long; 5, unless --steps says how much.")
@click.option("--steps", type=click.IntRange(1, 4900), help="How many random steps, at most.")
@click.option("--strict", is_flag=True, help="What is known to fail is a failure too.")
@click.option("--no-shrink", is_flag=True, help="Leave a failure as it is.")
@click.option(
    "--shrink-minutes", type=Span(0.1, 1440), default=15.0, show_default=True, help="How long a failure is shrunk."
)
@build_options
@timeout_option
@trust_option
@run_options
def soak(
    file: str | None,
    flags: Overrides,
    minutes: float | None,
    steps: int | None,
    strict: bool,
    no_shrink: bool,
    shrink_minutes: float,
    making: Making,
    trust: bool,
    how: Conduct,
) -> None:
    """Do random things and faults on a lab for some minutes, heal it, and judge what was seen.

    The same seed tries the same things again. FILE is a scenario whose lab, limits and known failures it takes. What
    was done is in the run's folder as a scenario that `labctl run` runs again; what failed is shrunk to the smallest
    scenario that fails the same way, as `labctl shrink` does.

    Example: labctl soak --minutes 5 --seed 7
    """
    from labctl.report.acceptance import Acceptance
    from labctl.scenario import soak as soaking

    scenario = on_image(making.image, soaking.find(file, flags))
    allow(scenario, file, trust=trust)
    engine = terminal.connect()
    minutes = minutes or (LONGEST_SOAK if steps else 5)
    terminal.say(f"soak of {scenario.lab.name} for {_bound(minutes, steps)}, seed {how.seed}")
    acceptance, options = Acceptance(strict, hopeful=making.changed), how.options(making)
    write_junit(how.junit, [], acceptance)
    pages = Pages(how.report) if how.report else None
    result = soaking.soak(engine, scenario, options, minutes, terminal.progress(how.quiet), steps)
    applied = acceptance.applied(result)
    _tell(applied, how, acceptance, pages)
    if not no_shrink and applied.standing == "failed":
        _shrink(engine, result, flags, making.image, options, shrink_minutes, strict=strict, quiet=how.quiet)
    conclude([applied], how.output, acceptance)


def _tell(result: Result, how: Conduct, acceptance: Acceptance, pages: Pages | None) -> None:
    """What was done, in a line, and what came of it."""
    from labctl.report import verdict_tables
    from labctl.scenario import run_folder

    if result.story:
        terminal.say(verdict_tables.tally(run_folder.read_events(Path(result.folder))))
    tell([result], how, acceptance)
    if pages:
        pages.add_result(result)


def _bound(minutes: float, steps: int | None) -> str:
    return f"{steps} steps" if steps else f"{minutes:g} min"


def _shrink(
    engine: Engine,
    result: Result,
    flags: Overrides,
    image: str | None,
    how: RunOptions,
    minutes: float,
    *,
    strict: bool,
    quiet: bool,
) -> None:
    """The smallest scenario that fails as the run did; of what is known to fail only where that is a failure too. Where
    it cannot be made smaller that is said: what the soak itself came to is told all the same."""
    from labctl.scenario.shrink import search

    try:
        failing = search.failing_run(Path(result.folder), Overrides(stack=flags.stack))
        failing = replace(failing, scenario=on_image(image, failing.scenario))
        target = search.choose(failing, news_only=not strict)
        options = search.SearchOptions(how, minutes=minutes, lab=flags.name)
        found = shrink_and_tell(engine, failing, target, options, terminal.sayer(quiet))
    except LabctlError as error:
        terminal.say(f"it was not made smaller: {error}")
        return
    if found.file:
        terminal.say(f"the smallest scenario is {found.file}")


COMMANDS = (soak,)
