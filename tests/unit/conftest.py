"""How long chance is given: `--hypothesis-profile=long` looks a hundred times as far. And what all unit tests share:
locks of their own, and stacks that are parsed once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from labctl import lock
from labctl.stack import loader
from labctl.stack.model import Stack, parse_stack

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
# The same each time, so that a change is never failed by what it has not done; "long" hunts by chance.
settings.register_profile("quick", max_examples=10, derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: whoever collects garbage need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _stacks_parsed_once() -> Iterator[None]:
    """The same text is the same stack, and no stack can be changed; what is refused is parsed again."""

    @cache
    def parsed(text: str, source: str, templates: tuple[str, ...]) -> Stack:
        return parse_stack(text, source, [*templates])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "parse_stack", lambda text, source, templates: parsed(text, source, tuple(templates)))
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Who uses labctl beside the tests, or runs them a second time, holds other locks."""
    folder: Path = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "_home", lambda: folder)
        yield
