"""Of which architecture a node is: that of the engine's machine, but for old programs that its kernel does not run."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

from labctl.engine.client import Engine
from labctl.images.recipes import BUILDER_SYSTEM, REPOSITORY
from labctl.stack.model import Stack

I386 = "i386"
VSYSCALL = "[vsyscall]"
"""What every 64-bit process has where the kernel runs programs of before glibc 2.14 (proc(5), /proc/pid/maps)."""
OWN_MAPS = Path("/proc/self/maps")
PROBE = "uname -m; cat /proc/self/maps"
WHY_I386 = "i386, for this kernel has no vsyscall page and crashes its 64-bit programs"


def for_kernel(engine: Engine, stack: Stack) -> Stack:
    """The stack as the engine's kernel can run it: nodes of i386 where their 64-bit programs would crash."""
    build = stack.build
    if not build or stack.image or not build.needs_vsyscall or build.architecture:
        return stack
    if not needs_i386(_ask_kernel(engine)):
        return stack
    return stack.model_copy(update={"build": build.model_copy(update={"architecture": I386})})


def needs_i386(answer: str) -> bool:
    """Whether a kernel crashes 64-bit programs of before glibc 2.14, of what PROBE prints on it.

    Where nothing is known of it, it is taken to run them.
    """
    machine, _, maps = answer.partition("\n")
    return machine == "x86_64" and bool(maps) and VSYSCALL not in maps


def kernel_facts(engine: Engine) -> dict[str, str]:
    """The kernel's machine, and its vsyscall page where it has one, as the script of images/doctor prints them."""
    machine, _, maps = _ask_kernel(engine).partition("\n")
    page = next((line.split()[1] for line in maps.splitlines() if VSYSCALL in line), "")
    return {"machine": machine, "vsyscall": page}


def _ask_kernel(engine: Engine) -> str:
    """What PROBE prints in a container of the engine's; where there is no image to run it in, on this machine."""
    own = sorted(tag for tag in engine.images() if tag.startswith(f"{REPOSITORY}/"))
    images = [tag for tag in own if BUILDER_SYSTEM[0] in tag] + [tag for tag in own if "phone" in tag or "base" in tag]
    if images:
        return engine.probe(images[0], PROBE)
    with suppress(OSError):
        return f"{platform.machine()}\n{OWN_MAPS.read_text('utf-8')}"
    return ""
