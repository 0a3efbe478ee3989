"""When a lab is ready: what each node still lacks, waiting until it lacks nothing, and mending what can be mended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from labctl.asterisk import output
from labctl.cluster.node_links import NodeLinks
from labctl.cluster.node_logs import LOG_START
from labctl.cluster.node_tools import CPG_FAILED
from labctl.errors import LabError
from labctl.lab import Node
from labctl.stack.model import Stack
from labctl.timing import PATIENCE, Deadline, LookPool

LOOK_AGAIN_S = 2.0
"""What a node lacks is looked for again after so long without news: a line of its log may have been missed."""

LOOKS_A_S = 4.0
"""So many looks a second there are at most, of all nodes together: each is a process in the node, and sixteen a second
would keep a small machine busy."""

PATIENCE_S = 3.0
"""So long a module may be amiss before labctl mends it: a node loads the module itself, and restarts an Asterisk that
is to follow Corosync."""

STUCK_S = 10.0
"""So long a module may answer with an error in a ring that is whole before its Asterisk is restarted: CPG is busy for a
moment after a ring has formed, and a connection to it that is broken stays so."""

IN_VAIN = 3
"""A Corosync that ends by an error so often in a row while it is waited for is waited for no longer: its supervisor
starts it anew each second, and what it finds wrong of its configuration stays."""

NEVER_READY = "not ready, and waiting mends nothing"
"""How the error begins of a lab that will not be ready however long it is waited for."""

Restart = Callable[[str], None]
"""Restarts the Asterisk of a node, and connects to it again."""


class Remedy(Enum):
    """What mends a node whose ring is whole, and whose cluster module is not in its group."""

    NONE = auto()
    LOAD_MODULE = auto()
    RESTART_ASTERISK = auto()
    RESTART_IF_IT_LASTS = auto()


_RESTARTS = {Remedy.RESTART_ASTERISK, Remedy.RESTART_IF_IT_LASTS}


@dataclass(frozen=True)
class Lack:
    """What a node lacks, and what mends it. `members`: how many its module does not see yet."""

    what: str
    remedy: Remedy = Remedy.NONE
    members: int = 0

    @property
    def news(self) -> int:
        """So many things must be heard of a node before it is worth a question: each member is told of when it joins,
        and a question to a module is in the way of what it does (`labctl findings show members-asked-at-once`)."""
        return max(1, self.members // 2)


@dataclass(frozen=True)
class _Waiting:
    """One wait for all nodes. `in_vain` is set where a Corosync starts in vain: then no node is waited for."""

    deadline: Deadline
    restart: Restart | None
    in_vain: threading.Event = field(default_factory=threading.Event)


class Readiness:
    """Waits until the nodes of a lab are ready."""

    def __init__(
        self,
        links: NodeLinks,
        patience_s: float = PATIENCE_S,
        look_again_s: float = LOOK_AGAIN_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._links = links
        self._lab = links.lab
        self._stack_of = links.running.stack_of
        self._patience_s = patience_s
        self._stuck_s = stuck_s
        self._look_again_s = max(look_again_s, len(self._lab.nodes) / LOOKS_A_S)

    def wait(self, deadline: Deadline, restart: Restart | None = None) -> None:
        """Return when every node is booted, quorate, and sees every member in its ring and its module.

        Nodes that were never started are left out; where most were not, nobody need be quorate.

        restart: mends a node whose module cannot join its group any more; once a node. Where it is given, a module
        that is not loaded is loaded, too, and a Corosync that starts in vain again and again is waited for no longer;
        where not, nothing is changed, and somebody else may mend that.
        Raises NotReady at the deadline, or as soon as a container has ended or waiting is in vain; it says which node
        lacks what.
        """
        nodes = self._links.started
        waiting = _Waiting(deadline, restart)
        for node in nodes:
            self._links.logs.failed_starts(node.name).forget()
        with LookPool(max_workers=len(nodes)) as pool:
            lacks = list(pool.map(lambda node: self._await_node(node, waiting), nodes))
        missing = {node.name: [lack.what] for node, lack in zip(nodes, lacks, strict=True) if lack}
        if missing:
            late = f"not ready after {deadline.timeout_s:g} s"
            raise self._links.not_ready(NEVER_READY if waiting.in_vain.is_set() else late, missing)

    def _await_node(self, node: Node, waiting: _Waiting) -> Lack | None:
        """What the node still lacks when nobody waits for it any longer; None once it is ready."""
        news, restart = self._links.news(node.name), waiting.restart
        remedy, patience = Remedy.NONE, Deadline(0)
        learns = True
        while True:
            changes = news.count
            if lack := self._await_booted(node.name, waiting):
                return lack
            if learns or not self._links.logs.follows(node.name):  # a new connection follows no log yet
                self._learn_ring(node)
            lack = self.lack(node)
            if lack is None or self._is_over(node.name, waiting):
                return lack and self._told(node.name, lack)
            if lack.remedy is not remedy:
                remedy, patience = lack.remedy, Deadline(self._patience(lack.remedy))
            if restart and remedy in _RESTARTS and patience.passed:
                restart(node.name)
                restart, remedy, learns = None, Remedy.NONE, True
                continue
            if restart and remedy is Remedy.LOAD_MODULE and patience.passed:
                patience = Deadline(self._patience_s)
                self._load_module(node.name)
            look_again_s = min(self._look_again_s, patience.left_s or self._look_again_s)
            more = changes + lack.news - 1
            learns = not news.wait_beyond(more, Deadline(min(look_again_s, waiting.deadline.left_s)))

    def _is_over(self, node: str, waiting: _Waiting) -> bool:
        """Whether what a node lacks is waited for no longer: at the deadline, or where a Corosync, this node's or
        another's, starts in vain."""
        if (
            waiting.restart
            and self._links.logs.failed_starts(node).in_a_row >= IN_VAIN
            and not waiting.in_vain.is_set()
        ):
            waiting.in_vain.set()
            for other in self._links.started:
                self._links.news(other.name).notify()
        return waiting.deadline.passed or waiting.in_vain.is_set()

    def _told(self, node: str, lack: Lack) -> Lack:
        """What a node lacks, with why its Corosync does not start."""
        failed = self._links.logs.failed_starts(node)
        if failed.in_a_row < IN_VAIN:
            return lack
        return Lack(f"{lack.what}, its Corosync does not start: {failed.why}")

    def _patience(self, remedy: Remedy) -> float:
        """For how long a node may mend itself; a module that lost its ring for good finds it by no patience."""
        if remedy is Remedy.RESTART_IF_IT_LASTS:
            return PATIENCE.stretch(self._stuck_s)
        mends_itself = remedy is Remedy.LOAD_MODULE or self._lab.follows_corosync
        return self._patience_s if mends_itself else 0.0

    def _learn_ring(self, node: Node) -> None:
        """Note the node's ring: by its log when that is read for the first time, later by Corosync's own tool, in case
        a line was missed."""
        if not self._lab.rings:
            return
        if not self._links.logs.follows(node.name):
            self._links.logs.note(node.name, self._links.logged_ring(node.name))
            if self.lack(node):
                self._links.follow_log(node.name)
        elif (ring := self._links.ring(node.name)).members:
            self._links.logs.note(node.name, ring)

    def _await_booted(self, node: str, waiting: _Waiting) -> Lack | None:
        """Wait for Asterisk; connect to it again where the connection has ended and the container has not. Where that
        takes long its log is followed: it may wait for a Corosync that does not start."""
        if node not in self._links.connected:
            return Lack("its container does not run")
        news = self._links.news(node)
        while True:
            changes = news.count
            connection = self._links.connection(node)
            if connection.booted and not connection.ended:
                return None
            if connection.ended and self._links.has_ended(node):
                return Lack("Asterisk is not fully booted (the container has ended)")
            if self._is_over(node, waiting):
                return self._told(node, Lack("Asterisk is not fully booted (the container runs)"))
            is_told = news.wait_beyond(changes, Deadline(min(self._look_again_s, waiting.deadline.left_s)))
            if connection.ended:
                self._links.connect_again(node)
            elif not is_told and self._lab.rings and not self._links.logs.follows(node):
                self._links.log_so_far(node, LOG_START)
                self._links.follow_log(node)

    def _load_module(self, node: str) -> None:
        """Load the cluster module as the node's own script does. AMI refuses that command (manager.c's blacklist)."""
        container = self._links.container(node)
        if container:
            command = f"module load {self._stack_of(node).cluster_module}.so"
            self._links.engine.run(container.id, ["asterisk", "-rx", command])

    # What a node lacks

    def lack(self, node: Node) -> Lack | None:
        """What a node lacks by its ring as the log told it last, and by what its module answers now."""
        if not self._lab.rings:
            return None
        cluster = self._lab.cluster_of(node.name)
        expected = len({*cluster} & {*self._links.started})
        ring = self._links.logs.ring(node.name)
        if len(ring.members) != expected:
            return Lack(f"its ring has {len(ring.members)} of {expected} members")
        if not ring.quorate and expected > len(cluster) / 2:
            return Lack("its ring is not quorate")
        return self._module_lack(node.name, str(node.nodeid), expected) if self._lab.share else None

    def _module_lack(self, node: str, own: str, expected: int) -> Lack | None:
        """What the cluster module of the node of the number `own` lacks where the ring is whole.

        A module that is mended may see all others, and not be in their group itself (members-asked-at-once.mend).
        """
        stack = self._stack_of(node)
        module, command = stack.cluster_module, stack.members_command
        try:
            answer = self._links.module_answer(node)
        except LabError as error:
            answer = error.message.removeprefix(f"{node}: ")
            return Lack(f"`{command}` fails: {answer}", self._remedy(stack, answer))
        members = {*output.parse_members(answer)}
        if len(members) == expected:
            return None
        is_outside = stack.group_command is not None and own not in members
        outside = Remedy.RESTART_IF_IT_LASTS if is_outside else Remedy.NONE
        remedy = outside if members else self._remedy(stack, answer)
        answered = f": {' '.join(answer.split())}" if remedy is not Remedy.NONE else ""
        seen = f"{module} sees {len(members)} of {expected} members{answered}"
        return Lack(seen, remedy, expected - len(members))

    @staticmethod
    def _remedy(stack: Stack, answer: str) -> Remedy:
        """What mends a module that answers so, and names no member."""
        if stack.has_lost_ring(answer):
            return Remedy.RESTART_ASTERISK
        if f"No such command '{stack.members_command}'" in answer:
            return Remedy.LOAD_MODULE if stack.joins == "after-ring" else Remedy.RESTART_ASTERISK
        if "did not answer" in answer:
            return Remedy.RESTART_ASTERISK
        return Remedy.RESTART_IF_IT_LASTS if CPG_FAILED in answer else Remedy.NONE
