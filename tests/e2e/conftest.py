"""A lab of real nodes that the end-to-end tests share: it comes up once, and goes when they are over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from labctl.blueprint.running_lab import Running
from labctl.cluster import lifecycle as verbs
from labctl.cluster.connections import Cluster
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.images.builder import Options
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.progress import Silent
from labctl.sip.phones import Phones
from labctl.timing import Deadline
from tests.integration.conftest import what_is_not_judged_runs_again

__all__ = ["what_is_not_judged_runs_again"]

NAME = f"e2e-{os.getpid()}"
"""Each run has a lab of its own, so that two at a time do not meet."""

READY_S = 120.0

TOKEN_MS = 5000
"""More patient than by default: where a busy machine costs a ring its token, what a node says just then is lost for
good (state-after-heal), which is not what the tests of a lab without faults are about."""


@dataclass(frozen=True)
class LabUnderTest:
    """A lab that is proven ready, and open connections to all of its nodes."""

    engine: Engine
    running: Running
    cluster: Cluster


@pytest.fixture(scope="session")
def lab() -> Iterator[LabUnderTest]:
    """The default lab: three nodes, a phone on each."""
    engine = engines.connect()
    found, stack = find_lab(None, Overrides(name=NAME))
    wanted = replace(found, totem=replace(found.totem, token_ms=TOKEN_MS))
    try:
        verbs.up(engine, wanted, stack, Options(), READY_S, Silent())
        running = verbs.load(engine, NAME)
        with Cluster(engine, running) as cluster:
            cluster.open()
            cluster.await_ready(Deadline(READY_S))
            yield LabUnderTest(engine, running, cluster)
    finally:
        verbs.down(engine, NAME, Silent())


@pytest.fixture
def phones(lab: LabUnderTest) -> Iterator[Phones]:
    """The lab's phones, all switched off before and after the test."""
    with Phones(lab.engine, lab.running) as phones:
        yield phones
