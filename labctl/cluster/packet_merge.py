"""Packets of several captures as one file, in the order of time. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from labctl.cluster.packet_blocks import Block, head


class PacketMerge:
    """Takes packets as they come, each from a place of that name; each place has one interface for each of `sizes`, how
    many bytes of a packet it keeps at most."""

    def __init__(self, places: Sequence[str], sizes: Sequence[int]) -> None:
        self.head = head([(place, size) for place in places for size in sizes])
        self._first = {place: number * len(sizes) for number, place in enumerate(places)}
        self._waiting: list[tuple[int, int, Block]] = []
        self._count = 0

    def add(self, place: str, block: Block, shift_ns: int = 0) -> None:
        """Take a packet, whose time is so much too early; what is no packet is of its own file alone."""
        if block.interface < 0:
            return
        at_ns = block.at_ns + shift_ns
        self._count += 1  # two of one time stay as they came
        heapq.heappush(self._waiting, (at_ns, self._count, block.moved(self._first[place] + block.interface, at_ns)))

    def until(self, at_ns: float) -> list[Block]:
        """Those that came no later than that, as they come in the file; each once. One that is taken when later ones
        were handed out already is out of its order."""
        due: list[Block] = []
        while self._waiting and self._waiting[0][0] <= at_ns:
            due.append(heapq.heappop(self._waiting)[2])
        return due
