"""What Corosync's tools print, as facts. Pure."""

from __future__ import annotations

import re

from labctl.facts import Ring


def parse_quorumtool(text: str) -> Ring:
    """`corosync-quorumtool -s`, Corosync 2 and 3."""
    quorate = re.search(r"^Quorate:\s+(\w+)", text, re.MULTILINE)
    ring_id = re.search(r"^Ring ID:\s+(\S+)", text, re.MULTILINE)
    _, _, membership = text.partition("Membership information")
    members = re.findall(r"^\s*(\d+)\s+\d+\s+\S", membership, re.MULTILINE)
    return Ring(
        quorate=bool(quorate and quorate[1] == "Yes"),
        members=tuple(sorted(int(member) for member in members)),
        ring_id=ring_id[1] if ring_id else "",
    )
