"""How far a build of all of Asterisk is, of what it prints, and about how long it still takes. Pure but for the clock
that it is given."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOTAL = re.compile(r"^labctl-files: (\d+)$", re.MULTILINE)
_COMPILED = re.compile(r"^ *\[CC\] ", re.MULTILINE)


class Estimate:
    """Told all that a build prints. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_s = clock()
        self._total = self._done = 0

    def shown(self, text: str) -> str:
        """What to show for the next text of the output: how far it is once files are compiled, the text before."""
        if total := _TOTAL.search(text):
            self._total, self._began_s = int(total[1]), self._clock()
        self._done += len(_COMPILED.findall(text))
        if not self._total or not self._done:
            return text
        done = min(self._done, self._total)
        left_s = (self._clock() - self._began_s) * (self._total - done) / done
        left = f"{left_s / 60:.0f} min" if left_s >= 90 else f"{left_s:.0f} s"
        return f"compiled {done} of about {self._total} files, about {left} left"
