"""Scenario and lab files, read as `run` and `up` read them, with every mistake; nothing is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labctl.blueprint import config_review
from labctl.errors import InvalidFile, UsageError
from labctl.lab import Overrides
from labctl.labfile import loader as labs
from labctl.labfile.patch_files import with_patches
from labctl.paths import LABS, SCENARIOS
from labctl.scenario import loader as scenarios
from labctl.stack.loader import find_stack
from labctl.yamlfile.document import Document, parse
from labctl.yamlfile.source import find_path, read_standard_input, read_text, shipped_names

Kind = Literal["scenario", "lab"]

OF_SCENARIOS_ALONE = (
    "steps",
    "title",
    "expect",
    "known",
    "about",
    "limits",
    "proof",
    "requires",
    "lab",
    "keep_going",
    "healthy",
)
"""The keys of a scenario file that no lab file has: one of them is enough to tell which it is meant to be."""


@dataclass(frozen=True)
class Mistake:
    """Something wrong in `file`, on `line` (0: of the file as a whole); `fix` is the way out."""

    file: str
    line: int
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """`file:line: what (fix)`, the form that editors jump to."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}" + (f" ({self.fix})" if self.fix else "")


@dataclass(frozen=True)
class Validation:
    """What came of reading a file: `about` says in a line what it is, where nothing is wrong with it.

    `kind` is "" where the file could not be read far enough to tell. `warnings` are of what is no mistake and had
    better not be so, as `file:line: what (fix)`.
    """

    file: str
    kind: Kind | Literal[""]
    about: str
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether `labctl run` or `labctl up` would take it."""
        return not self.mistakes


def validate(file: str) -> Validation:
    """Read a scenario or a lab: by path, `-` for standard input, or the name of a shipped one."""
    kind: Kind | Literal[""] = ""
    try:
        text, folder = _text(file)
        document = parse(text, file)
        kind = "scenario" if any(key in document.data for key in OF_SCENARIOS_ALONE) else "lab"
        if kind == "lab":
            return Validation(file, kind, _lab(with_patches(document, folder)))
        scenario = scenarios.read_scenario(text, file, folder, Overrides())
    except UsageError as error:
        return Validation(file, kind, "", tuple(_mistakes(file, error)))
    about = f"{len(scenario.steps)} steps on {len(scenario.lab.nodes)} nodes of stack {scenario.stack.name}"
    return Validation(file, kind, about, warnings=scenario.warnings)


def _text(file: str) -> tuple[str, Path]:
    """The text of a file, and the folder from which it names others."""
    if file == "-":
        return read_standard_input(), Path()
    shipped = LABS if file in labs.shipped_labs() else SCENARIOS
    try:
        path = find_path("scenario or lab", file, Path(), shipped)
    except UsageError as error:
        known = ", ".join([*shipped_names(SCENARIOS), *shipped_names(LABS)])
        raise UsageError(error.message, f"a path, or one that is shipped: {known}") from None
    return read_text(path), path.parent


def _lab(document: Document) -> str:
    lab, stack = config_review.resolve(document, find_stack, Overrides())
    return f"{len(lab.nodes)} nodes and {len(lab.phones)} phones of stack {stack.name}"


def _mistakes(file: str, error: UsageError | None) -> list[Mistake]:
    """Every mistake that an error tells of, those in the files that its file names too."""
    if error is None:
        return []
    if not isinstance(error, InvalidFile):
        return [Mistake(file, 0, error.message, error.hint)]
    own = [Mistake(error.source, problem.line, problem.what, problem.fix) for problem in error.problems]
    return [*own, *_mistakes(file, error.also)]
