"""What is known to fail, where, and how it is known: frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["run", "measured", "read"]
"""Where it is known from that something fails: from runs of labctl; measured by hand on real nodes; or read in the
source code, so that nobody has seen it yet."""


@dataclass(frozen=True)
class Known:
    """A check that is known to fail with a stack: always, or sometimes. What was only `read` is not proven."""

    stack: str
    check: str
    reason: str
    always: bool
    source: Source = "run"
    via: str = "corosync"
