"""Who made a lab: which verb, in which process. It stands on the labels of the lab's network.

A verb that takes labs away by itself, such as `run`, takes none away but those that its own kind made.
"""

from __future__ import annotations

import hmac
import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from labctl.names import LABEL_OWNER, LABEL_PROCESS

OwnerKind = Literal["up", "run", "soak", "hunt", "compare", "bench", "test"]

USER_KIND: OwnerKind = "up"
"""The kind of labs that a user made to keep; all other kinds belong to a process that is to take them away."""


@dataclass(frozen=True)
class Process:
    """A process on some host. Process numbers are used again, so when it started is part of who it is.

    `start` is in clock ticks after boot (proc(5), /proc/PID/stat, field 22), `boot` the kernel's id of that boot,
    `namespace` the PID namespace, since a container has numbers of its own; all three are "" where there is no /proc.
    `machine` tells machines of one host name apart; "" where that is not known, as in what labctl wrote before there
    was such.
    """

    pid: int
    start: str
    host: str
    boot: str
    namespace: str
    machine: str = ""

    @classmethod
    def current(cls) -> Process:
        """This process."""
        return cls(os.getpid(), _start(os.getpid()) or "", *_place(), machine())

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """What `str` of a process gave; None for any other text."""
        with suppress(ValueError, TypeError):
            return cls(**json.loads(text))
        return None

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @property
    def alive(self) -> bool | None:
        """Whether it still runs; None where that cannot be known from here."""
        here = _place()
        if (self.host, self.boot, self.namespace) != here:
            of_this_machine = self.machine and (self.host, self.machine) == (here[0], machine())
            return False if of_this_machine and self.boot != here[1] else None
        start = _start(self.pid)
        return _exists(self.pid) if start is None else start == self.start


@dataclass(frozen=True)
class Owner:
    """The verb that makes a lab, and the process that does."""

    kind: OwnerKind
    process: Process

    @classmethod
    def current(cls, kind: OwnerKind) -> Owner:
        """This process, doing a verb."""
        return cls(kind, Process.current())

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """The labels of the lab's network that tell of it."""
        return ((LABEL_OWNER, self.kind), (LABEL_PROCESS, str(self.process)))


@cache
def _place() -> tuple[str, str, str]:
    """Host, boot and PID namespace of this process."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return platform.node(), boot, namespace


@cache
def machine() -> str:
    """This machine, as machine-id(5) has programs tell of it: by a hash of its id with what the program is."""
    with suppress(OSError):
        identity = Path("/etc/machine-id").read_bytes().strip()
        if re.fullmatch(rb"[0-9a-f]{32}", identity):
            return hmac.digest(identity, b"labctl", "sha256").hex()[:32]
    return ""


def _start(pid: int) -> str | None:
    """When a process started, in clock ticks after boot; "" if it has ended, None where /proc does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if state == "Z" else fields[18]


def _exists(pid: int) -> bool:
    """Whether there is a process of that number: also where /proc hides those of other users (proc(5), hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
