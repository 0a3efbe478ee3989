"""What is known to fail, where, and how it is known: frozen data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from labctl.checks.finding import Finding

Source = Literal["run", "measured", "read"]
"""Where it is known from that something fails: from runs of labctl; measured by hand on real nodes; or read in the
source code, so that nobody has seen it yet."""


@dataclass(frozen=True)
class Known:
    """A check that is known to fail with a stack: always, or sometimes. What was only `read` is not proven.

    What fails is named by the rest: findings of this `extension`, wrong on no other `nodes` than these, of this `step`
    (its number, from 1), whose text or one of whose log lines matches the regular expression `finding`. What is left
    out matches any, as all of it did in labctl 0.1.
    """

    stack: str
    check: str
    reason: str
    always: bool
    source: Source = "run"
    via: str = "corosync"
    extension: str = ""
    nodes: tuple[str, ...] = ()
    step: int = 0
    finding: str = ""

    @property
    def names_what_fails(self) -> bool:
        """Whether it is of certain findings, and not of any of its check."""
        return bool(self.extension or self.nodes or self.step or self.finding)

    def is_for(self, check: str, stack: str, via: str) -> bool:
        """Whether it is of that check, with that stack, and what carries the state there."""
        return (self.check, self.stack) == (check, stack) and self.via in (via, "any")

    def matches(self, finding: Finding) -> bool:
        """Whether a finding of the check is what is known."""
        texts = (finding.text, *finding.quotes)
        concerned = {*(finding.wrong or finding.nodes)}
        return (
            self.extension in ("", finding.extension)
            and (not self.nodes or (bool(concerned) and concerned <= {*self.nodes}))
            and self.step in (0, finding.step)
            and (not self.finding or any(re.search(self.finding, text) for text in texts))
        )
