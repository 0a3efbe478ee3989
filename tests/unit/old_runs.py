"""Runs of labctl 0.1 on stacks 1.6 and 1.8, as they were recorded, and what each comes to."""

from __future__ import annotations

import gzip

from labctl.history import lines as history
from labctl.history.events import Event
from tests import quick_yaml
from tests.unit.labs import DATA

FOLDER = DATA / "old-runs"
OUTCOMES: dict[str, dict[str, list[str]]] = quick_yaml.load((DATA / "old-runs.yaml").read_text("utf-8"))


def old_run(name: str) -> tuple[Event, ...]:
    """The history of a run: of a stack and a scenario, as `1.6-pause`."""
    path = FOLDER / f"{name}.jsonl.gz"
    return history.parse(gzip.decompress(path.read_bytes()).decode(), str(path))
