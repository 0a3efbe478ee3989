"""How a figure grows with the size of a lab: a power fitted to what was measured, and the word for it. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

Point = tuple[float, float]
"""A size, and what was measured there."""

WORDS = (
    (-0.5, "falls"),
    (0.5, "hardly grows"),
    (1.5, "grows linearly"),
    (2.5, "grows quadratically"),
    (3.5, "grows with the third power"),
)
"""Up to which exponent a figure grows in which way."""

LEVEL = 0.5
"""A smaller exponent is next to none, however well it fits."""

SAME = 1e-6
"""Logarithms that differ by less are of the same value."""

SURE = 0.8
"""Of all that differs between the logarithms so much at least is to be the curve's: below, no word is said."""

BEND = 1.0
"""By so much two exponents of one figure differ where it grows in another way from some size on."""


@dataclass(frozen=True)
class Power:
    """y = factor * n ** exponent. `fits` is R², 1 where every point is on the curve."""

    factor: float
    exponent: float
    fits: float

    def at(self, size: float) -> float:
        """What it comes to at a size."""
        return float(self.factor * size**self.exponent)

    @property
    def word(self) -> str:
        """How it grows, in words."""
        if self.fits < SURE and abs(self.exponent) >= LEVEL:
            return "grows along no curve"
        return next((word for most, word in WORDS if self.exponent < most), "grows faster than any machine")


@dataclass(frozen=True)
class Bend:
    """The size at which a figure begins to grow in another way: the power up to there, and that from there on."""

    size: float
    below: Power
    beyond: Power


def power(points: Sequence[Point], fewest: int = 2) -> Power | None:
    """The power that fits best, by least squares of the logarithms; None for fewer sizes than `fewest`. What is not
    above 0 has no logarithm, and is left out."""
    logs = [(math.log(size), math.log(value)) for size, value in points if size > 0 and value > 0]
    sizes, values = [x for x, _ in logs], [y for _, y in logs]
    if len({*sizes}) < fewest:
        return None
    line = statistics.linear_regression(sizes, values)
    return Power(math.exp(line.intercept), line.slope, _fits(sizes, values))


def bend(points: Sequence[Point]) -> Bend | None:
    """Where a figure begins to grow in another way; None where it does not, or of fewer than four sizes."""
    measured = sorted(point for point in points if min(point) > 0)
    ways = []
    for place in range(1, len(measured) - 1) if len(measured) > 3 else ():
        below, beyond = power(measured[: place + 1]), power(measured[place:])
        if below and beyond and abs(below.exponent - beyond.exponent) > BEND:
            missed = _missed(below, measured[: place + 1]) + _missed(beyond, measured[place:])
            ways.append((missed, Bend(measured[place][0], below, beyond)))
    return min(ways, key=itemgetter(0))[1] if ways else None


def _missed(fit: Power, points: Sequence[Point]) -> float:
    """By how much a curve misses what was measured: the squares of the logarithms."""
    return sum((math.log(fit.at(size)) - math.log(value)) ** 2 for size, value in points)


def _fits(sizes: Sequence[float], values: Sequence[float]) -> float:
    """R² of the line through them; 1 where all values are the same, as they are on a level line."""
    if max(values) - min(values) < SAME:
        return 1.0
    return float(statistics.correlation(sizes, values) ** 2)
