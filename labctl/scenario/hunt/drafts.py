"""The draft of a finding, for whoever reads on from there. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.checks.finding import Finding
from labctl.scenario.reader import Scenario
from labctl.scenario.writer import LONGEST_TITLE, dump
from labctl.shortening import shortened

TO_DO = "To be written: it was found by labctl hunt, and nobody has read on yet."


@dataclass(frozen=True)
class FoundFailure:
    """What a hunt knows of a failure. `scenario` is the smallest that shows it, `failed` of `runs` runs; `versions`
    are of what ran on its nodes."""

    check: str
    finding: Finding
    sentence: str
    scenario: Scenario
    failed: int
    runs: int
    day: datetime.date
    versions: str
    seed: int
    number: int


def draft(evidence: FoundFailure, name: str) -> str:
    """The file of a finding that is not known yet, whose scenario goes by `name`."""
    title = f"{evidence.check}: {evidence.sentence}"
    scenario = evidence.scenario
    data = {
        "title": shortened(title, LONGEST_TITLE),
        "symptom": f"{evidence.finding.text}. Case {evidence.number} of the hunt with seed {evidence.seed}.",
        "shown_by": [
            {"scenario": name, "check": evidence.check, "stack": scenario.stack.name, "via": scenario.lab.via}
        ],
        "happens": f"Done: {'; '.join(map(str, scenario.steps))}. Seen then: {evidence.finding.text}.",
        "should": TO_DO,
        "measured": [
            {
                "seen": evidence.failed,
                "of": evidence.runs,
                "day": evidence.day.isoformat(),
                "what": evidence.versions,
                "stack": scenario.stack.name,
                "via": scenario.lab.via,
            }
        ],
        "today": TO_DO,
        "log": _log(evidence.finding.quotes),
    }
    return dump({key: value for key, value in data.items() if value})


def _log(quotes: Sequence[str]) -> str:
    return "".join(f"{quote}\n" for quote in quotes)
