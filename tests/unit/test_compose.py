"""The Compose files in compose/ are those that `labctl export` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labctl.cluster import lifecycle
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab, shipped_labs

FOLDER = Path(__file__).parents[2] / "compose"


@pytest.mark.parametrize("name", shipped_labs())
def test_the_compose_file_of_a_shipped_lab_is_up_to_date(name: str) -> None:
    written = (FOLDER / f"{name}.yaml").read_text("utf-8")
    assert written == lifecycle.export(*find_lab(name, Overrides())), "make compose writes it anew"


def test_no_compose_file_is_left_of_a_lab_that_is_shipped_no_more() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == shipped_labs()


@pytest.mark.parametrize("name", shipped_labs())
def test_a_compose_file_publishes_no_port_and_asks_for_no_privilege(name: str) -> None:
    services = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))["services"]
    asked = {key for service in services.values() for key in service}
    assert not asked & {"ports", "privileged", "network_mode", "pid", "volumes"}
