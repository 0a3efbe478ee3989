"""up, down and the verbs that look, on real containers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labctl.blueprint import record
from labctl.blueprint.owner import Process
from labctl.cluster.lab_lock import lab_lock
from labctl.engine.client import Engine
from labctl.images.builder import Options, references
from labctl.labfile import writer
from labctl.paths import images_folder
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from labctl.timing import Deadline
from tests.integration.conftest import RUN, labctl

pytestmark = pytest.mark.docker

SMALL = "nodes: 2\nphones: 1\n"

SAY_WHILE_COROSYNC_STANDS = r"""
corosync=$(pidof corosync)
kill -STOP "$corosync"
(sleep 2.5; kill -CONT "$corosync") &
{
    printf 'Action: Login\r\nUsername: labctl\r\nSecret: %s\r\nEvents: off\r\n\r\n' \
        "$(sed -n 's/^secret *= *//p' /etc/asterisk/manager.conf)"
    for number in $(seq 0 399); do
        printf 'Action: Command\r\nCommand: devstate change Custom:d%s %s\r\n\r\n' "$number" "$1"
        sleep 0.01
    done
    printf 'Action: Logoff\r\n\r\n'
} | timeout 60 socat -t 30 - TCP:127.0.0.1:5038 >/dev/null
wait
"""
"""A node says a state of 400 devices, one after the other for some 4 s, while its Corosync stands still for 2.5 s."""


def identities(engine: Engine, name: str) -> dict[str, str]:
    return {container.node: container.id for container in engine.observe(name).containers}


def test_up_proves_that_every_node_sees_every_other(name: str) -> None:
    result = labctl("up", "-n", name, "-o", "json")
    assert result.code == 0, result.err
    pairs = {(crossing["origin"], crossing["observer"]) for crossing in result.data["crossings"]}
    assert pairs == {(one, other) for one in ("n1", "n2", "n3") for other in ("n1", "n2", "n3") if one != other}


def test_a_node_documents_what_it_loads_and_with_all_modules_everything(name: str, tmp_path: Path) -> None:
    """Asterisk reads its documentation whenever it starts, and all of it is more than half of what that takes."""

    def said(command: str) -> str:
        return labctl("cli", "-n", name, "n1", command).out

    lab = tmp_path / "lab.yaml"
    lab.write_text(SMALL)
    assert labctl("up", "-n", name, "-f", str(lab)).code == 0
    assert "Attempt to connect to another device" in said("core show application Dial")
    assert "Answer a channel" in said("core show application Answer")
    assert "Action: QueueAdd" not in said("manager show command QueueAdd")
    assert "Loaded app_confbridge.so" in said("module load app_confbridge.so")  # what its options mean is kept
    lab.write_text(f"{SMALL}modules: all\n")
    assert labctl("up", "-n", name, "-f", str(lab)).code == 0
    assert "Queue a call for a call queue" in said("core show application Queue")
    assert "Event: Hangup" in said("manager show event Hangup")


def test_second_up_touches_no_container(name: str, engine: Engine) -> None:
    labctl("up", "-n", name)
    before = identities(engine, name)
    result = labctl("up", "-n", name, "-o", "json")
    assert result.data["changed"] == []
    assert identities(engine, name) == before


def test_up_mends_just_the_killed_node(name: str, engine: Engine) -> None:
    labctl("up", "-n", name)
    before = identities(engine, name)
    engine._api.kill(before["n2"])
    result = labctl("up", "-n", name, "-o", "json")
    assert result.code == 0, result.err
    assert result.data["changed"] == [f"start labctl-{name}-n2"]
    assert identities(engine, name) == before


def test_up_mends_a_module_that_lost_corosync_for_good(name: str) -> None:
    assert labctl("up", "-n", name).code == 0
    stopped = labctl("fault", "stop", "n2", "--service", "corosync", "-n", name)
    assert f"labctl up --name {name}" in stopped.err
    deadline = Deadline(120)
    while "CPG iterator: 9" not in (answer := labctl("cli", "n2", "-n", name, "corosync", "show", "members")).out:
        assert not deadline.passed, answer
    assert labctl("heal", "-n", name).code == 0
    mended = labctl("up", "-n", name)
    assert mended.code == 0, mended.err
    assert "restart Asterisk on n2" in mended.err


def test_a_node_that_is_down_cannot_be_killed_again(name: str) -> None:
    assert labctl("up", "-n", name).code == 0
    assert labctl("fault", "kill", "n2", "-n", name).code == 0
    again = labctl("fault", "kill", "n2", "-n", name)
    assert (again.code, "n2 is exited" in again.err) == (2, True)
    assert [fault["name"] for fault in labctl("heal", "-n", name, "-o", "json").data] == ["down-n2"]


def test_up_starts_what_was_paused(name: str, engine: Engine) -> None:
    labctl("up", "-n", name)
    engine._api.pause(f"labctl-{name}-n3")
    result = labctl("up", "-n", name, "-o", "json")
    assert result.code == 0, result.err
    assert result.data["changed"] == [f"unpause labctl-{name}-n3"]


def test_changed_file_recreates_just_what_it_changes(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    before = identities(engine, name)
    changed = SMALL + "config: {n2: {asterisk/rtp.conf: '; changed'}}\n"
    result = labctl("up", "-n", name, "-f", "-", "-o", "json", text=changed)
    assert result.code == 0, result.err
    after = identities(engine, name)
    assert after["n1"] == before["n1"]
    assert after["n2"] != before["n2"]


def test_five_nodes(name: str) -> None:
    result = labctl("up", "-n", name, "--nodes", "5", "-o", "json")
    assert result.code == 0, result.err
    answered = [node["cluster"] for node in result.data["nodes"] if node["cluster"] is not None]
    assert len(result.data["nodes"]) == 5
    assert {*map(tuple, answered)} == {("1", "2", "3", "4", "5")}


@pytest.mark.parametrize("totem", ["{transport: udpu}", "{encryption: false}", "{token: 3000}"])
def test_totem_settings_make_a_ring(name: str, totem: str) -> None:
    result = labctl("up", "-n", name, "-f", "-", text=SMALL + f"totem: {totem}\n")
    assert result.code == 0, result.err


def test_lab_that_shares_nothing_comes_up(name: str) -> None:
    result = labctl("up", "-n", name, "-f", "-", text=SMALL + "share: []\n")
    assert result.code == 0, result.err
    assert "shares no device state" in result.err


def test_two_labs_live_side_by_side_and_down_takes_one(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    other = f"{name[:20]}-other"
    assert labctl("up", "-n", other, "-f", "-", text=SMALL).code == 0
    assert labctl("down", "-n", other).code == 0
    assert engine.observe(other).empty
    assert labctl("wait", "-n", name, "--for", "proven").code == 0


def test_down_leaves_nothing_whatever_state_the_lab_is_in(name: str, engine: Engine) -> None:
    labctl("up", "-n", name)
    engine._api.pause(f"labctl-{name}-n1")
    engine._api.kill(f"labctl-{name}-n2")
    engine._api.remove_container(f"labctl-{name}-phones", force=True)
    result = labctl("down", "-n", name)
    assert result.code == 0, result.err
    assert engine.observe(name).empty


def test_down_of_a_lab_that_is_not_there_is_no_error(name: str) -> None:
    assert labctl("down", "-n", name).code == 0


def test_dry_run_says_and_does_nothing(name: str, engine: Engine) -> None:
    result = labctl("up", "-n", name, "--dry-run")
    assert result.code == 0
    assert f"create labctl-{name}-n1" in result.out
    assert engine.observe(name).empty


def test_ls_shows_every_lab_with_the_nodes_that_run(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    engine._api.kill(f"labctl-{name}-n2")
    (row,) = [lab for lab in labctl("ls", "-o", "json").data if lab["name"] == name]
    subnet = engine.observe(name).networks[0].subnet
    assert row == {"name": name, "stack": "22", "running": 1, "nodes": 2, "subnet": subnet}
    assert [name, "22", "1/2", subnet] in [line.split() for line in labctl("ls").out.splitlines()]


def test_up_tells_the_ring_as_corosync_does(name: str) -> None:
    up = labctl("up", "-n", name, "-f", "-", "-o", "json", text=SMALL).data
    ps = labctl("ps", "-n", name, "-o", "json").data
    assert [node["ring"] for node in up["nodes"]] == [node["ring"] for node in ps]


def test_ps_shows_quorum_members_and_versions(name: str) -> None:
    labctl("up", "-n", name)
    rows = labctl("ps", "-n", name, "-o", "json").data
    assert [row["ring"]["quorate"] for row in rows] == [True] * 3
    assert [row["ring"]["members"] for row in rows] == [[1, 2, 3]] * 3
    assert [row["cluster"] for row in rows] == [["1", "2", "3"]] * 3
    assert all(row["asterisk"].startswith("22.") for row in rows)


def test_ps_shows_a_node_that_does_not_run(name: str, engine: Engine) -> None:
    labctl("up", "-n", name)
    engine._api.kill(f"labctl-{name}-n3")
    rows = labctl("ps", "-n", name, "-o", "json").data
    assert [row["container"] for row in rows] == ["running", "running", "exited"]


def test_state_marks_where_nodes_differ(name: str) -> None:
    text = SMALL + "share: []\n"
    labctl("up", "-n", name, "-f", "-", text=text)
    labctl("cli", "-n", name, "n1", "devstate", "change", "Custom:mystate", "BUSY")
    rows = {row["extension"]: row for row in labctl("state", "-n", name, "-o", "json").data}
    assert rows["mystate"]["states"] == {"n1": "Busy", "n2": "Idle"}
    assert not rows["mystate"]["agreed"]
    assert "< differ" in labctl("state", "-n", name).out


def test_wait_for_a_state_that_comes_and_one_that_does_not(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    labctl("cli", "-n", name, "n1", "devstate", "change", "Custom:mystate", "RINGING")
    assert labctl("wait", "-n", name, "--for", "state=mystate:Ringing").code == 0
    result = labctl("wait", "-n", name, "--for", "state=mystate:Hold", "--timeout", "30s")
    assert result.code == 1
    assert "n2: says Ringing" in result.err


def test_a_wait_for_what_was_lost_as_the_machine_stalled_is_not_judged(name: str) -> None:
    """Corosync on n2 stands still for longer than the token's time-out, 1.65 s of three nodes, and not for so long that
    it is left out; what its Asterisk says as the ring forms anew is refused."""
    devices = [f"d{number}" for number in range(400)]
    labctl("up", "-n", name, "-f", "-", text=f"nodes: 3\nphones: 0\ndevices: [{', '.join(devices)}]\n")
    for state in ("BUSY", "INUSE", "ONHOLD", "RINGING", "BUSY", "INUSE"):
        labctl("sh", "n2", "-n", name, "--", "sh", "-c", SAY_WHILE_COROSYNC_STANDS, "sh", state)
        rows = {row["extension"]: row["states"] for row in labctl("state", "-n", name, "-o", "json").data}
        lost = next((device for device in devices if len({*rows[device].values()}) > 1), "d0")
        wait = ("wait", "-n", name, "--for", f"state={lost}:{rows[lost]['n2']}", "--timeout", "10s")
        result = labctl(*wait)
        if result.code == 5:
            break
    assert "not judged: the ring lost its token and no node" in result.err
    assert re.search(r"^  n2: .*CPG mcast failed \(6\)", result.err, re.M), result.err
    nobody_says = ("wait", "-n", name, "--for", f"state={lost}:Unavailable", "--timeout", "1s")
    assert labctl(*nobody_says).code == 1
    assert labctl("fault", "impair", "n1", "--loss", "1", "-n", name).code == 0
    assert labctl(*wait).code == 1


def test_cli_fails_where_asterisk_does_not_know_the_command(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    result = labctl("cli", "-n", name, "n1", "nonsense")
    assert result.code == 1
    assert "No such command 'nonsense'" in result.out
    assert labctl("cli", "-n", name, "n1", "core", "show", "version").code == 0


def following(name: str) -> subprocess.Popen[str]:
    """`labctl logs --follow`, which goes on."""
    command = [sys.executable, "-m", "labctl", "logs", "-n", name, "--follow"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_logs_that_nobody_reads_to_the_end_are_no_failure(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    with following(name) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        labctl(
            "sh", "-n", name, "n1", "--", "sh", "-c", "for each in 1 2 3; do echo more; sleep 1; done > /proc/1/fd/1"
        )
        assert process.wait(timeout=120) == 0
        assert process.stderr.read() == ""


def test_logs_go_on_of_a_node_that_starts_again_and_end_with_the_lab(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    with following(name) as process:
        assert process.stdout
        assert process.stderr
        starts = (line for line in process.stdout if line.startswith("n2 | ") and "starting up" in line)
        assert "Corosync Cluster Engine" in next(starts)
        labctl("fault", "kill", "n2", "-n", name)
        labctl("heal", "-n", name)
        assert "Corosync Cluster Engine" in next(starts)
        labctl("down", "-n", name)
        assert process.wait(timeout=120) == 0
        assert process.stderr.read() == ""


def test_sh_passes_the_exit_code_on(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    result = labctl("sh", "-n", name, "n1", "--", "sh", "-c", "echo out; exit 7")
    assert (result.code, result.out) == (7, "out\n")


def test_logs_hold_corosync_and_asterisk(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    text = labctl("logs", "-n", name).out
    assert "n1 | " in text
    assert "[QUORUM] Members[2]: 1 2" in text
    assert "joined the cluster" in text
    hosts = [line.partition(" | ")[0] for line in text.splitlines()]
    assert hosts != sorted(hosts)  # in the order of time, not by node


def test_broken_node_is_named_with_its_log_in_time(name: str) -> None:
    text = SMALL + "config: {n2: {asterisk/res_corosync.conf: 'publish_event = nonsense'}}\n"
    result = labctl("up", "-n", name, "-f", "-", "--timeout", "90s", text=text)
    assert result.code == 1
    assert "n2: `corosync show members` fails: Asterisk says: No such command" in result.err


def test_corosync_that_cannot_start_is_named_with_its_log(name: str) -> None:
    text = SMALL + "config: {n1: {corosync/corosync.conf: 'this is no configuration'}}\n"
    result = labctl("up", "-n", name, "-f", "-", "--timeout", "20s", text=text)
    assert result.code == 1
    assert "n1: " in result.err
    assert "corosync" in result.err.lower()


def test_names_that_are_not_there_exit_2_and_say_what_is(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    result = labctl("cli", "-n", name, "n9", "core show version")
    assert result.code == 2
    assert "n1, n2" in result.err or "did you mean" in result.err


def test_config_takes_the_name_from_the_flag(name: str) -> None:
    assert json.loads(labctl("config", "-n", name, "-o", "json").out)["name"] == name


def test_stack_that_names_an_image_built_elsewhere(name: str, tmp_path: Path, engine: Engine) -> None:
    shipped = yaml.safe_load((images_folder() / "stacks" / "22.yaml").read_text())
    images = references(find_stack("22"), Options())
    foreign = {key: value for key, value in shipped.items() if key not in ("build", "suite", "base")}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(foreign | {"name": "mine", "image": images.node, "phone_image": images.phone}))
    result = labctl("up", "-n", name, "--stack", str(file), "-f", "-", text=SMALL)
    assert result.code == 0, result.err
    assert labctl("ps", "-n", name).code == 0


def test_foreign_image_that_is_nowhere_exits_4_and_makes_nothing(name: str, tmp_path: Path, engine: Engine) -> None:
    shipped = yaml.safe_load((images_folder() / "stacks" / "22.yaml").read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(shipped | {"name": "mine", "image": "labctl/nowhere:1"}))
    result = labctl("up", "-n", name, "--stack", str(file), "-f", "-", text=SMALL)
    assert result.code == 4, result.err
    assert "labctl/nowhere:1" in result.err
    assert engine.observe(name).empty


def test_interrupted_up_exits_130_and_the_next_goes_on(name: str) -> None:
    heeded = (
        "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "  # also in the background
    )
    command = [sys.executable, "-c", f"{heeded}runpy.run_module('labctl', run_name='__main__')", "up", "-n", name]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr
    next(line for line in process.stderr if line.startswith("ok   create network"))
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=180)
    assert process.returncode == 130, rest
    assert "interrupted" in rest
    assert labctl("up", "-n", name).code == 0


def test_images_say_what_is_in_them() -> None:
    labels = next(iter(labctl("build", "-q", "-o", "json").data.values()))
    assert labels["labctl.contents.asterisk"].endswith(labels["labctl.contents.res_corosync"].split(":")[-1])
    assert {"labctl.base", "labctl.suite", "labctl.built", "labctl.contents.corosync"} <= set(labels)


def test_option_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_CONFIG_NODES", "5")
    assert len(labctl("config", "-o", "json").data["nodes"]) == 5


def test_call_is_heard_by_both_and_seen_by_every_node(name: str) -> None:
    labctl("up", "-n", name)
    result = labctl("call", "-n", name, "alice", "bob", "--duration", "300ms", "-o", "json")
    assert result.code == 0, result.err
    assert min(result.data["caller_heard"], result.data["callee_heard"]) >= 15
    learned = {(change["state"], change["node"]) for change in result.data["learned"]}
    assert learned >= {(state, node) for state in ("Ringing", "InUse", "Idle") for node in ("n1", "n2", "n3")}


def test_call_of_a_phone_that_is_not_there_exits_2(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    result = labctl("call", "-n", name, "alice", "bob")
    assert result.code == 2
    assert "no phone `bob`" in result.err


def test_console_without_a_terminal_is_refused(name: str) -> None:
    result = labctl("cli", "-n", name, "n1", text="")
    assert result.code == 2
    assert "needs a terminal" in result.err


def test_up_without_a_file_leaves_a_lab_as_it_was_made(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text="nodes: [hq, branch]\nphones: 1\n")
    assert labctl("up", "-n", name, "-o", "json").data["changed"] == []


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3)])
def test_another_number_of_nodes_over_a_lab_as_it_was_made(name: str, before: int, after: int) -> None:
    assert labctl("up", "-n", name, "--nodes", str(before)).code == 0
    result = labctl("up", "-n", name, "--nodes", str(after), "-o", "json")
    assert result.code == 0, result.err
    assert len(result.data["nodes"]) == after
    phones = labctl("config", "-n", name, "-o", "json").data["phones"]
    assert [phone["node"] for phone in phones] == [f"n{number}" for number in range(1, after + 1)]


def test_an_image_that_a_lab_was_made_with_stays_with_it_until_it_is_taken_off(name: str, engine: Engine) -> None:
    node = references(find_stack("22"), Options()).node
    engine._api.tag(node, "labctl/t-stays", RUN)
    try:
        assert labctl("up", "-n", name, "-f", "-", "--image", f"labctl/t-stays:{RUN}", text=SMALL).code == 0
        images = {container.image for container in engine.observe(name).containers if container.role == "node"}
        assert images == {f"labctl/t-stays:{RUN}"}
        assert labctl("up", "-n", name, "-o", "json").data["changed"] == []
        assert labctl("up", "-n", name, "--image", "", "--dry-run").out.count(f"from {node}") == 2
    finally:
        labctl("down", "-n", name)
        engine.remove_image(f"labctl/t-stays:{RUN}")


def relabelled(engine: Engine, name: str, text: str) -> None:
    """Make a lab whose record is this text: labels cannot be changed, so the phones' container is made anew."""
    phones = f"labctl-{name}-phones"
    inspected = engine._api.inspect_container(phones)
    engine._api.remove_container(phones, force=True)
    labels = inspected["Config"]["Labels"] | {"labctl.spec": text}
    host_config = engine._api.create_host_config(network_mode=f"labctl-{name}")
    engine._api.create_container(inspected["Config"]["Image"], name=phones, labels=labels, host_config=host_config)


