"""When a lab is ready, what is said of a node that is not, and what is mended."""

# ruff: noqa: ARG005 - a fake has the arguments of what it stands for

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import cast

import pytest

from labctl.cluster.node_links import NodeLinks
from labctl.cluster.node_tools import TOOL_TIMEOUT_S
from labctl.cluster.readiness import Readiness
from labctl.engine.client import Engine
from labctl.engine.observation import Observation
from labctl.errors import NotReady
from labctl.timing import Deadline
from tests.unit.fake_nodes import FakeLab, LogLines

MISSING = "No such command 'corosync show members' (type 'core show help corosync show' for other possible commands)"
MANY_ORDERS = [
    "nodes: [hq, branch]",
    "nodes: [n2, n1]",
    "nodes: [zoe, adam, mia, bea]",
    *(f"nodes: {count}" for count in (2, 9, 10, 11, 16)),
    f"nodes: [{', '.join(f'n{number}' for number in range(16, 0, -1))}]",
]


def await_ready(lab: FakeLab, timeout_s: float = 60, mends: bool = True, patience_s: float = 0.1) -> list[str]:
    """Wait until the lab is ready; the nodes whose Asterisk was restarted meanwhile."""
    links = NodeLinks(cast(Engine, lab), lab.running)
    restarted: list[str] = []

    def restart(node: str) -> None:
        restarted.append(node)
        lab.nodes[node].commands[lab.stack.members_command] = lab.members(lab.nodes)
        lab.nodes[node].mute.clear()
        links.reconnect(node, Deadline(5))

    links.open()
    try:
        Readiness(links, patience_s, look_again_s=0.05, stuck_s=0.3).wait(
            Deadline(timeout_s), restart if mends else None
        )
    finally:
        links.close()
    return restarted


def quorumtool(lab: FakeLab) -> str:
    """What Corosync's tool prints of a ring of all."""
    lines = "\n".join(f"  {node.number}   1 {node.name}" for node in lab.nodes.values())
    return f"Quorate: Yes\nRing ID: 1.1\nMembership information\n{lines}\n"


def load_module(lab: FakeLab, needed: int = 1) -> None:
    """Have a module that is loaded by hand be in its group, at that many tries."""

    def run(node: str, command: list[str]) -> str:
        if command == ["asterisk", "-rx", "module load res_corosync.so"]:
            if lab.ran.count((node, command)) >= needed:
                lab.nodes[node].commands[lab.stack.members_command] = lab.members(lab.nodes)
            return ""
        assert command == ["timeout", str(TOOL_TIMEOUT_S), "corosync-quorumtool", "-s"]
        return quorumtool(lab)

    lab.run_in = run


@pytest.mark.parametrize("nodes", MANY_ORDERS)
def test_a_lab_is_ready_whatever_its_nodes_are_called_and_in_whatever_order_they_joined(nodes: str) -> None:
    lab = FakeLab(f"name: lab\n{nodes}\n")
    for turn, node in enumerate(lab.nodes.values()):
        order = [*lab.nodes]
        node.commands[lab.stack.members_command] = lab.members(order[turn:] + order[:turn])
        node.log = lab.ring_log(reversed(order))
    assert await_ready(lab) == []


@pytest.mark.parametrize("needed", [1, 3])
def test_a_module_that_is_not_loaded_is_loaded_and_nothing_is_restarted(needed: int) -> None:
    """In 0.1 labs of nine nodes waited for it in vain, and `up` again did too."""
    lab = FakeLab()
    lab.nodes["n2"].commands[lab.stack.members_command] = MISSING
    load_module(lab, needed)
    assert await_ready(lab) == []
    assert ("n2", ["asterisk", "-rx", "module load res_corosync.so"]) in lab.ran
    assert not any(node != "n2" and "-rx" in command for node, command in lab.ran)


def test_who_only_looks_loads_nothing() -> None:
    lab = FakeLab()
    lab.nodes["n2"].commands[lab.stack.members_command] = MISSING
    load_module(lab)
    with pytest.raises(NotReady, match="No such command"):
        await_ready(lab, timeout_s=0.5, mends=False)
    assert not any("-rx" in command for _, command in lab.ran)


def test_a_module_that_lost_its_corosync_has_its_asterisk_restarted_once() -> None:
    lab = FakeLab()
    lab.nodes["n3"].commands[lab.stack.members_command] = "Failed to initialize CPG iterator: 9"
    load_module(lab)
    assert await_ready(lab) == ["n3"]


@pytest.mark.parametrize("error", [2, 6])
def test_a_module_whose_questions_to_corosync_fail_for_long_has_its_asterisk_restarted(error: int) -> None:
    """Two that asked it at once had broken its connection, and `up` gave up at its deadline."""
    lab = FakeLab()
    answer = f"Failed to initialize CPG iterator: {error}. Command 'corosync show members' failed."
    lab.nodes["n1"].commands[lab.stack.members_command] = answer
    load_module(lab)
    assert await_ready(lab) == ["n1"]


