"""A cluster for those who come from testcontainers: `with AsteriskCluster(nodes=3) as cluster:`.

It starts and stops like one of its containers, and every step of a scenario is a method of it. Containers of
testcontainers can join its network, and it can join theirs. testcontainers itself is needed for that alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import SkipTest
from uuid import uuid4

from labctl.blueprint.config_review import find_lab
from labctl.blueprint.owner import Owner
from labctl.blueprint.secrets import Secrets
from labctl.checks import registry
from labctl.checks.finding import Limits, Verdict
from labctl.checks.registry import CHECKS
from labctl.cluster import lifecycle as labs
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.engine.observation import Container
from labctl.errors import LabctlError, LabError, NotReady, UsageError
from labctl.faults.model import NODE
from labctl.history import story
from labctl.history.journal import Journal
from labctl.history.so_far import so_far
from labctl.images.builder import Options
from labctl.lab import Lab, Overrides
from labctl.progress import Progress, Silent
from labctl.scenario.assembly import live_lab
from labctl.scenario.kept_run import KeptRun
from labctl.scenario.live_lab import LiveLab
from labctl.stack.model import Stack
from labctl.yamlfile.document import suggestion

if TYPE_CHECKING:
    from testcontainers.core.network import Network

TIMEOUT_S = 120.0
OLD_S = 10.0
"""How long a lab that was there already may take to be ready, before it is made anew."""


class ExecResult(NamedTuple):
    """What a command in a container left, as testcontainers has it."""

    exit_code: int
    output: bytes


class BrokenCheck(LabError, AssertionError):
    """A check does not hold; the message has its findings and the story."""


class NotJudged(LabError, SkipTest):
    """A check could not be judged, on a machine that is too busy for it, say. pytest and unittest tell such a test as
    skipped, with why: it has neither passed nor failed."""

    exit_code = 5


class ClusterNode:
    """One node, in the form that testcontainers' waiting utilities take: `wait_for_logs(cluster.node("n1"), …)`."""

    def __init__(self, cluster: AsteriskCluster, name: str) -> None:
        self._cluster = cluster
        self.name = name

    @property
    def status(self) -> str:
        """Docker's word for the state of the container, such as `running`."""
        return self._container().state

    def reload(self) -> None:
        """Nothing: what is asked of a node is asked anew each time."""

    def get_container_host_ip(self) -> str:
        """The node's address in the lab's network: no port of a node is published on the host."""
        return self._cluster.live_lab.running.addresses[self.name]

    def get_exposed_port(self, port: int) -> int:
        """The port itself, at the node's own address."""
        return port

    def get_wrapped_container(self) -> Any:
        """The container as Docker's library has it."""
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - see the module's docstring

        return DockerClient().client.containers.get(self._container().id)

    def get_logs(self) -> tuple[bytes, bytes]:
        """What the node has said: Corosync and Asterisk as one, and nothing for standard error."""
        return self._cluster.get_logs(self.name)

    def exec(self, command: str | Sequence[str]) -> ExecResult:
        """Run a command on the node: words, or a line for its shell."""
        return self._cluster.exec(self.name, command)

    def _container(self) -> Container:
        live = self._cluster.live_lab
        containers = live.engine.observe(live.lab.name).containers
        container = next((container for container in containers if container.node == self.name), None)
        if container is None:
            raise LabError(f"the container of {self.name} is gone", "start the cluster anew")
        return container


