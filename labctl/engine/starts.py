"""What starts in a lab, as it does: of one engine, or of several."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from labctl import names
from labctl.engine.access import Access, translated
from labctl.engine.streams import EngineStream


class Starts(Protocol):
    """The name of each container of a lab that starts or goes on, from when this was made; until `close`, by whichever
    thread, or until the engine hangs up."""

    def __iter__(self) -> Iterator[str]: ...

    def close(self) -> None:
        """Have whoever waits for the next one go on."""


class EngineStarts:
    """Those of one engine. Raises HostError as it is made, where that does not answer."""

    def __init__(self, access: Access, lab: str) -> None:
        filters = {"label": f"{names.LABEL_LAB}={lab}", "event": ["start", "unpause"], "type": "container"}
        with translated("follow the engine's events"):
            self._events = EngineStream[dict[str, Any]](access.api.events(filters=filters, decode=True))

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            yield str(event["Actor"]["Attributes"].get("name", ""))

    def close(self) -> None:
        """See Starts."""
        self._events.close()


class FleetStarts:
    """Those of several engines."""

    def __init__(self, of_each: Sequence[Starts]) -> None:
        self._of_each = of_each
        self._names: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[str]:
        for starts in self._of_each:
            threading.Thread(target=self._follow, args=(starts,), name="starts", daemon=True).start()
        left = len(self._of_each)
        while left:
            name = self._names.get()
            if name is None:
                left -= 1
            else:
                yield name

    def _follow(self, starts: Starts) -> None:
        try:
            for name in starts:
                self._names.put(name)
        finally:
            self._names.put(None)

    def close(self) -> None:
        """See Starts."""
        for starts in self._of_each:
            starts.close()
