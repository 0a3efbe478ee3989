"""How long chance is given: `--hypothesis-profile=long` looks a hundred times as far."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("long", max_examples=2500, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("quick")
