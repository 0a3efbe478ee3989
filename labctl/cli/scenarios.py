"""The commands of the proving ground: scenarios, faults, soak runs, and an old run judged again."""

from __future__ import annotations

import itertools
import os
import random
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_scenario
from labctl.cli.option_groups import Conduct, Making
from labctl.cli.options import (
    Span,
    build_options,
    dry_run_option,
    file_option,
    gathered,
    output_option,
    own_name_option,
    run_argument,
    run_options,
    stack_option,
    timeout_option,
    trust_option,
    via_option,
)
from labctl.errors import HostError, InvalidFile, UsageError
from labctl.lab import Overrides

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.checks.known import Known
    from labctl.progress import Progress
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.reader import Scenario
    from labctl.scenario.runner import RunOptions

MARKS = {"measured": " (measured by hand)", "read": " (unproven)"}
"""What is said beside a failure that was not seen in runs."""


@click.command()
@click.argument("scenarios", nargs=-1, shell_complete=complete_scenario)
@click.option("--all", "every", is_flag=True, help="Every shipped scenario.")
@own_name_option
@stack_option
@click.option("--nodes", type=click.IntRange(1, 16), help="How many nodes, in place of the scenario's lab.")
@via_option
@gathered("flags", Overrides)
@build_options
@timeout_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="How often each is run.")
@click.option("-j", "--jobs", type=click.IntRange(1, 8), help="How many at a time; 2 of several, by default.")
@click.option("--shuffle", is_flag=True, help="In random order.")
@click.option("--strict", is_flag=True, help="What is known to fail is a failure too.")
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=0,
    help="How often a scenario that came to no verdict is run again; both runs are told of.",
)
@trust_option
@dry_run_option
@run_options
def run(
    scenarios: tuple[str, ...],
    every: bool,
    flags: Overrides,
    making: Making,
    repeat: int,
    jobs: int | None,
    shuffle: bool,
    strict: bool,
    retries: int,
    trust: bool,
    dry_run: bool,
    how: Conduct,
) -> None:
    """Run scenarios, each on a fresh lab of its own, and judge what was seen.

    A scenario is a file or a shipped name. No code of it runs on this machine; what its `config:` has nodes run, runs
    in their containers, and wants --trust. A lab that does not come up is an error; its logs are in the run's folder.
    Exit code: 0 as expected; 1 a check failed, a lab did not come up, or a check that is known to fail did not (with
    --patch that is hoped for); 4 Docker or this machine could not make a lab; 2 a patch does not fit; 5 not all judged.

    Examples:

    \b
        labctl run --all --junit report.xml
        labctl run partition-heal --patch fix.patch
    """
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.loader import shipped_scenarios

    if every == bool(scenarios):
        raise UsageError("which scenarios?", f"name them, or --all: {', '.join(shipped_scenarios())}")
    chosen = _find(scenarios or shipped_scenarios(), flags, making.image, every=every, trust=trust) * repeat
    if shuffle:
        _shuffle(chosen, how.seed)
    if dry_run:
        _show_plan(chosen, making, how.output)
        return
    acceptance, options = Acceptance(strict, hopeful=bool(making.patch)), replace(how.options(making), retries=retries)
    _conclude(_run_all(chosen, options, how, jobs or min(2, len(chosen)), acceptance), how.output, acceptance)


def _shuffle(scenarios: list[Scenario], seed: int | None) -> None:
    """Bring them into the order that follows from the seed, and say which that is."""
    random.Random(seed).shuffle(scenarios)  # noqa: S311 - chance, not secrets
    terminal.say(f"seed {seed}")


def _find(files: Iterable[str], flags: Overrides, image: str | None, *, every: bool, trust: bool) -> list[Scenario]:
    """The scenarios of some files, on a node image where one is given.

    Of `every` one those that make sense by another way than their own.
    """
    scenarios = []
    for file in files:
        try:
            scenarios.append(_on(image, find_trusted(file, flags, trust=trust)))
        except InvalidFile as error:
            if not (every and flags.via):
                raise
            terminal.say(f"{file}: left out: {error.first}")
    return scenarios


