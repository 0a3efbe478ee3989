"""Every example of `labctl scenarios --steps`, on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import step_examples
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("needs", step_examples.LAB)
def test_every_example_of_a_step_runs(needs: str, tmp_path: Path) -> None:
    file = tmp_path / f"examples-{needs or 'any'}.yaml"
    file.write_text(step_examples.scenario(needs))
    ended = labctl("run", str(file), "--trust", "--folder", str(tmp_path / "runs"), "-q", "-o", "json")
    wrong = [finding["text"] for judged in ended.data[-1]["judged"] for finding in judged["verdict"]["findings"]]
    assert ended.code == 0, "\n".join([*wrong, *ended.data[-1]["story"]])
