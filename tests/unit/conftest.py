"""How long chance is given: `--hypothesis-profile=long` looks a hundred times as far. And locks of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from labctl import lock

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("long", max_examples=2500, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("quick")


@pytest.fixture(autouse=True, scope="session")
def _own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Who uses labctl beside the tests, or runs them a second time, holds other locks."""
    folder: Path = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "_home", lambda: folder)
        yield