def find_trusted(file: str, flags: Overrides, *, trust: bool) -> Scenario:
    """A scenario. Raises UsageError as `find_scenario` does, and for one that has nodes run commands without trust."""
    from labctl.scenario import inline_commands
    from labctl.scenario.loader import find_scenario

    scenario = find_scenario(file, flags)
    inline_commands.refuse(scenario.commands, trusted=trust)
    return scenario


def _on(image: str | None, scenario: Scenario) -> Scenario:
    """The scenario on a node image that was built elsewhere; as it is where there is none."""
    return replace(scenario, stack=scenario.stack.with_image(image))


def _run_all(
    scenarios: list[Scenario], options: RunOptions, how: Conduct, jobs: int, acceptance: Acceptance
) -> list[Result]:
    """Run them, and show each as it ends: a report for CI is whole at any time."""
    from labctl.progress import Named
    from labctl.scenario import runner

    progress, results = terminal.progress(how.quiet), []
    write_junit(how.junit, [], acceptance)  # before it all, not after: can it be written?
    numbers = itertools.count(1)

    def begin(scenario: Scenario) -> Progress:
        if not how.quiet:
            terminal.say(f"{scenario.name} ({next(numbers)} of {len(scenarios)}): {scenario.title}")
        return progress if jobs == 1 else Named(scenario.name, progress)

    for result in runner.run_many(terminal.connect(), scenarios, options, jobs, begin):
        results.append(acceptance.applied(result))
        if jobs > 1 and how.output != "json":
            click.echo(f"{result.scenario}:")
        _tell(results, how, acceptance)
    return results


def _tell(results: list[Result], how: Conduct, acceptance: Acceptance) -> None:
    """Write down all results so far, and show the last."""
    write_junit(how.junit, results, acceptance)
    _tell_github(results[-1], acceptance)
    if how.output != "json":
        show_result(results[-1])


def _tell_github(result: Result, acceptance: Acceptance) -> None:
    """Where GitHub Actions runs this: the verdicts go to the summary of the job, and findings become annotations."""
    from labctl.report import github

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    for annotation in github.annotate(result, acceptance):
        terminal.say(annotation)
    try:
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(github.summary(result))
    except OSError as error:
        terminal.say(f"{summary}: {error.strerror}: no summary for GitHub")


