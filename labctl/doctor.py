"""What this machine and its engine can and cannot do, each with the way to mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from labctl.blueprint import addresses
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError
from labctl.images import mirror
from labctl.images.recipes import Images, at_once
from labctl.stack.model import Stack

OLDEST_API = (1, 41)
"""Docker 20.10."""

LEAST_DISK_GIB = 6
LEAST_MEMORY_GIB = 2

PROBE = """
echo disk_kib=$(df -Pk / | awk 'NR == 2 { print $4 }')
echo vsyscall=$(awk '/vsyscall/ { print $2 }' /proc/self/maps)
can() { "$@" >/dev/null 2>&1 && echo yes || echo no; }
echo iptables=$(can iptables -A INPUT -p udp --dport 5405 -j DROP)
echo statistic=$(can iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP)
echo netem=$(can tc qdisc add dev lo root netem delay 1ms)
echo tbf=$(can tc qdisc replace dev lo root tbf rate 1mbit burst 10kb latency 50ms)
"""
"""Run in a node's image with NET_ADMIN and no network but loopback: nothing of the host is touched."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `level` is ok, limited (something cannot be done) or broken."""

    what: str
    level: str
    detail: str
    fix: str = ""


def machine(stack: Stack) -> Iterator[Finding]:
    """What matters for this stack and can be told without an engine."""
    yield Finding("python", "ok", sys.version.split()[0])
    if stack.build:
        tool = shutil.which("mmdebstrap")
        fix = "" if tool else "apt-get install mmdebstrap, where no registry is in reach"
        yield Finding("mmdebstrap", "ok" if tool else "limited", tool or "is not installed", fix)


def no_engine(refusal: HostError) -> Finding:
    """What is said in place of the engine's own findings."""
    return Finding("engine", "broken", refusal.message, refusal.hint)


def examine(engine: Engine, stack: Stack, images: Images) -> Iterator[Finding]:
    """What matters for this stack and the engine tells, itself first."""
    info = engine.info()
    api = tuple(int(part) for part in info.api.split("."))
    yield Finding(
        "engine",
        "ok" if api >= OLDEST_API else "broken",
        f"Docker {info.version}, API {info.api}, {info.storage}, {info.system}, kernel {info.kernel}",
        "" if api >= OLDEST_API else "Docker 20.10 or newer is needed",
    )
    memory = info.memory_bytes >> 30
    yield Finding(
        "memory",
        "ok" if memory >= LEAST_MEMORY_GIB else "limited",
        f"{memory} GiB, {info.cpus} CPUs",
        "" if memory >= LEAST_MEMORY_GIB else "a node takes about 200 MB",
    )
    yield _addresses(engine)
    yield from _sources(engine, stack, there=bool(images.node_id))
    if images.node_id:
        yield Finding("images", "ok", f"stack {stack.name}: {images.node}")
        yield from _kernel(engine.probe(images.node, PROBE))
    else:
        fix = "labctl build, then labctl doctor again: the kernel is asked from within a node's image"
        yield Finding("images", "limited", f"stack {stack.name} is not built", fix)


def _addresses(engine: Engine) -> Finding:
    try:
        free = addresses.free_subnet("doctor", engine.subnets())
    except LookupError as error:
        return Finding("addresses", "broken", str(error), "take unused Docker networks away")
    return Finding("addresses", "ok", f"198.18.0.0/15 has room, such as {free}")


def _sources(engine: Engine, stack: Stack, *, there: bool) -> Iterator[Finding]:
    system = at_once(stack)
    if system:
        way, tried = mirror.find(system, "", insecure=False, take_image=engine.ask_registry)
        level = "ok" if way else "limited" if there else "broken"
        fix = "" if way else "--mirror URL, or --image IMAGE (images/README.md)"
        yield Finding("packages", level, f"of {system.suite} {way or tried[-1]}", fix)
    for base in _bases(stack):
        try:
            engine.ask_registry(base)
        except LabctlError:
            level = "ok" if shutil.which("mmdebstrap") else "broken"
            yield Finding("registry", level, f"does not give {base}; mmdebstrap is used instead")
        else:
            yield Finding("registry", "ok", f"gives {base}")


def _bases(stack: Stack) -> list[str]:
    """The images of bare base systems that the stack's images may be made from."""
    if not stack.build:
        return []
    own, phone = stack.base or "", stack.build.phone
    found = [] if stack.image or stack.build.at_once else [own]
    found += [] if stack.phone_image else [(phone.base or "") if phone.suite else own]
    return list(dict.fromkeys(found))


def _kernel(text: str) -> Iterator[Finding]:
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    disk = int(said.get("disk_kib") or 0) >> 20
    enough = disk >= LEAST_DISK_GIB
    yield Finding(
        "disk", "ok" if enough else "limited", f"{disk} GiB free for images", "" if enough else "docker system prune"
    )
    meanings = {
        "iptables": ("partitions", "load the kernel module ip_tables or nf_tables on the host"),
        "statistic": ("loss without netem", "load the kernel module xt_statistic on the host"),
        "netem": ("delay, loss, duplication on links", "modprobe sch_netem on the host, if its kernel has it"),
        "tbf": ("rate limits on links", "modprobe sch_tbf on the host, if its kernel has it"),
    }
    for feature, (use, fix) in meanings.items():
        can = said.get(feature) == "yes"
        yield Finding(feature, "ok" if can else "limited", f"{'can' if can else 'cannot'} do {use}", "" if can else fix)
    vsyscall = said.get("vsyscall") or "none"
    detail = f"{vsyscall}: 64-bit systems before glibc 2.14 {'crash' if vsyscall == 'none' else 'run'}"
    fix = "boot the host with vsyscall=xonly for the oldest stacks" if vsyscall == "none" else ""
    yield Finding("vsyscall", "limited" if vsyscall == "none" else "ok", detail, fix)
