"""How busy the machine is, as its kernel tells it (Linux, accounting/psi.rst): patience grows with it."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.timing import PATIENCE, Patience

PRESSURE = Path("/proc/pressure/cpu")


def look_at_machine(patience: Patience = PATIENCE, pressure: Path = PRESSURE) -> None:
    """Be as patient as the machine was slow in the last ten seconds."""
    patience.note(average_pressure(read_text(pressure)), 0.0)


def average_pressure(text: str) -> float:
    """The part of the last ten seconds in which some task waited for a CPU, 0 to 1 (Linux, accounting/psi.rst)."""
    average = re.search(r"^some avg10=([\d.]+)", text, re.M)
    return float(average[1]) / 100 if average else 0.0


def pressure_s(text: str) -> float:
    """For how many seconds some task has waited for a CPU since the machine booted (`total`, in microseconds)."""
    total = re.search(r"^some .*total=(\d+)", text, re.M)
    return int(total[1]) / 1e6 if total else 0.0


def read_text(path: Path) -> str:
    """A file of the kernel's; nothing where it is not there, or not to be read."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
