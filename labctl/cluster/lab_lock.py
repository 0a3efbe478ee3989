"""One labctl at a time works on a lab: a lock on this host, and one on the engine for other hosts and users."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from labctl.blueprint.owner import Process
from labctl.engine.client import Engine
from labctl.errors import HostError
from labctl.lock import locked
from labctl.progress import Progress, step
from labctl.timing import Deadline

PATIENCE_S = 600.0
"""How long to wait for a holder of which nobody here can say whether it still runs."""

_ASK_AGAIN_S = 5
"""How often to look whether the holder still runs; when it gives the lock up, the engine tells of it at once."""


@contextmanager
def lab_lock(engine: Engine, lab: str, progress: Progress) -> Iterator[None]:
    """Hold a lab while the block runs; says so when it has to wait. Raises HostError after PATIENCE_S seconds."""
    with ExitStack() as waiting:

        def on_wait() -> None:
            waiting.enter_context(step(progress, f"wait for another labctl that is at work on {lab}"))

        with locked(f"lab-{lab}", on_wait):
            waiting.close()
            _take(engine, lab, progress)
            try:
                yield
            finally:
                engine.locks.release(lab)


def _take(engine: Engine, lab: str, progress: Progress) -> None:
    """Take the engine's lock. One that a dead process of this host left, or an earlier thread of this one, is free."""
    own = str(Process.current())
    holder = engine.locks.take(lab, own)
    if holder == own:
        return
    deadline = Deadline(PATIENCE_S)
    with step(progress, f"wait for another labctl that is at work on {lab}, {_shown(holder)}"):
        while (holder := engine.locks.take(lab, own)) != own:
            process = Process.parse(holder)
            alive = process.alive if process else None
            if alive is False:
                engine.locks.release(lab)
            elif alive is None and deadline.passed:
                raise HostError(
                    f"the lab {lab} is held by {_shown(holder)}, which cannot be seen from {platform.node()}",
                    f"if that process is gone: docker volume rm labctl-lock-{lab}",
                )
            else:
                engine.locks.await_release(lab, _ASK_AGAIN_S)


def _shown(holder: str) -> str:
    process = Process.parse(holder)
    if process is None:
        return "one of an unknown kind"
    of_same_name = process.host == platform.node() and process.alive is None
    return f"process {process.pid} on {'another machine or container called ' * of_same_name}{process.host}"
