"""What a scenario file may say: its keys, the form of each value, and what is so by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SkipValidation

from labctl.checks import registry
from labctl.checks.known import Source
from labctl.lab import Carrier
from labctl.labfile.entries import LabFile, StackName
from labctl.labfile.loader import DEFAULT_LAB
from labctl.scenario.argument_types import Pattern
from labctl.yamlfile.document import Form, Strict, Text, wrong
from labctl.yamlfile.duration import Duration

MAX_STEPS = 20_000
"""More than a soak run does in an hour."""

CHECKS: tuple[str, ...] = tuple(registry.CHECKS)
"""What a run is judged by: the names of all checks."""

HEALTHY = "healthy"
"""The check that every run is judged by, whatever its scenario expects."""

if TYPE_CHECKING:
    Check = str
else:
    Check = Literal[CHECKS]


def _check_lab(value: object) -> object:
    if not isinstance(value, str | dict):
        raise wrong("a lab's name, its path, or a mapping is wanted")
    return value


_Line = Annotated[Text, Form("line of text", r"^\S(.{0,198}\S)?$", "some text, 200 characters at most")]


class LimitsEntry(Strict):
    """Bounds that checks hold a run to."""

    delay: Duration = Field(default=1.0, description="The time in which a state must reach every node")


class KnownEntry(Strict):
    """What is known to fail. Without the last four any finding of the check is what is known; name what fails."""

    stack: StackName = Field(description="The stack with which it fails")
    check: Check
    reason: _Line
    via: Literal[Carrier, "any"] = Field(default="corosync", description="What carries the state where it fails")
    always: bool = Field(default=True, description="false: it fails sometimes")
    source: Source = Field(
        default="run", description="How it is known: seen in runs, measured by hand, or read in the code (unproven)"
    )
    extension: str = Field(default="", description="Only what is wrong of this extension, or of `*` and a mailbox")
    nodes: tuple[str, ...] = Field(default=(), description="Only what is wrong on no other nodes than these")
    step: int = Field(default=0, ge=0, description="Only what is wrong at this step, by its number from 1")
    finding: Pattern = Field(
        default="", description="Only findings whose text, or a log line of them, matches this regular expression"
    )


class ScenarioFile(Strict):
    """A labctl scenario: what is done to a lab, step by step, and what must hold meanwhile."""

    misplaced: ClassVar[Mapping[str, str]] = dict.fromkeys({*LabFile.model_fields} - {"name", "without"}, "lab")

    title: _Line
    about: Text = Field(default="", description="More about it, for people")
    lab: Annotated[SkipValidation[str | LabFile], BeforeValidator(_check_lab)] = Field(
        default=DEFAULT_LAB,
        description="A shipped lab, the path of a lab file from here, or what such a file holds, but for the name",
    )
    without: tuple[str, ...] = Field(
        default=(), description="Nodes of the lab that are not started: the scenario begins on a lab that is not whole"
    )
    limits: LimitsEntry = Field(default_factory=LimitsEntry)
    proof: bool = Field(
        default=True, description="false: the lab is broken on purpose, so that state need not cross in it at first"
    )
    keep_going: bool = Field(
        default=False,
        description="true: a step that fails does not end the run, as in soak runs; what was seen is judged",
    )
    requires: tuple[Literal["netem", "statistic", "tbf", "iptables"], ...] = Field(
        default=(), description="What the kernel must be able to do"
    )
    steps: list[Any] = Field(
        min_length=1, description="What is done, in order", json_schema_extra={"maxItems": MAX_STEPS}
    )
    expect: tuple[Check, ...] = Field(default=CHECKS, min_length=1, description="The checks that must hold")
    healthy: bool = Field(
        default=True, description="false: how the daemons fare is not judged, unless `expect` names the check `healthy`"
    )
    known: tuple[KnownEntry, ...] = Field(default=(), description="What is known to fail, and why")
