"""Every command and example of README, run on real nodes; at the end a table of its claims and what shows each."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.images.builder import Options, references
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from tests import readme
from tests.readme import Command

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parent.parent.parent
NAME = f"readme-{os.getpid()}"
LIMIT_S = 600
"""So long no command takes, not even on a machine that is busy."""

RENAMED = {"mine.yaml": f"{NAME}.yaml", "asks.yaml": f"asks-{NAME}.yaml"}
"""A file of README's whose lab is named for it, so that two runs of this test do not meet."""

JUDGED = ("labctl run ", "labctl check ", "labctl replay ", "labctl findings run ")
"""Commands that may come to no verdict on a machine that is too busy: they exit with 5 and say why."""

MENDS = "tests/e2e/test_mend.py::"
_OVER_HOSTS = (
    "it wants a lab over several Docker hosts",
    "tests/integration/test_docker_hosts.py::test_what_befalls_a_host_befalls_every_node_on_it",
)

ELSEWHERE = {
    "labctl fault host-cut two": _OVER_HOSTS,
    "labctl fault host-pause two --for 10s": _OVER_HOSTS,
    "make up": (
        "it installs what the machine lacks, and makes the user's own lab",
        "tests/integration/test_verbs.py::test_up_proves_that_every_node_sees_every_other",
    ),
    "make test": ("this test is a part of it", "Makefile"),
}
"""Lines of README's blocks that are not run here: why, and what has them instead."""

CAPTURES = "tests/e2e/test_capture.py::"

