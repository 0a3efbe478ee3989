"""What Corosync's tools print, as facts. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

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


def follow_log(ring: Ring, line: str) -> Ring:
    """The membership after a line of Corosync's log (2 and 3); the same where the line tells of none."""
    if "[QUORUM] This node is within the" in line:
        return replace(ring, quorate="the primary component" in line)
    formed = re.search(r"\[TOTEM \] A new membership \((\S+)\) was formed", line)
    if formed:
        return replace(ring, ring_id=formed[1])
    members = re.search(r"\[QUORUM\] Members\[\d+\]:((?: \d+)*)", line)
    return replace(ring, members=tuple(sorted(int(each) for each in members[1].split()))) if members else ring
