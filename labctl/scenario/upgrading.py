"""A node of a live lab in another version of Asterisk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.cluster import upgrade
from labctl.faults.injector import NEVER_STARTED
from labctl.faults.node import Stop
from labctl.lab import Version
from labctl.progress import BuildsAlone
from labctl.scenario import cores
from labctl.timing import PATIENCE

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

BACK_S = 60.0
"""How long a node may take to be in its ring again; it takes a few seconds."""


def upgrade_to(live: LiveLab, node: str, version: Version) -> None:
    """Stop a node, and start it in another version, with what it keeps; return when it is in its ring. One that was
    never started stays so, and will start in that version.

    Raises UsageError for a version that does not go together with the lab; BuildError, while the node goes on.
    """
    spec = upgrade.prepare(live.engine, live.running, node, version, live.running.options, BuildsAlone(live.progress))
    if live.cluster.container_state(node) == NEVER_STARTED:
        upgrade.swap(live.engine, live.running, node, spec)
        live.running.upgraded[node] = version
        return
    cores.keep(live.engine, live.lab.name, live.journal)  # the node's container goes, and they with it
    fault = live.faults.inflict(Stop(node=node))
    try:
        upgrade.swap(live.engine, live.running, node, spec)
        live.running.upgraded[node] = version
    finally:
        live.faults.heal(fault)
    live.await_started()
    live.wait_until(lambda: live.rings.amiss(live.live), PATIENCE.deadline(BACK_S))
