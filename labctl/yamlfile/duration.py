"""A duration as people write it in a file: seconds, or a number with a unit. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from labctl.yamlfile.document import wrong

LONGEST_S = 600

_UNITS_S = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_FORM = r"^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$"


@dataclass(frozen=True)
class Seconds:
    """Marks a field that is read as a duration."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": ["string", "number"], "pattern": _FORM, "exclusiveMinimum": 0, "maximum": LONGEST_S}

    def _read(self, value: object) -> float:
        match = re.fullmatch(_FORM, str(value))
        seconds = float(match[1]) * _UNITS_S[match[2] or ""] if match else 0
        if not 0 < seconds <= LONGEST_S:
            raise wrong("not a duration", fix="such as 500ms, 2s, 1.5m or plain seconds; 10m at most")
        return seconds


Duration = Annotated[float, Seconds()]
"""Seconds, more than 0 and LONGEST_S at most."""
