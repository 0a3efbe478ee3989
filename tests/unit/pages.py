"""A run of everything that a page shows, and pages as their elements, for the tests of pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from labctl.checks.finding import Finding, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.history import lines as history
from labctl.history.events import (
    Began,
    Called,
    Did,
    Disturbed,
    Ended,
    Event,
    FaultBegan,
    Healed,
    Line,
    Looked,
    Notified,
    Over,
    Ring,
    Said,
    Seen,
)
from labctl.history.site_events import Asked
from labctl.scenario import run_folder
from labctl.scenario.run_record import RunRecord

EMPTY = {"meta", "input", "br", "link", "img"}
HOSTILE = '</script><script>alert("1")</script><!--<img src=x onerror=a()>" onload="a()\' {{ 7 * 7 }} \x00\x1b]]>'


class Page(HTMLParser):
    """The elements of a page, each with its attributes; whether all that is open is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """The attributes of each element of a kind."""
        return [has for name, has in self.elements if name == tag and wanted.items() <= has.items()]

    def of_class(self, name: str) -> list[dict[str, str]]:
        """The attributes of each element of a class."""
        return [has for _, has in self.elements if name in has.get("class", "").split()]


def events(word: str = "word", more: int = 0) -> tuple[Event, ...]:
    """A run of everything that a page shows, each text of it with a word in it."""
    nodes = (f"n1{word}", "n2")
    return (
        Began(
            *(0.0, word, word, word, nodes, {"door": "Custom:door", word: word}),
            seed=7,
            utc=word,
            via=word,
            versions={f"node {word}": word},
        ),
        Did(1.0, 1, f"set_state {word}", 0.5, word),
        FaultBegan(1.0, "split", f"partition {word}", nodes),
        Said(1.0, nodes[0], "Custom:door", "BUSY"),
        *(
            Seen(1.001 + number / 1e4, node, "door", state)
            for number in range(more)
            for node in nodes
            for state in "ab"
        ),
        *(Seen(1.1, node, extension, word) for node in nodes for extension in ("door", word)),
        Notified(1.2, word, word, word),
        Ring(1.3, nodes[0], (word,), quorate=False),
        Line(1.4, nodes[0], word),
        Disturbed(1.5, 1.6, nodes[0], word, word),
        Called(1.6, word, word, word, nodes),
        Ended(1.7, word, ok=False, why=word),
        Asked(1.8, nodes[0], "route", word, (word,), (word,)),
        Healed(1.9, "split"),
        Said(12.0, nodes[0], "Custom:door", "INUSE"),
        *(Seen(12.01, node, "door", "InUse") for node in nodes),
        Looked(13.0, {node: {"door": word} for node in nodes}, {nodes[0]: (word,)}),
        Over(14.0, word),
    )


def result(word: str = "word", standing: Standing = "failed") -> Result:
    """A run that failed, each text of it with a word in it."""
    finding = Finding(f"seen {word}", 13.0, (f"n1{word}",), (word,), "door", since_s=12.0)
    judged = Judged(Verdict("agreement", "failed", (finding,) * 30, {word: 1.0}, word), standing, word)
    return Result(word, word, word, 9.0, (judged, Judged(Verdict("truth", "passed"), "passed")), word, lab_error="")


def record(folder: Path, word: str = "word", more: int = 0) -> RunRecord:
    """A run in a folder, with a log."""
    (folder / "n1.log").write_text(f"{word}\n", "utf-8", errors="replace")
    return RunRecord(folder, result(word), events(word, more))


def keep(folder: Path, word: str = "word", standing: Standing = "failed", utc: str = "", more: int = 0) -> Path:
    """The same as the folder of a run, as `labctl run` leaves it."""
    folder.mkdir(parents=True)
    lines = [history.to_line(event) for event in events(word, more)]
    if utc:
        lines[0] = lines[0].replace('"utc":"word"', f'"utc":"{utc}"')
    (folder / run_folder.HISTORY).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    run_folder.write_result(folder, result(word, standing))
    return folder
