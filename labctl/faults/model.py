"""Faults: what is to go wrong -> what to run on which node, and how to undo it. Pure.

A partition is a packet filter, never an interface that is taken away: that is a fault of its own, under which Corosync
does something else. What a node receives is dropped where it comes in, so that no sender gets an error of its own.
Each fault has an iptables chain of its own name, and a record beside it on the nodes that it touches; both lie where a
restart of the container takes them away together.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from labctl.errors import HostError, UsageError

PREFIX = "labctl-"
RECORDS = "/dev/shm/labctl-faults"  # noqa: S108 - in a node, where it goes with the container's start
INTERFACE = "eth0"
SERVICES = ("corosync", "asterisk")
NODE = "node"
EVERY = "all"
TOTEM, SIP, DUNDI = "totem", "sip", "dundi"

TRAFFIC = {"all": "", "totem": "-p udp --dport 5404:5915", "sip": "-p udp --dport 5060", "dundi": "-p udp --dport 4520"}
"""What a filter may be held to: corosync.conf(5), mcastport, and the port before it, for any lab
(blueprint.multicast); RFC 3261, 19.1.2; dundi.conf."""

Pair = tuple[str, str]
"""Sender and receiver."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, by a name of its own.

    `scripts` and `undo`: node -> shell commands. `container` is what is done to the containers of `nodes`: kill, stop
    or pause. `blocked` are the pairs between which `traffic` does not cross. `absent` are nodes whose Corosync is in no
    ring. `passes` is true where a supervisor undoes it at once. `daemon` is the one that it is of, where it is of one.
    """

    name: str
    kind: str
    what: str
    nodes: tuple[str, ...]
    scripts: Mapping[str, str] = field(default_factory=dict)
    undo: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    blocked: frozenset[Pair] = frozenset()
    traffic: str = EVERY
    absent: tuple[str, ...] = ()
    passes: bool = False
    daemon: str = ""

    def blocks(self, traffic: str) -> frozenset[Pair]:
        """The pairs between which that kind of traffic does not cross."""
        return self.blocked if self.traffic in (EVERY, traffic) else frozenset()


@dataclass(frozen=True)
class Record:
    """A fault in force, as a node that it touches remembers it."""

    name: str
    kind: str
    what: str
    nodes: tuple[str, ...]


# The faults


def partition(name: str, groups: Sequence[Sequence[str]], traffic: str, addresses: Mapping[str, str]) -> Fault:
    """Only nodes that share a group hear each other; a node in two groups is a bridge. Raises UsageError."""
    nodes = sorted({node for group in groups for node in group})
    _known(nodes, addresses)
    together = {pair for group in groups for pair in permutations(group, 2)}
    pairs = [pair for pair in permutations(addresses, 2) if pair not in together]
    if not pairs:
        raise UsageError("this partition cuts nothing: some group holds every node", "partition n1,n2 n3")
    shown = " | ".join(",".join(group) for group in groups)
    return _filter(name, "partition", f"partition {shown}{_only(traffic)}", pairs, traffic, addresses)


def cut(name: str, sender: str, receiver: str, traffic: str, addresses: Mapping[str, str]) -> Fault:
    """What the sender sends does not reach the receiver; the way back is open. Raises UsageError."""
    _known([sender, receiver], addresses)
    if sender == receiver:
        raise UsageError(f"{sender} cannot be cut from itself", "name two nodes")
    what = f"cut {sender} -> {receiver}{_only(traffic)}"
    return _filter(name, "cut", what, [(sender, receiver)], traffic, addresses)


def interface_down(name: str, node: str, addresses: Mapping[str, str]) -> Fault:
    """The node's interface is taken down: other than a partition, its own kernel knows."""
    _known([node], addresses)
    others = [other for other in addresses if other != node]
    return _recorded(
        Fault(
            name,
            "iface_down",
            f"{INTERFACE} of {node} down",
            (node,),
            {node: f"ip link set {INTERFACE} down"},
            {node: f"ip link set {INTERFACE} up"},
            blocked=frozenset((*((node, other) for other in others), *((other, node) for other in others))),
        )
    )


