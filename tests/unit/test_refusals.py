"""What was lost as a ring formed anew by itself, told from what a fault lost."""

from __future__ import annotations

import pytest

from labctl.corosync.refusals import refused_with_none_lost
from labctl.stack.loader import find_stack

REFUSED = "res/res_corosync.c:560 publish_event_to_corosync: CPG mcast failed (6) for event"
START = """\
Nov 29 12:50:08.574 notice  [TOTEM ] A new membership (1.9) was formed. Members joined: 1 3
Nov 29 12:50:08.582 notice  [QUORUM] Members[3]: 1 2 3
"""
ANEW = """\
Nov 29 12:50:12.370 notice  [TOTEM ] Token has not been received in 2042 ms
Nov 29 12:50:12.378 notice  [QUORUM] Sync members[3]: 1 2 3
Nov 29 12:50:12.378 notice  [TOTEM ] A new membership (1.d) was formed. Members
"""
LEFT = "Nov 29 12:51:12.378 notice  [TOTEM ] A new membership (1.11) was formed. Members left: 3\n"
BACK = "Nov 29 12:52:12.378 notice  [TOTEM ] A new membership (1.15) was formed. Members joined: 3\n"
STATE = f"[2026-11-29 12:50:12.388] WARNING[108]: {REFUSED} DeviceState (5)\n"
CHANGE = f"[2026-11-29 12:50:12.403] WARNING[108]: {REFUSED} DeviceStateChange (6)\n"
LAMP = f"[2026-11-29 12:50:12.403] WARNING[108]: {REFUSED} MWI (2)\n"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (START + ANEW + STATE + CHANGE, CHANGE),
        (START + ANEW + STATE + LAMP, STATE),
        (START + LEFT + BACK + ANEW + CHANGE, CHANGE),
        (START, ""),
        (START + STATE, ""),
        (START + ANEW, ""),
        (START + LEFT + BACK + CHANGE, ""),
        (START + LEFT + BACK + CHANGE + ANEW, ""),
        (START + ANEW + CHANGE + LEFT, ""),
        (START + ANEW + CHANGE + LEFT + BACK, ""),
        (START + ANEW + LAMP, ""),
    ],
)
def test_what_was_lost_counts_where_the_ring_lost_nobody(log: str, line: str) -> None:
    assert refused_with_none_lost(log, find_stack("22").refused_lines) == line.rstrip("\n")
