"""How a figure grows with the size of a lab: a power fitted to what was measured, and the word for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""A size, and what was measured there."""

WORDS = (
    (0.5, "hardly grows"),
    (1.5, "grows linearly"),
    (2.5, "grows quadratically"),
    (3.5, "grows with the third power"),
)
"""Up to which exponent a figure grows in which way."""

SURE = 0.8
"""Of all that differs between the logarithms so much at least is to be the curve's: below, no word is said."""


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
        if self.fits < SURE and self.exponent >= WORDS[0][0]:
            return "grows along no curve"
        return next((word for most, word in WORDS if self.exponent < most), "grows faster than any machine")


@dataclass(frozen=True)
class Polynomial:
    """y = linear * n + quadratic * n²: what grows with the nodes, and what with the pairs of them."""

    linear: float
    quadratic: float

    def at(self, size: float) -> float:
        """What it comes to at a size."""
        return self.linear * size + self.quadratic * size**2


def power(points: Sequence[Point]) -> Power | None:
    """The power that fits best, by least squares of the logarithms; None for fewer than two sizes. What is not above 0
    has no logarithm, and is left out."""
    logs = [(math.log(size), math.log(value)) for size, value in points if size > 0 and value > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    middle_x, middle_y = (sum(log[axis] for log in logs) / len(logs) for axis in (0, 1))
    spread = sum((x - middle_x) ** 2 for x, _ in logs)
    exponent = sum((x - middle_x) * (y - middle_y) for x, y in logs) / spread
    start = middle_y - exponent * middle_x
    total = sum((y - middle_y) ** 2 for _, y in logs)
    left = sum((y - start - exponent * x) ** 2 for x, y in logs)
    return Power(math.exp(start), exponent, 1 - left / total if total > 1e-12 else 1.0)


def polynomial(points: Sequence[Point]) -> Polynomial | None:
    """What grows with n and with n², by least squares of what each point is off by in parts of itself, so that small
    labs count as much as large ones; None for fewer than two sizes."""
    rows = [(size / value, size**2 / value) for size, value in points if size > 0 and value > 0]
    if len({size for size, value in points if size > 0 and value > 0}) < 2:
        return None
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(row[i] for row in rows) for i in (0, 1))
    determinant = aa * bb - ab * ab
    return Polynomial((a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant)