def container(name: str, kind: str, node: str, addresses: Mapping[str, str]) -> Fault:
    """Kill, stop or pause a whole node."""
    _known([node], addresses)
    return Fault(name, kind, f"{kind} {node}", (node,), container=kind, absent=(node,))


def service(name: str, kind: str, node: str, daemon: str, addresses: Mapping[str, str], rings: bool = True) -> Fault:
    """Kill or restart one daemon of a node, which its supervisor brings back, or stop it until this is undone.

    `rings`: whether the lab's nodes run Corosync. Raises UsageError.
    """
    _known([node], addresses)
    if daemon == "corosync" and not rings:
        raise UsageError("no node of this lab runs Corosync", "`share.via: corosync` has it")
    folder = f"/etc/service/{daemon}"
    orders = {
        "kill": f"sv kill {folder}",
        "stop": f"sv -w 10 force-stop {folder}",
        "restart": restart_script(daemon),
    }
    fault = Fault(
        name,
        kind,
        f"{kind} {daemon} on {node}",
        (node,),
        {node: f"{orders[kind]} > /dev/null"},
        {node: f"sv up {folder}"},
        absent=(node,) if kind == "stop" and daemon == "corosync" else (),
        passes=kind != "stop",
        daemon=daemon,
    )
    return fault if fault.passes else _recorded(fault)


def restart_script(daemon: str) -> str:
    """Ends one daemon of a node in an orderly way, and starts it again."""
    return f"sv -w 10 restart /etc/service/{daemon}"


@dataclass(frozen=True)
class Impairment:
    """What is wrong with a node's link: loss and duplicates in percent, times in ms, rate in kbit/s."""

    loss: float = 0
    delay_ms: float = 0
    jitter_ms: float = 0
    duplicate: float = 0
    rate_kbit: int = 0

    def __str__(self) -> str:
        parts = [
            f"loss {self.loss:g} %" if self.loss else "",
            f"delay {self.delay_ms:g} ms" if self.delay_ms else "",
            f"jitter {self.jitter_ms:g} ms" if self.jitter_ms else "",
            f"duplicates {self.duplicate:g} %" if self.duplicate else "",
            f"rate {self.rate_kbit} kbit/s" if self.rate_kbit else "",
        ]
        return ", ".join(part for part in parts if part)


def impair(
    name: str,
    node: str,
    impairment: Impairment,
    traffic: str,
    abilities: Collection[str],
    addresses: Mapping[str, str],
) -> Fault:
    """A bad link, by the best that the kernel has: netem for what the node sends; without it, loss of what it
    receives by iptables, and a rate by a token bucket. Raises HostError for what cannot be done, UsageError."""
    _known([node], addresses)
    if not str(impairment):
        raise UsageError("no impairment is named", "one of loss, delay, duplicate and rate")
    if traffic != EVERY and (impairment.delay_ms or impairment.duplicate or impairment.rate_kbit):
        raise UsageError("only loss can be held to one kind of traffic", "leave `traffic` out")
    if "netem" in abilities and traffic == EVERY:
        way, scripts = "netem, of what it sends", [_netem(impairment)]
    else:
        way, scripts = _without_netem(name, node, impairment, traffic, abilities)
    what = f"{node}: {impairment}{_only(traffic)} ({way})"
    undo = f"{_remove_chain(name)}; tc qdisc del dev {INTERFACE} root 2> /dev/null || :"
    return _recorded(Fault(name, "impair", what, (node,), {node: "\n".join(scripts)}, {node: undo}))


def _netem(impairment: Impairment) -> str:
    jitter = f" {impairment.jitter_ms:g}ms" if impairment.jitter_ms else ""
    parts = [
        f"loss {impairment.loss:g}%" if impairment.loss else "",
        f"delay {impairment.delay_ms:g}ms{jitter}" if impairment.delay_ms else "",
        f"duplicate {impairment.duplicate:g}%" if impairment.duplicate else "",
        f"rate {impairment.rate_kbit}kbit" if impairment.rate_kbit else "",
    ]
    return f"tc qdisc replace dev {INTERFACE} root netem {' '.join(part for part in parts if part)}"


