"""What a lab takes as it grows, as one HTML page that needs no other file: a table, a plot a figure, and how it grows.
Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.bench import scale
from labctl.bench.curve import Point, Power
from labctl.bench.scale import Row, Sizes
from labctl.report.html import fill

LEFT, WIDTH, TOP, HEIGHT = 6.0, 90.0, 7.0, 82.0
"""Where in the picture the axes begin, and how far they go, in per cent."""

TITLES = {
    "proven_s": ("Until it is proven", "s"),
    "p50_ms": ("How long a change is on its way, of two one", "ms"),
    "packets_s": ("Packets a second while nothing changes, of all nodes", ""),
    "packets_change": ("Packets for one change", ""),
    "bytes_change": ("Bytes for one change", "B"),
    "cpu_percent": ("Of one CPU a node takes at rest", "%"),
}
KINDS = ("nodes in one cluster", f"nodes in sites of {scale.NODES_A_SITE}")


@dataclass(frozen=True)
class Dot:
    """A point of a plot, in per cent of the picture, and what it says."""

    x: str
    y: str
    text: str
    kind: int


@dataclass(frozen=True)
class Stroke:
    """A fitted curve of a plot: where it begins and ends."""

    x1: str
    y1: str
    x2: str
    y2: str
    kind: int


@dataclass(frozen=True)
class Plot:
    """One figure over the number of nodes, both axes logarithmic. `ticks`: place and word, of either axis."""

    title: str
    words: str
    dots: tuple[Dot, ...]
    strokes: tuple[Stroke, ...]
    across: tuple[tuple[str, str], ...]
    up: tuple[tuple[str, str], ...]


def render(rows: Sequence[Row], plan: Sizes) -> str:
    """The page of what was measured."""
    return fill(
        "scale",
        plan=plan,
        columns=scale.COLUMNS,
        rows=[scale.cells(row) for row in rows],
        sentences=scale.sentences(rows),
        plots=[plot for figure in scale.FIGURES if (plot := _plot(rows, figure))],
        kinds=KINDS,
    )


def _plot(rows: Sequence[Row], figure: str) -> Plot | None:
    series = [scale.points(rows, figure, of_sites=of_sites) for of_sites in (False, True)]
    shown = [point for points in series for point in points if point[1] > 0]
    if not shown:
        return None
    title, unit = TITLES[figure]
    axes = _Axes(shown)
    fits = [scale.fitted(rows, of_sites=of_sites).get(figure) for of_sites in (False, True)]
    words = "; ".join(
        f"{KINDS[kind]}: {fit.word}, n^{fit.exponent:.1f} (R² {fit.fits:.2f})" for kind, fit in enumerate(fits) if fit
    )
    dots = tuple(
        Dot(axes.x(size), axes.y(value), f"{size:g} {KINDS[kind]}: {value:g} {unit}".rstrip(), kind)
        for kind, points in enumerate(series)
        for size, value in points
        if value > 0
    )
    strokes = tuple(
        axes.stroke(points, fit, kind) for kind, (points, fit) in enumerate(zip(series, fits, strict=True)) if fit
    )
    across = tuple((axes.x(size), f"{size:g}") for size in sorted({size for size, _ in shown}))
    up = tuple((axes.y(value), f"{value:g} {unit}".rstrip()) for value in axes.decades)
    return Plot(title, words, dots, strokes, across, up)


class _Axes:
    """Where sizes and values stand in the picture, in per cent, by their logarithms."""

    def __init__(self, points: Sequence[Point]) -> None:
        sizes, values = ([point[axis] for point in points] for axis in (0, 1))
        self._sizes = math.log10(min(sizes)), math.log10(max(sizes))
        self._values = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(self, size: float) -> str:
        """Of a size, from the left."""
        return f"{LEFT + self._share(size, *self._sizes) * WIDTH:.2f}%"

    def y(self, value: float) -> str:
        """Of a value, from above; what the axis does not reach is at its end."""
        return f"{TOP + (1 - min(1.0, max(0.0, self._share(value, *self._values)))) * HEIGHT:.2f}%"

    @staticmethod
    def _share(value: float, least: float, most: float) -> float:
        return (math.log10(value) - least) / (most - least) if most > least else 0.5

    @property
    def decades(self) -> Iterator[float]:
        """The powers of ten on the axis of values."""
        return (10.0**exponent for exponent in range(self._values[0], self._values[1] + 1))

    def stroke(self, points: Sequence[Point], fit: Power, kind: int) -> Stroke:
        """The curve from the smallest size to the largest: a straight line here."""
        first, last = min(size for size, _ in points), max(size for size, _ in points)
        return Stroke(self.x(first), self.y(fit.at(first)), self.x(last), self.y(fit.at(last)), kind)
