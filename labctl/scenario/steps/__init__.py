"""Every step that a scenario can have, one module a family. To add one, write its function in its family."""

from __future__ import annotations

from importlib import import_module

from labctl.scenario.step_registry import STEPS

__all__ = ["FAMILIES", "STEPS"]

FAMILIES = (
    "phones",
    "calls",
    "transfers",
    "states",
    "waiting",
    "clock",
    "commands",
    "sip",
    "configuration",
    "faults",
    "versions",
    "sites",
    "load",
)
"""The modules here, in the order in which `labctl scenarios --steps` lists what they hold."""

for _family in FAMILIES:
    import_module(f"{__name__}.{_family}")