def test_a_module_that_sees_the_others_and_is_not_among_them_has_its_asterisk_restarted() -> None:
    """As after a restart of Corosync, where the module asks by a connection of its own (a mend)."""
    lab = FakeLab()
    lab.nodes["n1"].commands[lab.stack.members_command] = lab.members(["n2", "n3"])
    load_module(lab)
    assert await_ready(lab) == ["n1"]


def test_a_module_whose_cpg_is_busy_for_a_moment_is_let_be() -> None:
    lab = FakeLab()
    lab.nodes["n1"].commands[lab.stack.members_command] = "Failed to initialize CPG iterator: 6."

    def run(node: str, command: list[str]) -> str:
        lab.nodes["n1"].commands[lab.stack.members_command] = lab.members(lab.nodes)
        return quorumtool(lab)

    lab.run_in = run
    assert await_ready(lab) == []


@pytest.mark.parametrize(
    "answers",
    [
        {"ais clm show members": "No such command 'ais clm show members'", "ais show clm members": "No such command"},
        {"ais clm show members": "", "ais show clm members": "No such command 'ais show clm members'"},
    ],
    ids=["refused when it was loaded", "lost its Corosync"],
)
def test_a_module_that_comes_with_asterisk_is_mended_by_a_restart(answers: dict[str, str]) -> None:
    lab = FakeLab(stack="1.8")
    member = "=== ==> ID: 0xb{0}1012c6\n=== ==> Address: x\n=== ==> Member: Yes\n"
    members = "\n".join(member.format(number) for number in range(3))
    for node in lab.nodes.values():
        node.log = lab.ring_log(lab.nodes)
        node.commands |= {"ais clm show members": members, "ais show clm members": "nothing"}
    lab.nodes["n1"].commands |= answers
    lab.members = lambda names: members  # type: ignore[method-assign]
    lab.run_in = lambda node, command: "\n".join(
        f"runtime.totem.pg.mrp.srp.members.{number}.status=joined" for number in (1, 2, 3)
    )
    assert await_ready(lab) == ["n1"]


def test_where_asterisk_follows_corosync_the_node_has_time_to_restart_it_itself() -> None:
    lab = FakeLab("name: lab\nfollows_corosync: true\n")
    lab.nodes["n3"].commands[lab.stack.members_command] = "Failed to initialize CPG iterator: 9"

    def run(node: str, command: list[str]) -> str:
        lab.nodes["n3"].commands[lab.stack.members_command] = lab.members(lab.nodes)
        return quorumtool(lab)

    lab.run_in = run
    assert await_ready(lab, patience_s=60, timeout_s=10) == []


def test_a_ring_that_grows_is_noticed_by_the_line_that_tells_of_it() -> None:
    lab = FakeLab()
    lab.nodes["n1"].log = lab.ring_log(["n1"])

    def run(node: str, command: list[str]) -> str:
        for lines in lab.nodes[node].logs:
            lines.say("[QUORUM] Members[3]: 1 2 3")
        return ""

    lab.run_in = run
    assert await_ready(lab) == []


class Growing(dict[str, str]):
    """What a node answers whose module sees more members as they join; `asked`: how often it was asked for them."""

    def __init__(self, lab: FakeLab) -> None:
        super().__init__()
        self.lab, self.seen, self.asked = lab, 1, 0

    def __getitem__(self, command: str) -> str:
        assert command == self.lab.stack.members_command
        self.asked += 1
        return self.lab.members([*self.lab.nodes][: self.seen])


def test_a_module_that_sees_more_and_more_members_is_not_asked_at_each() -> None:
    """Each of 30 was asked at each of 29 lines: questions that hold it up, and that its Asterisk may not survive."""
    lab = FakeLab("name: lab\nnodes: 16\n")
    answers = lab.nodes["n1"].commands = Growing(lab)
    links = NodeLinks(cast(Engine, lab), lab.running)
    links.open()
    with ThreadPoolExecutor() as pool:
        ready = pool.submit(Readiness(links).wait, Deadline(60))
        while not lab.nodes["n1"].logs:
            assert not wait([ready], 0.01).done
        for number in range(2, 17):
            answers.seen = number
            lab.nodes["n1"].logs[-1].say(
                f"Node {number} (02:00:00:00:00:{number:02x}) at 198.18.0.1 joined the cluster"
            )
            wait([ready], 0.02)
        ready.result()
    links.close()
    assert answers.asked <= 8


@pytest.mark.parametrize(
    ("log", "lack"),
    [
        ("[QUORUM] Members[1]: 1\n", "its ring has 1 of 3 members"),
        ("[QUORUM] Members[3]: 1 2 3\n", "its ring is not quorate"),
    ],
)
def test_who_is_not_ready_and_why(log: str, lack: str) -> None:
    lab = FakeLab()
    lab.nodes["n1"].log = log
    lab.run_in = lambda node, command: ""
    with pytest.raises(NotReady) as raised:
        await_ready(lab, timeout_s=0.4)
    assert raised.value.missing == {"n1": [lack]}


