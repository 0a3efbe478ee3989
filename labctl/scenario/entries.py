"""What a scenario file may say: its keys, the form of each value, and what is so by default."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SkipValidation

from labctl.checks.known import Source
from labctl.lab import Carrier
from labctl.labfile.entries import LabFile, StackName
from labctl.labfile.loader import DEFAULT_LAB
from labctl.yamlfile.document import Form, Strict, Text, wrong
from labctl.yamlfile.duration import Duration

MAX_STEPS = 1000

Check = Literal[
    "agreement",
    "truth",
    "no_ghosts",
    "bounded_delay",
    "no_flapping",
    "lamps",
    "calls",
    "routes",
    "remote_state",
    "views",
    "course",
]
CHECKS: tuple[Check, ...] = get_args(Check)
"""What a run is judged by."""


def _check_lab(value: object) -> object:
    if not isinstance(value, str | dict):
        raise wrong("a lab's name, its path, or a mapping is wanted")
    return value


_Line = Annotated[Text, Form("line of text", r"^\S(.{0,198}\S)?$", "some text, 200 characters at most")]


class LimitsEntry(Strict):
    """Bounds that checks hold a run to."""

    delay: Duration = Field(default=1.0, description="The time in which a state must reach every node")


class KnownEntry(Strict):
    """What is known to fail."""

    stack: StackName = Field(description="The stack with which it fails")
    check: Check
    reason: _Line
    via: Literal[Carrier, "any"] = Field(default="corosync", description="What carries the state where it fails")
    always: bool = Field(default=True, description="false: it fails sometimes")
    source: Source = Field(
        default="run", description="How it is known: seen in runs, measured by hand, or read in the code (unproven)"
    )


class ScenarioFile(Strict):
    """A labctl scenario: what is done to a lab, step by step, and what must hold meanwhile."""

    title: _Line
    about: Text = Field(default="", description="More about it, for people")
    lab: Annotated[SkipValidation[str | LabFile], BeforeValidator(_check_lab)] = Field(
        default=DEFAULT_LAB,
        description="A shipped lab, the path of a lab file from here, or what such a file holds, but for the name",
    )
    limits: LimitsEntry = Field(default_factory=LimitsEntry)
    proof: bool = Field(
        default=True, description="false: the lab is broken on purpose, so that state need not cross in it at first"
    )
    requires: tuple[Literal["netem", "statistic", "tbf", "iptables"], ...] = Field(
        default=(), description="What the kernel must be able to do"
    )
    steps: list[Any] = Field(
        min_length=1, description="What is done, in order", json_schema_extra={"maxItems": MAX_STEPS}
    )
    expect: tuple[Check, ...] = Field(default=CHECKS, min_length=1, description="The checks that must hold")
    known: tuple[KnownEntry, ...] = Field(default=(), description="What is known to fail, and why")
