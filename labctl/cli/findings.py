"""The commands of what is wrong with Asterisk and Corosync: the list, a report of each, and whether it is still so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_finding
from labctl.cli.help import WholeHelpGroup
from labctl.cli.option_groups import Conduct, Making, Repetition
from labctl.cli.options import (
    Command,
    build_options,
    gathered,
    jobs_option,
    retries_option,
    run_options,
    stack_option,
    timeout_option,
)
from labctl.cli.scenarios import on_image, run_all
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.lab import Overrides
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.findings.confirmation import Confirmed
    from labctl.scenario.findings.entries import Evidence
    from labctl.scenario.findings.reader import ShippedFinding
    from labctl.stack.model import Stack

    Asked = list[tuple[ShippedFinding, Evidence]]


def _output_option(about: str) -> Callable[[Command], Command]:
    forms = click.Choice(("text", "markdown", "json"))
    return click.option("-o", "--output", type=forms, default="text", show_default=True, help=about)


@click.group(cls=WholeHelpGroup, invoke_without_command=True)
@_output_option("Of the list: as a table for people, in Markdown, or for programs.")
@click.pass_context
def findings(context: click.Context, output: str) -> None:
    """What labctl found wrong with Asterisk and Corosync: each with its scenario, its cause, and how often it comes.

    \b
        labctl findings
        labctl findings show second-leave -o markdown > report.md
        labctl findings run second-leave --repeat 3
    """
    if context.invoked_subcommand is None:
        _list(output)


def _list(output: str) -> None:
    from labctl.report import findings_markdown, findings_text, formats
    from labctl.scenario.findings.reader import find_finding, shipped_findings

    found = [find_finding(name) for name in shipped_findings()]
    if output == "json":
        terminal.echo(formats.as_json([findings_text.data(finding) for finding in found]))
        return
    if output == "markdown":
        terminal.echo(findings_markdown.listed(found), nl=False)
        return
    columns = ("FINDING", "WHAT", "STACKS", "CARRIERS", "SEEN", "SCENARIO")
    terminal.show(terminal.tables().table("", columns, map(findings_text.row, found)))


@findings.command()
@click.argument("name", metavar="FINDING", shell_complete=complete_finding)
@_output_option("markdown: a report as it can be filed upstream.")
def show(name: str, output: str) -> None:
    """Show all of a FINDING: what a user sees, how to see it, its cause, how often it comes, what to do today.

    As markdown it is a report that needs no labctl: a shell script of `docker` and `asterisk` commands makes the nodes,
    and shows it.
    """
    from labctl.report import findings_markdown, findings_text, formats
    from labctl.scenario.findings.reader import find_finding

    finding = find_finding(name)
    if output == "json":
        terminal.echo(formats.as_json(findings_text.data(finding)))
    else:
        terminal.echo(findings_markdown.render(finding) if output == "markdown" else findings_text.whole(finding))


@findings.command()
@click.argument("names", metavar="[FINDING]...", nargs=-1, shell_complete=complete_finding)
@stack_option
@build_options
@timeout_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="How often each is run.")
@jobs_option
@retries_option
@gathered("often", Repetition)
@run_options
def run(names: tuple[str, ...], stack: str | None, making: Making, often: Repetition, how: Conduct) -> None:
    """Run the scenarios of FINDINGs, or of all that hold on the stack, and say of each whether it is still there.

    What was there each time is gone once a run is without it; of what comes but sometimes it takes as many as chance
    does not explain. Exit code: 0 all are there; 1 one is gone (with --patch or --source that is hoped for); 4 Docker
    or this machine could not make a lab; 5 not all judged.

    Example: labctl findings run second-leave --patch mine.patch
    """
    from labctl.lab import Overrides
    from labctl.report import findings_text, formats
    from labctl.report.acceptance import Acceptance

    acceptance = Acceptance(hopeful=making.changed)
    flags = Overrides(stack=stack)
    confirmed, results = _confirm(_asked(names, terminal.find_stack(stack)), flags, making, often, how, acceptance)
    if how.output == "json":
        terminal.echo(formats.as_json(confirmed))
    else:
        terminal.show(terminal.tables().table("", ("FINDING", "NOW", "SEEN", ""), map(findings_text.told, confirmed)))
    told = [standing for finding in confirmed for standing in findings_text.standings(finding)]
    sys.exit(acceptance.code(told, results))


def _asked(names: tuple[str, ...], stack: Stack) -> Asked:
    """The findings that are meant, each with what shows it on the stack; all that hold there, where none is named. A
    stack of the user's own is held to what is known of those that are shipped and have its cluster module.

    Raises UsageError for one that is not shipped, or not known on the stack, and where that leaves none.
    """
    from labctl.scenario.findings.reader import find_finding, shipped_findings
    from labctl.stack.loader import alike

    found = [find_finding(name) for name in dict.fromkeys(names or shipped_findings())]
    asked = []
    for finding in found:
        if evidence := next(filter(None, map(finding.first_on, alike(stack))), None):
            asked.append((finding, evidence))
            continue
        why = f"{finding.name}: it is known on {', '.join(finding.stacks)} alone"
        if names:
            raise UsageError(f"{why}, not on stack {stack.name}", f"--stack {finding.stacks[0]}")
        terminal.say(f"{why}: left out")
    if not asked:
        known = sorted({name for finding in found for name in finding.stacks})
        raise UsageError(f"no finding is known on stack {stack.name}", f"there are some on {', '.join(known)}")
    return asked


def _confirm(
    asked: Asked,
    flags: Overrides,
    making: Making,
    often: Repetition,
    how: Conduct,
    acceptance: Acceptance,
) -> tuple[list[Confirmed], list[Result]]:
    """Run each scenario that shows any of them, once for all whom it shows, and say of each what that came to."""
    from labctl.scenario.findings.confirmation import confirm
    from labctl.scenario.findings.reader import known_by, on_own_stack, scenario_of

    scenarios = {
        (evidence.scenario, evidence.via): on_image(making.image, scenario_of(evidence, flags)) for _, evidence in asked
    }
    results: dict[tuple[str, str], list[Result]] = {key: [] for key in scenarios}
    options = replace(how.options(making), retries=often.retries)
    for via in dict.fromkeys(via for _, via in scenarios):  # a result does not say what carried the state
        own = [on_own_stack(scenario) for (_, other), scenario in scenarios.items() if other == via]
        for result in run_all(own * often.repeat, options, how, often.jobs, acceptance):
            results[result.scenario, via].append(result)
    confirmed = []
    for finding, evidence in asked:
        key = evidence.scenario, evidence.via
        known = [*known_by(evidence, scenarios[key].known)]
        confirmed.append(confirm(finding.name, finding.title, results[key], known, finding.rate(evidence)))
    return confirmed, [result for runs in results.values() for result in runs]


COMMANDS = (findings,)
