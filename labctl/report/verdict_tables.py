"""Results of scenarios as tables and text for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from labctl.checks.judgement import Judged, Result, RunStanding
from labctl.history.events import Did, Event
from labctl.report.tables import table

STYLES: dict[RunStanding, str] = {
    "passed": "green",
    "failed": "bold red",
    "error": "bold red",
    "known": "yellow",
    "fixed": "bold magenta",
    "unknown": "bold yellow",
    "nothing": "dim",
}
LEFT_OUT = ("not judged", "spared")
"""Figures that a remark tells better."""

FINDINGS = 5
QUOTES = 4


def checks(result: Result) -> Table:
    """What each check says of a run, in a word; first that there was no lab to the end, where that is so."""
    rows = [
        (judged.verdict.check, Text(judged.standing, STYLES[judged.standing]), _remark(judged))
        for judged in result.judged
    ]
    if result.lab_error:
        rows.insert(0, ("lab", Text("error", STYLES["error"]), result.lab_error_line))
    return table("", ("CHECK", "VERDICT", ""), rows)


def overview(results: Sequence[Result]) -> Table:
    """A line for each scenario that was run."""
    rows = [
        (
            result.scenario,
            result.stack,
            Text(result.standing, STYLES[result.standing]),
            f"{result.seconds:.1f} s",
            _summary(result),
        )
        for result in results
    ]
    return table("", ("SCENARIO", "STACK", "VERDICT", "TOOK", ""), rows)


def tally(events: Iterable[Event]) -> str:
    """What was done in a run, how often, and how much of it came to nothing."""
    steps = [event for event in events if isinstance(event, Did)]
    counts = Counter(step.what.partition(" ")[0] for step in steps)
    done = ", ".join(f"{count} {verb}" for verb, count in counts.most_common())
    return f"{len(steps)} steps ({done}), of which {sum(bool(step.error) for step in steps)} failed"


def findings(result: Result) -> list[str]:
    """What was found wrong, with the log lines that explain it, in lines."""
    lines = [*_attempts(result)]
    if result.lab_error:
        lines += ["lab: error", *(f"  {line}" for line in result.lab_error.splitlines())]
    for judged in result.judged:
        if judged.standing not in ("passed", "nothing"):
            lines += _explained(judged, result.folder)
    return lines


def _attempts(result: Result) -> Iterator[str]:
    for number, attempt in enumerate(result.earlier, 1):
        yield f"attempt {number}: {attempt.standing}, and so run again: {attempt.why} (in {attempt.folder})"


def _explained(judged: Judged, folder: str) -> Iterator[str]:
    yield f"{judged.verdict.check}: {judged.standing}" + (f" ({judged.reason})" if judged.reason else "")
    all_findings = judged.verdict.findings
    for finding in all_findings[:FINDINGS]:
        yield f"  {finding.text}"
        yield from (f"    | {quote}" for quote in finding.quotes[:QUOTES])
    if len(all_findings) > FINDINGS:
        yield f"  and {len(all_findings) - FINDINGS} more, in {folder}"


def _remark(judged: Judged) -> str:
    if judged.standing == "fixed":
        return "known to fail, but it did not"
    if judged.verdict.findings:
        more = len(judged.verdict.findings) - 1
        return judged.verdict.findings[0].text + (f" (and {more} more)" if more else "")
    remark = judged.verdict.remark
    figures = [(name, value) for name, value in judged.verdict.figures.items() if name not in LEFT_OUT or not remark]
    shown = ", ".join(f"{name} {value:g}" for name, value in figures[:4])
    return "; ".join(text for text in (shown, remark) if text)


def _summary(result: Result) -> str:
    """What does not hold, or else what ended the run; and how often it was run in vain."""
    words = [
        f"{judged.verdict.check} {judged.standing}"
        for judged in result.judged
        if judged.standing not in ("passed", "nothing")
    ]
    if result.lab_error:
        words.insert(0, result.lab_error_line)
    elif result.error and not words:
        words = [result.error]
    words += [f"{attempt.standing} at first: {attempt.why}" for attempt in result.earlier]
    return ", ".join(words)
