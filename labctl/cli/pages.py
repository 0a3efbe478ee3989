"""Runs written down as HTML pages: one in a file, several in a folder with an index."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli import terminal
from labctl.errors import LabctlError, UsageError

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.report.overview import ShownRun
    from labctl.scenario.run_record import RunRecord

FOLDER = "report"
"""Where the pages of several runs go, beside the runs."""


class Pages:
    """A folder with the pages of runs and `index.html`, which is whole after each of them: `given` by the user, or else
    `report` beside such a run.

    Raises UsageError where nothing can be written there, or where that is a link, as it may be in a stranger's folder.
    """

    def __init__(self, given: Path | None, beside: Path = Path()) -> None:
        from labctl.report.index_page import INDEX

        self._folder = folder = given or beside / FOLDER
        if not given and folder.is_symlink():
            raise UsageError(f"{folder}: it is a link", "-o names another place")
        self._taken = {INDEX}
        self._runs: list[ShownRun] = []
        self._parents: set[Path] = set()
        self._folders: set[Path] = set()
        self._glanced: dict[Path, RunRecord | None] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}", "the pages of several runs go into a folder") from None

    def add(self, record: RunRecord) -> None:
        """Write the page of a run."""
        from labctl.report import index_page, overview, page

        place = record.folder.resolve()
        name = index_page.page_name(Path(record.sent_as).name or place.name, self._taken)
        write(self._folder / name, page.render(record, index_page.INDEX))
        self._runs.append(overview.shown(record, name))
        if not record.sent_as:  # what lies beside a bundle's folder is nobody's runs
            self._parents.add(place.parent)
        self._folders.add(place)

    def add_result(self, result: Result) -> None:
        """Write the page of a run that has just ended, and the index anew."""
        from labctl.scenario import run_record

        record = run_record.recall(Path(result.folder))
        self.add(replace(record, result=replace(result, folder=str(record.folder))))
        self.write_index()

    def write_index(self, left_out: Sequence[str] = ()) -> Path:
        """Write the index of all runs so far, and say where it is."""
        from labctl.report import index_page, overview

        runs = overview.overview(self._runs, self._earlier(), left_out)
        path = self._folder / index_page.INDEX
        write(path, index_page.render(runs))
        return path

    def _earlier(self) -> list[ShownRun]:
        """The other runs beside these, which tell how it was the last time."""
        from labctl.report import overview
        from labctl.scenario import run_record

        for parent in self._parents:
            for folder in run_record.find_all(parent):
                if folder.resolve() not in self._folders | self._glanced.keys():
                    self._glanced[folder.resolve()] = run_record.glance(folder)
        others = (record for folder, record in self._glanced.items() if folder not in self._folders)
        return [overview.shown(record) for record in others if record]


def report_one(run: str, file: Path | None) -> Path:
    """Write the page of a run, by default into its folder, of a bundle beside it. Raises UsageError, InvalidFile."""
    from labctl.bundle import unpacked
    from labctl.bundle.layout import SUFFIX
    from labctl.report import page
    from labctl.scenario import run_record

    with unpacked.folder_of(run) as folder:
        record = unpacked.named(run_record.recall(folder), run)
        beside = Path(f"{run.removesuffix(SUFFIX)}.html") if unpacked.is_bundle(run) else folder / "report.html"
        path = file or beside
        write(path, page.render(record), given=file is not None)
    terminal.say(f"{record.result.scenario}: {record.result.standing}; the page is")
    return path


def report_several(runs: Sequence[str], folder: Path | None) -> Path:
    """Write the pages of runs that are named, bundles too. Raises UsageError, InvalidFile for what cannot be read."""
    from labctl.bundle import unpacked
    from labctl.scenario import run_record

    with ExitStack() as opened:
        found = {opened.enter_context(unpacked.folder_of(run)): run for run in dict.fromkeys(runs)}
        records = [unpacked.named(run_record.recall(place), run) for place, run in found.items()]
        first = records[0]
        pages = Pages(folder, Path(first.sent_as or first.folder).parent)
        for record in records:
            pages.add(record)
        terminal.say(f"{len(records)} runs; the page that leads to all is")
        return pages.write_index()


def report_all(places: Sequence[Path], folder: Path | None) -> Path:
    """Write the pages of every run in some folders; those that cannot be read are left out, and told. Raises
    UsageError where there is none."""
    from labctl.scenario import run_record

    places = places or [run_record.RUNS]
    runs = [run for place in places for run in run_record.find_all(place)]
    pages, left_out = Pages(folder, places[0]), []
    for run in runs:
        try:
            pages.add(run_record.recall(run))
        except LabctlError as error:
            left_out.append(f"{run.name}: {error.message}")
            terminal.say(f"left out: {error.message}")
    if len(left_out) == len(runs):
        raise UsageError(f"none of {len(runs)} runs can be read", "labctl run makes such folders")
    terminal.say(f"{len(runs) - len(left_out)} runs; the page that leads to all is")
    return pages.write_index(left_out)


def write(path: Path, text: str, *, given: bool = False) -> None:
    """Write a page: in the place of whatever lies there, a link or a pipe too, which in a stranger's folder may lead
    anywhere; where the user has `given` it, into that. Raises UsageError."""
    from labctl.scenario import run_folder

    try:
        if given:
            path.write_text(text, "utf-8")
        else:
            with run_folder.replacing(path) as stream:
                stream.write(text.encode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "-o names another place") from None
