"""All of Asterisk, built from source: what is changed in a working tree runs on the nodes; where it crashes is told.

The build has the core and few modules; all others are Debian's own. What it takes is as with all modules, but shorter.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.engine import client as engines
from labctl.images.builder import Options, references
from labctl.scenario.made_with import stack_text
from labctl.stack.loader import find_stack

pytestmark = pytest.mark.docker

NAME = f"e2e-source-{os.getpid()}"
LIMIT_S = 1500
"""So long no command takes, the first build of Asterisk on a busy machine included."""

FILE = "main/cli.c"
SAYS, WANTED = '"System uptime: "', f'"{NAME} uptime: "'
GATHERS = "APPS BRIDGES CDR CEL CHANNELS CODECS FORMATS FUNCS PBX RES TESTS ADDONS UTILS"

ASKS = """\
title: What a node says of its uptime
lab: {nodes: 1, phones: 0}
steps:
  - cli: {node: n1, command: core show uptime, expect: "EXPECTED"}
expect: [expectations]
"""


@dataclass(frozen=True)
class Place:
    """A folder with a working tree of Asterisk's source in it, and a shell there."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "asterisk"

    @property
    def file(self) -> Path:
        return self.tree / FILE

    def labctl(self, *arguments: str) -> list[str]:
        """A command of labctl on the small stack."""
        return [sys.executable, "-m", "labctl", *arguments, "--stack", str(self.folder / "small.yaml")]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.labctl(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.tree), "-c", "user.name=me", "-c", "user.email=me@localhost", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("commit", "--quiet", "--all", "--message", message)
        return self.git("rev-parse", "HEAD")

    def change(self, before: str, after: str) -> None:
        text = self.file.read_text("latin-1")
        assert before in text
        self.file.write_text(text.replace(before, after), "latin-1")

    def scenario(self, expected: str, name: str = "asks") -> str:
        path = self.folder / f"{name}-{NAME}.yaml"
        path.write_text(ASKS.replace("EXPECTED", expected), "utf-8")
        return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The source, laid out."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    here = Place(tmp_path_factory.mktemp("source"))
    stack = find_stack("22").model_copy(deep=True)
    assert stack.build
    assert stack.build.source
    few = stack.build.source.model_copy(
        update={
            "disable": ("BUILD_NATIVE", *(f"MENUSELECT_{name}" for name in GATHERS.split())),
            "enable": ("TEST_FRAMEWORK", "res_corosync"),
        }
    )
    small = stack.model_copy(update={"build": stack.build.model_copy(update={"source": few})})
    (here.folder / "small.yaml").write_text(stack_text(small), "utf-8")
    done = here.run("source", str(here.tree))
    assert done.returncode == 0, done.stderr
    yield here
    subprocess.run(here.labctl("down", "--name", NAME)[:-2], capture_output=True, check=False)


@pytest.fixture(autouse=True)
def unchanged(place: Place) -> None:
    """Each test begins with Debian's source."""
    place.git("checkout", "--quiet", "--force", "main")
    place.git("reset", "--quiet", "--hard", place.git("rev-list", "--max-parents=0", "HEAD"))


def test_a_change_of_the_core_is_on_every_node(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.git("log", "--format=%s").endswith(", as Debian has it")
    assert place.git("status", "--short") == ""
    place.change(SAYS, WANTED)
    first = place.run("up", "--name", NAME, "--nodes", "2", "--source", str(place.tree), "--timeout", "180s")
    assert first.returncode == 0, first.stderr
    for node in ("n1", "n2"):
        said = subprocess.run(
            [sys.executable, "-m", "labctl", "cli", "-n", NAME, node, "core", "show", "uptime"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.startswith(f"{NAME} uptime: ")
    place.change(WANTED, WANTED.replace("uptime", "again"))
    start = time.monotonic()
    second = place.run("build", "--source", str(place.tree))
    assert second.returncode == 0, second.stderr
    with capsys.disabled():
        print(f"\na second build, of one file of the core: {time.monotonic() - start:.1f} s")  # noqa: T201
    assert "-tree:" not in second.stderr
    down = subprocess.run([sys.executable, "-m", "labctl", "down", "-n", NAME], capture_output=True, check=False)
    assert down.returncode == 0


def test_a_patched_node_that_aborts_is_told_with_file_and_line(place: Place) -> None:
    function, first = "static char * handle_showuptime(", "\tif (ast_startuptime.tv_sec) {\n\t\tprint_uptimestr(a->fd"
    place.change(function, f"static void lab_abort(void)\n{{\n\tabort();\n}}\n\n{function}")
    place.change(first, f"\tlab_abort();\n{first}")
    line = place.file.read_text("latin-1").splitlines().index("\tabort();") + 1
    path = Path(place.scenario("never", "aborts"))
    path.write_text(
        path.read_text("utf-8").replace("expect: [expectations]\n", "expect: [course, healthy]\nkeep_going: true\n")
    )
    done = place.run("run", str(path), "--source", str(place.tree), "--report", str(place.folder / "pages"))
    assert done.returncode == 1, done.stdout + done.stderr
    phone = references(find_stack("22"), Options()).phone
    pattern = engines.connect().probe(phone, "cat /proc/sys/kernel/core_pattern")
    if pattern.startswith(("|", "/")):
        return  # the host keeps cores for itself, and the story says so
    assert re.search(rf"lab_abort .*at main/cli\.c:{line}\b", done.stdout), done.stdout
    pages = [page.read_text("utf-8") for page in (place.folder / "pages").glob("*.html")]
    assert any(f"main/cli.c:{line}" in page for page in pages)


def test_what_does_not_compile_is_refused_with_the_compilers_lines(place: Place) -> None:
    place.change(SAYS, "no_such_thing")
    done = place.run("build", "--source", str(place.tree))
    assert done.returncode == 2, done.stderr
    assert "does not compile with source.diff" in done.stderr
    assert re.search(r"cli\.c:\d+:\d+: error: .no_such_thing. undeclared", done.stderr)


def test_bisect_finds_the_commit(place: Place) -> None:
    good = place.git("rev-parse", "HEAD")
    place.change("No such command", "No command of this name")
    place.commit("A word")
    place.change(SAYS, WANTED)
    bad = place.commit("The uptime in other words")
    place.change("No command of this name", "No command")
    place.commit("Another word")
    scenario = place.scenario("System uptime", "bisected")
    done = place.run("bisect", scenario, "--source", str(place.tree), "--good", good, "--bad", "HEAD")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(f"fails: {bad[:7]} The uptime in other words"), done.stdout
    assert place.git("worktree", "list").count("\n") == 0
    assert place.git("status", "--short") == ""


def test_it_runs_again_when_a_file_is_saved(place: Place) -> None:
    place.change(SAYS, WANTED)
    command = place.labctl("run", place.scenario(f"{NAME} uptime", "watched"), "--source", str(place.tree), "--watch")
    with subprocess.Popen(
        command, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout
        timer = threading.Timer(LIMIT_S, run.kill)
        timer.start()
        seen: list[str] = []
        for line in run.stdout:
            seen.append(line)
            if "waiting for a file" in line and sum("waiting for" in other for other in seen) == 1:
                place.change(WANTED, SAYS)
            elif "waiting for a file" in line:
                run.send_signal(signal.SIGINT)
        timer.cancel()
    text = "".join(seen)
    assert run.returncode == 130, text
    # On a machine that is too busy what is not as expected is not judged.
    verdicts = re.findall(rf"watched-{NAME}: (passed|failed|unknown), in", text)
    assert (verdicts[0] in ("passed", "unknown"), verdicts[1] in ("failed", "unknown")) == (True, True), text