INLINE: dict[str, str | Command] = {
    "labctl up": "tests/e2e/test_readme.py::test_a_command_of_a_block_does_what_readme_says",
    "labctl run": "tests/e2e/test_readme.py::test_a_command_of_a_block_does_what_readme_says",
    "make help": Command("make help"),
    "labctl up [-f FILE] [-n NAME] [--nodes N]": "tests/integration/test_verbs.py::test_five_nodes",
    "labctl down [-n NAME]": "tests/integration/test_verbs.py::test_two_labs_live_side_by_side_and_down_takes_one",
    "labctl findings [show NAME|run NAME…]": "tests/e2e/test_findings.py::test_a_finding_is_still_there",
    "labctl findings show NAME": Command("labctl findings show second-leave"),
    "labctl findings run": "tests/e2e/test_findings.py::test_a_finding_is_still_there",
    "labctl down --orphans": "tests/integration/test_verbs.py::test_orphans_go_and_labs_of_users_stay",
    "labctl ls": Command("labctl ls"),
    "labctl ps": "tests/integration/test_verbs.py::test_ps_shows_quorum_members_and_versions",
    "labctl state [--watch] [--site]": Command("timeout --preserve-status -s INT 20 labctl state --watch", 130),
    "labctl call alice bob [--duration 5s]": Command("labctl call alice bob --duration 300ms"),
    "labctl call alice bob --capture call.pcapng": Command("labctl call alice bob --capture call.pcapng"),
    "labctl capture [NODE…] [-o FILE]": f"{CAPTURES}test_packets_of_one_node_by_hand_until_ctrl_c",
    "labctl capture | wireshark -k -i -": f"{CAPTURES}test_whoever_reads_no_more_ends_it",
    "labctl phone on|off|dial|answer|transfer|dtmf|hangup|watch|ls": "tests/e2e/test_phones_by_hand.py::"
    "test_phones_stay_on_and_in_their_call_until_they_are_told_otherwise",
    "labctl wait --for=state=101:InUse": Command("labctl wait --for=state=101:Unavailable"),
    "labctl fault KIND …": "tests/e2e/test_faults.py::test_fault_is_shown_by_ps_and_undone_by_heal",
    "labctl heal [FAULT]": "tests/e2e/test_faults.py::test_fault_is_shown_by_ps_and_undone_by_heal",
    "labctl heal": "tests/e2e/test_faults.py::test_fault_is_shown_by_ps_and_undone_by_heal",
    "labctl run SCENARIO…": "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says",
    "labctl run --all": "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says",
    "labctl scenarios [NAME] [--steps]": Command("labctl scenarios partition-heal"),
    "labctl scenarios partition-heal > mine.yaml": Command("labctl scenarios partition-heal > first.yaml"),
    "labctl scenarios --steps": Command("labctl scenarios --steps"),
    "labctl scenarios": Command("labctl scenarios"),
    "labctl run --dry-run …": Command("labctl run partition-heal --dry-run"),
    "labctl validate FILE…": Command("labctl validate partition-heal two-sites"),
    "labctl show RUN": "tests/unit/test_runs.py::test_the_whole_story_of_a_run_that_passed",
    "labctl report RUN… [-o FILE] [--open]": "tests/unit/test_page.py::test_report_writes_it_and_says_where",
    "labctl ladder RUN [--call N] [--all] [-o mermaid]": "tests/unit/test_ladder.py::"
    "test_several_calls_are_listed_first_and_registrations_only_if_asked_for",
    "labctl bundle RUN [-o bug.labz]": "tests/e2e/test_bundle.py::"
    "test_a_known_failure_is_reproduced_five_times_of_five",
    "labctl replay bug.labz [--times N]": "tests/e2e/test_bundle.py::"
    "test_a_known_failure_is_reproduced_five_times_of_five",
    "labctl report --all DIR": "tests/unit/test_index_page.py::"
    "test_all_runs_of_a_folder_have_a_page_each_and_one_that_leads_there",
    "labctl report": "tests/unit/test_page.py::test_report_writes_it_and_says_where",
    "labctl show bug.labz": "tests/unit/test_bundle.py::test_a_bundle_is_looked_at_as_a_run_is",
    "labctl check RUN": "tests/e2e/test_scenarios.py::test_old_run_is_judged_again_without_a_lab",
    "labctl soak --minutes 5 --seed 7": "tests/endurance.py::soak",  # it takes minutes
    "labctl init [FILE] [--state device] [--wrong partition]": Command(
        "rm -f first.yaml && labctl init first.yaml --state device --wrong partition && labctl validate first.yaml"
    ),
    "labctl hunt --hours 2 --seed 7": "tests/e2e/test_hunt.py::"
    "test_with_faults_what_is_wrong_has_its_finding_or_is_told_as_new",
    "labctl hunt": "tests/e2e/test_hunt.py::test_with_faults_what_is_wrong_has_its_finding_or_is_told_as_new",
    "labctl shrink SCENARIO|RUN": "tests/e2e/test_shrink.py::test_what_a_soak_run_did_comes_down_to_the_lost_state",
    "labctl shrink": "tests/e2e/test_shrink.py::test_what_a_soak_run_did_comes_down_to_the_lost_state",
    "labctl compare [SCENARIO…]": "tests/e2e/test_carriers.py::test_one_table_shows_what_each_carrier_does",
    "labctl compare": "tests/e2e/test_carriers.py::test_one_table_shows_what_each_carrier_does",
    "labctl bench scale [--nodes 3,6,12] [--sites 2,4] [--report FILE]": (
        "tests/e2e/test_scale.py::test_each_size_is_a_row_and_all_of_them_a_page"
    ),
    "labctl bench footprint": "tests/e2e/test_carriers.py::test_footprint_is_smallest_with_what_is_used",
    "labctl cli NODE [COMMAND…]": Command("labctl cli n1 core show hints"),
    "labctl sh NODE [-- COMMAND…]": Command("labctl sh n1 -- corosync-quorumtool -s"),
    "labctl logs [NODE] [-f] [--tail N]": Command("labctl logs n1 --tail 5"),
    "labctl build": Command("labctl build -q"),
    "labctl stacks": "tests/integration/test_stacks.py::test_each_stack_says_whether_it_is_here",
    "labctl config [-n NAME] [--files]": Command("labctl config --files"),
    "labctl config": Command("labctl config"),
    "labctl schema [scenario]": Command("labctl schema scenario"),
    "labctl export": Command("labctl export"),
    "labctl doctor": Command("labctl doctor"),
    "labctl completion bash": Command("labctl completion bash"),
    "labctl version": Command("labctl version"),
    "labctl --help": Command("labctl --help"),
    "labctl source [DIR]": "tests/e2e/test_source.py::test_a_change_of_the_core_is_on_every_node",
    "labctl source": "tests/e2e/test_source.py::test_a_change_of_the_core_is_on_every_node",
    "labctl bisect SCENARIO": "tests/e2e/test_source.py::test_bisect_finds_the_commit",
    "labctl bisect": "tests/e2e/test_source.py::test_bisect_finds_the_commit",
    "labctl run --git-bisect": "tests/e2e/test_source.py::test_bisect_finds_the_commit",
    "labctl run partition-heal --patch fix.patch": "tests/e2e/test_patch.py::test_every_node_runs_the_patched_module",
    "labctl run second-leave --patch second-leave": f"{MENDS}test_with_its_mend_a_scenario_is_fixed",
    "labctl build --stack 1.6": "tests/integration/test_stacks.py::test_a_stack_that_is_out_of_reach_says_so_at_once",
    "labctl up -f two-sites": "tests/e2e/test_sites.py::test_up_proves_that_each_site_has_its_ring_and_finds_the_other",
    "labctl down": "tests/integration/test_verbs.py::test_down_leaves_nothing_whatever_state_the_lab_is_in",
    "make up": "tests/integration/test_verbs.py::test_up_proves_that_every_node_sees_every_other",
    "make test": "Makefile",
    "make down": "tests/unit/test_readme.py::test_make_has_what_readme_says",
    "make down-all": "tests/unit/test_readme.py::test_make_has_what_readme_says",
    "make bench": "tests/bench.py::main",
    "make endurance": "tests/endurance.py::main",  # it takes hours
    "labctl run --all --retries 2": "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says",
}
"""What README names in its text: run here in this form, or by the test that is named."""

