"""Progress as people see it: a live line for what goes on, a lasting one for what is done; on stderr."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Lines:
    """A line at the end of each step: for logs, pipes and CI. Builds say that they begin, too."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, what: str) -> None:
        if what.startswith(("build", "base", "pull", "wait")):
            self._console.print(f"... {what}", style="dim", highlight=False, soft_wrap=True)

    def detail(self, what: str, line: str) -> None:
        """Left out: a log has no place for it."""

    def end(self, what: str, seconds: float, failed: bool) -> None:
        mark = "[red]fail[/]" if failed else "[green]ok[/]  "
        self._console.print(f"{mark} {what} [dim]{seconds:.2f} s[/]", highlight=False, soft_wrap=True)


class Live:
    """A spinner for each step that goes on, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[line]}[/]"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lines = Lines(console)

    def begin(self, what: str) -> None:
        with self._lock:
            if not self._tasks:
                self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=None, line="")

    def detail(self, what: str, line: str) -> None:
        with self._lock:
            if what in self._tasks:
                self._progress.update(self._tasks[what], line=line[:60].replace("[", "("))

    def end(self, what: str, seconds: float, failed: bool) -> None:
        with self._lock:
            task = self._tasks.pop(what, None)
            if task is not None:
                self._progress.remove_task(task)
            if not self._tasks:
                self._progress.stop()
        self._lines.end(what, seconds, failed)