class AsteriskCluster:
    """A lab that comes up in `start` and goes in `stop`.

    `lab` is a shipped name or a path; `nodes`, `stack` and `name` stand over what it says. Without a `name` it has one
    that no other cluster has, in this process or another. `image` is a node image that was built elsewhere. `history`
    is a file for the run's history; `runs` a folder in which the run has one of its own with all that `labctl run`
    keeps, called `title`, with a capture unless `capture` is false. `keep` leaves the lab up, with its faults healed.
    Needs a Docker Engine.

    Every step is a method: `cluster.call("alice", "bob")`; those that are called as testcontainers' own words are
    `start_node` and `stop_node`. `live_lab` is what does them, and is there from `start` on.
    """

    def __init__(
        self,
        lab: str | None = None,
        *,
        nodes: int | None = None,
        stack: str | None = None,
        name: str | None = None,
        image: str | None = None,
        options: Options = Options(),  # noqa: B008 - frozen
        history: Path | None = None,
        runs: Path | None = None,
        title: str = "",
        capture: bool = True,
        keep: bool = False,
        timeout_s: float = TIMEOUT_S,
        progress: Progress | None = None,
    ) -> None:
        self._file = lab
        self._overrides = Overrides(name or f"tc-{uuid4().hex[:12]}", stack, nodes)
        self._image = image
        self._options = options
        self._history = history
        self._runs = runs
        self._title = title
        self._capture = capture
        self._kept: KeptRun | None = None
        self._failure = ""
        self._keep = keep
        self._timeout_s = timeout_s
        self._progress = progress or Silent()
        self._joins: Network | None = None
        self._live: LiveLab | None = None
        self._up = False
        self._use = ExitStack()

    def __enter__(self) -> AsteriskCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._up:
            self._finish_run(str(error) if error else self._failure)

    # Before it starts

    def with_name(self, name: str) -> AsteriskCluster:
        """Give the lab a name; to be called before `start`."""
        self._overrides = replace(self._overrides, name=name)
        return self

    def with_nodes(self, nodes: int) -> AsteriskCluster:
        """Say how many nodes; to be called before `start`."""
        self._overrides = replace(self._overrides, nodes=nodes)
        return self

    def with_network(self, network: Network) -> AsteriskCluster:
        """Have every node join a network of testcontainers too, by its own name; to be called before `start`."""
        self._joins = network
        return self

    # Up and down

    def start(self, node: str = "", service: str = NODE) -> AsteriskCluster:
        """Bring the lab up, proven ready, and begin its history. With a node, the same as `start_node`.

        Raises LabctlError; UsageError where another cluster has the lab, in this process or another.
        """
        if node:
            self.start_node(node, service)
            return self
        engine = engines.connect()
        lab, stack = find_lab(self._file, self._overrides)
        owner = Owner.current("test")
        with ExitStack() as undo:
            self._use.enter_context(labs.in_use(lab.name))
            undo.callback(self._use.close)
            labs.require_own(engine, lab.name, owner)
            if not self._keep:
                undo.callback(labs.down, engine, lab.name, self._progress)
            self._begin_run(engine, lab, stack.with_image(self._image), owner)
            undo.callback(self.live_lab.close, "the cluster could not be started")
            self._join()
            undo.pop_all()
        self._up = True
        return self

    def _begin_run(self, engine: Engine, lab: Lab, stack: Stack, owner: Owner) -> None:
        """Bring the lab up and connect to it; what keeps it from that is in the folder of the run too."""
        if self._runs:
            title = self._title or lab.name
            self._kept = KeptRun(self._runs, _file_name(title), title, lab, stack, self._options.patches)
        kept, journal = self._kept, None
        try:
            self._bring_up(engine, lab, stack, owner)
            journal = Journal(kept.history if kept else self._history)
            capture = kept.capture if kept and self._capture else None
            running = replace(labs.load(engine, lab.name), options=self._options)
            live = live_lab(engine, running, journal, self._progress, capture)
            live.open(self._title or self._file or "")
            self._live = live
        except LabctlError as error:
            if journal:
                journal.close()
            if kept:
                kept.finish(engine, journal.events if journal else (), (), error)
            raise

    def stop(self, node: str = "", service: str = NODE) -> None:
        """Undo every fault, switch the phones off, and take the lab away. With a node, the same as `stop_node`."""
        if node:
            self.stop_node(node, service)
        elif self._up:
            self._finish_run(self._failure)

    def start_node(self, node: str, service: str = NODE) -> None:
        """The step `start`: undo kill, stop or pause of a node, or of one of its daemons."""
        self.live_lab.do("start", node, *([] if service == NODE else [service]))

    def stop_node(self, node: str, service: str = NODE) -> None:
        """The step `stop`: end a node, or one of its daemons, in an orderly way."""
        self.live_lab.do("stop", node, *([] if service == NODE else [service]))

    def _bring_up(self, engine: Engine, lab: Lab, stack: Stack, owner: Owner) -> None:
        was_there = lab.name in labs.names(engine)
        timeout_s = OLD_S if was_there else self._timeout_s
        try:
            labs.up(engine, lab, stack, self._options, timeout_s, self._progress, owner=owner)
        except NotReady:
            if not was_there:
                raise
            # One that cannot be mended, such as one with a module that is deaf for good.
            labs.down(engine, lab.name, self._progress)
            labs.up(engine, lab, stack, self._options, self._timeout_s, self._progress, owner=owner)

    def _finish_run(self, error: str) -> None:
        self._up = False
        live = self.live_lab
        try:
            live.close(error)
        finally:
            live.journal.close()
            try:
                if self._kept:
                    live.await_recorded()
                    self._kept.finish(live.engine, live.journal.events, live.steps_done)
            finally:  # also where there is no room to keep it
                with self._use:
                    if self._keep:
                        self._leave()
                    else:
                        labs.down(live.engine, live.lab.name, self._progress)

    def _join(self) -> None:
        for node in self.lab.nodes if self._joins else ():
            container = self.get_wrapped_container(node.name)
            if self._joins and self._joins.name not in container.attrs["NetworkSettings"]["Networks"]:
                self._joins.connect(container.id, [node.name])

    def _leave(self) -> None:
        """Have the nodes of a lab that stays leave a network that does not."""
        for node in self.lab.nodes if self._joins else ():
            container = self.get_wrapped_container(node.name)
            container.client.networks.get(self._joins and self._joins.id).disconnect(container, force=True)

    # What is up

    @property
    def live_lab(self) -> LiveLab:
        """What the steps act on. Raises UsageError before `start`."""
        if self._live is None:
            raise UsageError("the cluster is not up", "call start(), or use it in a `with` statement")
        return self._live

    def __getattr__(self, name: str) -> Any:
        """Every step, and whatever else the live lab has: `lab`, `journal`, `look`, `tell`, `reset`."""
        if name.startswith("_"):
            raise AttributeError(name)
        if self._live is None:
            raise AttributeError(f"`{name}` is there from start() on, or within a `with` statement")
        return getattr(self._live, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(dir(self._live) if self._live else ())})

    @property
    def network(self) -> Network:
        """The lab's network, for `DockerContainer(…).with_network(…)`. It is the lab's to take away."""
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - see the module's docstring
        from testcontainers.core.network import Network  # noqa: PLC0415

        network = Network()
        network.name = self.live_lab.running.observation.networks[0].name
        network._network = DockerClient().client.networks.get(network.name)
        return network

    def node(self, name: str) -> ClusterNode:
        """One node, as testcontainers' waiting utilities take it. Raises UsageError."""
        self.live_lab.container_of(name)
        return ClusterNode(self, name)

    def get_wrapped_container(self, node: str) -> Any:
        """A node's container as Docker's library has it. Raises UsageError."""
        return self.node(node).get_wrapped_container()

    def sip_password(self, phone: str) -> str:
        """What a SIP client of your own registers and calls with as one of the lab's phones. Raises UsageError."""
        running = self.live_lab.running
        phones = [known.name for known in running.lab.phones]
        if phone not in phones:
            raise UsageError(f"no phone `{phone}` in the lab {running.lab.name}", suggestion(phone, phones))
        return Secrets(running.observation.networks[0].seed).sip(phone)

    def exec(self, node: str, command: str | Sequence[str]) -> ExecResult:
        """Run a command on a node: words, or a line for its shell."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        result = self.live_lab.engine.run(self.live_lab.container_of(node), words)
        return ExecResult(result.code, result.text.encode())

    def get_logs(self, node: str) -> tuple[bytes, bytes]:
        """What a node has said: Corosync and Asterisk as one, and nothing for standard error."""
        return self.live_lab.engine.logs(self.live_lab.container_of(node)).encode(), b""

    # What came of it

    @property
    def run_folder(self) -> Path | None:
        """Where the run is kept; None where it is not, or before `start`. Its verdict is there from `stop` on."""
        return self._kept.folder if self._kept else None

    def note_failure(self, why: str) -> None:
        """Have the history tell why whoever uses the cluster calls it a failure."""
        self._failure = why

    def verdicts(self, *wanted: str, delay_ms: float = Limits().delay_ms) -> tuple[Verdict, ...]:
        """What the checks (all, or those named) say of all that has happened so far."""
        journal = self.live_lab.journal
        verdicts = registry.judge(so_far(journal.events, journal.now_s()), Limits(delay_ms=delay_ms))
        return tuple(verdict for verdict in verdicts if verdict.check in (wanted or CHECKS))

    def must_hold(self, *wanted: str, delay_ms: float = Limits().delay_ms) -> None:
        """Raise BrokenCheck, which is an AssertionError, if any of the checks (all, or those named) has failed; else
        NotJudged if any could not be judged, or one that is named had nothing to judge."""
        verdicts = self.verdicts(*wanted, delay_ms=delay_ms)
        if broken := [verdict for verdict in verdicts if verdict.outcome == "failed"]:
            raise BrokenCheck("\n".join([*_findings(broken), *story.tell(self.live_lab.journal.events)]))
        left_open = ("unknown", "nothing") if wanted else ("unknown",)
        if not_judged := [verdict for verdict in verdicts if verdict.outcome in left_open]:
            raise NotJudged("; ".join(_findings(not_judged)))


def _findings(verdicts: Sequence[Verdict]) -> list[str]:
    return [
        f"{verdict.check}: {why}"
        for verdict in verdicts
        for why in ([finding.text for finding in verdict.findings] or ["it had nothing to judge"])
    ]


def _file_name(title: str) -> str:
    return re.sub(r"[^\w.]+", "-", title)[-60:].strip("-.") or "run"


def take_away(name: str) -> None:
    """Take a lab away by its name, whoever made it."""
    labs.down(engines.connect(), name, Silent())
