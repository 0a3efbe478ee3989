"""The links to every node of a lab: one kept AMI connection and one followed log each."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from labctl.asterisk import ami
from labctl.asterisk.output import Message
from labctl.blueprint.drawing import node_texts
from labctl.blueprint.running_lab import Running
from labctl.blueprint.secrets import Placeholders, Secrets
from labctl.cluster import config_problems
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.node_logs import LineListener, NodeLogs
from labctl.cluster.node_tools import bounded, ring_numbers_on
from labctl.cluster.restarts import restarts
from labctl.corosync import membership
from labctl.corosync.membership import Membership
from labctl.engine.client import Engine
from labctl.engine.observation import Container
from labctl.errors import LabError, NotReady
from labctl.faults.injector import NEVER_STARTED
from labctl.lab import Node
from labctl.names import ROLE_NODE
from labctl.timing import Deadline, LookPool, Signal

STIR_S = 0.5
"""No sooner are nodes asked again for what they may have kept back of what another says: of many nodes less often, so
that all together are asked no more than STIRRED_A_SECOND times."""

STIRRED_A_SECOND = 32

CROSSING = ("ExtensionStatus", "DeviceStateChange", "MessageWaiting", "PresenceStatus")
"""Events of what nodes tell each other."""

LOG_TAIL, MUTE_TAIL = 8, 50
LOG_READ_BACK = 200
NOISE = ("Retransmit List", "IPC connection not ready", "[KNET  ]", "Unloading")
"""What lines of a node's log hold that explain nothing, and come by the hundred."""

EventListener = Callable[[str, float, Message], None]
"""Called with node, monotonic seconds and AMI message, from the node's own thread."""


@dataclass(frozen=True)
class Loss:
    """A connection that has ended though labctl did not hang up: when it began, and when the node was heard of last,
    on the monotonic clock."""

    node: str
    began_s: float
    heard_s: float


LossListener = Callable[[Loss], None]
"""Called from the node's own thread, which has nothing else to do any more."""


