"""Every kind of fault that labctl knows: those of each file of this package, and those that somebody else added."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import labctl.faults
from labctl.errors import UsageError
from labctl.faults.fault import FAULTS as _FAULTS
from labctl.faults.fault import Fault
from labctl.yamlfile.document import suggestion

FAULTS: Mapping[str, type[Fault]] = _FAULTS
"""Kind -> class. `labctl.faults.fault.fault` adds to it."""

for _file in pkgutil.iter_modules(labctl.faults.__path__):
    if _file.name not in ("registry", "injector"):
        import_module(f"labctl.faults.{_file.name}")


def make(kind: str, arguments: Mapping[str, Any]) -> Fault:
    """The fault of a kind with these arguments. Raises UsageError."""
    if kind not in FAULTS:
        raise UsageError(f"no fault `{kind}`", suggestion(kind, FAULTS))
    return FAULTS[kind].of(arguments)
