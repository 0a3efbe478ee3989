"""The verb that shows SIP: calls as ladders, of a run or of any capture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_run_or_capture
from labctl.errors import InvalidFile, Problem, UsageError

if TYPE_CHECKING:
    from labctl.report.ladder import Arrow, Ladder
    from labctl.report.ladders import Ladders

PIPE_WIDTH = 100
"""Columns of a ladder where output is no terminal."""


@click.command()
@click.argument("run", shell_complete=complete_run_or_capture)
@click.option("--call", "number", type=click.IntRange(1), help="Only the call of that number in the list.")
@click.option("--message", type=click.IntRange(1), help="That message of the call, whole.")
@click.option("--raw", is_flag=True, help="Every message, whole, in place of ladders.")
@click.option("--all", "everything", is_flag=True, help="Registrations, subscriptions and all else too.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    help="For people; to paste into an issue of GitHub; for a program.",
)
def ladder(run: str, number: int | None, message: int | None, raw: bool, everything: bool, output: str) -> None:
    """Show the SIP of a RUN, or of a capture FILE, as ladders: who sent what to whom, and when.

    RUN is a folder, its name in labctl-runs, `latest`, or a bundle; FILE is pcapng or pcap, of labctl or of anything
    else. Of several calls a list comes first. Without calls, and with --all, registrations and subscriptions are shown.

    \b
    Examples:
        labctl ladder latest --call 2
        labctl ladder trace.pcapng --call 1 -o mermaid
    """
    ladders = _read(run)
    chosen = _chosen(ladders, number, message, everything)
    if output == "json":
        _show_json(ladders, chosen)
    elif output == "mermaid":
        _show_diagrams(chosen)
    elif message is not None:
        _show_message(chosen[0], chosen[0].arrows[message - 1])
    elif raw:
        for each in chosen:
            for arrow in each.arrows:
                _show_message(each, arrow)
    else:
        _show_text(ladders, chosen)
    if ladders.ended:
        terminal.say(f"{ladders.source}: {ladders.ended}")
    if ladders.broken:
        raise InvalidFile(ladders.source, [Problem(1, ladders.broken)])


def _read(run: str) -> Ladders:
    from labctl.bundle import unpacked
    from labctl.report import ladders
    from labctl.scenario import run_record

    if Path(run).is_file() and not unpacked.is_bundle(run):
        return ladders.of_file(Path(run))
    with unpacked.folder_of(run) as folder:
        return ladders.of_run(unpacked.named(run_record.recall(folder), run))


def _chosen(ladders: Ladders, number: int | None, message: int | None, everything: bool) -> tuple[Ladder, ...]:
    """The ladders to show. Raises UsageError where there are none such."""
    if not ladders.ladders:
        raise UsageError(
            f"{ladders.source}: no SIP among its packets ({_counts(ladders) or 'there are none'})",
            "a run without calls has none; another file was perhaps captured where no SIP passes",
        )
    if number is None:
        if message is not None:
            raise UsageError("--message is one of a call", "--call N says which")
        return ladders.ladders if everything else ladders.shown
    chosen = tuple(each for each in ladders.ladders if each.number == number)
    if not chosen:
        raise UsageError(f"no call {number}", f"labctl ladder {ladders.source} --all lists {len(ladders.ladders)}")
    if message is not None and message > len(chosen[0].arrows):
        raise UsageError(f"call {number} has {len(chosen[0].arrows)} messages, and no {message}")
    return chosen


def _show_text(ladders: Ladders, chosen: tuple[Ladder, ...]) -> None:
    from rich.text import Text

    from labctl.report import ladder_text

    width = terminal.width() or PIPE_WIDTH
    if len(chosen) > 1:
        terminal.show(ladder_text.listed(chosen))
        terminal.say(f"packets: {_counts(ladders)}")
        terminal.echo()
    room = ladder_text.MOST_ROWS
    for count, each in enumerate(chosen):
        if room <= 0:
            terminal.say(f"{len(chosen) - count} more are not shown; --call N shows one")
            break
        terminal.show(Text("\n").join(ladder_text.lines(each, width)))
        room -= len(each.rows)
        if count + 1 < len(chosen):
            terminal.echo()


def _show_diagrams(chosen: tuple[Ladder, ...]) -> None:
    from labctl.report.mermaid import diagram

    terminal.echo("\n\n".join(diagram(each) for each in chosen))


def _show_message(of: Ladder, arrow: Arrow) -> None:
    from labctl.report.ladder_text import plain, raw, utc_of

    at = utc_of(of.epoch_s - of.begin_s + arrow.at_s)
    source, target = (plain(of.columns[column]) for column in (arrow.source, arrow.target))
    terminal.echo(f"-- {of.number}.{arrow.number}: {source} to {target}, {arrow.transport}, {at}, frame {arrow.frame}")
    terminal.echo(raw(arrow.text) + "\n")


def _show_json(ladders: Ladders, chosen: tuple[Ladder, ...]) -> None:
    from dataclasses import asdict

    from labctl.report import formats

    data = {
        "source": ladders.source,
        "zero_s": ladders.zero_s,
        "packets": dict(ladders.counts),
        "broken": ladders.broken,
    }
    terminal.echo(formats.as_json(data | {"calls": [asdict(each) for each in chosen]}))


def _counts(ladders: Ladders) -> str:
    return ", ".join(f"{count} of {kind}" for kind, count in sorted(ladders.counts.items()))


COMMANDS = (ladder,)
