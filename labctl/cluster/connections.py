"""A running lab seen from inside: connections to every node, when it is ready, and what its nodes say.

It hands on to the parts that do that: node_links.py, readiness.py, states.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType

from labctl.asterisk import ami, dundi, output
from labctl.asterisk.ami import ACTION_TIMEOUT_S
from labctl.blueprint.running_lab import Running
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.node_links import EventListener, Loss, LossListener, NodeLinks
from labctl.cluster.node_logs import LineListener
from labctl.cluster.node_tools import NO_COMMAND, numbered, ring_numbers_on
from labctl.cluster.readiness import Readiness, Restart
from labctl.cluster.states import LAB_CONTEXT, HintStates, learned
from labctl.cluster.views import NOT_STARTED, NodeView, StateRow
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from labctl.errors import LabError, NotReady
from labctl.lab import Node
from labctl.timing import PATIENCE, Deadline, LookPool, pass_time

__all__ = ["LAB_CONTEXT", "Cluster", "learned"]

BUSY_S, ASK_AGAIN_S = 3.0, 0.1
"""How long a row of `ps` waits for a module that answers with an error, and how often it asks; no event tells when CPG
is busy no longer."""


class Cluster:
    """Connections to every node of a lab. Use it as a context manager."""

    def __init__(self, engine: Engine, running: Running) -> None:
        self.lab = running.lab
        self._links = NodeLinks(engine, running)
        self._readiness = Readiness(self._links)
        self._states = HintStates(self._links)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Connections

    def open(self) -> None:
        """Connect to every node that runs; Asterisk need not listen yet."""
        self._links.open()

    def close(self) -> None:
        """Hang up everywhere; an error is raised when all is hung up."""
        self._links.close()

    def connection(self, node: str) -> ami.Connection:
        """The connection to a node. Raises LabError if there is none."""
        return self._links.connection(node)

    @property
    def connected(self) -> tuple[str, ...]:
        """The nodes that there is a connection to."""
        return self._links.connected

    @property
    def started(self) -> tuple[Node, ...]:
        """The nodes of the lab, but for those that were never started."""
        return self._links.started

    def reconnect(self, node: str, deadline: Deadline) -> None:
        """Connect anew to a node whose Asterisk or container was gone, and return when it is fully booted.

        Raises NotReady at the deadline, or as soon as its container has ended.
        """
        self._links.reconnect(node, deadline)

    def await_booted(self, deadline: Deadline) -> None:
        """Return when every connected Asterisk is fully booted, has gone, or the deadline passes."""
        self._links.await_booted(deadline)

    def await_gone(self, node: str, deadline: Deadline) -> None:
        """Return when the node's Asterisk has hung up, or there is no connection to it, or at the deadline."""
        self._links.await_gone(node, deadline)

    def disconnect(self, node: str) -> None:
        """Hang up on a node that is gone."""
        self._links.disconnect(node)

    def listen(self, listener: EventListener) -> None:
        """Call `listener` with every AMI event of every node from now on, from the node's own thread."""
        self._links.listen(listener)

    def listen_to_losses(self, listener: LossListener) -> None:
        """Call `listener` with every node whose connection is lost from now on, from the node's own thread."""
        self._links.listen_to_losses(listener)

    def lost(self, node: str) -> Loss | None:
        """The loss of the connection to a node; None where it stands, or labctl hung up."""
        return self._links.lost(node)

    def container_state(self, node: str) -> str:
        """The state of a node's container now, as the engine names it; "" where there is none."""
        return self._links.container_state(node)

    def probe(self, node: str) -> None:
        """Have a node's Asterisk asked whether it is there; where it is silent, its connection is lost.

        Raises LabError if there is no connection.
        """
        self.connection(node).probe()

    def log_so_far(self, node: str) -> str:
        """What a node has logged so far; whoever listens to logs hears what comes after it."""
        return self._links.log_so_far(node)

    def says_it_is_mute(self, node: str) -> bool:
        """Whether the last that a node logged is that its cluster module sent nothing of a change."""
        return self._links.says_it_is_mute(node)

    def listen_to_logs(self, listener: LineListener) -> None:
        """Call `listener` with every line that a node logs from now on, from the node's own thread."""
        self._links.listen_to_logs(listener)

    # Ready

    def await_ready(self, deadline: Deadline, mend: Restart | None = None) -> None:
        """Return when every node is booted, quorate, and sees every member in its ring and its module.

        mend: restarts the Asterisk of a node whose module cannot join its group any more. Where it is given, a module
        that is not loaded is loaded, too. Raises NotReady, which says which node lacks what.
        """
        self._readiness.wait(deadline, mend)

    def not_ready(self, message: str, missing: dict[str, list[str]]) -> NotReady:
        """An error that says which node lacks what, and shows the last lines of that node's log."""
        return self._links.not_ready(message, missing)

    def config_problems(self, node: str) -> list[ConfigProblem]:
        """What is wrong with the files of a node that the lab's `config:` adds to."""
        return self._links.config_problems(node)

    def known_ring(self, node: str) -> Membership:
        """Corosync's membership as the node's log told it last."""
        return self._links.logs.ring(node)

    def ring(self, node: str) -> Membership:
        """Corosync's membership as the node has it now; an empty one where it does not answer."""
        return self._links.ring(node)

    # What the nodes say

    def set_device(self, node: str, device: str, state: str) -> str:
        """Send a change of a Custom device on a node; the id to wait for the answer by."""
        return self.connection(node).send("Setvar", Variable=f"DEVICE_STATE({device})", Value=state)

    def states(self, nodes: Collection[str] | None = None, timeout_s: float = ACTION_TIMEOUT_S) -> list[StateRow]:
        """What each node (or each of `nodes`) has told of each extension last; UNKNOWN after `timeout_s` seconds."""
        return self._states.states(nodes, timeout_s)

    def await_state(self, extension: str, state: str, deadline: Deadline, nodes: Collection[str] | None = None) -> None:
        """Return when every node (or each of `nodes`) says `state` of the extension. Raises NotReady."""
        self._states.wait_for(extension, state, deadline, nodes)

    def await_event(self, ready: Callable[[], bool], deadline: Deadline) -> bool:
        """Look at `ready` after each event of any node, until it holds or the deadline passes; which it was."""
        return self._links.events.wait_until(ready, deadline)

    def follow(self, extension: str) -> list[tuple[str, float, str]]:
        """A list to which every change of the extension is added from now on: node, monotonic seconds, state."""
        return self._states.follow(extension)

    def ask(self, node: str, number: str, context: str, *, fresh: bool = True) -> tuple[dundi.Answer, ...]:
        """What other sites answer a node that asks for a number by DUNDi; `fresh` passes by earlier answers.

        Raises LabError.
        """
        command = dundi.command(number, context, fresh=fresh)
        return dundi.parse_lookup(self.connection(node).command(command, slow=True))

    def views(self) -> list[NodeView]:
        """One row of `labctl ps` for each node, asked over the open connections, which is quicker."""
        with LookPool(max_workers=len(self.lab.nodes)) as pool:
            return list(pool.map(self._view, self.lab.nodes))

    def _view(self, node: Node) -> NodeView:
        container = self._links.container(node.name)
        if container is None:
            return NodeView(node.name, "gone")
        if node not in self.started:
            return NodeView(node.name, NOT_STARTED, container.address)
        connection, remarks = self.connection(node.name), list[str]()
        deadline = PATIENCE.deadline(BUSY_S)

        def answer(ask: Callable[[], str]) -> str | None:
            """What the node answers; None, and a remark, where that is an error for so long, as of a busy CPG."""
            while True:
                try:
                    return ask()
                except LabError as error:
                    is_known = NO_COMMAND not in error.message
                    if deadline.passed or not is_known:
                        remarks.append(error.message.removeprefix(f"{node.name}: "))
                        return None if is_known else ""
                pass_time(ASK_AGAIN_S)

        shows_members = self.lab.share and self.lab.rings
        module = answer(lambda: self._links.module_answer(node.name)) if shows_members else ""
        version = answer(lambda: connection.command("core show version"))
        uptime = answer(lambda: connection.command("core show uptime"))
        numbers = ring_numbers_on(self._links.running, node.name)
        return NodeView(
            node.name,
            container.state,
            container.address,
            self.known_ring(node.name),
            None if module is None else numbered(output.parse_members(module), numbers),
            output.parse_version(version or ""),
            output.parse_uptime(uptime or ""),
            remarks=tuple(remarks),
        )
