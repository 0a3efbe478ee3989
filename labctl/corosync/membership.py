"""What Corosync's tools and its log tell of a ring, as facts. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

ASTERISK_GROUP = "asterisk"
"""The group of Corosync's that res_corosync joins (res/res_corosync.c, load_module)."""


@dataclass(frozen=True)
class Membership:
    """Corosync's membership as one node sees it; `members` are node ids."""

    quorate: bool = False
    members: tuple[int, ...] = ()
    ring_id: str = field(default="", compare=False)


def address_id(address: str) -> int:
    """The node id that Corosync 1.x makes of an address: its four bytes, the first of them the lowest."""
    return int.from_bytes(ipaddress.IPv4Address(address).packed, "little")


def parse_ring(text: str, numbers: Mapping[int, int]) -> Membership:
    """Who is in a node's ring, by whatever prints it: `corosync-quorumtool -s` (2 and 3), `corosync-objctl` (from 1.3
    on), a log, or `corosync-cfgtool -s`, which (1.x) knows of the node alone.

    `numbers`: what Corosync calls a node -> its number in the lab; an id that has none stays as it is.
    """
    parsers = (_parse_quorumtool, _parse_objctl, _parse_cfgtool)
    ring = next((ring for ring in (parse(text) for parse in parsers) if ring.members), None)
    if ring is None:
        log = RingLog(numbers)
        for line in text.splitlines():
            log.feed(line)
        return log.ring
    return replace(ring, members=_numbered(ring.members, numbers))


def parse_group(text: str) -> tuple[int, ...] | None:
    """The node ids of Asterisk's group in order, by `corosync-cpgtool`: none of no such group, None of no table."""
    if not re.search(r"^Group Name\s+PID\s+Node ID", text, re.MULTILINE):
        return None
    group = re.search(rf"^{ASTERISK_GROUP}\n((?:[ \t]+\d+[ \t]+\d+ .*(?:\n|\Z))*)", text, re.MULTILINE)
    return tuple(sorted(int(line.split()[1]) for line in group[1].splitlines())) if group else ()


class RingLog:
    """The membership as Corosync's log tells it, line by line, in either dialect. `ring` may be set to what was seen
    otherwise; ids that `numbers` does not have stay as they are."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self.ring = Membership()
        self._numbers = numbers
        self._listing: list[int] | None = None
        self._listed: list[int] | None = None
        self._begun: list[int] = []

    def feed(self, line: str) -> Membership:
        """The membership after a line; the very same where the line tells of none."""
        self.ring = self._after_1(line) or self._after_3(line) or self.ring
        return self.ring

    def _after_3(self, line: str) -> Membership | None:
        """Corosync 2 and 3: the quorum service tells of it."""
        if "[QUORUM] This node is within the" in line:
            return replace(self.ring, quorate="the primary component" in line)
        if formed := re.search(r"\[TOTEM \] A new membership \((\S+)\) was formed", line):
            return replace(self.ring, ring_id=formed[1])
        if members := re.search(r"\[QUORUM\] Members\[(\d+)\]:((?: \d+)*)(\\?)", line):
            return self._listed_3(int(members[1]), [*map(int, members[2].split())], more=bool(members[3]))
        return None

    def _listed_3(self, count: int, ids: list[int], *, more: bool) -> Membership | None:
        """The list of the members, of which a line has some twenty; one that goes on in the next ends with `\\`
        (exec/vsf_quorum.c, log_view_list). None while there is more to come, or where its beginning was not read."""
        self._begun += ids
        if more:
            return None
        listed, self._begun = self._begun[max(0, len(self._begun) - count) :], []  # before it, half a list was read
        return replace(self.ring, members=_numbered(listed, self._numbers)) if len(listed) == count else None

    def _after_1(self, line: str) -> Membership | None:
        """Corosync 1.x: OpenAIS's membership service lists each configuration, first the one on the way to the new,
        then that; when Totem has formed it, what was listed last is the ring."""
        if "[TOTEM ] A processor joined or left the membership and a new membership was formed" in line:
            return None if self._listed is None else _unasked(_numbered(self._listed, self._numbers))
        clm_line = re.search(r"\[CLM +\] \s*(.*?)\s*$", line)
        if not clm_line:
            return None
        if clm_line[1] == "New Configuration:":
            self._listing = []
        elif self._listing is not None and clm_line[1] == "Members Left:":
            self._listed, self._listing = self._listing, None
        elif self._listing is not None and (member := re.match(r"r\(0\) ip\(([0-9.]+)\)", clm_line[1])):
            self._listing.append(address_id(member[1]))
        return None


def _parse_quorumtool(text: str) -> Membership:
    quorate = re.search(r"^Quorate:\s+(\w+)", text, re.MULTILINE)
    ring_id = re.search(r"^Ring ID:\s+(\S+)", text, re.MULTILINE)
    _, _, membership = text.partition("Membership information")
    members = re.findall(r"^\s*(\d+)\s+\d+\s+\S", membership, re.MULTILINE)
    return Membership(bool(quorate and quorate[1] == "Yes"), tuple(map(int, members)), ring_id[1] if ring_id else "")


def _parse_objctl(text: str) -> Membership:
    """It prints an id as a number with a sign. That of 1.2.1 does not list the members at all."""
    members = re.findall(r"^runtime\.totem\.pg\.mrp\.srp\.members\.(-?\d+)\.status=joined", text, re.MULTILINE)
    return _unasked(int(member) & 0xFFFFFFFF for member in members)


def _parse_cfgtool(text: str) -> Membership:
    return _unasked(map(int, re.findall(r"^Local node ID (\d+)", text, re.MULTILINE)))


def _unasked(members: Iterable[int]) -> Membership:
    """A ring of Corosync 1.x. It counts as quorate whoever is in it: the lab configures no quorum there, and OpenAIS's
    services ask for none, so every part of a ring goes on."""
    known = tuple(members)
    return Membership(bool(known), known)


def _numbered(ids: Iterable[int], numbers: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(sorted(numbers.get(member, member) for member in ids))
