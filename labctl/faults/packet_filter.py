"""Packet filters of a node as shell scripts: a fault has an iptables chain of its own, by the fault's name. Pure.

What a node receives is dropped where it comes in (hook INPUT), so that no sender gets an error of its own; what is
dropped on its way out (hook OUTPUT), as to a service, does get one: sendto(2) fails with EPERM.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence

from labctl.faults.model import DUNDI, EVERY, SIP, TOTEM

PREFIX = "labctl-"
"""Of every chain that is ours."""

INCOMING, OUTGOING = "INPUT", "OUTPUT"

TRAFFIC = {EVERY: "", TOTEM: "-p udp --dport 5404:5915", SIP: "-p udp --dport 5060", DUNDI: "-p udp --dport 4520"}
"""What a filter may be held to: corosync.conf(5), mcastport, and the port before it, for any lab
(blueprint.addresses.multicast); RFC 3261, 19.1.2; dundi.conf."""

LOCK = """iptables -w -S > /dev/null 2>&1 && w=-w || w=
iptables-restore --help 2>&1 | grep -q -e --wait && r=-w || r="""
"""Only from iptables 1.4.20 on is there a lock to wait for, and iptables-restore knows of it from 1.6.2 on."""

_NAME_LENGTH = 20
"""A chain's name has 28 characters at most (XT_EXTENSION_MAXNAMELEN, linux/netfilter/x_tables.h); PREFIX takes 7."""


def drop(name: str, rules: Sequence[str], *hooks: str) -> str:
    """The script that drops what matches one of the rules (iptables(8), such as `-s ADDRESS -p udp --dport 5060`), by
    default of what comes in.

    All rules go in by one transaction: there is no moment at which some hold.
    """
    chain = chain_of(name)
    lines = ["*filter", f":{chain} - [0:0]", *(f"-A {chain} {rule} -j DROP" for rule in rules)]
    lines += [f"-I {hook} -j {chain}" for hook in hooks or (INCOMING,)]
    return "\n".join([LOCK, "iptables-restore $r --noflush <<'END'", *lines, "COMMIT", "END"])


def stop_dropping(name: str) -> str:
    """The script that takes the chain of a fault away, if it is there; it fails where the chain stays."""
    chain, line = shlex.quote(chain_of(name)), shlex.quote(f"-N {chain_of(name)}")
    return f"""{LOCK}
for hook in {INCOMING} {OUTGOING}; do iptables $w -D $hook -j {chain}; done 2> /dev/null
{{ iptables $w -F {chain}; iptables $w -X {chain}; }} 2> /dev/null
rules=$(iptables $w -S) || exit 1
! echo "$rules" | grep -Fx -e {line}"""


def chain_of(name: str) -> str:
    """The name of the chain of a fault."""
    return PREFIX + (name if len(name) <= _NAME_LENGTH else hashlib.sha256(name.encode()).hexdigest()[:_NAME_LENGTH])
