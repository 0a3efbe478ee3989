"""Spinners on a terminal: what is left of them once steps have ended, and once the command has."""

from __future__ import annotations

import io

from rich.console import Console

from labctl.report.live_progress import Live

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def terminal() -> tuple[Live, io.StringIO]:
    """Spinners on a terminal, and what is written to it."""
    screen = io.StringIO()
    return Live(Console(file=screen, force_terminal=True, width=80, legacy_windows=False)), screen


def test_steps_of_one_name_each_have_a_spinner_that_ends() -> None:
    live, screen = terminal()
    for _ in range(2):
        live.begin("up lab")
    live.end("up lab", 1.0, failed=False)
    assert [task.description for task in live._progress.tasks] == ["up lab"]
    assert screen.getvalue().count(SHOW) == 0
    live.end("up lab", 2.0, failed=True)
    assert live._progress.tasks == []
    assert screen.getvalue().count(SHOW) == 1


def test_a_command_that_ends_in_the_midst_of_a_step_gives_the_cursor_back() -> None:
    live, screen = terminal()
    live.begin("wait for Asterisk")
    assert screen.getvalue().count(HIDE) == 1
    live.close()
    assert (live._progress.tasks, screen.getvalue().count(SHOW)) == ([], 1)
    live.begin("a thread that still goes on")
    live.end("a thread that still goes on", 1.0, failed=True)
    assert (live._progress.tasks, screen.getvalue().count(HIDE)) == ([], 1)


def test_a_detail_of_what_is_not_there_is_left_out() -> None:
    live, _ = terminal()
    live.detail("nothing", "at all")
    live.begin("build")
    live.detail("build", "[bold] is no markup")
    assert live._progress.tasks[0].fields["line"] == "\\[bold] is no markup"
    live.close()
