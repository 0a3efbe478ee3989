"""Progress on a terminal: a spinner for what goes on, a lasting line for what is done."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

DETAIL_WIDTH = 60


class Live:
    """A spinner for each step that goes on."""

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[line]}[/]"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )

    def begin(self, what: str) -> None:
        """A step began."""
        with self._lock:
            if not self._tasks:
                self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=None, line="")

    def detail(self, what: str, line: str) -> None:
        """A step says what it is at."""
        with self._lock:
            if what in self._tasks:
                self._progress.update(self._tasks[what], line=escape(line[:DETAIL_WIDTH]))

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """A step has ended."""
        with self._lock:
            task = self._tasks.pop(what, None)
            if task is not None:
                self._progress.remove_task(task)
            if not self._tasks:
                self._progress.stop()
            mark = "[red]fail[/]" if failed else "[green]ok[/]  "
            self._console.print(f"{mark} {escape(what)} [dim]{seconds:.2f} s[/]", highlight=False, soft_wrap=True)
