"""What all tests share: in CI, where LABCTL_TEST_NO_SKIP is set, a skipped test is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator
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
