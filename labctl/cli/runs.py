"""The commands about what was run, and about files before they are: they start nothing and need no Docker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labctl.cli import terminal
from labctl.cli.completion import complete_lab_or_scenario, complete_run
from labctl.cli.options import output_option, run_argument
from labctl.cli.scenarios import show_result
from labctl.errors import UsageError
from labctl.scenario.first_scenario import FEWEST, MOST, STATES, TROUBLES, State, Trouble, first_scenario

if TYPE_CHECKING:
    from labctl.scenario.run_record import RunRecord


Word = TypeVar("Word", bound=str)


@click.command()
@run_argument
@output_option
def show(run: str, output: str) -> None:
    """Tell the whole story of a RUN, also of one that passed: what was done, what each node said, how it was judged.

    RUN is the folder of a run, its name in labctl-runs, `latest`, or a bundle (bug.labz).

    Example: labctl show latest
    """
    from labctl.bundle import unpacked
    from labctl.history import story
    from labctl.report import formats
    from labctl.scenario import run_record

    with unpacked.folder_of(run) as folder:
        record = unpacked.named(run_record.recall(folder), run)
        files = record.files
    lines = story.tell(record.events, last=sys.maxsize)
    if output == "json":
        terminal.echo(formats.as_json(_data(record, lines, files)))
        return
    terminal.echo(f"{record.result.scenario}: {record.result.title}")
    if record.began:
        terminal.echo(_circumstances(record))
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


def _data(record: RunRecord, lines: list[str], files: tuple[str, ...]) -> dict[str, Any]:
    """All of it, for programs."""
    began = record.began
    return vars(record.result) | {
        "standing": record.result.standing,
        "story": lines,
        "began": began.utc if began else "",
        "seed": began.seed if began else None,
        "nodes": began.nodes if began else (),
        "versions": began.versions if began else {},
        "files": files,
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
        terminal.echo(formats.as_json([vars(validation) | {"valid": validation.valid} for validation in validations]))
    else:
        for validation in validations:
            if validation.valid:
                terminal.echo(f"{validation.file}: a {validation.kind}: {validation.about}")
            for mistake in (*validation.mistakes, *validation.warnings):
                terminal.say(str(mistake))
    sys.exit(0 if all(validation.valid for validation in validations) else 2)


@click.command()
@click.argument("runs", nargs=-1, shell_complete=complete_run)
@click.option("--all", "every", is_flag=True, help="Every run in labctl-runs, or in the folders that are named.")
@click.option(
    "-o",
    "--output",
    "place",
    type=click.Path(path_type=Path),
    help="Where it goes: a file, report.html in the RUN; of several runs a folder, `report` beside the first.",
)
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
def report(runs: tuple[str, ...], every: bool, place: Path | None, opened: bool) -> None:
    """Write a RUN as one HTML page that needs nothing else: to send, to open anywhere, without a network.

    It says what was expected and what was seen, where and when it began to be wrong, and shows what each node and phone
    said over time, the delays, the story, the versions and the files. RUN is a folder, its name in labctl-runs,
    `latest`, or a bundle.

    Of several runs it is a folder: a page for each, and index.html with all of them by scenario: how often each check
    failed, and what changed against the last time.

    Examples:

    \b
        labctl report latest --open
        labctl report --all --open
    """
    from labctl.cli import pages

    if every:
        path = pages.report_all([Path(folder) for folder in runs], place)
    elif len(runs) > 1:
        path = pages.report_several(runs, place)
    elif runs:
        path = pages.report_one(runs[0], place)
    else:
        raise UsageError("which run?", "a folder, its name in labctl-runs, `latest`; or --all")
    terminal.echo(path)
    if opened:
        click.launch(str(path))


@click.command()
@click.argument("file", default="scenario.yaml", type=click.Path(path_type=Path))
@click.option("--state", type=click.Choice(STATES), help="What changes.")
@click.option("--wrong", type=click.Choice(TROUBLES), help="What goes wrong meanwhile.")
@click.option("--nodes", type=click.IntRange(FEWEST, MOST), default=3, show_default=True, help="How many nodes.")
@click.option("--node", help="The node that it goes wrong with; the last, by default.")
def init(file: Path, state: State | None, wrong: Trouble | None, nodes: int, node: str | None) -> None:
    """Write a scenario to begin from into FILE, which must not be there yet.

    What no option says is asked for on a terminal.

    Example: labctl init mine.yaml --state device --wrong partition
    """
    state = state or _asked("--state", "What changes?", STATES)
    wrong = wrong or _asked("--wrong", "What goes wrong meanwhile?", TROUBLES)
    text = first_scenario(state, wrong, nodes, node)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(f"{file}: there already", "another name") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "can you write there?") from None
    terminal.say(f"labctl run {file} runs it; labctl scenarios --steps lists what else there is")
    terminal.echo(file)


def _asked(option: str, question: str, choices: tuple[Word, ...]) -> Word:
    """What whoever sits at the terminal chooses. Raises UsageError where nobody does."""
    if not sys.stdin.isatty():
        raise UsageError(f"{option} is not given", f"one of: {', '.join(choices)}")
    answer: Word = click.prompt(question, type=click.Choice(choices), err=True)
    return answer


COMMANDS = (init, show, validate, report)
