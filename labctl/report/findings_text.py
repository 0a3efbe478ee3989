"""Findings as tables and text for people, and as data for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from labctl.checks.judgement import RunStanding
from labctl.scenario.findings.confirmation import Confirmed
from labctl.scenario.findings.entries import Cause, Counted, Evidence, Mend
from labctl.scenario.findings.interval import wilson
from labctl.scenario.findings.reader import ShippedFinding, command

STYLES = {"there": "yellow", "gone": "bold magenta", "not judged": "bold yellow"}
UNTOLD = "not found"
"""The cause, where nobody knows it."""


def row(finding: ShippedFinding) -> tuple[str, ...]:
    """A line of the list."""
    first = finding.shown_by[0]
    count = finding.count(first)
    seen = f"{count[0]} of {count[1]}" if count else "-"
    return finding.name, finding.title, ", ".join(finding.stacks), ", ".join(finding.carriers), seen, first.scenario


def data(finding: ShippedFinding) -> dict[str, Any]:
    """All of it, with the interval of each count."""
    intervals = [[round(end, 3) for end in wilson(entry.seen, entry.of)] for entry in finding.measured]
    plain = finding.model_dump(mode="json", exclude={"source"})
    counts = [entry | {"interval": ends} for entry, ends in zip(plain["measured"], intervals, strict=True)]
    return plain | {"measured": counts}


def whole(finding: ShippedFinding) -> str:
    """All of it as text for a terminal."""
    parts = [
        f"{finding.name}: {finding.title}",
        finding.symptom,
        f"How it comes: {finding.happens}",
        f"Right would be: {finding.should}",
        "\n".join(["Cause:", *map(cause, finding.cause)]) if finding.cause else f"Cause: {UNTOLD}.",
        "\n".join(["Shown by:", *map(_evidence, finding.shown_by)]),
        "\n".join(["Seen:", *map(measured, finding.measured)]) if finding.measured else "",
        "\n".join(["Reported as:", *(f"  {report}" for report in finding.reports)]) if finding.reports else "",
        f"Today: {finding.today}",
        f"Mended: {finding.mend.what}\n  {mended_run(finding, finding.mend)}" if finding.mend else "",
        "\n".join(["In the log:", *(f"  {line}" for line in finding.log.splitlines())]) if finding.log else "",
        f"On the wire:\n{finding.ladder}" if finding.ladder else "",
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def mended_run(finding: ShippedFinding, mend: Mend) -> str:
    """The command that runs what shows it with its mend."""
    return f"{command(finding.shown_by[0])} --patch {mend.patch}"


def cause(entry: Cause) -> str:
    """Where it comes from, in a line."""
    place = f"{entry.file}, {entry.function}" if entry.function else entry.file
    return f"  {place}: {' '.join(entry.why.split())}"


def measured(entry: Counted) -> str:
    """How often it was seen, in a line, with the interval that follows."""
    low, high = wilson(entry.seen, entry.of)
    span = f"{low:.0%} to {high:.0%}"
    by = "" if entry.via == "corosync" else f" by {entry.via}"
    how = f"; {entry.how}" if entry.how else ""
    return f"  {entry.seen} of {entry.of} on {entry.day}, stack {entry.stack}{by}, {entry.what} (95 %: {span}){how}"


def _evidence(entry: Evidence) -> str:
    via = "any carrier" if entry.via == "any" else entry.via
    return f"  {command(entry)}: {entry.check} on {entry.stack} by {via}"


def told(confirmed: Confirmed) -> tuple[str | Text, ...]:
    """A line of what runs came to."""
    unjudged = f", {confirmed.unjudged} not judged" if confirmed.unjudged else ""
    others = [f"also failed: {', '.join(confirmed.others)}"] if confirmed.others else []
    return (
        confirmed.finding,
        Text("still there" if confirmed.standing == "there" else confirmed.standing, STYLES[confirmed.standing]),
        f"{confirmed.seen} of {confirmed.of}{unjudged}",
        "; ".join([*filter(None, [confirmed.why]), *others]),
    )


def standings(confirmed: Confirmed) -> Iterator[RunStanding]:
    """What it is to exit codes: as a check that is known to fail, and what failed beside it."""
    match confirmed.standing:
        case "there":
            yield "known"
        case "gone":
            yield "fixed"
        case "not judged":
            yield "unknown"
    if confirmed.others:
        yield "failed"
