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
from labctl.cli.completion import complete_scenario, complete_scenario_or_step
from labctl.cli.option_groups import Conduct, Making, Repetition
from labctl.cli.options import (
    VERDICTS,
    build_options,
    dry_run_option,
    gathered,
    jobs_option,
    output_option,
    own_name_option,
    run_argument,
    run_options,
    stack_option,
    timeout_option,
    trust_option,
    via_option,
)
from labctl.cli.pages import Pages
from labctl.cli.step_help import show_steps
from labctl.cli.working_tree import bisect_code, run_on_save
from labctl.errors import HostError, InvalidFile, UsageError
from labctl.lab import MAX_NODES, Overrides

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.checks.known import Known
    from labctl.progress import Progress
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.reader import Scenario
    from labctl.scenario.runner import RunOptions

MARKS = {"measured": " (measured by hand)", "read": " (unproven)"}
"""What is said beside a failure that was not seen in runs."""


@click.command(epilog=VERDICTS)
@click.argument("scenarios", nargs=-1, shell_complete=complete_scenario)
@click.option("--all", "every", is_flag=True, help="Every shipped scenario.")
@own_name_option
@stack_option
@click.option("--nodes", type=click.IntRange(1, MAX_NODES), help="How many nodes, in place of the scenario's lab.")
@via_option
@gathered("flags", Overrides)
@build_options
@timeout_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="How often each is run.")
@jobs_option
@click.option("--shuffle", is_flag=True, help="In random order.")
@click.option("--strict", is_flag=True, help="What is known to fail is a failure too.")
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=0,
    help="How often a scenario is run again that came to no verdict, or did not fail as it is known to; all are told.",
)
@click.option("--watch", is_flag=True, help="Run again, built anew, when a file of --source is saved; until Ctrl-C.")
@click.option(
    "--git-bisect",
    is_flag=True,
    help="Exit as `git bisect run` takes it: 0 as expected, 1 a check failed, 125 it could not be judged.",
)
@gathered("often", Repetition)
@trust_option
@dry_run_option
@run_options
def run(
    scenarios: tuple[str, ...],
    every: bool,
    flags: Overrides,
    making: Making,
    often: Repetition,
    strict: bool,
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
        labctl run partition-heal --source asterisk --watch
    """
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.loader import shipped_scenarios

    if every == bool(scenarios):
        raise UsageError("which scenarios?", f"name them, or --all: {', '.join(shipped_scenarios())}")
    chosen = _find(scenarios or shipped_scenarios(), flags, making.image, every=every, trust=trust) * often.repeat
    if often.shuffle:
        _shuffle(chosen, how.seed)
    terminal.require_place("--junit", how.junit)
    if dry_run:
        _show_plan(chosen, making, how.output)
        return
    acceptance = Acceptance(strict, hopeful=making.changed)
    _run_chosen(chosen, making, often, how, acceptance)


def _run_chosen(
    chosen: list[Scenario], making: Making, often: Repetition, how: Conduct, acceptance: Acceptance
) -> None:
    """Run them, once or as files are saved, and exit."""

    def run_once() -> list[Result]:
        options = replace(how.options(making), retries=often.retries)
        return run_all(chosen, options, how, often.jobs, acceptance)

    if often.watch:
        run_on_save(making.source, run_once)
    if often.git_bisect:
        sys.exit(bisect_code(run_once, acceptance))
    conclude(run_once(), how.output, acceptance)


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
            scenarios.append(on_image(image, find_trusted(file, flags, trust=trust)))
        except InvalidFile as error:
            if not (every and flags.via):
                raise
            terminal.say(f"{file}: left out: {error.first}")
    return scenarios


def find_trusted(file: str, flags: Overrides, *, trust: bool) -> Scenario:
    """A scenario, whose warnings are told. Raises UsageError as `find_scenario` does, and for a user's own that runs
    commands without trust."""
    from labctl.scenario.loader import find_scenario

    scenario = find_scenario(file, flags)
    allow(scenario, file, trust=trust)
    return scenario


def allow(scenario: Scenario, file: str | None, *, trust: bool) -> None:
    """Tell what a scenario of a file is warned of. Raises UsageError where it runs commands without trust."""
    from labctl.scenario import inline_commands
    from labctl.scenario.loader import shipped_scenarios

    inline_commands.refuse(scenario.commands, trusted=trust or file in shipped_scenarios())
    for warning in scenario.warnings:
        terminal.say(warning)


def on_image(image: str | None, scenario: Scenario) -> Scenario:
    """The scenario on a node image that was built elsewhere; as it is where there is none."""
    return replace(scenario, stack=scenario.stack.with_image(image))


def run_all(
    scenarios: list[Scenario], options: RunOptions, how: Conduct, jobs: int | None, acceptance: Acceptance
) -> list[Result]:
    """Run them, `jobs` at a time or as many as the machine is good for, and show each as it ends: a report for CI is
    whole at any time."""
    from labctl.progress import Named
    from labctl.scenario import runner

    progress, results = terminal.progress(how.quiet), []
    write_junit(how.junit, [], acceptance)  # before it all, not after: can it be written?
    pages = Pages(how.report) if how.report else None
    numbers = itertools.count(1)
    engine = terminal.connect()
    if not jobs:  # of a single one the engine need not be asked what it is
        jobs = runner.at_a_time(engine.info(), len(scenarios)) if len(scenarios) > 1 else 1

    def begin(scenario: Scenario) -> Progress:
        if not how.quiet:
            terminal.say(f"{scenario.name} ({next(numbers)} of {len(scenarios)}): {scenario.title}")
        return progress if jobs == 1 else Named(scenario.name, progress)

    by_name = {scenario.name: scenario for scenario in scenarios}
    for result in runner.run_many(engine, scenarios, options, jobs, begin):
        results.append(acceptance.applied(result))
        if jobs > 1 and how.output != "json":
            terminal.echo(f"{result.scenario}:")
        tell(results, how, acceptance)
        _say_what_it_looks_like(result, by_name[result.scenario])
        if pages:
            pages.add_result(results[-1])
    return results


def _say_what_it_looks_like(result: Result, scenario: Scenario) -> None:
    """Where a run failed by what labctl found wrong before: by which of its findings."""
    from labctl.scenario import run_folder
    from labctl.scenario.conclusion import terms_of
    from labctl.scenario.hunt.hunter import known_findings
    from labctl.scenario.hunt.recognition import names_of

    if result.standing != "failed" or not result.folder:
        return
    events = run_folder.read_events(Path(result.folder))
    for name in names_of(result, events, terms_of(scenario), known_findings()):
        terminal.say(f"{result.scenario}: it looks like the finding {name}: labctl findings show {name}")


def tell(results: list[Result], how: Conduct, acceptance: Acceptance) -> None:
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
        terminal.echo(formats.as_json(planned))
        return
    for run in planned:
        terminal.echo(f"{run.scenario}: {run.title}")
        terminal.echo(f"  lab {run.lab}: {', '.join(run.nodes)}; stack {run.stack}, state goes by {run.via}")
        for image in run.images:
            terminal.echo(f"  image {image.name}: {image.standing}")
        for number, step in enumerate(run.steps, 1):
            terminal.echo(f"  {number:2} {step}")
    terminal.say("nothing was started")


def show_result(result: Result, story: Sequence[str] | None = None) -> None:
    """The verdicts, what went wrong, and where it all lies; the story too where nobody expected it, or if given."""
    from labctl.report import verdict_tables

    terminal.show(verdict_tables.checks(result))
    for line in _explanation(result, story):
        terminal.echo(line)


def _explanation(result: Result, story: Sequence[str] | None) -> Iterable[str]:
    from labctl.report import verdict_tables

    yield from verdict_tables.findings(result)
    if story is None and result.standing in ("failed", "unknown", "error"):
        story = result.story
    if story:
        yield from ("what happened:", *(f"  {line}" for line in story))
    yield f"{result.scenario}: {result.standing}, in {result.seconds:.1f} s; all of it is in {result.folder}"


def conclude(results: list[Result], output: str, acceptance: Acceptance) -> None:
    """Tell of all runs together, and exit with their code."""
    from labctl.report import formats, verdict_tables

    if output == "json":
        terminal.echo(formats.as_json([vars(result) | {"standing": result.standing} for result in results]))
    elif len(results) > 1:
        terminal.show(verdict_tables.overview(results))
    sys.exit(acceptance.exit_code(results))


@click.command()
@click.argument("name", required=False, shell_complete=complete_scenario_or_step)
@click.option("--steps", is_flag=True, help="Every step that a scenario can have, or that of NAME, with an example.")
@output_option
def scenarios(name: str | None, steps: bool, output: str) -> None:
    """List the shipped scenarios, and what is known to fail; or print the one of that NAME, to begin from.

    Examples:

    \b
        labctl scenarios partition-heal > mine.yaml
        labctl scenarios --steps wait_for
    """
    from labctl.report import formats
    from labctl.scenario.loader import family, find_scenario, scenario_text, shipped_scenarios

    if steps:
        show_steps(name, output)
        return
    if name:
        text = scenario_text(name)
        terminal.echo(formats.as_json({"name": name, "text": text}) if output == "json" else text, nl=output == "json")
        return
    shipped = [find_scenario(name, Overrides()) for name in shipped_scenarios()]
    if output == "json":
        keys = ("name", "title", "about", "known")
        rows = [
            {key: getattr(scenario, key) for key in keys} | {"family": family(scenario.name)} for scenario in shipped
        ]
        terminal.echo(formats.as_json(rows))
        return
    lines = [
        (family(scenario.name), scenario.name, scenario.title, _known(scenario.known) or "-") for scenario in shipped
    ]
    terminal.show(terminal.tables().table("", ("FAMILY", "SCENARIO", "WHAT", "KNOWN TO FAIL"), sorted(lines)))


def _known(entries: Iterable[Known]) -> str:
    """Such as `agreement on 1.8, 22 by corosync (unproven)`: each check once with the stacks that it fails on."""
    stacks: dict[tuple[str, str], dict[str, None]] = {}
    for known in entries:
        carrier = "any carrier" if known.via == "any" else known.via
        how = f"by {carrier}{MARKS.get(known.source, '')}"
        stacks.setdefault((known.check, how), {})[known.stack] = None
    return "; ".join(f"{check} on {', '.join(sorted(names))} {how}" for (check, how), names in stacks.items())


@click.command(epilog=VERDICTS)
@run_argument
@output_option
def check(run: str, output: str) -> None:
    """Judge an old RUN again: a folder, `latest`, or a bundle. Needs no lab and no Docker."""
    from labctl.bundle import unpacked
    from labctl.report.acceptance import Acceptance
    from labctl.scenario import conclusion

    with unpacked.folder_of(run) as folder:
        result = conclusion.check(folder)
    if unpacked.is_bundle(run):
        result = replace(result, folder=run)
    if output != "json":
        show_result(result)
    conclude([result], output, Acceptance())


COMMANDS = (run, scenarios, check)
