"""The script that has a node's Asterisk join its group, beside an Asterisk that refuses the module at first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labctl.paths import images_folder

SCRIPT = images_folder() / "asterisk/root/usr/local/sbin/join-cluster"
HEAD = "Module                         Description                              Use Count  Status      Support Level"
ROW = "res_corosync.so                Corosync                                 0          {:11} extended"
ASTERISK = """#!/bin/sh
echo "$2" >> {folder}/asked
loads=$(grep -c "module load" {folder}/asked)
case $2 in
    "core waitfullybooted") [ $(grep -c waitfullybooted {folder}/asked) -gt 2 ] ;;
    "module show like res_corosync.so") echo "{head}"
        if [ $loads -ge {needed} ]; then echo "{runs}"; elif [ $loads -gt 0 ]; then echo "{declined}"; fi ;;
    "module load res_corosync.so") [ $loads -ge {needed} ] || echo "Unable to load module res_corosync.so" ;;
esac
"""


def join(folder: Path, needed: int, module: str = "res_corosync\n") -> tuple[list[str], str]:
    """What the script asks of an Asterisk that takes the module at the load of that number, and what it prints."""
    (folder / "cluster-module").write_text(module)
    for name, text in {
        "asterisk": ASTERISK.format(
            folder=folder, needed=needed, head=HEAD, runs=ROW.format("Running"), declined=ROW.format("Not Running")
        ),
        "await-ring": "#!/bin/sh\n",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {
        "JOIN_CLUSTER_ETC": str(folder),
        "JOIN_CLUSTER_BETWEEN": "0",
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    command = ["sh", str(SCRIPT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    asked = folder / "asked"
    return asked.read_text().splitlines() if asked.exists() else [], done.stdout + done.stderr


@pytest.mark.parametrize("needed", [1, 2, 7])
def test_the_module_is_loaded_until_it_is_in_its_group(needed: int, tmp_path: Path) -> None:
    asked, printed = join(tmp_path, needed)
    assert asked.count("module load res_corosync.so") == needed
    assert asked.index("module load res_corosync.so") > 2  # not before Asterisk is fully booted
    assert asked[-1] == "module show like res_corosync.so"
    assert not any("show members" in question for question in asked)  # labctl's own question and this one break CPG
    assert printed == "Unable to load module res_corosync.so\n" * (needed - 1)


@pytest.mark.long
def test_it_gives_up_and_says_so(tmp_path: Path) -> None:
    asked, printed = join(tmp_path, 1000)
    assert asked.count("module load res_corosync.so") == 60
    assert printed.splitlines()[-1].startswith("join-cluster: res_corosync is not in its group after 60 tries")


def test_where_no_module_is_named_nothing_is_asked(tmp_path: Path) -> None:
    assert join(tmp_path, 1, module="") == ([], "")
