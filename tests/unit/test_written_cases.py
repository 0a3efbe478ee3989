"""What public reports needed of configuration, hints and labs that are not whole can be written down as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.lab import Overrides
from labctl.scenario.loader import find_scenario
from tests.unit.labs import DATA


@pytest.mark.parametrize("path", sorted((DATA / "cases").iterdir()), ids=lambda path: path.stem)
def test_a_case_is_read_and_nothing_of_it_wants_trust(path: Path) -> None:
    scenario = find_scenario(str(path), Overrides())
    assert scenario.steps
    assert scenario.commands == ()
