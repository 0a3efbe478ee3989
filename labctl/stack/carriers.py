"""What may carry the state between nodes."""

from __future__ import annotations

from typing import Literal, get_args

Carrier = Literal["corosync", "pjsip-publish"]
"""What may carry the state between nodes: the cluster module over Corosync, or PUBLISH from each node to each other."""
CARRIERS: tuple[Carrier, ...] = get_args(Carrier)
