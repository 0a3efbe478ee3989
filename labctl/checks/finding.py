"""What a check says of a history, and the bounds that it holds it to: frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["passed", "failed", "unknown", "nothing"]
"""`unknown`: it could not be judged. `nothing`: the history holds nothing that it judges."""


@dataclass(frozen=True)
class Limits:
    """`delay_ms`: in which a state must reach every node. `settle_s`: how long after a fault none is asked for."""

    delay_ms: float = 1000.0
    settle_s: float = 10.0


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in a sentence; the log lines that may explain it."""

    text: str
    at_s: float
    nodes: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one check says of a history."""

    check: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


def verdict(
    check: str, findings: Sequence[Finding], judged: float, figures: Mapping[str, float] | None = None
) -> Verdict:
    """The verdict: failed if anything was found, else passed if anything was judged."""
    outcome: Outcome = "failed" if findings else "passed" if judged else "nothing"
    return Verdict(check, outcome, tuple(findings), figures or {})
