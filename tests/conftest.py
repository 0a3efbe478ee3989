"""What all tests share: in CI, where LABCTL_TEST_NO_SKIP is set, a skipped test is a failure.

Tests on real nodes go side by side (pytest-xdist, `--dist loadscope`). Those that share a lab go to one process, one
after the other. What takes longest begins first.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

OWN_FOLDER = "labctl-tests-"
"""What the name of the folder of one run of tests begins with, beside other temporary folders of the machine."""

KEPT_S = 86_400.0
"""How long the folder of a run that failed is kept."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have what tests start take Ctrl-C, also where a script runs them in the background: a shell that does so has
    SIGINT ignored, and whoever is started then ignores it, too.

    And give each run of tests a folder of its own. Those that pytest makes lie in one place, which every run clears of
    older ones at its end: the parts of `make unit` end side by side, and one fell over what another was clearing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.basetemp is None:
        for folder in Path(tempfile.gettempdir()).glob(f"{OWN_FOLDER}*"):
            with suppress(OSError):  # another run takes it away, too
                if time.time() - folder.stat().st_mtime > KEPT_S:
                    shutil.rmtree(folder, ignore_errors=True)
        config.option.basetemp = tempfile.mkdtemp(prefix=OWN_FOLDER)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Take the run's own folder away, unless a test failed, which may have left something to look at there."""
    folder = Path(session.config.option.basetemp)
    if exitstatus == pytest.ExitCode.OK and folder.name.startswith(OWN_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Turn a skip into a failure where skips are not allowed."""
    report = yield
    if report.skipped and os.environ.get("LABCTL_TEST_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and LABCTL_TEST_NO_SKIP is set: {report.longrepr}"
    return report


APART = ("test_verbs.py", "test_killed.py", "test_scenarios.py", "test_carriers.py")
"""Files whose tests each have a lab of their own, so that they may go to any process."""

ONE_LAB = {
    **{"test_state.py": "lab", "test_calls.py": "lab"},
    **dict.fromkeys(
        ("test_shipped_scenario_ends_as_it_says", "test_the_page_of_every_run_opens_in_a_browser"),
        "scenarios",
    ),
}
"""Files and tests that share a lab, or a run, across or within files: the name of what they share."""

LONGEST = (
    *("scenarios", "test_hosts.py", "test_killed.py", "test_mirror.py"),
    *("test_docker_hosts.py", "test_remote_engine.py", "test_faults.py", "test_restart.py", "test_verbs.py"),
)
"""What takes longest, first."""


def shared(nodeid: str) -> str:
    """What a test shares with others, so that they go to one process: a test that shares nothing has its own name."""
    file, _, test = nodeid.partition("::")
    name = file.rpartition("/")[2]
    group = ONE_LAB.get(test.partition("[")[0]) or ONE_LAB.get(name)
    return group or (nodeid if name in APART else file)


class ByLab(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives tests to processes by the lab that they share."""

    def _split_scope(self, nodeid: str) -> str:
        return shared(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """The scheduler of the tests on real nodes; the unit tests have xdist's own."""
    return ByLab(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""

    def rank(item: pytest.Item) -> int:
        group = shared(item.nodeid)
        return next((number for number, name in enumerate(LONGEST) if name in group), len(LONGEST))

    if any(item.get_closest_marker("docker") for item in items):
        items.sort(key=rank)