HOSTS = "tests/integration/test_docker_hosts.py::"

SHOWN = {
    "labctl up --hosts one,two,three": f"{HOSTS}test_a_lab_is_proven_over_three_hosts_and_seen_from_each",
    "labctl source": "tests/e2e/test_source.py::test_a_change_of_the_core_is_on_every_node",
    "labctl run partition-heal --source asterisk --watch": "tests/e2e/test_source.py::"
    "test_it_runs_again_when_a_file_is_saved",
    "labctl bisect partition-heal --source asterisk --good HEAD~5 --bad HEAD": "tests/e2e/test_source.py::"
    "test_bisect_finds_the_commit",
    "labctl ladder latest --call 1": "tests/unit/test_ladder.py::test_the_ladder_of_readme_is_that_of_a_real_run",
    "labctl up -n demo": "tests/integration/test_verbs.py::test_up_proves_that_every_node_sees_every_other",
    "labctl replay bug.labz --times 5": "tests/e2e/test_bundle.py::"
    "test_a_known_failure_is_reproduced_five_times_of_five",
    "labctl run partition-heal": "tests/e2e/test_scenarios.py::"
    "test_partition_heal_names_device_nodes_and_both_values_and_quotes_the_log",
}
"""Commands whose output README shows."""


@dataclass(frozen=True)
class Shell:
    """A folder with README's files in it, and a shell whose `labctl` is this one and means this test's lab."""

    folder: Path
    environment: dict[str, str]

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line to its end."""
        for name, own_name in RENAMED.items():
            line = line.replace(name, own_name)
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """README's files in a folder; the lab of its commands is gone when the tests of this file are over."""
    folder = tmp_path_factory.mktemp("readme")
    softphone = references(find_stack("22"), Options()).phone
    for name, text in (readme.files("yaml") | readme.files("python")).items():
        (folder / RENAMED.get(name, name)).write_text(text.replace("my/softphone", softphone), "utf-8")
    (folder / "Makefile").symlink_to(REPOSITORY / "Makefile")
    programs = folder / "bin"
    programs.mkdir()
    for program in ("labctl", "pytest"):
        (programs / program).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {program} "$@"\n', "utf-8")
        (programs / program).chmod(0o755)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("LABCTL_", "PYTEST_"))},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "LABCTL_NAME": NAME,
        "LABCTL_TIMEOUT": "180s",
        "TESTCONTAINERS_RYUK_DISABLED": "true",  # its image is on a registry
    }
    yield Shell(folder, environment)
    for name in (NAME, f"run-{NAME}"):
        verbs.down(engines.connect(), name, Silent())


def check(shell: Shell, command: Command) -> None:
    """A command ends with its exit code, or says that it could not judge."""
    done = shell.run(command.line)
    transcript = f"{command.line}\n{done.stdout}{done.stderr}"
    if command.line.startswith(JUDGED) and done.returncode == 5:
        assert re.search("unknown|no verdict|not judged|could not be judged", done.stdout), transcript
    else:
        assert done.returncode == command.exit_code, transcript
    assert "Traceback" not in done.stderr, transcript
    assert "nothing that is loaded on this node reads it" not in done.stderr, transcript


OF_BLOCKS = [command for command in readme.commands() if command.line not in ELSEWHERE]
OF_TEXT = [command for command in INLINE.values() if isinstance(command, Command)]


def test_the_lab_of_readme_comes_up(shell: Shell) -> None:
    assert OF_BLOCKS[0].line == "labctl up"
    check(shell, OF_BLOCKS[0])


@pytest.mark.parametrize("command", OF_TEXT, ids=lambda command: command.line)
def test_a_command_of_the_text_does_what_readme_says(shell: Shell, command: Command) -> None:
    check(shell, command)


@pytest.mark.parametrize("command", OF_BLOCKS, ids=lambda command: command.line)
def test_a_command_of_a_block_does_what_readme_says(shell: Shell, command: Command) -> None:
    check(shell, command)


