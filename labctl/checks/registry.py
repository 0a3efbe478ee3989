"""Every check there is, in order; and what they all say of a history. Pure.

A module of this package that holds a Check is a check: there is no list to add it to.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

import labctl.checks as package
from labctl.checks.disturbance import shadows
from labctl.checks.finding import Finding, Limits, Verdict, outcome
from labctl.checks.reading import as_read
from labctl.checks.rule import Check
from labctl.history.events import Did, Event


def _every_check() -> dict[str, Check]:
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    checks: list[Check] = []
    for name in modules:
        if f"{package.__name__}.{name}" != __name__:
            members = vars(importlib.import_module(f"{package.__name__}.{name}")).values()
            checks += [member for member in members if isinstance(member, Check)]
    return {check.name: check for check in sorted(checks, key=lambda check: check.place)}


CHECKS: Mapping[str, Check] = _every_check()
"""By name, in the order of their places."""


def judge(events: Sequence[Event], limits: Limits) -> tuple[Verdict, ...]:
    """What every check says. Events need not be in order: several threads wrote them.

    What lies in the shadow of a disturbance fails nobody: it is unknown, with its reason.
    """
    ordered = as_read(events)
    shadow = shadows(ordered, limits)
    steps = [event for event in ordered if isinstance(event, Did)]
    verdicts = []
    for check in CHECKS.values():
        verdict = check.judge(ordered, limits)
        findings = tuple(_of_step(shadow.doubt(finding), steps) for finding in verdict.findings)
        worst = outcome(findings, judged=verdict.outcome != "nothing")
        verdicts.append(replace(verdict, findings=findings, outcome=worst))
    return tuple(verdicts)


def _of_step(finding: Finding, steps: Sequence[Did]) -> Finding:
    """A finding with the number of the step that was under way, where it does not name one itself."""
    under_way = (step.step for step in steps if step.began_s <= finding.at_s <= step.at_s)
    return finding if finding.step else replace(finding, step=next(under_way, 0))
