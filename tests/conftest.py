"""What all tests share: in CI, where LABCTL_TEST_NO_SKIP is set, a skipped test is a failure.

Tests on real nodes go side by side (pytest-xdist). Those that share a lab go to one process, one after the other: by
their file, or by the mark `xdist_group`. What takes longest begins first.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Turn a skip into a failure where skips are not allowed."""
    report = yield
    if report.skipped and os.environ.get("LABCTL_TEST_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and LABCTL_TEST_NO_SKIP is set: {report.longrepr}"
    return report


APART = {"test_verbs.py", "test_killed.py", "test_scenarios.py", "test_carriers.py"}
"""Files whose tests each have a lab of their own, so that they may go to any process."""

LONGEST = ("scenarios", "test_killed.py", "test_verbs.py", "test_mirror.py", "test_restart.py")
"""Groups and files by how long they take, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share a lab, and begin with what takes longest."""

    def rank(item: pytest.Item) -> int:
        names = (_group(item), Path(item.path).name)
        return min((LONGEST.index(name) for name in names if name in LONGEST), default=len(LONGEST))

    for item in items:
        if item.get_closest_marker("docker") and _group(item) == "" and Path(item.path).name not in APART:
            item.add_marker(pytest.mark.xdist_group(Path(item.path).name))
    if any(item.get_closest_marker("docker") for item in items):
        items.sort(key=rank)


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0] if marker.args else marker.kwargs.get("name", "")) if marker else ""