def test_what_a_config_makes_asterisk_run_runs_in_the_nodes_container_as_its_user(shell: Shell) -> None:
    mark = f"/tmp/{NAME}-ran"  # noqa: S108 - that it is not on the host is the point
    (shell.folder / "commands.yaml").write_text(
        "nodes: [hq]\nphones: 1\nmodules: all\nconfig:\n  hq:\n    asterisk/extensions.conf: |\n"
        f"      [lab]\n      exten => 700,1,System(id -un > {mark})\n",
        "utf-8",
    )
    done = shell.run(
        "labctl up -q -f commands.yaml && labctl cli hq channel originate Local/700@lab application Wait 1"
        f" && labctl sh hq -- sh -c 'until [ -s {mark} ]; do sleep 0.1; done; cat {mark}'"
        " && labctl sh hq -- stat -c '%a %U %G' /etc/asterisk/manager.conf"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["asterisk", "640 root asterisk"]
    assert not Path(mark).exists()


def test_a_scenario_that_has_nodes_run_commands_is_refused_with_its_line(shell: Shell) -> None:
    lab = (shell.folder / "commands.yaml").read_text("utf-8")
    indented = "".join(f"  {line}\n" for line in lab.splitlines())
    (shell.folder / f"{NAME}-trust.yaml").write_text(f"title: Commands\nlab:\n{indented}steps:\n- settle\n", "utf-8")
    done = shell.run(f"labctl run {NAME}-trust.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{NAME}-trust.yaml:10: hq: asterisk/extensions.conf: System" in done.stderr
    assert "--trust" in done.stderr


def test_a_container_may_do_no_more_than_readme_says() -> None:
    """Those of the lab that is up."""
    engine = engines.connect()
    observed = engine.observe(NAME)
    for container in observed.containers:
        host_config = engine._api.inspect_container(container.id)["HostConfig"]
        assert host_config["SecurityOpt"] == ["no-new-privileges:true"]
        assert (host_config["PidsLimit"], host_config["Memory"]) == (4096, 2 << 30)
        assert (host_config["Privileged"], host_config["PortBindings"] or {}, host_config["Binds"]) == (False, {}, None)
        capabilities = [name.removeprefix("CAP_") for name in host_config["CapAdd"] or []]
        assert capabilities == (["NET_ADMIN"] if container.role == "node" else [])
    assert len(observed.containers) == 2
    assert [network.internal for network in observed.networks] == [True]


# What shows each claim

MEASURED = "measured, not tested"
NOT_PROVEN = "not proven"
OF_DOCKER = "a fact of Docker, not of labctl"
SCENARIOS = "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says"
VERBS = "tests/integration/test_verbs.py::"
FAULTS = "tests/e2e/test_faults.py::"
CALLS = "tests/e2e/test_calls.py::"
UNIT = "tests/unit/"
HERE = "tests/e2e/test_readme.py::"
CARRIERS = "tests/e2e/test_carriers.py::"
MIRRORS = "tests/integration/test_mirror.py::"
PATCHES = "tests/e2e/test_patch.py::"
SOURCE = "tests/e2e/test_source.py::"
PYTHON = "tests/e2e/test_python.py::"
SITES = "tests/e2e/test_sites.py::"

CLAIMS: tuple[tuple[str, str], ...] = (
    (
        "A lab has 64 nodes at most",
        f"{UNIT}test_many_nodes.py::test_every_container_of_the_largest_lab_has_an_address_of_its_own",
    ),
    ("its time-out is `token` + 650 ms for", f"{UNIT}test_many_nodes.py::test_the_token_is_what_corosync_makes_of_it"),
    (
        "all other nodes are one SIP endpoint, `node`",
        f"{UNIT}test_many_nodes.py::test_many_nodes_have_one_endpoint_for_all_others",
    ),
    (
        "`labctl hunt` looks for more by itself",
        "tests/e2e/test_hunt.py::test_without_faults_nothing_is_wrong_and_it_goes_on_where_it_was_ended",
    ),
    ("A run as one file", f"{UNIT}test_bundle.py::test_all_of_a_run_is_in_it_and_read_again"),
    ("unpacked it is the folder of a run", f"{UNIT}test_bundle.py::test_unpacked_it_is_the_folder_of_a_run"),
    (
        "No verb hands a terminal what that would obey",
        f"{UNIT}test_stranger_texts.py::test_what_is_told_of_a_run_has_nothing_that_a_terminal_obeys",
    ),
    ("those of labctl 0.1: what these did", f"{UNIT}test_bundle.py::test_a_run_of_0_1_says_what_is_lacking"),
    ("are taken out of all texts", f"{UNIT}test_bundle.py::test_no_secret_and_no_name_of_the_machine_is_in_it"),
    ("any other is told as *another failure*", "tests/e2e/test_bundle.py::test_another_extension_is_another_failure"),
    (
        "no path, link or archive in it can lead anywhere",
        f"{UNIT}test_hostile_bundles.py::test_a_hostile_bundle_is_refused_and_leaves_nothing",
    ),
    (
        "takes the place of none that is here",
        f"{UNIT}test_bundled_images.py::test_one_that_is_wanted_gets_its_own_name",
    ),
    (
        "It counts from when the step before began",
        f"{UNIT}test_sip_step.py::test_it_counts_from_when_the_step_before_began",
    ),
    ("proves on every server that", f"{VERBS}test_up_proves_that_every_node_sees_every_other"),
    ("in dozens of ways", SCENARIOS),
    ("makes a page of a run", f"{UNIT}test_page.py::test_report_writes_it_and_says_where"),
    (
        "The page of a run of partition-heal",
        "tests/e2e/test_scenarios.py::test_the_page_of_every_run_opens_in_a_browser",
    ),
    ("On Debian, as root, they install what is missing", MEASURED),
    ("mmdebstrap makes the base system", f"{VERBS}test_images_say_what_is_in_them"),
    ("a list there says which line is not", f"{UNIT}test_readme.py::test_every_command_is_run_or_has_a_test_elsewhere"),
    ("Labs live side by side", f"{VERBS}test_two_labs_live_side_by_side_and_down_takes_one"),
    ("`up` without a file keeps its file", f"{UNIT}test_up_again.py::test_all_that_it_was_made_with_stays"),
    ("take these off", f"{UNIT}test_up_again.py::test_an_empty_patch_and_an_empty_image_take_them_away"),
    ("take away no lab that another made", f"{VERBS}test_run_takes_no_lab_away_that_a_user_made"),
    ("Every option can be set in the environment", f"{VERBS}test_option_from_the_environment"),
    (
        "take the name of their lab from `--name` alone",
        f"{UNIT}test_environment.py::test_the_environment_never_names_the_lab_of_a_run",
    ),
    ("Data goes to stdout", f"{UNIT}test_tables.py"),
    ("5 something could not be judged", f"{UNIT}test_acceptance.py::test_each_mode_has_its_exit_code"),
    ("130 interrupted", f"{VERBS}test_interrupted_up_exits_130_and_the_next_goes_on"),
    ("brings a lab up or takes it away; others wait", f"{VERBS}test_down_waits_for_whoever_is_at_work_on_the_lab"),
    ("That lock is a file in", f"{UNIT}test_lab_lock.py::test_locks_lie_where_this_user_alone_can_put_any"),
    ("What a dead process of this host holds", f"{UNIT}test_lab_lock.py::test_what_the_dead_hold_is_taken_at_once"),
    (
        "waits ten minutes, then names the command",
        f"{UNIT}test_lab_lock.py::test_another_host_that_does_not_give_it_up_is_an_error_with_a_way_out",
    ),
    ("A scenario is a lab and steps", f"{UNIT}test_readme.py::test_the_scenario_is_read_as_it_stands"),
    ("tells of each with an example", "tests/e2e/test_step_examples.py::test_every_example_of_a_step_runs"),
    ("Verdicts are pure functions", "tests/e2e/test_scenarios.py::test_old_run_is_judged_again_without_a_lab"),
    ("names the failure itself", f"{UNIT}test_mutations.py::test_a_known_failure_of_another_extension_is_news"),
    (
        "kept a node from its work",
        f"{UNIT}test_mutations.py::test_nothing_fails_on_a_machine_that_was_starved_all_the_while",
    ),
    (
        "reads the nodes' cgroups",
        f"{UNIT}test_starvation.py::test_a_node_that_is_throttled_bears_witness_where_its_cgroup_is_here",
    ),
    (
        "a load generator that could not keep up",
        f"{UNIT}test_checks.py::test_a_generator_that_could_not_keep_up_says_so",
    ),
    (
        "runs again what came to no verdict",
        f"{UNIT}test_runner.py::test_what_came_to_no_verdict_is_run_again_and_both_are_told",
    ),
    (
        "takes away steps, nodes and settings",
        "tests/e2e/test_shrink.py::test_what_a_soak_run_did_comes_down_to_the_lost_state",
    ),
    (
        "the other scenarios run on",
        "tests/e2e/test_scenarios.py::test_a_lab_that_does_not_come_up_is_an_error_and_the_others_run_on",
    ),
    (
        "after a step that failed is not judged",
        f"{UNIT}test_runner.py::test_what_comes_after_the_point_where_the_course_broke_is_not_judged",
    ),
    ("agrees with the exit code", f"{UNIT}test_acceptance.py::test_junit_and_exit_code_agree"),
    (
        "puts servers of other kinds beside the nodes",
        f"{UNIT}test_services.py::test_nodes_start_once_services_are_ready",
    ),
    (
        "`ps`, `logs`, `sh` and `export` have it",
        "tests/integration/test_services.py::test_service_is_seen_reached_ended_and_mended",
    ),
    ("Three scenarios show it", "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says"),
    (
        "Phones register with their node, or with what is in front",
        f"{UNIT}test_behind_a_service.py::test_a_step_can_say_so_of_any_phone",
    ),
    (
        "a phone that registers with that address goes with it",
        "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says",
    ),
    (
        "hands REGISTER and INVITE on to nodes, which challenge them",
        "tests/e2e/test_scenarios.py::test_shipped_scenario_ends_as_it_says",
    ),
    (
        "Phones keep to Record-Route",
        f"{UNIT}test_behind_a_service.py::test_what_is_asked_in_a_call_goes_the_way_that_the_call_came",
    ),
    (
        "say `Supported: path`",
        f"{UNIT}test_behind_a_service.py::test_a_phone_takes_a_path_between_it_and_its_registrar",
    ),
    (
        "is not judged but for nodes being of one mind",
        f"{UNIT}test_behind_a_service.py::test_nobody_knows_what_any_node_has_of_it",
    ),
    ("whatever `expect:` names", f"{UNIT}test_judgement.py::test_how_daemons_fare_is_judged_whatever_is_expected"),
    ("fails where a process took 90 %", f"{UNIT}test_checks.py::test_a_wrong_history_is_found_out_by_its_checks_alone"),
    ("so that a busy machine does not matter", f"{UNIT}test_checks.py::test_a_right_history_that_looks_wrong_holds"),
    ("One shell kept in each node", "tests/e2e/test_crash.py::test_every_node_is_measured_through_a_run"),
    ("Totem and RTP by their", f"{CAPTURES}test_of_totem_and_rtp_there_are_headers_alone"),
    ("so nothing is missing after a node was killed", f"{CAPTURES}test_both_calls_are_there_whole"),
    ("on the same clock: see Packets", f"{CAPTURES}test_packets_are_on_the_clock_of_the_history"),
    (
        "or where the machine allows none",
        f"{UNIT}test_recording.py::test_a_run_whose_capture_cannot_start_goes_on_and_says_why",
    ),
    ("and it ends at", f"{UNIT}test_recording.py::test_it_is_cut_between_two_packets_and_said_so"),
    ("2 % of the CPU time that nodes and phones took", MEASURED),
    ("`--no-capture` keeps no packets", f"{CAPTURES}test_no_capture_keeps_no_packets"),
    (
        "can be asked in Asterisk's own words",
        "tests/e2e/test_readme.py::test_a_command_of_a_block_does_what_readme_says",
    ),
    (
        "leaves its core in the run's folder",
        "tests/e2e/test_crash.py::test_daemons_that_crash_leave_their_core_in_the_folder_of_the_run",
    ),
    (
        "a backtrace where the node's image has gdb",
        f"{UNIT}test_cores.py::test_with_a_debugger_on_the_node_there_is_a_backtrace_too",
    ),
    ("the story says so, and how to change it", f"{UNIT}test_cores.py::test_where_there_is_none_the_history_says_why"),
    ("that alone is compiled, in seconds", f"{PATCHES}test_every_node_runs_the_patched_module"),
    ("does not fit or does not compile", f"{PATCHES}test_a_patch_that_does_not_compile_is_refused_with_the_error"),
    ("has a mend that comes with labctl", f"{MENDS}test_with_its_mend_a_scenario_is_fixed"),
    ("all of them go together", f"{MENDS}test_all_mends_together_compile"),
    ("say so where it has moved", f"{MENDS}test_a_mend_of_another_source_is_refused_with_the_way_out"),
    ("which `--patch` takes of anyone", f"{UNIT}test_mends.py::test_what_diff_writes_is_what_they_read"),
    ("the core too, all of Asterisk is built", f"{SOURCE}test_a_change_of_the_core_is_on_every_node"),
    ("a backtrace with file and line", f"{SOURCE}test_a_patched_node_that_aborts_is_told_with_file_and_line"),
    ("makes a cluster of two builds", SCENARIOS),
    (
        "so all verbs work there as here",
        "tests/integration/test_remote_engine.py::test_every_verb_works_on_another_engine",
    ),
    (
        "asks for no password",
        "tests/integration/test_remote_engine.py::test_a_lab_behind_ssh_is_made_called_in_and_taken_away",
    ),
    (
        "with the context's TLS",
        "tests/integration/test_remote_engine.py::test_an_engine_that_wants_tls_is_reached_by_a_context_that_has_it",
    ),
    ("it joins and leaves none itself", f"{HOSTS}test_a_host_outside_the_swarm_is_named_with_how_it_joins"),
    (
        "so that the engine of any that has a part of it is enough",
        f"{HOSTS}test_a_lab_is_proven_over_three_hosts_and_seen_from_each",
    ),
    (
        "A lab stays over its hosts until `up` says others",
        f"{UNIT}test_lab_over_hosts.py::test_a_lab_stays_on_the_hosts_that_are_left_of_its_list",
    ),
    (
        "goes on without it, and says",
        f"{UNIT}test_lab_over_hosts.py::test_down_finishes_on_the_hosts_that_were_named_and_says_what_it_leaves",
    ),
    ("is lost: `ps` names it", f"{HOSTS}test_a_lost_host_is_named_and_down_finishes_when_it_is_back"),
    (
        "all of it comes as one file, in the order of time",
        f"{HOSTS}test_a_run_over_hosts_has_the_packets_of_all_also_after_a_node_was_killed",
    ),
    ("by `tcp://` without TLS", NOT_PROVEN),
    ("lays Asterisk's source out", f"{SOURCE}test_a_change_of_the_core_is_on_every_node"),
    ("look for the first commit", f"{SOURCE}test_bisect_finds_the_commit"),
    (
        "their arguments are checked as in YAML",
        f"{UNIT}test_live_lab.py::test_arguments_are_held_to_the_same_as_in_yaml_before_anything_is_done",
    ),
    ("a failed test shows", f"{PYTHON}test_fixture_is_parametrised_and_tells_the_story_of_a_failure"),
    ("has a lab that no other has", f"{PYTHON}test_two_clusters_of_one_process_are_two"),
    ("With `--lab-runs DIR` each test has", f"{PYTHON}test_each_test_has_a_run_folder_that_its_failure_names"),
    ("with `--keep-lab` it is the same", f"{PYTHON}test_lab_stays_up_where_it_is_to_be_kept"),
    ("A fault is one class", f"{UNIT}test_new_fault.py::test_it_is_a_command_that_is_shown_and_healed"),
    (
        "ended by SIGKILL. `heal` names",
        f"{FAULTS}test_scenario_ended_by_sigkill_leaves_nothing_once_healed_or_run_again",
    ),
    ("a name for `heal`", f"{UNIT}test_readme.py::test_faults_that_may_be_given_a_name_are_those_that_it_says"),
    (
        "what it could not undo",
        f"{UNIT}test_injector.py::test_one_that_cannot_be_undone_stays_in_force_and_the_rest_is_undone",
    ),
    ("Every mistake in a file", f"{UNIT}test_bad_files.py"),
    ("merge keys", f"{UNIT}test_merge_keys.py::test_phones_of_a_lab_file_take_over_from_each_other"),
    ("call any other by its extension", f"{CALLS}test_call_across_nodes_carries_audio_both_ways"),
    ("names the files of `config:`", f"{UNIT}test_config_problems.py::test_what_nothing_reads_is_told"),
    ("drawn afresh for each lab", f"{UNIT}test_blueprint.py"),
    ("with RSA keys of the lab's own", f"{SITES}test_up_proves_that_each_site_has_its_ring_and_finds_the_other"),
    ("no Corosync runs", f"{CARRIERS}test_no_node_runs_corosync_where_publish_carries_state"),
    ("Of it, measured with 0.1", MEASURED),
    ("Your own goes with `--stack ./mine.yaml`", f"{VERBS}test_another_stack_over_a_lab_as_it_was_made"),
    (
        "by `--image IMAGE`",
        "tests/integration/test_stacks.py::test_a_lab_on_an_image_from_elsewhere_is_proven_ready_and_stays_on_it",
    ),
    ("and refuses another", f"{VERBS}test_images_say_what_is_in_them"),
    (
        "what failed stands beside each scenario",
        f"{UNIT}test_old_stacks.py::test_what_is_expected_to_fail_is_what_failed",
    ),
    (
        "parsers and checks are tested on",
        f"{UNIT}test_mutations.py::test_of_an_old_run_what_is_wrong_is_found_and_nothing_else",
    ),
    ("Debian's own packages of them were never run", NOT_PROVEN),
    ("signed with SHA-1 by keys that have expired", f"{MIRRORS}test_a_folder_signed_by_keys_that_have_expired"),
    (
        "on hosts of Debian 12, 13 and sid",
        "tests/integration/test_hosts.py::test_an_old_base_system_is_built_and_one_that_was_tampered_with_is_refused",
    ),
    ("tampered with is refused", f"{MIRRORS}test_what_is_not_as_it_was_signed_is_refused"),
    ("there the nodes are i386", f"{MIRRORS}test_a_node_of_i386_where_both_architectures_are_to_be_had"),
    (
        "so that nothing leaves it either",
        "tests/e2e/test_multicast.py::test_a_ring_forms_by_multicast_and_nothing_leaves_the_lab",
    ),
    ("is root on that machine", OF_DOCKER),
    (
        "whatever runs, runs in the node's container",
        f"{HERE}test_what_a_config_makes_asterisk_run_runs_in_the_nodes_container_as_its_user",
    ),
    ("refused without `--trust`", f"{HERE}test_a_scenario_that_has_nodes_run_commands_is_refused_with_its_line"),
    ("That is a list of known words", f"{UNIT}test_inline_commands.py"),
    ("a crash is never excused", f"{UNIT}test_crash_verdicts.py"),
    ("are not privileged", f"{HERE}test_a_container_may_do_no_more_than_readme_says"),
    (
        "It has CAP_NET_RAW and no other capability",
        f"{CAPTURES}test_labctl_ended_by_sigkill_takes_the_container_with_it",
    ),
    ("unless `--insecure`", f"{MIRRORS}test_without_a_keyring_it_is_refused_but_for_insecure"),
    (
        "Asterisk's files are 0640",
        f"{HERE}test_what_a_config_makes_asterisk_run_runs_in_the_nodes_container_as_its_user",
    ),
    ("with no mock in it", "Makefile"),
    (
        "device state crosses from each node",
        "tests/e2e/test_state.py::test_state_set_on_node_1_is_seen_on_nodes_2_and_3",
    ),
    ("the seven pairs", "tests/e2e/test_state.py::test_every_node_shows_the_aggregate"),
    ("watched from node 3", f"{CALLS}test_call_from_node_1_to_node_2_is_watched_from_node_3"),
    ("lights the lamp", f"{CALLS}test_voicemail_on_node_1_lights_the_lamp_of_a_phone_on_node_3"),
    ("a wrong password is refused", f"{CALLS}test_wrong_password_is_refused"),
    ("hints follow registrations", f"{CALLS}test_hints_of_a_phone_follow_its_registration_on_every_node"),
    ("all shipped scenarios end as they say", SCENARIOS),
    ("open in Chromium without", "tests/e2e/test_scenarios.py::test_the_page_of_every_run_opens_in_a_browser"),
    ("by PUBLISH five of those", f"{CARRIERS}test_scenarios_of_state_hold_by_publish_too"),
    (
        "histories that are wrong in one way",
        f"{UNIT}test_checks.py::test_a_wrong_history_is_found_out_by_its_checks_alone",
    ),
    ("that only look wrong", f"{UNIT}test_checks.py::test_a_right_history_that_looks_wrong_holds"),
    ("every fault is shown", f"{FAULTS}test_fault_is_shown_by_ps_and_undone_by_heal"),
    (
        "at 20 points each",
        "tests/integration/test_killed.py::test_up_and_down_killed_at_points_spread_over_their_course",
    ),
    ("a call between two sites", f"{SITES}test_call_across_the_sites_is_heard_at_both_ends"),
    ("when one peer is down", f"{SITES}test_state_by_site_is_told_also_when_one_peer_is_down"),
    ("a wrong key is refused", SCENARIOS),
    ("a patched module runs on every node", f"{PATCHES}test_every_node_runs_the_patched_module"),
    ("shipped Compose files", "tests/integration/test_compose.py::test_state_crosses_in_a_lab_that_compose_brought_up"),
    ("read or measured, and shown by no scenario", MEASURED),
    (
        "each with the scenario that shows it",
        f"{UNIT}test_findings.py::test_what_shows_a_finding_is_known_of_a_shipped_scenario",
    ),
    ("as markdown it is a report", "tests/e2e/test_findings.py::test_a_report_is_followed_by_hand"),
    ("written by `LABCTL_UPDATE_GOLDEN=1", f"{UNIT}test_findings.py::test_the_list_in_readme_is_that_of_the_files"),
    ("one state change in 2000", MEASURED),
    ("while other work kept it busy", MEASURED),
    ("a base system that is pulled", NOT_PROVEN),
    ("measured on 2026-11-27 on 2 CPUs", "tests/bench.py::main"),
    ("Measured with 0.1, on a machine like that", MEASURED),
)
"""A claim of README, by words of it, and what shows it: a test, a measurement that no test repeats, or nothing yet."""
