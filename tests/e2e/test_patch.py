"""A patch of the cluster module: every node runs it, and one that does not fit is refused with the reason."""

from __future__ import annotations

import difflib
import gc
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.errors import PatchRefused
from labctl.images import builder
from labctl.images import recipes as images
from labctl.images.builder import Options
from labctl.images.recipes import MODULE, NODE, PATCHED
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.patch import Patch
from labctl.progress import Silent
from labctl.stack.loader import find_stack

pytestmark = pytest.mark.docker

NAME = f"e2e-patch-{os.getpid()}"
READY_S = 120.0
FILE = "res/res_corosync.c"
OLD, NEW = '"Node %u (%s) at %s %s the cluster\\n"', f'"{NAME} sees that node %u (%s) at %s %s the cluster\\n"'
"""What every node says of each other that joins. With the run's own name in it the patch is new each time."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine, with the images of the stack as it is."""
    connected = engines.connect()
    builder.build(connected, find_stack("22"), Options(), Silent())
    return connected


@pytest.fixture(scope="module")
def source(engine: Engine) -> str:
    """The source that is to be patched, as the module's image holds it."""
    recipes = builder.recipes(find_stack("22"), Options())
    idle = engine.create_idle(recipes[MODULE].tag)
    try:
        return engine.read_file(idle, f"{images.MODULE_SOURCE}/{FILE}")
    finally:
        engine.remove_idle(idle)


def diff(before: str, after: str) -> Patch:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{FILE}", f"b/{FILE}")
    return Patch("mend.patch", "".join(lines).encode())


@contextmanager
def built(engine: Engine, *patches: Patch) -> Iterator[Options]:
    """Options with these patches; the images that were built of them are taken away in the end."""
    options = Options(patches=patches)
    try:
        yield options
    finally:
        recipes = builder.recipes(find_stack("22"), options)
        for name in (NODE, PATCHED):
            engine.remove_image(recipes[name].tag)


def test_every_node_runs_the_patched_module(engine: Engine, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert source.count(OLD) == 1
    mend = diff(source, source.replace(OLD, NEW))
    wanted, stack = find_lab(None, Overrides(name=NAME))
    with built(engine, mend) as options:
        start = time.monotonic()
        node = builder.build(engine, stack, options, Silent()).node
        with capsys.disabled():
            print(f"\na build with a patch: {time.monotonic() - start:.1f} s")  # noqa: T201
        try:
            verbs.up(engine, wanted, stack, options, READY_S, Silent())
            for name in ("n1", "n2", "n3"):
                log = engine.logs(f"labctl-{NAME}-{name}")
                assert f"{NAME} sees that node" in log
                assert ": Node " not in log
        finally:
            verbs.down(engine, NAME, Silent())
        labels = engine.image_labels(node) or {}
        assert labels["labctl.contents.res_corosync.patches"] == str(mend)
        assert node != builder.references(stack, Options()).node


@pytest.fixture
def unread() -> Iterator[None]:
    """A build that fails leaves the engine's reply unread: let its socket go here, not in a test that is watched."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def refusal(engine: Engine, patch: Patch) -> str:
    """Why a patch is refused by the build."""
    with built(engine, patch) as options, pytest.raises(PatchRefused) as caught:
        builder.build(engine, find_stack("22"), options, Silent())
    assert caught.value.exit_code == 2
    return caught.value.message


def test_a_patch_that_does_not_apply_is_refused_with_its_hunk(engine: Engine, source: str, unread: None) -> None:
    another = source.replace("the cluster\\n", "another source\\n")
    reason = refusal(engine, diff(another, another.replace("another source", NAME)))
    assert reason.startswith("mend.patch does not apply to asterisk 1:22.")
    assert "Hunk #1 FAILED at " in reason
    assert f'  +\tast_log(AST_LOG_NOTICE, "Node %u (%s) at %s %s {NAME}' in reason


def test_a_patch_that_does_not_compile_is_refused_with_the_error(engine: Engine, source: str, unread: None) -> None:
    reason = refusal(engine, diff(source, source.replace(OLD, f"no_{os.getpid()}")))
    assert "does not compile with mend.patch:\n" in reason
    assert f"error: 'no_{os.getpid()}' undeclared" in reason


def test_a_patch_may_bring_a_header_and_stand_on_another(engine: Engine, source: str) -> None:
    first = source.replace(OLD, "SEEN")
    header = Patch("0.patch", f"--- /dev/null\n+++ b/res/seen.h\n@@ -0,0 +1 @@\n+#define SEEN {NEW}\n".encode())
    includes = diff(first, first.replace('#include "asterisk.h"\n', '#include "asterisk.h"\n#include "seen.h"\n', 1))
    with built(engine, header, diff(source, first), includes) as options:
        assert builder.build(engine, find_stack("22"), options, Silent()).node_id