def test_a_daemon_that_restarts_in_a_loop_is_told_and_noise_is_not() -> None:
    lab = FakeLab()
    starts = "[MAIN  ] Corosync Cluster Engine 3.1.10 starting up\n" * 5
    noise = "[TOTEM ] Retransmit List: 1 2 3\n" * 50
    lab.nodes["n1"].log = f"{starts}the cause\n[QUORUM] Members[1]: 1\n{noise}"
    lab.run_in = lambda node, command: ""
    with pytest.raises(NotReady) as raised:
        await_ready(lab, timeout_s=0.3)
    assert "n1: its ring has 1 of 3 members, Corosync started 5 times in a minute" in raised.value.message
    assert "the cause" in raised.value.message
    assert "Retransmit" not in raised.value.message


@pytest.mark.long
def test_a_connection_that_ends_before_asterisk_is_booted_is_made_again() -> None:
    """In 0.1 socat gave up after 40 s, whatever `--timeout` said."""
    lab = FakeLab()
    node = lab.nodes["n2"]
    node.hangs_up = True
    observe = lab.observe

    def observed(lab: str | None = None) -> Observation:
        if len(node.sessions) >= 3:
            node.hangs_up = False
        return observe(lab)

    lab.observe = observed  # type: ignore[method-assign]
    assert await_ready(lab) == []
    assert len(node.sessions) >= 3


def test_a_container_that_has_ended_is_waited_for_no_longer() -> None:
    lab = FakeLab()
    lab.nodes["n2"].hangs_up = True
    links = NodeLinks(cast(Engine, lab), lab.running)
    links.open()
    lab.states["n2"] = "exited"
    with pytest.raises(NotReady, match="the container has ended"):
        Readiness(links).wait(Deadline(60))
    links.close()


UNREAD = "parser error: /etc/corosync/corosync.conf:51: Missing closing brace"


def say_in_vain(lab: FakeLab, *said: str) -> None:
    """Have n2's log say these lines once it is followed; before that no ring was formed there."""
    lab.nodes["n2"].log = "\n".join([UNREAD] * 20)  # of before, as what was mended since
    lab.run_in = lambda node, command: ""
    follow = lab.follow_logs

    def followed(container: str, tail: int | None = None, since: str = "", *, stamped: bool = False) -> LogLines:
        log = follow(container, tail, since, stamped=stamped)
        if container == "id-n2":
            for line in said:
                log.say(line)
        return log

    lab.follow_logs = followed  # type: ignore[method-assign]


def test_a_corosync_that_starts_in_vain_again_and_again_is_waited_for_no_longer() -> None:
    """A missing brace in corosync.conf took all of `--timeout` to be told."""
    lab = FakeLab()
    say_in_vain(lab, *[UNREAD] * 3)
    lab.nodes["n1"].log = lab.ring_log(["n1", "n3"])
    with pytest.raises(NotReady, match="waiting mends nothing") as raised:
        await_ready(lab, timeout_s=60)
    why = "/etc/corosync/corosync.conf:51: Missing closing brace"
    assert raised.value.missing["n2"] == [f"its ring has 0 of 3 members, its Corosync does not start: {why}"]
    assert raised.value.missing["n1"] == ["its ring has 2 of 3 members"]


@pytest.mark.parametrize("boots", [{"n1": False}, {"n2": False}, dict.fromkeys(("n1", "n2", "n3"), False)])
def test_also_where_asterisk_waits_for_it_or_is_not_booted_elsewhere(boots: dict[str, bool]) -> None:
    """Stacks 1.6 and 1.8 start Asterisk when Corosync answers; and no node waits for another's boot."""
    lab = FakeLab()
    say_in_vain(lab, *[UNREAD] * 3)
    for node in boots:
        lab.nodes[node].boots = False
    with pytest.raises(NotReady, match="waiting mends nothing") as raised:
        await_ready(lab, timeout_s=60)
    assert "its Corosync does not start: /etc/corosync/corosync.conf:51" in raised.value.missing["n2"][0]


@pytest.mark.parametrize("log", [[UNREAD] * 2, [UNREAD, UNREAD, "[QUORUM] Members[2]: 1 3", UNREAD]])
def test_a_corosync_that_did_not_start_at_first_is_waited_for(log: list[str]) -> None:
    lab = FakeLab()
    say_in_vain(lab, *log)
    with pytest.raises(NotReady, match=r"not ready after 0\.5 s"):
        await_ready(lab, timeout_s=0.5)


def test_who_only_looks_waits_on_for_what_another_may_mend() -> None:
    lab = FakeLab()
    say_in_vain(lab, *[UNREAD] * 5)
    with pytest.raises(NotReady, match=r"not ready after 0\.5 s"):
        await_ready(lab, timeout_s=0.5, mends=False)


def test_a_container_that_never_ran_is_named() -> None:
    lab = FakeLab()
    lab.states["n3"] = "exited"
    with pytest.raises(NotReady) as raised:
        await_ready(lab, timeout_s=0.3)
    assert raised.value.missing == {"n3": ["its container does not run"]}


def test_where_nothing_goes_by_rings_booted_is_ready() -> None:
    assert await_ready(FakeLab("name: lab\nshare: {events: [device_state], via: pjsip-publish}\n")) == []
