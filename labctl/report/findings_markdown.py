"""A finding as a report that can be filed where the software is made: it needs no labctl to follow it."""

from __future__ import annotations

from collections.abc import Sequence

from labctl import __version__
from labctl.report.findings_text import UNTOLD, measured, mended_run, row
from labctl.scenario.findings.by_hand import by_hand, why_none
from labctl.scenario.findings.entries import Mend
from labctl.scenario.findings.reader import ShippedFinding, command, scenario_of
from labctl.scenario.reader import Scenario

NO_SCRIPT = "{why} `{command}` (labctl {version}) does these steps:"
WIRE = "SIP of a run by labctl: the number of each message, seconds since the run began, and since the one before."
SCRIPT = (
    "For `sh`. The image of the nodes is Debian sid with Asterisk, its res_corosync, and Corosync: `labctl build` "
    "(labctl {version}) makes it, and so does the Compose file that `labctl export` writes."
)


def render(finding: ShippedFinding) -> str:
    """The report, as Markdown. Raises UsageError, InvalidFile for a scenario that cannot be read."""
    scenario = scenario_of(finding.shown_by[0])
    parts = [
        f"# {finding.title}",
        finding.symptom,
        f"## Versions\n\n{_versions(finding)}",
        f"## Steps\n\n{_steps(finding, scenario)}",
        f"## What happens\n\n{finding.happens}",
        f"## What should happen\n\n{finding.should}",
        f"## Log\n\n{_fenced(finding.log)}" if finding.log else "",
        f"## On the wire\n\n{WIRE}\n\n{_fenced(finding.ladder)}" if finding.ladder else "",
        f"## Cause\n\n{_cause(finding)}",
        f"## A way round\n\n{finding.today}",
        f"## A mend\n\n{_mend(finding, finding.mend)}" if finding.mend else "",
        f"## Reported before\n\n{_items(finding.reports)}" if finding.reports else "",
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def listed(findings: Sequence[ShippedFinding]) -> str:
    """All findings as a table of Markdown, a line each."""
    lines = ["| finding | what | stacks, carriers | seen | scenario |", "| --- | --- | --- | --- | --- |"]
    for finding in findings:
        name, title, stacks, carriers, seen, scenario = row(finding)
        lines.append(f"| `{name}` | {title} | {stacks}; {carriers} | {seen} | `{scenario}` |")
    return "\n".join(lines) + "\n"


def _versions(finding: ShippedFinding) -> str:
    counts = "\n".join(f"- seen {measured(entry).strip()}" for entry in finding.measured)
    return counts or "- never counted"


def _steps(finding: ShippedFinding, scenario: Scenario) -> str:
    """A script that makes the nodes and does it all; where there is none, the steps in words."""
    script = by_hand(finding)
    if not script:
        lines = "\n".join(f"{number}. {step}" for number, step in enumerate(scenario.steps, 1))
        how = NO_SCRIPT.format(why=why_none(finding), command=command(finding.shown_by[0]), version=__version__)
        return f"{how}\n\n{lines}"
    return "\n\n".join(
        (
            SCRIPT.format(version=__version__),
            "<details><summary>The nodes and their files</summary>",
            _fenced(f"set -eu\n{script.nodes}"),
            "</details>",
            _fenced(script.done),
            "In the end it is all taken away again:",
            _fenced(script.removal),
        )
    )


def _cause(finding: ShippedFinding) -> str:
    lines = [
        f"- `{entry.file}`" + (f", `{entry.function}`" if entry.function else "") + f": {' '.join(entry.why.split())}"
        for entry in finding.cause
    ]
    return "\n".join(lines) or UNTOLD.capitalize() + "."


def _mend(finding: ShippedFinding, mend: Mend) -> str:
    return f"{mend.what[0].upper()}{mend.what[1:]}: `{mended_run(finding, mend)}` (labctl {__version__}, GPL 2)."


def _items(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fenced(text: str) -> str:
    return f"```\n{text.rstrip()}\n```"
