"""A run as its folder tells of it: what was judged, what happened, what it was made with."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from labctl.checks.judgement import Result
from labctl.errors import InvalidFile, LabctlError, Problem, UsageError, first_mistake
from labctl.history import lines as history
from labctl.history.events import Began, Event, beginning
from labctl.plain_data import adapter
from labctl.scenario import conclusion, run_folder
from labctl.scenario.run_folder import HISTORY, LATEST, TERMS, VERDICT
from labctl.yamlfile.document import shown

RUNS = Path("labctl-runs")
"""Where run folders go if nothing else is said."""

LONGEST_LINE = 1 << 20
"""Characters of the first line of a history."""


@dataclass(frozen=True)
class RunRecord:
    """`events` is empty where the lab did not come up, so that there was nothing to see. `sent_as`: the bundle that it
    came in; "" where it did not."""

    folder: Path
    result: Result
    events: tuple[Event, ...]
    sent_as: str = ""

    @property
    def began(self) -> Began | None:
        """What the lab was, and with what it was made."""
        return beginning(self.events) if self.events else None

    @property
    def moment(self) -> datetime.datetime:
        """When it began, in UTC; where nothing tells that, when its folder was last written to."""
        if self.began:
            with suppress(ValueError, OverflowError):
                moment = datetime.datetime.fromisoformat(self.began.utc)
                return moment.astimezone(datetime.UTC)
        return datetime.datetime.fromtimestamp(self.folder.stat().st_mtime, datetime.UTC)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files in the folder, in order; links lead elsewhere and are none."""
        return tuple(sorted(path.name for path in self.folder.iterdir() if path.is_file() and not path.is_symlink()))


def find(run: str, runs: Path = RUNS) -> Path:
    """The folder of a run: by its path, by its name in `runs`, or `latest`, the one that began last there.

    Raises UsageError where there is none, or where it is no run's.
    """
    try:
        folder = Path(run) if Path(run).exists() else runs / run
        if not folder.is_dir():
            raise UsageError(f"no run `{shown(run)}`", _way_out(run, runs))
        if not _is_run(folder):
            raise UsageError(f"{folder}: not the folder of a run: no {HISTORY} is in it", "labctl run says where it is")
    except (OSError, ValueError):  # ValueError: what no path can hold, such as a NUL
        raise UsageError(f"no run `{shown(run)}`", _way_out(run, runs)) from None
    return folder.parent / folder.readlink() if folder.name == LATEST and folder.is_symlink() else folder


def find_all(runs: Path = RUNS) -> list[Path]:
    """The folders of all runs that lie in a folder, by name. Raises UsageError where there is none."""
    try:
        folders = sorted(path for path in runs.iterdir() if path.is_dir() and not path.is_symlink() and _is_run(path))
    except OSError as error:
        raise UsageError(f"{runs}: {error.strerror}", "the folder of runs: labctl run says where it is") from None
    if not folders:
        raise UsageError(f"no run lies in {runs}", "labctl run makes one, --folder names another place")
    return folders


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (HISTORY, TERMS, VERDICT))


def _way_out(run: str, runs: Path) -> str:
    if run == LATEST:
        return f"no run lies in {runs}; labctl run makes one, --folder names another place"
    return f"the folder of a run, its name in {runs}, or `{LATEST}`"


def recall(folder: Path) -> RunRecord:
    """What a folder tells of its run, as it was judged then; judged now where that is not there.

    Raises UsageError, InvalidFile.
    """
    verdict = _verdict(folder)
    if verdict and not (folder / HISTORY).exists():
        return RunRecord(folder, verdict, ())
    result = verdict or conclusion.check(folder)
    return RunRecord(folder, result, run_folder.read_events(folder))


def glance(folder: Path) -> RunRecord | None:
    """The same by its verdict and its first event alone; None where it has no verdict, or none that can be read."""
    try:
        result = _verdict(folder)
        events: tuple[Event, ...] = ()
        if result and (folder / HISTORY).is_file():
            with (folder / HISTORY).open(encoding="utf-8") as stream:
                events = history.parse(stream.readline(LONGEST_LINE), str(folder / HISTORY))
    except (LabctlError, OSError, ValueError):
        return None
    return RunRecord(folder, result, events) if result else None


def _verdict(folder: Path) -> Result | None:
    """What the run came to when it was run; None where it was ended before that."""
    path = folder / VERDICT
    if not path.exists():
        return None
    try:
        result = adapter(Result).validate_json(run_folder.read_file(path))
    except (ValidationError, RecursionError) as error:
        why = first_mistake(error) if isinstance(error, ValidationError) else "nested too deeply"
        problem = Problem(1, f"no verdict of a run: {why}", "labctl check judges it again, by its history")
        raise InvalidFile(str(path), [problem]) from None
    return replace(result, folder=str(folder))