def test_a_lab_of_the_first_labctl_is_shown_changed_and_taken_away(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    as_made = record.parse(
        name, next(container.spec for container in engine.observe(name).containers if container.spec)
    )
    first = {"lab": writer.to_data(as_made.lab), "stack": as_made.stack.model_dump(mode="json")}
    relabelled(engine, name, json.dumps(first))
    assert [row["node"] for row in labctl("ps", "-n", name, "-o", "json").data] == ["n1", "n2"]
    result = labctl("up", "-n", name, "-o", "json")
    assert (result.code, len(result.data["nodes"])) == (0, 2), result.err
    assert labctl("down", "-n", name).code == 0


def test_a_lab_of_a_later_labctl_is_told_apart_and_taken_away(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    relabelled(engine, name, json.dumps({"version": 99, "labctl": "9.9", "lab": {"stack": "40", "nodes": ["n1"]}}))
    for verb in ("up", "ps", "state"):
        refused = labctl(verb, "-n", name)
        assert (refused.code, "labctl 9.9 wrote it" in refused.err) == (2, True), refused.err
    (row,) = [lab for lab in labctl("ls", "-o", "json").data if lab["name"] == name]
    assert (row["stack"], row["running"], row["nodes"]) == ("40", 2, 1)
    assert labctl("down", "-n", name).code == 0
    assert engine.observe(name).empty


def test_run_takes_no_lab_away_that_a_user_made(name: str, engine: Engine, tmp_path: Path) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    before = identities(engine, name)
    refused = labctl("run", "partition-heal", "--name", name, "--folder", str(tmp_path))
    assert refused.code == 2, refused.err
    assert f"labctl down --name {name}" in refused.out
    assert identities(engine, name) == before


def test_orphans_go_and_labs_of_users_stay(name: str, engine: Engine) -> None:
    orphan = f"{name[:20]}-orphan"
    process = json.loads(str(Process.current())) | {"start": "1"}
    labels = {"labctl.lab": orphan, "labctl.owner": "run", "labctl.process": json.dumps(process)}
    engine._api.create_network(f"labctl-{orphan}", "bridge", labels=labels)
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    planned = labctl("down", "--orphans", "--dry-run", "-o", "json").data
    assert f"remove network labctl-{orphan}" in planned
    assert not any(name in step and orphan not in step for step in planned)
    assert labctl("down", "-n", orphan).code == 0
    assert labctl("down", "--all", "--orphans").code == 2


def test_a_network_that_a_guest_is_connected_to_exits_4_and_says_which(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    image = references(find_stack("22"), Options()).phone
    host_config = engine._api.create_host_config(network_mode=f"labctl-{name}")
    guest = engine._api.create_container(image, ["sleep", "600"], name=f"guest-of-{name}", host_config=host_config)
    try:
        engine._api.start(guest["Id"])
        refused = labctl("down", "-n", name)
        assert (refused.code, f"guest-of-{name}" in refused.err) == (4, True), refused.err
        assert [part.name for part in engine.observe(name).networks] == [f"labctl-{name}"]
    finally:
        engine._api.remove_container(guest["Id"], force=True)
    assert labctl("down", "-n", name).code == 0
    assert engine.observe(name).empty


def test_down_waits_for_whoever_is_at_work_on_the_lab(name: str, engine: Engine) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    command = [sys.executable, "-m", "labctl", "down", "-n", name]
    with lab_lock(engine, name, Silent()):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr
        assert next(line for line in process.stderr if "wait for another labctl" in line)
        assert not engine.observe(name).empty
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert engine.observe(name).empty


def test_another_stack_over_a_lab_as_it_was_made(name: str, tmp_path: Path) -> None:
    shipped = yaml.safe_load((images_folder() / "stacks" / "22.yaml").read_text())
    images = references(find_stack("22"), Options())
    foreign = {key: value for key, value in shipped.items() if key not in ("build", "suite", "base")}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(foreign | {"name": "mine", "image": images.node, "phone_image": images.phone}))
    labctl("up", "-n", name, "-f", "-", text="nodes: [hq, branch]\nphones: 1\n")
    result = labctl("up", "-n", name, "--stack", str(file), "-o", "json")
    assert result.code == 0, result.err
    assert [node["node"] for node in result.data["nodes"]] == ["hq", "branch"]
    (row,) = [lab for lab in labctl("ls", "-o", "json").data if lab["name"] == name]
    assert row["stack"] == str(file)


def test_all_and_one_lab_do_not_go_together(name: str) -> None:
    assert labctl("down", "-n", name, "--all", "--dry-run").code == 2


def test_wait_for_a_state_that_there_is_not_exits_2(name: str) -> None:
    labctl("up", "-n", name, "-f", "-", text=SMALL)
    assert labctl("wait", "-n", name, "--for", "state=mystate:Bogus").code == 2
    assert labctl("wait", "-n", name, "--for", "state=mystate:idle").code == 0
