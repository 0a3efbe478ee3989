"""What a stack says of itself: when its module has lost its ring, what runs before its daemons, what proves it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labctl.errors import InvalidFile
from labctl.images import availability
from labctl.paths import TEMPLATES, images_folder
from labctl.stack.loader import shipped_stacks
from labctl.stack.model import Stack, parse_stack
from tests import quick_yaml
from tests.unit.labs import files, stack
from tests.unit.test_captures import capture

UNKNOWN = "No such command '{command}' (type 'core show help {help}' for other possible commands)"
SHOW_CLM = UNKNOWN.format(command="ais show clm members", help="ais show")
CLM_SHOW = UNKNOWN.format(command="ais clm show members", help="ais clm")


def parsed(**values: object) -> Stack:
    """The shipped stack 22 as a user's own, with other values."""
    data = quick_yaml.load((images_folder() / "stacks/22.yaml").read_text("utf-8")) | values
    return parse_stack(quick_yaml.dump(data), "mine.yaml", [path.name for path in TEMPLATES.iterdir()])


@pytest.mark.parametrize(
    ("name", "known", "unknown"), [("1.6", SHOW_CLM, CLM_SHOW), ("1.8", CLM_SHOW, SHOW_CLM)], ids=["1.6", "1.8"]
)
def test_res_ais_has_lost_its_ring_where_it_is_not_loaded_or_answers_nothing(
    name: str, known: str, unknown: str
) -> None:
    members = capture("asterisk-1.6.2.9-ais-show-clm-members")
    assert stack(name).has_lost_ring(f"{known}\n{unknown}\n")
    assert stack(name).has_lost_ring(f"\n{unknown}\n")
    assert stack(name).has_lost_ring(f"{unknown}\n\n")
    assert not stack(name).has_lost_ring(f"{members}\n{unknown}\n")
    assert not stack(name).has_lost_ring(f"{unknown}\n{members}\n")
    assert not stack(name).has_lost_ring("")  # no answer is none


def test_res_corosync_says_so_itself() -> None:
    assert stack().has_lost_ring("Failed to initialize CPG iterator: 9.")
    assert not stack().has_lost_ring(capture("asterisk-22-corosync-show-members"))


@pytest.mark.parametrize(
    ("value", "patterns"), [(None, ()), ("bad handle: 9", ("bad handle: 9",)), (["a", "b"], ("a", "b"))]
)
def test_one_pattern_or_none_is_what_stacks_of_0_1_have(value: object, patterns: tuple[str, ...]) -> None:
    assert parsed(lost_ring=value).lost_ring == patterns


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(InvalidFile, match="not a regular expression"):
        parsed(lost_ring=["(unclosed"])


# What proves it


def test_each_shipped_stack_says_whose_build_was_run_and_when() -> None:
    for standing in availability.standings(None):
        assert standing.proven
        assert standing.proof == str(stack(standing.name).proven)
    assert {name: "labctl 0.1" in str(stack(name).proven) for name in shipped_stacks()} == {
        "1.6": True,
        "1.8": True,
        "22": False,
    }


@pytest.mark.parametrize(("value", "proven"), [(True, True), ("true", True), (False, False), (None, False)])
def test_true_or_false_is_what_stacks_of_0_1_say(value: object, proven: bool) -> None:
    assert bool(parsed(proven=value).proven) is proven


# What runs before its daemons


def before_start(name: str, daemon: str) -> str | None:
    return files("name: lab\n", "n1", name=name).get(f"service/{daemon}/before-start")


def test_corosync_1_may_lock_no_memory(tmp_path: Path) -> None:
    script = before_start("1.6", "corosync")
    assert script == before_start("1.8", "corosync")
    assert script
    (tmp_path / "before-start").write_text(script)
    run = "[ ! -f before-start ] || . ./before-start\nulimit -l"
    assert subprocess.run(["sh", "-ec", run], cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "0\n"
    assert "ulimit -l" not in (before_start("22", "corosync") or "")


def test_the_run_scripts_of_both_daemons_read_it() -> None:
    for daemon in ("corosync", "asterisk"):
        script = (images_folder() / daemon / f"root/etc/service/{daemon}/run").read_text("utf-8")
        assert script.index("[ ! -f before-start ] || . ./before-start\n") < script.index("\nexec ", 20)


def test_the_manager_of_1_6_is_not_left_to_delayed_acknowledgements() -> None:
    script = before_start("1.6", "asterisk")
    assert script
    assert "quickack 1" in script
    assert before_start("1.8", "asterisk") == before_start("22", "asterisk")


def test_a_daemon_may_leave_its_core_where_it_runs_and_the_last_is_kept(tmp_path: Path) -> None:
    script = before_start("22", "asterisk")
    assert script
    script = script.replace("-o asterisk -g asterisk ", "").replace("/var/crash/asterisk", str(tmp_path / "cores"))
    (tmp_path / "cores").mkdir()
    for age, name in enumerate(["core", "core.7", "core.3"]):
        (tmp_path / "cores" / name).touch()
        os.utime(tmp_path / "cores" / name, (age, age))
    shell = ["sh", "-ec", f"ulimit -S -c 0\n{script}\npwd; ulimit -S -c; ulimit -H -c"]
    folder, soft, hard = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split()
    assert (folder, soft) == (str(tmp_path / "cores"), hard)
    assert [path.name for path in (tmp_path / "cores").iterdir()] == ["core.3"]


# Modules


def modules_conf(lab: str, name: str) -> list[str]:
    return files(lab, "n1", name=name)["asterisk/modules.conf"].splitlines()


@pytest.mark.parametrize("lab", ["name: lab\n", "name: lab\nmodules: all\n"])
def test_what_1_6_preloads_is_not_loaded_again(lab: str) -> None:
    lines = modules_conf(lab, "1.6")
    assert lines.index("preload = func_devstate.so") < lines.index("preload = chan_sip.so")
    assert not {"load = func_devstate.so", "load = chan_sip.so"} & set(lines)


def test_what_a_lab_does_not_use_is_not_preloaded() -> None:
    assert "preload = chan_sip.so" not in modules_conf("name: lab\nphones: 0\n", "1.6")


def test_where_a_lab_loads_all_the_twins_of_voicemail_are_left_out() -> None:
    lines = modules_conf("name: lab\nmodules: all\n", "22")
    assert {"autoload = yes", "noload = app_voicemail_odbc.so", "noload = app_voicemail_imap.so"} <= set(lines)
    assert "noload = app_voicemail_odbc.so" not in modules_conf("name: lab\n", "22")


def test_only_a_module_of_the_stack_can_be_preloaded() -> None:
    modules = quick_yaml.load((images_folder() / "stacks/22.yaml").read_text("utf-8"))["modules"]
    with pytest.raises(InvalidFile, match="no module `func_devstat`"):
        parsed(modules=modules | {"preload": ["func_devstat"]})