def _without_netem(
    name: str, node: str, impairment: Impairment, traffic: str, abilities: Collection[str]
) -> tuple[str, list[str]]:
    lacking = [word for word, value in (("delay", impairment.delay_ms), ("duplicates", impairment.duplicate)) if value]
    if lacking:
        raise HostError(
            f"this kernel has no netem, so {node} cannot have {' or '.join(lacking)}",
            "modprobe sch_netem on the host, if its kernel has it; loss and rate work without",
        )
    ways, scripts = [], []
    if impairment.loss:
        _needs("statistic", abilities, "loss")
        rule = f"{TRAFFIC[traffic]} -m statistic --mode random --probability {impairment.loss / 100:.4f}".strip()
        scripts.append(_add_chain(name, [rule]))
        ways.append("loss by iptables, of what it receives")
    if impairment.rate_kbit:
        _needs("tbf", abilities, "a rate limit")
        scripts.append(
            f"tc qdisc replace dev {INTERFACE} root tbf rate {impairment.rate_kbit}kbit burst 16kb latency 200ms"
        )
        ways.append("rate by tbf, of what it sends")
    return "; ".join(ways), scripts


def _needs(ability: str, abilities: Collection[str], what: str) -> None:
    if ability not in abilities:
        raise HostError(
            f"this kernel has no `{ability}`, so {what} cannot be had", "labctl doctor tells how to mend it"
        )


PROBE = """
can() { "$@" > /dev/null 2>&1 && echo yes || echo no; }
echo iptables=$(can iptables -A INPUT -p udp --dport 5405 -j DROP)
echo statistic=$(can iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP)
echo netem=$(can tc qdisc add dev lo root netem delay 1ms)
echo tbf=$(can tc qdisc replace dev lo root tbf rate 1mbit burst 10kb latency 50ms)
"""
"""Run in a container of a node's image, with NET_ADMIN and only loopback: nothing of the host is touched."""


def parse_abilities(text: str) -> frozenset[str]:
    """What this kernel can do, by what PROBE prints."""
    pairs = (line.partition("=") for line in text.splitlines())
    return frozenset(name for name, _, can in pairs if can == "yes")


# What faults come to


def rings(nodes: Collection[str], faults: Collection[Fault], traffic: str = TOTEM) -> dict[str, tuple[str, ...]] | None:
    """Who should be in each node's ring under these faults; nodes without a Corosync have none. Where the state goes by
    other `traffic`, who hears whom by that.

    None where it cannot be told: nodes of which some hear each other and others do not, or only one way.
    """
    absent = {node for fault in faults for node in fault.absent}
    blocked = {pair for fault in faults for pair in fault.blocks(traffic)}
    live = [node for node in nodes if node not in absent]
    heard = {node: {other for other in live if {(node, other), (other, node)}.isdisjoint(blocked)} for node in live}
    one_way = any((receiver, sender) not in blocked for sender, receiver in blocked if {sender, receiver} <= set(live))
    if one_way or any(heard[other] != heard[node] for node in live for other in heard[node]):
        return None
    return {node: tuple(sorted(heard[node])) if node in live else () for node in nodes}


_LOCK = """iptables -w -S > /dev/null 2>&1 && w=-w || w=
iptables-restore --help 2>&1 | grep -q -e --wait && r=-w || r="""
"""Only from iptables 1.4.20 on is there a lock to wait for, and iptables-restore knows of it from 1.6.2 on."""

