"""The commands that weigh one way against another: carriers and stacks side by side, and memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_scenario, complete_stack
from labctl.cli.help import WholeHelpGroup
from labctl.cli.option_groups import Conduct, Making
from labctl.cli.options import (
    build_options,
    folder_option,
    gathered,
    junit_option,
    output_option,
    quiet_option,
    retries_option,
    timeout_option,
    trust_option,
)
from labctl.cli.scale import scale
from labctl.cli.scenarios import find_trusted, write_junit
from labctl.errors import UsageError
from labctl.lab import CARRIERS, Carrier, Overrides

if TYPE_CHECKING:
    from labctl.bench.comparison import Comparison, Variant
    from labctl.bench.footprint import Footprint
    from labctl.bench.measurements import Memory

stacks_option = click.option(
    "--stack", "stacks", multiple=True, help="A stack; may be given several times.", shell_complete=complete_stack
)


@click.command()
@click.argument("scenarios", nargs=-1, shell_complete=complete_scenario)
@stacks_option
@click.option("--via", multiple=True, type=click.Choice(CARRIERS), help="A carrier of state; all by default.")
@click.option("--changes", type=click.IntRange(10, 10000), default=200, show_default=True, help="To time.")
@build_options
@timeout_option
@retries_option
@trust_option
@folder_option("For run folders.")
@junit_option
@quiet_option
@output_option
@gathered("how", Conduct)
def compare(
    scenarios: tuple[str, ...],
    stacks: tuple[str, ...],
    via: tuple[Carrier, ...],
    changes: int,
    making: Making,
    retries: int,
    trust: bool,
    how: Conduct,
) -> None:
    """Run the same scenarios over several carriers of state and stacks, and show it all in one table.

    How long a change is on its way, what goes over the wire for it, and what each scenario comes to: `holds`, or the
    checks that do not, with `!` where that was not expected. Without SCENARIOS all that are about one cluster.
    Exit codes are those of `labctl run`.

    Example: labctl compare partition-heal late-join
    """
    from labctl.bench import comparison
    from labctl.labfile.entries import DEFAULT_STACK
    from labctl.report import formats
    from labctl.report.acceptance import Acceptance
    from labctl.scenario.loader import find_scenario, shipped_scenarios

    variants = _variants(stacks or (DEFAULT_STACK,), via)
    shipped = [name for name in shipped_scenarios() if not find_scenario(name, comparison.UNCHANGED).lab.sites]
    find = partial(find_trusted, trust=trust)
    for file in scenarios:  # before a lab is made: what is wrong with a file by itself is no outcome
        find(file, Overrides(stack=variants[0].stack))
    plan = comparison.Plan(variants, scenarios or tuple(shipped), find, changes, image=making.image)
    options, progress = replace(how.options(making), retries=retries), terminal.progress(how.quiet)
    acceptance = Acceptance(hopeful=making.changed)
    write_junit(how.junit, [], acceptance)  # before it all, not after: can it be written?
    table = comparison.compare(terminal.connect(), plan, options, progress, _saying(how.quiet))
    write_junit(how.junit, table.results, acceptance)
    if how.output == "json":
        terminal.echo(formats.as_json({"variants": table.variants, "rows": table.rows}))
    else:
        _show(table)
    sys.exit(acceptance.exit_code(table.results))


def _saying(quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else terminal.say


def _variants(stacks: tuple[str, ...], via: tuple[Carrier, ...]) -> tuple[Variant, ...]:
    """Every stack by every carrier that is wanted, and that it has."""
    from labctl.bench.comparison import Variant

    able = {stack: terminal.find_stack(stack).carriers for stack in stacks}
    variants = tuple(
        Variant(stack, carrier) for stack in stacks for carrier in (via or CARRIERS) if carrier in able[stack]
    )
    if not variants:
        raise UsageError(f"no stack of {', '.join(stacks)} has {', '.join(via)}", "labctl stacks lists what they hold")
    return variants


def _show(comparison: Comparison) -> None:
    """The table, and beneath it every remark, once, with what it is about."""
    rows = []
    remarks: dict[tuple[str, str], list[str]] = {}
    for what, cells in comparison.rows.items():
        shown = [cells[variant].outcome if variant in cells else "" for variant in comparison.variants]
        rows.append((what, *shown))
        for variant, cell in cells.items():
            if cell.remark:
                remarks.setdefault((variant, cell.remark), []).append(what)
    terminal.show(terminal.tables().table("", ("", *comparison.variants), rows))
    for (variant, remark), about in remarks.items():
        terminal.echo(f"{variant}, {', '.join(about)}: {remark}")


@click.group(cls=WholeHelpGroup)
def bench() -> None:
    """Measure what a lab takes on this machine."""


@bench.command()
@stacks_option
@build_options
@timeout_option
@quiet_option
@output_option
def footprint(stacks: tuple[str, ...], making: Making, timeout: float, quiet: bool, output: str) -> None:
    """Show what Asterisk holds in memory: everything loaded, what is not used unloaded, and only what a lab uses.

    Without --stack every shipped stack; one whose images cannot be made here says so.
    """
    from labctl.bench import footprint as weighing
    from labctl.report import formats
    from labctl.stack.loader import shipped_stacks

    engine = terminal.connect()
    options, say = making.options(), _saying(quiet)
    footprints = [
        row
        for stack in stacks or shipped_stacks()
        for row in weighing.measure_stack(engine, stack, options, timeout, say, making.image)
    ]
    if output == "json":
        terminal.echo(formats.as_json(footprints))
    else:
        columns = ("STACK", "LOADED", "MODULES", "ASTERISK", "OF THAT ANONYMOUS", "COROSYNC", "")
        terminal.show(terminal.tables().table("", columns, [_row(footprint) for footprint in footprints]))


def _row(footprint: Footprint) -> tuple[str, ...]:
    def size(memory: Memory | None, *, anonymous: bool = False) -> str:
        return f"{memory.anonymous_mb if anonymous else memory.resident_mb:.1f} MB" if memory else "-"

    modules = "-" if footprint.modules is None else str(footprint.modules)
    sizes = size(footprint.asterisk), size(footprint.asterisk, anonymous=True), size(footprint.corosync)
    return (footprint.stack, footprint.loaded, modules, *sizes, footprint.remark)


bench.add_command(scale)

COMMANDS = (compare, bench)
