"""The folder of a run that Python code does, with all in it that `labctl run` keeps: so that it can be shown, judged
again and sent like any other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labctl.checks.finding import Limits
from labctl.checks.judgement import Result
from labctl.checks.registry import CHECKS
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.history.events import Event
from labctl.lab import Lab
from labctl.patch import Patch
from labctl.scenario import made_with, run_folder
from labctl.scenario.conclusion import conclude, terms_of
from labctl.scenario.reader import Scenario
from labctl.scenario.step_registry import Step
from labctl.stack.model import Stack


class KeptRun:
    """A folder of its own in `parent`, by name and time. Raises UsageError where it cannot be made, HostError where it
    cannot be written to."""

    def __init__(
        self, parent: Path, name: str, title: str, lab: Lab, stack: Stack, patches: Sequence[Patch] = ()
    ) -> None:
        self.folder = run_folder.create(parent, name)
        self._scenario = Scenario(name, title, "", lab, stack, Limits(), True, (), (), tuple(CHECKS), ())
        self._patches = patches
        self._began_s = time.monotonic()
        self._terms = terms_of(self._scenario, patches)
        run_folder.write_terms(self.folder, self._terms)

    @property
    def history(self) -> Path:
        """Where its history goes."""
        return self.folder / run_folder.HISTORY

    @property
    def capture(self) -> Path:
        """Where what crosses the lab's network goes."""
        return self.folder / run_folder.CAPTURE

    def finish(
        self, engine: Engine, events: Sequence[Event], steps: Sequence[Step], lab_error: LabctlError | None = None
    ) -> Result:
        """Keep what it came to, the lab and what it was made with, and its steps as a scenario."""
        made_with.keep(engine, self._scenario.lab, self._scenario.stack, self._patches, self.folder)
        if steps:
            run_folder.write_scenario(self.folder, replace(self._scenario, steps=tuple(steps)), None)
        seconds = time.monotonic() - self._began_s
        result = conclude(events, self._terms, seconds, self.folder, lab_error)
        run_folder.write_result(self.folder, result)
        return result
