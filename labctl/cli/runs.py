"""The commands about what was run, and about files before they are: they start nothing and need no Docker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_lab_or_scenario
from labctl.cli.options import output_option, run_argument
from labctl.cli.scenarios import show_result
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.scenario.run_record import RunRecord


@click.command()
@run_argument
@output_option
def show(run: str, output: str) -> None:
    """Tell the whole story of a RUN, also of one that passed: what was done, what each node said, how it was judged.

    RUN is the folder of a run, its name in labctl-runs, or `latest`.

    Example: labctl show latest
    """
    from labctl.history import story
    from labctl.report import formats
    from labctl.scenario import run_record

    record = run_record.recall(run_record.find(run))
    lines = story.tell(record.events, last=sys.maxsize)
    if output == "json":
        click.echo(formats.as_json(_data(record, lines)))
        return
    click.echo(f"{record.result.scenario}: {record.result.title}")
    if record.began:
        click.echo(_circumstances(record))
    show_result(record.result, lines)


def _circumstances(record: RunRecord) -> str:
    """When it was, and on what: `2026-11-26T15:42:54+00:00, seed 7, stack 22; asterisk 22.10, corosync 3.1`."""
    began = record.began
    assert began
    words = [began.utc, "" if began.seed is None else f"seed {began.seed}", f"stack {began.stack}"]
    made_with = [
        f"{word.removeprefix('node ')} {began.versions[word]}"
        for word in ("node asterisk", "node corosync", "labctl", "engine", "kernel")
        if word in began.versions
    ]
    return "; ".join(text for text in (", ".join(filter(None, words)), ", ".join(made_with)) if text)


def _data(record: RunRecord, lines: list[str]) -> dict[str, Any]:
    """All of it, for programs."""
    began = record.began
    return vars(record.result) | {
        "standing": record.result.standing,
        "story": lines,
        "began": began.utc if began else "",
        "seed": began.seed if began else None,
        "nodes": began.nodes if began else (),
        "versions": began.versions if began else {},
        "files": record.files,
    }


@click.command()
@click.argument("files", nargs=-1, required=True, shell_complete=complete_lab_or_scenario)
@output_option
def validate(files: tuple[str, ...], output: str) -> None:
    """Read scenario and lab FILES, and tell of every mistake in them. Nothing is started; a mistake exits with 2.

    Example: labctl validate scenarios/*.yaml
    """
    from labctl.report import formats
    from labctl.scenario.validation import validate as read_file

    validations = [read_file(file) for file in files]
    if output == "json":
        click.echo(formats.as_json([vars(validation) | {"valid": validation.valid} for validation in validations]))
    else:
        for validation in validations:
            if validation.valid:
                click.echo(f"{validation.file}: a {validation.kind}: {validation.about}")
            for mistake in validation.mistakes:
                terminal.say(str(mistake))
    sys.exit(0 if all(validation.valid for validation in validations) else 2)


@click.command()
@run_argument
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Where it goes; report.html in the RUN.")
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
def report(run: str, file: Path | None, opened: bool) -> None:
    """Write a RUN as one HTML page that needs nothing else: to send, to open anywhere, without a network.

    It says what was expected and what was seen, where and when it began to be wrong, and shows what each node and phone
    said over time, the delays, the story, the versions and the files. RUN is a folder, its name in labctl-runs, or
    `latest`.

    Example: labctl report latest --open
    """
    from labctl.report import page
    from labctl.scenario import run_record

    record = run_record.recall(run_record.find(run))
    path = file or record.folder / "report.html"
    try:
        if file is None and path.is_symlink():  # in a stranger's folder it may lead to any file
            path.unlink()
        path.write_text(page.render(record), "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "-o names another place") from None
    terminal.say(f"{record.result.scenario}: {record.result.standing}; the page is")
    click.echo(path)
    if opened:
        click.launch(str(path))


COMMANDS = (show, validate, report)
