"""Progress on a terminal: a spinner for what goes on, a lasting line for what is done."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

DETAIL_WIDTH = 60


class Live:
    """A spinner for each step that goes on; several may have one name. Nothing of it is left once it is closed."""

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, list[TaskID]] = {}
        self._closed = False
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
            if self._closed:
                return
            if not self._tasks:
                self._progress.start()
            self._tasks.setdefault(what, []).append(self._progress.add_task(what, total=None, line=""))

    def detail(self, what: str, line: str) -> None:
        """A step says what it is at."""
        with self._lock:
            for task in self._tasks.get(what, ()):
                self._progress.update(task, line=escape(line[:DETAIL_WIDTH]))

    def end(self, what: str, seconds: float, failed: bool) -> None:
        """A step has ended."""
        with self._lock:
            if tasks := self._tasks.get(what):
                self._progress.remove_task(tasks.pop(0))
            if not tasks:
                self._tasks.pop(what, None)
            if not self._tasks:
                self._progress.stop()
            mark = "[red]fail[/]" if failed else "[green]ok[/]  "
            self._console.print(f"{mark} {escape(what)} [dim]{seconds:.2f} s[/]", highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take every spinner away, and give the cursor back: the command ends, whatever still goes on in threads."""
        with self._lock:
            self._closed = True
            for task in (task for tasks in self._tasks.values() for task in tasks):
                self._progress.remove_task(task)
            self._tasks.clear()
            self._progress.stop()