HEAL_ALL = f"""{_LOCK}
for chain in $(iptables $w -S INPUT | sed -n 's/^-A INPUT -j \\({PREFIX}[^ ]*\\)$/\\1/p'); do
    iptables $w -D INPUT -j $chain
done
for chain in $(iptables $w -S | sed -n 's/^-N \\({PREFIX}[^ ]*\\)$/\\1/p'); do
    iptables $w -F $chain && iptables $w -X $chain
done
tc qdisc del dev {INTERFACE} root 2> /dev/null
ip link set {INTERFACE} up
for service in /etc/service/*; do sv up $service; done > /dev/null
rm -rf {RECORDS}
! iptables $w -S | grep -e '{PREFIX}'
"""
"""Undoes every fault on a node that runs, whether or not anyone remembers it; says what it could not undo."""

SHOW = f"cat {RECORDS}/* 2> /dev/null"
"""Prints the records of the faults in force on a node."""


def parse_records(text: str) -> tuple[Record, ...]:
    """The records that SHOW prints."""
    data = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return tuple(Record(each["name"], each["kind"], each["what"], tuple(each["nodes"])) for each in data)


def heal_script(name: str, kind: str) -> str:
    """Undoes one fault on a node, known by its record alone."""
    undo = {
        "iface_down": f"ip link set {INTERFACE} up",
        "impair": f"{_remove_chain(name)}; tc qdisc del dev {INTERFACE} root 2> /dev/null || :",
        "stop": "for service in /etc/service/*; do sv up $service; done > /dev/null",
    }
    return f"{undo.get(kind, _remove_chain(name))}\nrm -f {RECORDS}/{name}"


# How


def _filter(
    name: str, kind: str, what: str, pairs: Sequence[Pair], traffic: str, addresses: Mapping[str, str]
) -> Fault:
    scripts = {}
    for receiver in dict.fromkeys(receiver for _, receiver in pairs):
        senders = [addresses[sender] for sender, each in pairs if each == receiver]
        scripts[receiver] = _add_chain(name, [f"-s {sender} {TRAFFIC[traffic]}".strip() for sender in senders])
    touched = tuple(node for node in addresses if any(node in pair for pair in pairs))
    return _recorded(
        Fault(
            name,
            kind,
            what,
            touched,
            scripts,
            {node: _remove_chain(name) for node in scripts},
            blocked=frozenset(pairs),
            traffic=traffic,
        )
    )


def _chain(name: str) -> str:
    """The fault's chain: iptables has 28 characters for it."""
    return PREFIX + (name if len(name) <= 20 else hashlib.sha256(name.encode()).hexdigest()[:20])


def _add_chain(name: str, rules: Sequence[str]) -> str:
    """All rules in one transaction: there is no moment at which some hold."""
    chain = _chain(name)
    lines = ["*filter", f":{chain} - [0:0]", *(f"-A {chain} {rule} -j DROP" for rule in rules)]
    return "\n".join([_LOCK, "iptables-restore $r --noflush <<'END'", *lines, f"-I INPUT -j {chain}", "COMMIT", "END"])


def _remove_chain(name: str) -> str:
    chain = _chain(name)
    removed = f"iptables $w -D INPUT -j {chain}; iptables $w -F {chain}; iptables $w -X {chain}"
    return f"{{ {_LOCK}\n{removed}; }} 2> /dev/null || :"


def _recorded(fault: Fault) -> Fault:
    """The fault with a record on each node that a script of it runs on, written first: what is half done is seen."""
    record = json.dumps({"name": fault.name, "kind": fault.kind, "what": fault.what, "nodes": fault.nodes})
    write = f"mkdir -p {RECORDS}\necho {shlex.quote(record)} > {RECORDS}/{fault.name}"
    scripts = {node: f"set -e\n{write}\n{script}" for node, script in fault.scripts.items()}
    undo = {node: f"{script}\nrm -f {RECORDS}/{fault.name}" for node, script in fault.undo.items()}
    return Fault(**(vars(fault) | {"scripts": scripts, "undo": undo}))


def _only(traffic: str) -> str:
    return "" if traffic == EVERY else f", {traffic} only"


def _known(nodes: Sequence[str], addresses: Mapping[str, str]) -> None:
    for node in nodes:
        if node not in addresses:
            raise UsageError(f"no node `{node}` in this lab", f"its nodes: {', '.join(addresses)}")
