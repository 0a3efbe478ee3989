"""What nodes remember of the faults in force on them, and how these are undone by that alone. Pure.

A fault has a folder of its name in RECORDS on each node that a script of it runs on: `record.json`, and `undo`, the
shell script that undoes it there. So whoever heals needs to know no kind of fault. A restart of the container takes
away the fault and its record together. labctl 0.1 kept one JSON file a fault there, and no script.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

from labctl.faults.model import INTERFACE, Record
from labctl.faults.packet_filter import INCOMING, LOCK, OUTGOING, PREFIX, stop_dropping

RECORDS = "/dev/shm/labctl-faults"  # noqa: S108 - in a node, where it goes with the container's start

SHOW = f"cat {RECORDS}/* {RECORDS}/*/record.json 2> /dev/null"
"""Prints the records of the faults in force on a node, one a line."""


def parse_records(text: str) -> tuple[Record, ...]:
    """The records that SHOW prints; what is none, such as one that was cut off, is left out."""
    return tuple(record for line in text.splitlines() if (record := _parse_record(line)))


def _parse_record(line: str) -> Record | None:
    try:
        entry = json.loads(line)
        name, kind, what, nodes = (entry[key] for key in ("name", "kind", "what", "nodes"))
        holds = entry["holds"] if "holds" in entry else _holds_of_0_1(kind, nodes)
        return Record(name, kind, what, tuple(nodes), tuple(holds))
    except (ValueError, KeyError, TypeError):
        return None


def recorded(record: Record, script: str, undo: str) -> str:
    """The script with its record and its undo script, written first: what is half done is seen, and can be undone."""
    folder = f"{RECORDS}/{shlex.quote(record.name)}"
    return f"""set -e
mkdir -p {folder}
printf '%s\\n' {shlex.quote(undo)} > {folder}/undo
echo {shlex.quote(json.dumps(asdict(record)))} > {folder}/record.json
{script}"""


def undo_one(name: str, kind: str = "") -> str:
    """The script that undoes one fault on a node that remembers it, and forgets it; else it does nothing.

    `kind` is asked only for a fault of labctl 0.1. It fails, and the fault stays remembered, where that is not undone.
    """
    record = f"{RECORDS}/{shlex.quote(name)}"
    return f"""if [ -f {record}/undo ]; then
sh {record}/undo || exit 1
elif [ -f {record} ]; then
( {_undo_of_0_1(name, kind)}
) || exit 1
fi
rm -rf {record}"""


_SERVICES_UP = "for service in /etc/service/*; do [ -e $service/down ] || sv up $service > /dev/null; done"
"""What has a file `down` was not to run in the first place (runsv(8)), such as Corosync where states go by SIP."""

QDISC_GONE = f"""tc qdisc del dev {INTERFACE} root 2> /dev/null
! tc qdisc show dev {INTERFACE} | grep -e netem -e tbf"""

UNDO_EVERY = f"""failed=0
undo_recorded() {{
    for record in {RECORDS}/*/; do
        [ -f "$record/undo" ] || continue
        if text=$(sh "$record/undo" 2>&1); then rm -rf "$record"
        elif [ "${{1-}}" = last ]; then echo "$(basename "$record"): ${{text:-its undo script fails}}"; failed=1; fi
    done
}}
undo_recorded
{LOCK}
for hook in {INCOMING} {OUTGOING}; do
    for chain in $(iptables $w -S $hook | sed -n "s/^-A $hook -j \\({PREFIX}[^ ]*\\)$/\\1/p"); do
        iptables $w -D $hook -j $chain
    done
done
for chain in $(iptables $w -S | sed -n 's/^-N \\({PREFIX}[^ ]*\\)$/\\1/p'); do
    iptables $w -F $chain && iptables $w -X $chain
done
{QDISC_GONE} || failed=1
ip link set {INTERFACE} up || failed=1
{_SERVICES_UP}
! iptables $w -S | grep -e '{PREFIX}' || failed=1
[ $failed = 1 ] || for record in {RECORDS}/*; do [ ! -f "$record" ] || rm "$record"; done
undo_recorded last
exit $failed
"""
"""Undoes every fault on a node that runs: by its own script, then by a sweep for what nobody remembers, then, where its
script had failed, by that again. Prints what could not be undone, which stays remembered, and fails then."""


def _undo_of_0_1(name: str, kind: str) -> str:
    """The script that undoes a fault that labctl 0.1 made."""
    scripts = {
        "iface_down": f"ip link set {INTERFACE} up",
        "impair": f"{stop_dropping(name)} && {{ {QDISC_GONE}; }}",
        "stop": _SERVICES_UP,
    }
    return scripts.get(kind) or stop_dropping(name)


def _holds_of_0_1(kind: str, nodes: list[str]) -> tuple[str, ...]:
    """What a fault that labctl 0.1 recorded holds."""
    things = {"impair": "the link", "iface_down": "the interface"}
    return tuple(f"{things[kind]} of {node}" for node in nodes if kind in things)
