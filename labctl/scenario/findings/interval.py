"""How often something happens, by how often it was seen: an interval, and what not seeing it says. Pure."""

from __future__ import annotations

from math import ceil, log, sqrt

Z = 1.959964
"""Of the normal distribution: between -Z and Z lies 95 % of it."""

UNLIKELY = 0.05
"""What has a smaller probability than this is not put down to chance."""


def wilson(seen: int, of: int) -> tuple[float, float]:
    """The interval in which the probability lies, with 95 % confidence, of what was seen so many times of so many.

    Wilson's score interval (1927), which is of use for few runs and for all of all. Raises ValueError for none.
    """
    if not 0 <= seen <= of or not of:
        raise ValueError(f"{seen} of {of} is no count of runs")
    share = seen / of
    middle = share + Z * Z / (2 * of)
    half = Z * sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    around = 1 + Z * Z / of
    return max(0.0, (middle - half) / around), min(1.0, (middle + half) / around)


def runs_to_exclude(least: float) -> int:
    """After how many runs without it chance alone no longer explains that, where it comes this often at least."""
    if least >= 1:
        return 1
    return ceil(log(UNLIKELY) / log(1 - least))
