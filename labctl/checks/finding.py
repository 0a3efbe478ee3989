"""What a check says of a history, and the bounds that it holds it to: frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Outcome = Literal["passed", "failed", "unknown", "nothing"]
"""`unknown`: it could not be judged. `nothing`: the history holds nothing that it judges."""


@dataclass(frozen=True)
class Limits:
    """`delay_ms`: in which a state must reach every node. `settle_s`: how long after a fault none is asked for."""

    delay_ms: float = 1000.0
    settle_s: float = 10.0

    @property
    def late_s(self) -> float:
        """Within so long of its time what comes after that is late; later it is another matter, or never came."""
        return 10 * self.delay_ms / 1000


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in a sentence; the log lines that may explain it.

    `doubt`: why it is no failure of the cluster's, but could not be judged; "" where it is one. `extension` and `step`
    (its number, from 1) where it is of one. What is wrong came about between `since_s` and `at_s`, in seconds of the
    history; `since_s` is None where it was seen in a look, when all was quiet. `certain`: no disturbance of the machine
    explains it. `wrong`: those of `nodes` that are, where the others are right. `by_phones`: phones told it, so that it
    matters not whether labctl heard a node meanwhile. `late`: it may be right, and too late, as what ran out of time.
    `through`: other nodes that it takes to be right: what kept those from their work explains it, too.
    """

    text: str
    at_s: float
    nodes: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    extension: str = ""
    doubt: str = ""
    step: int = 0
    since_s: float | None = None
    certain: bool = False
    wrong: tuple[str, ...] = ()
    by_phones: bool = False
    late: bool = False
    through: tuple[str, ...] = ()

    def doubted(self, doubt: str) -> Finding:
        """The same, as something that cannot be judged for a reason; itself where there is none, or one already."""
        if not doubt or self.doubt:
            return self
        return replace(self, text=f"{self.text}; not judged: {doubt}", doubt=doubt)


@dataclass(frozen=True)
class Verdict:
    """What one check says of a history. `remark`: what it left out, and why."""

    check: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""


def verdict(
    check: str,
    findings: Sequence[Finding],
    judged: float,
    figures: Mapping[str, float] | None = None,
    remark: str = "",
) -> Verdict:
    """The verdict of a check that compared `judged` things: the worst of its findings, else whether it judged any."""
    return Verdict(check, outcome(findings, judged), tuple(findings), figures or {}, remark)


def outcome(findings: Sequence[Finding], judged: float) -> Outcome:
    """Failed if anything is wrong, unknown if anything could not be judged, else passed if anything was."""
    if any(not finding.doubt for finding in findings):
        return "failed"
    if findings:
        return "unknown"
    return "passed" if judged else "nothing"
