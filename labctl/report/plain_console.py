"""The console on which people are shown what is drawn, whoever wrote the texts in it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from labctl.shortening import plain


class PlainConsole(Console):
    """A console that hands a terminal nothing to obey but what rich itself has to say to it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))
