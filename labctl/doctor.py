"""What this machine and its engine can and cannot do, each with the way to mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labctl.blueprint import addresses
from labctl.engine.client import Engine
from labctl.errors import HostError, LabctlError
from labctl.faults.abilities import probe_script
from labctl.images import architecture, builder, recipes
from labctl.images.recipes import Images, at_once
from labctl.stack.model import Stack

OLDEST_API = (1, 41)
"""Docker 20.10."""

LEAST_DISK_GIB = 6
LEAST_MEMORY_GIB = 2


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at. `level` is ok, limited (something cannot be done) or broken."""

    what: str
    level: str
    detail: str
    fix: str = ""


def machine(stack: Stack) -> Iterator[Diagnosis]:
    """What matters for this stack and can be told without an engine."""
    yield Diagnosis("python", "ok", sys.version.split()[0])
    if stack.build:
        tool = shutil.which("mmdebstrap")
        fix = "" if tool else "apt-get install mmdebstrap, where no registry is in reach"
        yield Diagnosis("mmdebstrap", "ok" if tool else "limited", tool or "is not installed", fix)


def no_engine(refusal: HostError) -> Diagnosis:
    """What is said in place of the engine's own findings."""
    return Diagnosis("engine", "broken", refusal.message, refusal.hint)


def examine(engine: Engine, stack: Stack, images: Images) -> Iterator[Diagnosis]:
    """What matters for this stack and the engine tells, itself first."""
    info = engine.info()
    api = tuple(int(part) for part in info.api.split("."))
    yield Diagnosis(
        "engine",
        "ok" if api >= OLDEST_API else "broken",
        f"Docker {info.version}, API {info.api}, {info.storage}, {info.system}, kernel {info.kernel}",
        "" if api >= OLDEST_API else "Docker 20.10 or newer is needed",
    )
    memory = info.memory_bytes >> 30
    yield Diagnosis(
        "memory",
        "ok" if memory >= LEAST_MEMORY_GIB else "limited",
        f"{memory} GiB, {info.cpus} CPUs",
        "" if memory >= LEAST_MEMORY_GIB else "a node takes about 200 MB",
    )
    yield _addresses(engine)
    yield from _sources(engine, stack, there=bool(images.node_id))
    if images.node_id:
        yield Diagnosis("images", "ok", f"stack {stack.name}: {images.node}")
        yield from _kernel(engine.probe(images.node, probe_script()), stack)
    else:
        fix = "labctl build, then labctl doctor again: the kernel is asked from within a node's image"
        yield Diagnosis("images", "limited", f"stack {stack.name} is not built", fix)
        if stack.build and stack.build.needs_vsyscall:
            yield vsyscall(architecture.kernel_facts(engine), stack)


def _addresses(engine: Engine) -> Diagnosis:
    try:
        free = addresses.free_subnet("doctor", engine.subnets())
    except LookupError as error:
        return Diagnosis("addresses", "broken", str(error), "take unused Docker networks away")
    return Diagnosis("addresses", "ok", f"198.18.0.0/15 has room, such as {free}")


def _sources(engine: Engine, stack: Stack, *, there: bool) -> Iterator[Diagnosis]:
    system = at_once(stack)
    ways = builder.ways(engine, stack) if system else None
    if system and not ways:
        fix = "labctl build makes it, and asks"
        yield Diagnosis("packages", "limited", f"of {system.suite}: the container that asks is not there yet", fix)
    elif system and ways:
        level = "ok" if ways.checked else "limited" if there else "broken"
        fix = "" if ways.checked else "--mirror URL, or --image IMAGE (images/README.md)"
        yield Diagnosis("packages", level, f"of {system.suite} {ways.checked or ways.tried[-1]}", fix)
    for base in _bases(stack):
        try:
            engine.ask_registry(base)
        except LabctlError:
            level = "ok" if shutil.which("mmdebstrap") else "broken"
            yield Diagnosis("registry", level, f"does not give {base}; mmdebstrap is used instead")
        else:
            yield Diagnosis("registry", "ok", f"gives {base}")


def _bases(stack: Stack) -> list[str]:
    """The images of bare base systems that the stack's images may be made from."""
    if not stack.build:
        return []
    own, phone = stack.base or "", stack.build.phone
    node = own
    if stack.build.at_once:
        node = recipes.BUILDER_SYSTEM[1]
    bases = [] if stack.image else [node]
    bases += [] if stack.phone_image else [(phone.base or "") if phone.suite else own]
    return list(dict.fromkeys(bases))


def _kernel(text: str, stack: Stack) -> Iterator[Diagnosis]:
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    disk = int(facts.get("disk_kib") or 0) >> 20
    enough = disk >= LEAST_DISK_GIB
    yield Diagnosis(
        "disk", "ok" if enough else "limited", f"{disk} GiB free for images", "" if enough else "docker system prune"
    )
    meanings = {
        "iptables": ("partitions", "load the kernel module ip_tables or nf_tables on the host"),
        "statistic": ("loss without netem", "load the kernel module xt_statistic on the host"),
        "netem": ("delay, loss, duplication on links", "modprobe sch_netem on the host, if its kernel has it"),
        "tbf": ("rate limits on links", "modprobe sch_tbf on the host, if its kernel has it"),
    }
    for feature, (use, fix) in meanings.items():
        can = facts.get(feature) == "yes"
        detail = f"{'can' if can else 'cannot'} do {use}"
        yield Diagnosis(feature, "ok" if can else "limited", detail, "" if can else fix)
    yield vsyscall(facts, stack)


def vsyscall(facts: Mapping[str, str], stack: Stack) -> Diagnosis:
    """Whether the kernel runs 64-bit programs of before glibc 2.14, and what it means for a stack if not."""
    page = facts.get("vsyscall") or "none"
    if page != "none":
        return Diagnosis("vsyscall", "ok", f"{page}: 64-bit systems before glibc 2.14 run")
    detail = "none: 64-bit systems before glibc 2.14 crash"
    if stack.image:
        fix = "boot the host with vsyscall=xonly, if the image is that old; or an image of i386"
        return Diagnosis("vsyscall", "limited", detail, fix)
    if stack.build and stack.build.needs_vsyscall and facts.get("machine") == "x86_64":
        return Diagnosis("vsyscall", "ok", f"{detail}, so the nodes of {stack.name} are {architecture.I386}")
    return Diagnosis("vsyscall", "ok", f"{detail}; {stack.name} has none")
