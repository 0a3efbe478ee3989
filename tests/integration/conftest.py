"""The command line as a user runs it, and labs that are gone when a test is over."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.progress import Silent

RUN = hashlib.sha256(f"{os.environ.get('PYTEST_XDIST_TESTRUNUID', '')}/{os.getpid()}".encode()).hexdigest()[:6]
"""What tells the labs of this process of this run from all others, also from what an ended run left behind."""

TIMEOUT_S = 1500
"""So long nothing takes, not even every scenario on a machine that is busy: what hangs is ended."""


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def labctl(
    *arguments: str,
    text: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Result:
    """Run labctl to its end; `variables` of the environment beside those that are there."""
    done = subprocess.run(
        [sys.executable, "-m", "labctl", *arguments],
        input=text,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session", autouse=True)
def what_is_not_judged_runs_again() -> Iterator[None]:
    """On a machine that is busy any run may come to no verdict: that is no failure of a test, but of none of five."""
    with pytest.MonkeyPatch.context() as patch:
        for verb in ("RUN", "REPLAY", "COMPARE", "FINDINGS_RUN", "BISECT"):
            patch.setenv(f"LABCTL_{verb}_RETRIES", "4")
        patch.setenv("LABCTL_TIMEOUT", "300s")
        yield


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that the tests run on."""
    return engines.connect()


@pytest.fixture
def name(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a lab of the test's own, taken away when the test is over."""
    words = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())
    lab_name = f"t{RUN}-{words}"[:31].strip("-")
    yield lab_name
    verbs.down(engine, lab_name, Silent())