class NodeLinks:
    """Connections to the nodes of a lab, and what they tell unasked.

    `membership` is notified of whatever may change whether any node is ready, `events` of every AMI event.
    """

    def __init__(self, engine: Engine, running: Running) -> None:
        self.engine = engine
        self.running = running
        self.lab = running.lab
        self.membership = Signal()
        self.events = Signal()
        self.logs = NodeLogs(engine, running, self._notify)
        self._news: dict[str, Signal] = {}
        networks = running.observation.networks
        self._secrets = Secrets(networks[0].seed if networks else "")
        self._containers = _nodes_of(running.observation.containers)
        self._connections: dict[str, ami.Connection] = {}
        self._listeners: list[EventListener] = []
        self._loss_listeners: list[LossListener] = []
        self._stirred_s = -STIR_S

    # Connections

    def open(self) -> None:
        """Connect to every node that runs; Asterisk need not listen yet."""
        nodes = [node for node, container in self._containers.items() if container.state == "running"]
        with LookPool(max_workers=max(1, len(nodes))) as pool:
            list(pool.map(self._connect, nodes))

    def close(self) -> None:
        """Hang up everywhere. An error on one node keeps no other from being hung up on; it is raised at the end."""
        with ExitStack() as closing:
            closing.callback(self.logs.close)
            for connection in tuple(self._connections.values()):
                closing.callback(connection.close)

    def connection(self, node: str) -> ami.Connection:
        """The connection to a node. Raises LabError if there is none."""
        if node not in self._connections:
            raise LabError(f"{node} is not running", f"labctl up --name {self.lab.name} mends it")
        return self._connections[node]

    @property
    def connected(self) -> tuple[str, ...]:
        """The nodes that there is a connection to."""
        return tuple(self._connections)

    @property
    def started(self) -> tuple[Node, ...]:
        """The nodes of the lab, but for those that were never started, by what was seen of their containers last."""
        waiting = {node for node, container in self._containers.items() if container.state == NEVER_STARTED}
        return tuple(node for node in self.lab.nodes if node.name not in waiting)

    def await_booted(self, deadline: Deadline) -> None:
        """Return when every connected Asterisk is fully booted, has gone, or the deadline passes."""
        connections = tuple(self._connections.values())
        self.membership.wait_until(
            lambda: all(connection.booted or connection.ended for connection in connections), deadline
        )

    def reconnect(self, node: str, deadline: Deadline) -> None:
        """Connect anew to a node whose Asterisk or container was gone, and return when it is fully booted.

        Raises NotReady at the deadline, or as soon as its container has ended.
        """
        self.connect_again(node)
        connection = self.connection(node)
        self.membership.wait_until(lambda: connection.booted or connection.ended, deadline)
        if not connection.booted:
            raise self.not_ready(f"{node} is not back after {deadline.timeout_s:g} s", {node: ["not fully booted"]})

    def connect_again(self, node: str) -> None:
        """Replace the connection to a node by a new one. Raises LabError where its container is gone."""
        self.disconnect(node)
        self._containers = _nodes_of(self.engine.observe(self.lab.name).containers)
        if node not in self._containers:
            raise LabError(f"the container of {node} is gone", f"labctl up --name {self.lab.name} makes it again")
        self.logs.leave(node)  # its container may be another, or have been started anew
        if self.logs.listened_to:
            self.follow_log(node)
        self._connect(node)

    def await_gone(self, node: str, deadline: Deadline) -> None:
        """Return when the node's Asterisk has hung up, or there is no connection to it, or at the deadline."""
        connection = self._connections.get(node)
        if connection:
            self.membership.wait_until(lambda: connection.ended, deadline)

    def disconnect(self, node: str) -> None:
        """Hang up on a node whose Asterisk is gone. Its log is followed on: its Corosync may be there."""
        connection = self._connections.pop(node, None)
        if connection:
            connection.close()

    def _connect(self, node: str) -> None:
        stream = self.engine.open_stream(self._containers[node].id, ami.CONNECT)
        connection = ami.Connection(node, stream, self._secrets.ami, self._on_event)
        connection.gives_up = bool(self._loss_listeners)
        self._connections[node] = connection
        connection.open()

    # What nodes tell unasked

    def listen(self, listener: EventListener) -> None:
        """Call `listener` with every AMI event of every node from now on."""
        self._listeners.append(listener)

    def listen_to_losses(self, listener: LossListener) -> None:
        """Call `listener` with every node whose connection is lost from now on; a silent one is given up, too."""
        self._loss_listeners.append(listener)
        for connection in tuple(self._connections.values()):
            connection.gives_up = True

    def lost(self, node: str) -> Loss | None:
        """The loss of the connection to a node; None where it stands, or labctl hung up."""
        connection = self._connections.get(node)
        if connection is None or connection.closed or not connection.ended:
            return None
        return Loss(node, connection.began_s, connection.heard_s)

    def listen_to_logs(self, listener: LineListener) -> None:
        """Call `listener` with every line that a node logs from now on."""
        self.logs.listen(listener)
        for node in self._connections:
            if not self.logs.is_read(node):
                self.log_so_far(node, tail=1)
            if not self.logs.ring(node).members:
                self.logs.note(node, self.ring(node))
            self.follow_log(node)

    def log_so_far(self, node: str, tail: int | None = None) -> str:
        """What a node has logged so far, of that the last `tail` lines; whoever listens hears what comes after it."""
        return self.logs.so_far(node, self._containers[node].id, tail)

    def says_it_is_mute(self, node: str) -> bool:
        """Whether one of the last lines that a node logged is that its cluster module sent nothing of a change."""
        container, said = self._containers.get(node), self.running.stack_of(node).mute_lines
        log = self.engine.logs(container.id, tail=MUTE_TAIL) if container and said else ""
        return any(line in log for line in said)

    def follow_log(self, node: str) -> None:
        """Follow a node's log from where it was read last, or else from what it says of how its ring formed."""
        self.logs.follow(node, self._containers[node].id)

    def _on_event(self, node: str, at_s: float, message: Message) -> None:
        if message.get("Event") in ("FullyBooted", "Disconnected"):
            self._notify(node)
        for listener in self._listeners:
            listener(node, at_s, message)
        self.events.notify()
        if message.get("Event") in CROSSING:
            self._stir(node)
        if message.get("Event") == "Disconnected" and (loss := self.lost(node)):
            for lose in self._loss_listeners:
                lose(loss)

    def _stir(self, node: str) -> None:
        """What one node says concerns the others: have them hand out what they may have kept back of it."""
        now_s = time.monotonic()
        if now_s - self._stirred_s >= max(STIR_S, len(self._connections) / STIRRED_A_SECOND):
            self._stirred_s = now_s
            for name, connection in tuple(self._connections.items()):
                if name != node:
                    connection.stir()

    def news(self, node: str) -> Signal:
        """What is notified of whatever may change whether this node is ready."""
        return self._news.setdefault(node, Signal())

    def _notify(self, node: str) -> None:
        self.news(node).notify()
        self.membership.notify()

    # What nodes answer

    def container(self, node: str) -> Container | None:
        """A node's container as it was when it was connected to last."""
        return self._containers.get(node)

    def has_ended(self, node: str) -> bool:
        """Whether the node's container does not run any more."""
        return self.container_state(node) != "running"

    def container_state(self, node: str) -> str:
        """The state of the node's container now, as the engine names it; "" where there is none."""
        containers = _nodes_of(self.engine.observe(self.lab.name).containers)
        return containers[node].state if node in containers else ""

    def ring(self, node: str) -> Membership:
        """Corosync's membership as the node has it now; an empty one where it does not answer: while a large ring
        forms, its tool may hang for good."""
        if not self.lab.rings:
            return Membership()
        answer = self.engine.run(self._containers[node].id, bounded(self.running.stack_of(node).ring_command).split())
        return membership.parse_ring(answer.text, ring_numbers_on(self.running, node))

    def logged_ring(self, node: str) -> Membership:
        """The membership that the node's log tells of: a process to ask Corosync takes ten times as long."""
        ring = self.logs.told(node, self._containers[node].id)
        return ring if ring.members else self.ring(node)

    def module_answer(self, node: str) -> str:
        """What the node's cluster module answers when asked for its members, in whichever of the stack's words.

        Raises LabError where it does not answer, or is not loaded.
        """
        stack = self.running.stack_of(node)
        commands = filter(None, (stack.members_command, stack.other_members_command))
        return "\n".join(self.connection(node).command(command) for command in commands)

    # What is amiss

    def config_problems(self, node: str) -> list[ConfigProblem]:
        """What is wrong with the files of a node that the lab's `config:` adds to."""
        if not config_problems.added_files(self.lab, node):
            return []
        log = self.engine.logs(self._containers[node].id)
        networks = self.running.observation.networks
        texts: dict[str, str] = {}
        if networks:
            of_node = self.lab.node(node)
            texts, _ = node_texts(self.lab, self.running.stack, of_node, networks[0].subnet, Placeholders())
        return config_problems.look(self.lab, node, log, lambda line: self.connection(node).command(line), texts)

    def not_ready(self, message: str, missing: dict[str, list[str]]) -> NotReady:
        """An error that says which node lacks what, which daemon restarts in a loop, and then how each log ends."""
        lines = [message]
        containers = {node: self._containers[node] for node in missing if node in self._containers}
        for node, lacks in missing.items():
            loops = restarts(self.engine, containers[node].id) if node in containers else ()
            lines.append(f"  {node}: {', '.join([*lacks, *loops])}")
        lines += [f"  {problem}" for node in containers for problem in self.config_problems(node)]
        for node, container in containers.items():
            log = self.engine.logs(container.id, tail=LOG_READ_BACK).splitlines()
            last = [line for line in log if not any(word in line for word in NOISE)][-LOG_TAIL:]
            lines += [f"  the last that {node} logged:", *(f"    {line}" for line in last)] if last else []
        return NotReady("\n".join(lines), missing, f"labctl logs NODE shows all; labctl ps the lab {self.lab.name}")


def _nodes_of(containers: tuple[Container, ...]) -> dict[str, Container]:
    return {container.node: container for container in containers if container.role == ROLE_NODE}
