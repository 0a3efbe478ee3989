"""Results of scenarios as tables and text for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from labctl.checks.judgement import Judged, Result
from labctl.history.events import Did, Event
from labctl.report.tables import table

STYLES = {
    "passed": "green",
    "failed": "bold red",
    "known": "yellow",
    "fixed": "bold magenta",
    "unknown": "bold yellow",
    "nothing": "dim",
}
FINDINGS = 5
QUOTES = 4


def checks(result: Result) -> Table:
    """What each check says of a run, in a word."""
    rows = [(each.verdict.check, Text(each.standing, STYLES[each.standing]), _remark(each)) for each in result.judged]
    return table("", ("CHECK", "VERDICT", ""), rows)


def overview(results: Sequence[Result]) -> Table:
    """A line for each scenario that was run."""
    rows = [
        (each.scenario, each.stack, Text(each.standing, STYLES[each.standing]), f"{each.seconds:.1f} s", _broken(each))
        for each in results
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
    lines: list[str] = []
    for each in result.judged:
        if each.standing in ("passed", "nothing"):
            continue
        lines.append(f"{each.verdict.check}: {each.standing}" + (f" ({each.reason})" if each.reason else ""))
        found = each.verdict.findings
        for finding in found[:FINDINGS]:
            lines.append(f"  {finding.text}")
            lines += [f"    | {quote}" for quote in finding.quotes[:QUOTES]]
        if len(found) > FINDINGS:
            lines.append(f"  and {len(found) - FINDINGS} more, in {result.folder}")
    return lines


def _remark(judged: Judged) -> str:
    if judged.standing == "fixed":
        return "known to fail, but it did not"
    if judged.verdict.findings:
        more = len(judged.verdict.findings) - 1
        return judged.verdict.findings[0].text + (f" (and {more} more)" if more else "")
    figures = judged.verdict.figures
    return ", ".join(f"{name} {value:g}" for name, value in list(figures.items())[:4])


def _broken(result: Result) -> str:
    words = [
        f"{each.verdict.check} {each.standing}" for each in result.judged if each.standing not in ("passed", "nothing")
    ]
    return result.error if result.error and not words else ", ".join(words)
