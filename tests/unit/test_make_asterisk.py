"""The script that compiles Asterisk, run on a command that stands in for make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labctl.paths import images_folder

SCRIPT = images_folder() / "tree" / "root" / "usr" / "local" / "sbin" / "make-asterisk"
MAKE = """#!/bin/sh
echo "$@" >> "$0.log"
case "$*" in *--jobs*) echo "{says}" >&2; exit {parallel} ;; *) exit {alone} ;; esac
"""


QUIET, ERROR = "make[2]: *** [Makefile:134: libpjnath] Error 2", "app_queue.c:12:3: error: expected ';'"


@pytest.mark.parametrize(
    ("parallel", "says", "alone", "code", "gos"),
    [(0, "done", 1, 0, 1), (2, QUIET, 0, 0, 2), (2, QUIET, 2, 2, 2), (2, ERROR, 0, 2, 1)],
    ids=["once", "again", "in-vain", "told"],
)
def test_what_many_jobs_broke_is_gone_on_with_by_one_aloud_unless_the_compiler_told_why(
    tmp_path: Path, parallel: int, says: str, alone: int, code: int, gos: int
) -> None:
    make = tmp_path / "make"
    make.write_text(MAKE.format(parallel=parallel, says=says, alone=alone), "utf-8")
    make.chmod(0o755)
    script = SCRIPT.read_text("utf-8").replace("/usr/src/asterisk", str(tmp_path))
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", script, "make-asterisk", "res"], env=variables, check=False)
    told = (tmp_path / "make.log").read_text("utf-8").splitlines()
    assert (done.returncode, len(told)) == (code, gos)
    assert all(words.endswith(" res") for words in told)
    assert ["NOISY_BUILD=yes" in words for words in told] == [False, True][:gos]
