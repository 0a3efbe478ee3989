"""What a finding's file may say: its keys, and the form of each value."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from labctl.lab import Carrier
from labctl.labfile.entries import StackName
from labctl.scenario.argument_types import Pattern
from labctl.scenario.entries import Check
from labctl.yamlfile.document import NAME, NAME_FIX, Form, Strict, Text, wrong

_Line = Annotated[Text, Form("line of text", r"^\S(.{0,198}\S)?$", "some text, 200 characters at most")]
_Words = Annotated[Text, Field(min_length=1)]


def _day(value: object) -> object:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise wrong("not a day", fix="such as 2026-11-26") from None


class Evidence(Strict):
    """What of a shipped scenario shows it: those entries of its `known:` that have all of these values."""

    scenario: Annotated[str, Form("name of a scenario", NAME, NAME_FIX)]
    check: Check
    stack: StackName = "22"
    via: Literal[Carrier, "any"] = "corosync"
    extension: str = ""
    finding: str = ""


class Sign(Strict):
    """By what a failure of any run is known to be of this finding: all of it must be so."""

    checks: tuple[Check, ...] = Field(min_length=1, description="The checks of which one fails")
    finding: Pattern = Field(description="What the finding's text, or a log line of it, matches")
    after: Pattern = Field(default="", description="What a step or fault before it matches, such as `kill corosync`")
    via: Literal[Carrier, "any"] = "corosync"
    stack: StackName = "22"


class Cause(Strict):
    """Where it comes from. `function` is "" where no one function has it; `read` says that nobody tried a mend."""

    file: _Line
    function: str = ""
    why: _Words


class Counted(Strict):
    """How often it was seen, of how many runs, on which day, and of what."""

    seen: int = Field(ge=0)
    of: int = Field(ge=1)
    day: Annotated[date, BeforeValidator(_day)]
    what: _Line = Field(description="The versions, such as `Asterisk 22.10.1, Corosync 3.1.10`")
    stack: StackName = "22"
    via: Carrier = "corosync"
    how: str = Field(default="", description="Where it was other than runs of the first scenario that shows it")

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Counted:
        if self.seen > self.of:
            raise wrong("more often seen than it was tried", fix="`seen` of `of` runs")
        return self


class Mend(Strict):
    """A patch of labctl's own that mends it: its name among those that are shipped, and what it does."""

    patch: Annotated[str, Form("name of a patch", NAME, NAME_FIX)]
    what: _Line


class FindingFile(Strict):
    """Something that is wrong with Asterisk or Corosync, and that a shipped scenario shows."""

    title: _Line
    symptom: _Words = Field(description="What a user sees")
    happens: _Words = Field(description="What is done, and what is then seen that is wrong")
    shown_by: tuple[Evidence, ...] = Field(min_length=1, description="The smallest scenario first")
    signs: tuple[Sign, ...] = Field(default=(), description="By what it is known where it comes in another run")
    should: _Words = Field(description="What would be right")
    cause: tuple[Cause, ...] = Field(default=(), description="Nothing where it was not found")
    measured: tuple[Counted, ...] = ()
    reports: tuple[_Line, ...] = Field(default=(), description="Public reports, such as `corosync/corosync#506`")
    today: _Words = Field(description="What to do today")
    log: Text = Field(default="", description="Lines of the nodes' logs, as a run had them")
    ladder: Text = Field(
        default="",
        description="What matters of a run's SIP, as `labctl ladder` draws it; right of an arrow, text of the message",
    )
    by_hand: Text = Field(
        default="", description="Commands of a shell, where none follow from the scenario's steps (hand_commands)"
    )
    mend: Mend | None = None
