"""Runs of what is changed in Asterisk's source: again and again as files are saved, and for `git bisect run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labctl.cli import terminal
from labctl.errors import LabctlError, UsageError

if TYPE_CHECKING:
    from labctl.checks.judgement import Result
    from labctl.report.acceptance import Acceptance


def run_on_save(source: str | None, run: Callable[[], list[Result]]) -> NoReturn:
    """Run at once, and again each time a file of the working tree was saved, until an interrupt.

    What cannot be built is told, and waits for the next save. Raises UsageError where no working tree is given.
    """
    from labctl.images.saved_files import watched
    from labctl.images.working_tree import first_commit

    if not source:
        raise UsageError("--watch: of what?", "--source DIR, a working tree that `labctl source DIR` lays out")
    folder = Path(source)
    first_commit(folder)
    with watched(folder) as saved:
        while True:
            saved.forget()
            try:
                run()
            except LabctlError as error:
                terminal.say(f"labctl: {error.message}")
            terminal.say(f"waiting for a file of {folder} to be saved (Ctrl-C ends it)")
            saved.await_next()


def bisect_code(run: Callable[[], list[Result]], acceptance: Acceptance) -> int:
    """Run, and say in an exit code what that makes of a commit. What cannot be built or run cannot be judged."""
    from labctl.report.acceptance import BISECT_SKIP

    try:
        return acceptance.bisect_code(run())
    except LabctlError as error:
        terminal.say(f"labctl: {error.message}")
        return BISECT_SKIP
