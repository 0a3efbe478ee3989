"""A finding's file: data in, a ShippedFinding (or every mistake) out; what scenarios show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache

from labctl.checks.known import Known
from labctl.errors import InvalidFile, UsageError
from labctl.lab import Overrides
from labctl.labfile.patch_files import shipped_mends
from labctl.paths import FINDINGS
from labctl.scenario.findings.entries import Counted, Evidence, FindingFile
from labctl.scenario.loader import find_scenario
from labctl.scenario.reader import Scenario
from labctl.stack.loader import alike
from labctl.yamlfile.document import ANY, parse, shown, suggestion
from labctl.yamlfile.review import Review
from labctl.yamlfile.source import read_text, shipped_names, shipped_path


class ShippedFinding(FindingFile):
    """A finding as its file `source` has it. `name` is that file's stem."""

    name: str
    source: str = ""

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that it holds on."""
        return tuple(dict.fromkeys(evidence.stack for evidence in self.shown_by))

    @property
    def carriers(self) -> tuple[str, ...]:
        """What carries the state where it holds."""
        return tuple(dict.fromkeys(evidence.via for evidence in self.shown_by))

    def first_on(self, stack: str) -> Evidence | None:
        """What shows it on a stack, the smallest; None where nothing does."""
        return next((evidence for evidence in self.shown_by if evidence.stack == stack), None)

    def rate(self, evidence: Evidence) -> tuple[int, int] | None:
        """How often runs of its scenario showed it, of how many; None where nobody counted."""
        return self._counted([count for count in self._of(evidence) if not count.how])

    def count(self, evidence: Evidence) -> tuple[int, int] | None:
        """The same, and where nobody counted those, how often it was seen in another way."""
        return self.rate(evidence) or self._counted(self._of(evidence))

    def _of(self, evidence: Evidence) -> list[Counted]:
        where = (evidence.stack, evidence.via)
        return [count for count in self.measured if (count.stack, count.via) == where]

    @staticmethod
    def _counted(measured: Iterable[Counted]) -> tuple[int, int] | None:
        counts = [(count.seen, count.of) for count in measured]
        return (sum(seen for seen, _ in counts), sum(of for _, of in counts)) if counts else None


def shipped_findings() -> list[str]:
    """The names of the findings that come with labctl."""
    return shipped_names(FINDINGS)


def find_finding(name: str) -> ShippedFinding:
    """The finding of that name. Raises UsageError for one that is not shipped, InvalidFile for a file with mistakes."""
    known = shipped_findings()
    if name not in known:
        raise UsageError(f"no finding `{shown(name)}`", suggestion(name, known))
    text, source = finding_text(name)
    return read(text, source, name)


def finding_text(name: str) -> tuple[str, str]:
    """The text of a shipped finding's file, and its path. Raises KeyError, UsageError."""
    path = shipped_path(FINDINGS, name)
    return read_text(path), str(path)


@cache
def read(text: str, source: str, name: str) -> ShippedFinding:
    """Read a finding's file, the same text once. Raises InvalidFile with every mistake in it."""
    review = Review(parse(text, source, "title: What is wrong"))
    entry = review.fit(FindingFile)
    review.each_once("reports", ANY)
    review.known("mend", review.values("mend", "patch"), shipped_mends())
    review.settle()
    assert entry
    return ShippedFinding.model_construct(**dict(entry), name=name, source=source)


def scenario_of(evidence: Evidence, overrides: Overrides | None = None) -> Scenario:
    """The scenario that shows a finding, on the stack and the carrier of that. Raises UsageError, InvalidFile."""
    flags = overrides or Overrides()
    scenario = find_scenario(evidence.scenario, flags)
    via = None if evidence.via == "any" else evidence.via
    return scenario if via in (None, scenario.lab.via) else find_scenario(evidence.scenario, replace(flags, via=via))


def command(evidence: Evidence) -> str:
    """The command that runs what shows a finding, on that stack, by that carrier. Raises UsageError, InvalidFile."""
    own = find_scenario(evidence.scenario, Overrides())
    stack = [] if evidence.stack == own.stack.name else ["--stack", evidence.stack]
    via = [] if evidence.via in ("any", own.lab.via) else ["--via", evidence.via]
    return " ".join(["labctl run", evidence.scenario, *stack, *via])


def on_own_stack(scenario: Scenario) -> Scenario:
    """A scenario with what is known to fail on the shipped stacks that are like its own as known of its own, too."""
    name, like = scenario.stack.name, alike(scenario.stack)
    return replace(
        scenario,
        known=tuple(replace(entry, stack=name) if entry.stack in like else entry for entry in scenario.known),
    )


def known_by(evidence: Evidence, known: Iterable[Known]) -> Iterator[Known]:
    """Those of a scenario's known failures that are the evidence."""
    for entry in known:
        alike = all(getattr(entry, key) == getattr(evidence, key) for key in ("check", "stack", "via"))
        narrower = all(getattr(evidence, key) in ("", getattr(entry, key)) for key in ("extension", "finding"))
        if alike and narrower:
            yield entry


def check_shown(text: str, source: str, known_of: Callable[[str], tuple[Known, ...]]) -> None:
    """Hold what shows a finding to the scenarios; `known_of` raises UsageError for one that there is not.

    Raises InvalidFile, with the line of each that shows nothing.
    """
    review = Review(parse(text, source))
    for index, evidence in enumerate(read(text, source, "").shown_by):
        path = ("shown_by", index)
        try:
            known = known_of(evidence.scenario)
        except InvalidFile:
            raise
        except UsageError as error:
            review.say(path, error.message, error.hint)
            continue
        if not any(known_by(evidence, known)):
            entries = ", ".join(f"{entry.check} on {entry.stack} by {entry.via}" for entry in known)
            review.say(path, f"scenario `{evidence.scenario}` has no such `known:`", f"it has: {entries or 'none'}")
    review.settle()