def write_junit(path: Path | None, results: Sequence[Result], acceptance: Acceptance) -> None:
    """Write results as JUnit XML, where that is asked for. Raises UsageError."""
    from labctl.report import junit

    if path is None:
        return
    try:
        path.write_text(junit.render(results, acceptance), "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "can you write there?") from None


def _show_plan(scenarios: list[Scenario], making: Making, output: str) -> None:
    """Say what would be run."""
    from labctl.report import formats
    from labctl.scenario import run_plan

    images, engine = making.options(), None
    with suppress(HostError):
        engine = terminal.connect()
    planned = [run_plan.plan(engine, scenario, images) for scenario in scenarios]
    if output == "json":
        click.echo(formats.as_json(planned))
        return
    for run in planned:
        click.echo(f"{run.scenario}: {run.title}")
        click.echo(f"  lab {run.lab}: {', '.join(run.nodes)}; stack {run.stack}, state goes by {run.via}")
        for image in run.images:
            click.echo(f"  image {image.name}: {image.standing}")
        for number, step in enumerate(run.steps, 1):
            click.echo(f"  {number:2} {step}")
    terminal.say("nothing was started")


def show_result(result: Result, story: Sequence[str] | None = None) -> None:
    """The verdicts, what went wrong, and where it all lies; the story too where nobody expected it, or if given."""
    from labctl.report import verdict_tables

    terminal.show(verdict_tables.checks(result))
    for line in _explanation(result, story):
        click.echo(line)


def _explanation(result: Result, story: Sequence[str] | None) -> Iterable[str]:
    from labctl.report import verdict_tables

    yield from verdict_tables.findings(result)
    if story is None and result.standing in ("failed", "unknown", "error"):
        story = result.story
    if story:
        yield from ("what happened:", *(f"  {line}" for line in story))
    yield f"{result.scenario}: {result.standing}, in {result.seconds:.1f} s; all of it is in {result.folder}"


def _conclude(results: list[Result], output: str, acceptance: Acceptance) -> None:
    from labctl.report import formats, verdict_tables

    if output == "json":
        click.echo(formats.as_json([vars(result) | {"standing": result.standing} for result in results]))
    elif len(results) > 1:
        terminal.show(verdict_tables.overview(results))
    sys.exit(acceptance.exit_code(results))


@click.command()
@click.argument("name", required=False, shell_complete=complete_scenario)
@click.option("--steps", is_flag=True, help="Every step that a scenario can have, and its arguments.")
@output_option
def scenarios(name: str | None, steps: bool, output: str) -> None:
    """List the shipped scenarios, and what is known to fail; or print the one of that NAME, to begin from.

    Example: labctl scenarios partition-heal > mine.yaml
    """
    from labctl.report import formats
    from labctl.scenario.loader import find_scenario, scenario_text, shipped_scenarios

    if steps:
        _show_steps(output)
        return
    if name:
        text = scenario_text(name)
        click.echo(formats.as_json({"name": name, "text": text}) if output == "json" else text, nl=output == "json")
        return
    shipped = [find_scenario(name, Overrides()) for name in shipped_scenarios()]
    if output == "json":
        keys = ("name", "title", "about", "known")
        click.echo(formats.as_json([{key: getattr(scenario, key) for key in keys} for scenario in shipped]))
        return
    rows = [(scenario.name, scenario.title, ", ".join(map(_known, scenario.known)) or "-") for scenario in shipped]
    terminal.show(terminal.tables().table("", ("SCENARIO", "WHAT", "KNOWN TO FAIL"), rows))


def _show_steps(output: str) -> None:
    from labctl.report import formats
    from labctl.scenario.steps import STEPS

    if output == "json":
        rows = [{"step": name, "takes": verb.takes, "about": verb.about} for name, verb in STEPS.items()]
        click.echo(formats.as_json(rows))
        return
    shown = [(name, verb.takes, verb.about) for name, verb in STEPS.items()]
    terminal.show(terminal.tables().table("", ("STEP", "TAKES", "WHAT"), shown))


def _known(known: Known) -> str:
    """Such as `agreement on 22 by corosync (unproven)`."""
    carrier = "any carrier" if known.via == "any" else known.via
    return f"{known.check} on {known.stack} by {carrier}{MARKS.get(known.source, '')}"


@click.command()
@run_argument
@output_option
def check(run: str, output: str) -> None:
    """Judge an old RUN again: a folder, or `latest`. Needs no lab and no Docker."""
    from labctl.report.acceptance import Acceptance
    from labctl.scenario import conclusion, run_record

    result = conclusion.check(run_record.find(run))
    if output != "json":
        show_result(result)
    _conclude([result], output, Acceptance())


@click.command()
@file_option
@own_name_option
@stack_option
@via_option
@gathered("flags", Overrides)
@click.option("--minutes", type=Span(0.1, 240), default=5.0, show_default=True, help="How long.")
@build_options
@timeout_option
@trust_option
@run_options
def soak(file: str | None, flags: Overrides, minutes: float, making: Making, trust: bool, how: Conduct) -> None:
    """Do random things and faults on a lab for some minutes, heal it, and judge what was seen.

    The same seed tries the same things again. FILE is a scenario whose lab, limits and known failures it takes.

    Example: labctl soak --minutes 5 --seed 7
    """
    from labctl.report import verdict_tables
    from labctl.report.acceptance import Acceptance
    from labctl.scenario import inline_commands, run_folder
    from labctl.scenario import soak as soaking

    scenario = _on(making.image, soaking.find(file, flags))
    inline_commands.refuse(scenario.commands, trusted=trust)
    engine = terminal.connect()
    terminal.say(f"soak of {scenario.lab.name} for {minutes:g} min, seed {how.seed}")
    acceptance = Acceptance(hopeful=bool(making.patch))
    write_junit(how.junit, [], acceptance)
    result = soaking.soak(engine, scenario, how.options(making), minutes, terminal.progress(how.quiet))
    if result.story:
        terminal.say(verdict_tables.tally(run_folder.read_events(Path(result.folder))))
    _tell([result], how, acceptance)
    _conclude([result], how.output, acceptance)


COMMANDS = (run, scenarios, check, soak)
