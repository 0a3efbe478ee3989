"""The command that makes a scenario smaller, also behind a soak run that failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_run_or_scenario
from labctl.cli.option_groups import Making
from labctl.cli.options import (
    Span,
    build_options,
    folder_option,
    own_name_option,
    quiet_option,
    stack_option,
    timeout_option,
    trust_option,
)
from labctl.errors import UsageError
from labctl.lab import Overrides

if TYPE_CHECKING:
    from labctl.engine.client import Engine
    from labctl.scenario.shrink.search import Failing, Found, SearchOptions
    from labctl.scenario.shrink.target import TargetFailure
    from labctl.scenario.shrink.trials import Demand


@click.command()
@click.argument("what", metavar="SCENARIO|RUN", shell_complete=complete_run_or_scenario)
@click.option("--check", help="The check whose failure it is about, in place of the first that failed.")
@click.option("--finding", default="", help="A regular expression for the finding, or a log line of it.")
@click.option("--runs", type=click.IntRange(1, 100), help="How often a smaller scenario is run.")
@click.option("--needed", type=click.IntRange(1, 100), help="In how many of these it must fail; in most, by default.")
@click.option("--minutes", type=Span(0.1, 1440), help="How long at most; the smallest by then is what you get.")
@click.option("-j", "--jobs", type=click.IntRange(1, 8), default=2, show_default=True, help="How many at a time.")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Where the smallest goes.")
@own_name_option
@stack_option
@build_options
@timeout_option
@trust_option
@folder_option("Where the folder of the search goes.")
@quiet_option
def shrink(
    what: str,
    check: str | None,
    finding: str,
    runs: int | None,
    needed: int | None,
    minutes: float | None,
    jobs: int,
    file: Path | None,
    name: str | None,
    stack: str | None,
    making: Making,
    timeout: float,
    trust: bool,
    folder: Path,
    quiet: bool,
) -> None:
    """Find the smallest scenario that fails as a SCENARIO or a RUN does, by running smaller and smaller ones.

    SCENARIO is a file or a shipped name; RUN is the folder of a run, its name in labctl-runs, or `latest`. Steps go
    first, then nodes and settings. A smaller scenario is taken where it fails the same way once, and the smallest must
    fail in 2 of 3 runs; --runs and --needed ask for more of each. What can be ended can go on: the same command
    begins where the last one was. Exit code: 0 there is a smallest; 5 the failure did not come again.

    Example: labctl shrink latest --check agreement -o smallest.yaml
    """
    from labctl.scenario.runner import RunOptions
    from labctl.scenario.shrink import search

    terminal.require_place("--output", file)
    first, last = _demands(runs, needed)
    how = RunOptions(folder, timeout, images=making.options())
    options = search.SearchOptions(how, first, last, jobs, minutes, name, file)
    say = terminal.sayer(quiet)
    engine = terminal.connect()
    failing = _failing(engine, what, Overrides(stack=stack), making.image, trust, options, say)
    found = shrink_and_tell(engine, failing, search.choose(failing, check, finding), options, say)
    if found.file is None:
        sys.exit(5)
    terminal.echo(found.file)


def _demands(runs: int | None, needed: int | None) -> tuple[Demand, Demand]:
    """What is asked of a smaller scenario, and of the smallest."""
    from labctl.scenario.shrink import search
    from labctl.scenario.shrink.trials import Demand

    if runs is None and needed is None:
        return search.FIRST, search.LAST
    runs = runs or needed or 1
    needed = needed or runs // 2 + 1
    if needed > runs:
        raise UsageError(f"--needed {needed}: more than --runs {runs}", "as many as there are runs, at most")
    return Demand(runs, needed), Demand(runs, needed)


def _failing(
    engine: Engine,
    what: str,
    overrides: Overrides,
    image: str | None,
    trust: bool,
    options: SearchOptions,
    say: Callable[[str], None],
) -> Failing:
    """The run that is meant, or one of the scenario that is meant."""
    from labctl.cli.scenarios import find_trusted, on_image
    from labctl.scenario import inline_commands, run_record
    from labctl.scenario.loader import shipped_scenarios
    from labctl.scenario.shrink import search

    if what in shipped_scenarios() or Path(what).is_file():
        scenario = on_image(image, find_trusted(what, overrides, trust=trust))
        return search.first_run(engine, scenario, options, say)
    try:
        folder = run_record.find(what)
    except UsageError as error:
        raise UsageError(error.message, f"a scenario's file, or {error.hint}") from None
    failing = search.failing_run(folder, overrides)
    inline_commands.refuse(failing.scenario.commands, trusted=trust)
    return replace(failing, scenario=on_image(image, failing.scenario))


def shrink_and_tell(
    engine: Engine, failing: Failing, target: TargetFailure, options: SearchOptions, say: Callable[[str], None]
) -> Found:
    """Shrink, and say what came of it."""
    from labctl.scenario.shrink import search

    say(f"shrinking {failing.scenario.name} for {target.check}: {target.sentence}")
    began_s = time.monotonic()
    try:
        found = search.search(engine, failing, target, options, say)
    except KeyboardInterrupt:
        say("what was tried is kept: the same command goes on from here")
        raise
    terminal.say(_sentence(found, failing.scenario.name, time.monotonic() - began_s))
    return found


def _sentence(found: Found, name: str, seconds: float) -> str:
    """What was got, and how often it failed."""
    shrunk = found.shrunk
    effort = f"{shrunk.tried} tries in {seconds / 60:.1f} min"
    if found.file is None:
        return f"{name}: the failure did not come again often enough ({found.target.check}); {effort}"
    steps = len(shrunk.scenario.steps)
    end = "" if shrunk.whole else "; the time was over: the same command goes on from here"
    return (
        f"{name}: {found.steps} steps came down to {steps}, which failed in {shrunk.failed} of {shrunk.runs} runs: "
        f"{found.target.check}: {found.target.sentence} ({effort}{end})"
    )


COMMANDS = (shrink,)
