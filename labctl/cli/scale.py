"""The command that measures what a lab takes as it grows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli import terminal
from labctl.cli.option_groups import Making
from labctl.cli.options import Duration, build_options, output_option, quiet_option, stack_option
from labctl.errors import UsageError
from labctl.lab import CARRIERS, Carrier

if TYPE_CHECKING:
    from labctl.bench.scale import Row


class Counts(click.ParamType):  # type: ignore[type-arg]
    """Several whole numbers: 3,6,12."""

    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers. A text of another form ends the command with a message."""
        if isinstance(value, tuple):
            return value
        if value and not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", value):
            self.fail(f"{value!r} is no list of numbers; 3,6,12 is", param, ctx)
        return tuple(int(number) for number in str(value).split(",") if number)


@click.command()
@click.option(
    "--nodes", type=Counts(), default="3,6,12,24,48", show_default=True, help="Rings of so many; '' for none."
)
@click.option("--sites", type=Counts(), default="2,4,8", show_default=True, help="So many sites of 3; '' for none.")
@stack_option
@click.option("--via", type=click.Choice(CARRIERS), default=CARRIERS[0], show_default=True, help="What carries state.")
@click.option(
    "--changes", type=click.IntRange(10, 10000), default=100, show_default=True, help="To time, of each size."
)
@build_options
@click.option(
    "--timeout", type=Duration(), default="3m", show_default=True, help="How long each size may take to be up."
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write all of it as one HTML page.")
@quiet_option
@output_option
def scale(
    nodes: tuple[int, ...],
    sites: tuple[int, ...],
    stack: str | None,
    via: Carrier,
    changes: int,
    making: Making,
    timeout: float,
    report: Path | None,
    quiet: bool,
    output: str,
) -> None:
    """Measure what a lab takes as it grows: larger and larger rings, then more and more sites.

    Of each size the time until it is proven, how long a change takes, what goes over the wire, what a node takes, and
    how many changes a second all nodes can make. What does not come up in time is a row that says so, and ends its
    series. Beneath the table: how each figure grows, and where this machine ended.

    Example: labctl bench scale --nodes 3,6,12 --sites 2,4 --report scale.html
    """
    from labctl.bench import scale as scaling
    from labctl.labfile.entries import DEFAULT_STACK

    series = scaling.sizes(nodes, sites)
    if not series:
        raise UsageError("no size to measure", "--nodes 3,6,12, or --sites 2,4")
    terminal.require_place("--report", report)
    plan = scaling.Sizes(series, stack or DEFAULT_STACK, via, changes, timeout, making.image)
    terminal.find_stack(plan.stack)
    say = terminal.sayer(quiet)
    rows: list[Row] = []
    for row in scaling.measure(terminal.connect(), plan, making.options(), terminal.progress(quiet), say):
        rows.append(row)
        if report:  # as far as it is: whoever ends it has what was measured
            from labctl.report import scale_page

            _write(report, scale_page.render(rows, plan))
    _show(rows, output)


def _show(rows: Sequence[Row], output: str) -> None:
    from labctl.bench import scale as scaling
    from labctl.report import formats

    if output == "json":
        fits = {kind: scaling.fitted(rows, of_sites=kind == "sites") for kind in ("nodes", "sites")}
        terminal.echo(formats.as_json({"rows": rows, "fits": fits, "sentences": scaling.sentences(rows)}))
        return
    terminal.show(terminal.tables().table("", scaling.COLUMNS, [scaling.cells(row) for row in rows]))
    terminal.echo("\n".join(scaling.sentences(rows)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"--report: {path}: {error.strerror}", "a file in a folder that can be written") from None
