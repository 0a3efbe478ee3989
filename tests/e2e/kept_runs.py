"""A run of a test's own scenario, whose lab stays up until the test has looked at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.progress import Silent
from tests.integration.conftest import labctl


@contextmanager
def kept_run(steps: str, name: str, folder: Path) -> Iterator[tuple[Engine, Path]]:
    """The engine, and the folder of a run of that scenario in a lab of that name. What became of the cluster is not
    judged."""
    engine = engines.connect()
    (folder / "mine.yaml").write_text(steps, "utf-8")
    try:
        done = labctl("run", str(folder / "mine.yaml"), "-q", "--keep-lab", "-n", name, "--folder", str(folder))
        assert done.code in (0, 1, 5), done.err
        yield engine, (folder / "latest").resolve()
    finally:
        verbs.down(engine, name, Silent())
