"""What a lab that is up shows when it is looked at, and waiting until it shows something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from labctl.asterisk import dundi
from labctl.asterisk.output import EXTENSION_STATES, state_named
from labctl.blueprint.running_lab import Running
from labctl.cluster import changed_files, node_tools
from labctl.cluster.connections import Cluster
from labctl.cluster.proof import Proof
from labctl.cluster.restarts import restarts
from labctl.cluster.views import HOST_LOST, NOT_STARTED, UNKNOWN, NodeView, SiteState, StateRow
from labctl.corosync import totem
from labctl.corosync.refusals import refused_with_none_lost
from labctl.engine.client import Engine
from labctl.engine.observation import Container
from labctl.errors import NotReady, RingBroke, UsageError
from labctl.faults import injector
from labctl.lab import Service
from labctl.names import ROLE_NODE, ROLE_SERVICE
from labctl.timing import PATIENCE, Deadline, LookPool

LOOK_TIMEOUT_S = 5.0
"""How long a command that only looks waits for an Asterisk that does not answer."""


NOT_JUDGED = (
    "not judged: the ring lost its token and no node, as on a machine that is too busy; what a node said as it formed "
    "anew is lost (labctl findings show state-after-heal):"
)
WAY_OUT = "have that change once more; `totem: {token: 5000}` in a lab file is more patient with the machine"


def ps(engine: Engine, running: Running) -> list[NodeView]:
    """Each node as its own tools tell it, asked side by side."""
    nodes = (container for container in running.observation.containers if container.role == ROLE_NODE)
    containers = {container.node: container for container in nodes}

    def look(node: str) -> NodeView:
        container = containers.get(node)
        if container is None:
            return _missing(running, node)
        row, changed = view(engine, running, container), changed_files.changed(engine, container.id)
        remark = f"changed since it came up: {', '.join(changed)}; labctl up makes it as the lab says"
        return replace(row, remarks=(*row.remarks, remark)) if changed else row

    hosts = running.lab.hosts
    with LookPool(max_workers=len(hosts) + 1) as pool:
        records = pool.submit(injector.in_force, engine, running.lab.name)
        views = list(pool.map(look, [node.name for node in running.lab.nodes]))
        views += pool.map(lambda service: _service_view(engine, running, service), running.lab.services)
    faults = {
        host: tuple(f"{record.name}: {record.what}" for record in records.result() if host in record.nodes)
        for host in hosts
    }
    places = {container.node: container.host for container in running.observation.containers}
    return [
        replace(
            row,
            faults=faults[row.node],
            remarks=(*row.remarks, *outdated(row, views, running)),
            host=row.host or places.get(row.node, ""),
        )
        for row in views
    ]


def _missing(running: Running, part: str, *, service: bool = False) -> NodeView:
    """A node or service whose container is not seen: it is gone, or its Docker host does not answer."""
    host = running.observation.lost_host(part)
    if host is None:
        return NodeView(part, "gone", service=service)
    remark = f"its host {host.name} does not answer: {host.why}"
    return NodeView(part, HOST_LOST, remarks=(remark,), service=service, host=host.name)


def _service_view(engine: Engine, running: Running, service: Service) -> NodeView:
    """A server beside the nodes: its container, and whether it says that it is ready."""
    containers = [part for part in running.observation.containers if part.role == ROLE_SERVICE]
    container = next((part for part in containers if part.node == service.name), None)
    if container is None:
        return _missing(running, service.name, service=True)
    remarks = []
    if container.state == "running" and service.ready:
        ready = running.named_in(service).ready
        answer = engine.run(container.id, ["sh", "-c", ready])
        remarks = [f"not ready: {ready}: {answer.text.strip()[-200:]}"] if answer.code else []
    return NodeView(service.name, container.state, container.address, remarks=tuple(remarks), service=True)


def view(engine: Engine, running: Running, container: Container) -> NodeView:
    """One row of `labctl ps`: the node's own tools asked in one go, and what they did not answer."""
    if container.state == injector.NEVER_STARTED:
        return NodeView(container.node, NOT_STARTED, container.address)
    if container.state != "running":
        return NodeView(container.node, container.state, container.address)
    answers = node_tools.ask_tools(engine, running, container.node)
    version, module = running.version_of(container.node), running.stack_of(container.node).cluster_module
    remarks = [*([f"runs {version}"] if version else []), *restarts(engine, container.id)]
    if answers.ring is None:
        remarks.append("Corosync does not answer, or its ring changes from one moment to the next")
    if answers.members is None and running.lab.share:
        remarks.append(f"{module} does not answer")
    if answers.ring and answers.ring.members and answers.members == () and running.lab.share:
        remarks.append(f"{module} sees nobody, not even its own node; labctl up mends that")
    if not answers.version:
        remarks.append("Asterisk does not answer")
    return NodeView(
        container.node,
        container.state,
        container.address,
        answers.ring,
        answers.members,
        answers.version,
        answers.uptime_s,
        remarks=tuple(remarks),
    )


def outdated(row: NodeView, views: Sequence[NodeView], running: Running) -> tuple[str, ...]:
    """That a node still counts members whose containers do not run: Corosync notices after the token's time."""
    names = {node.nodeid: node.name for node in running.lab.nodes}
    gone = {other.node: other.container for other in views if other.container != "running"}
    members = row.ring.members if row.ring else ()
    counted = [names[member] for member in members if names.get(member) in gone]
    if not counted:
        return ()
    states = ", ".join(f"{name}, which is {gone[name]}" for name in counted)
    lab = running.lab
    token_ms = totem.timers(lab.totem.token_ms, len(lab.cluster_of(row.node)), lab.totem.coefficient_ms).token
    return (f"may be old: the ring still counts {states} (token: {token_ms} ms)",)


@contextmanager
def _looked_at(engine: Engine, running: Running) -> Iterator[Cluster]:
    with Cluster(engine, running) as cluster:
        cluster.open()
        cluster.await_booted(PATIENCE.deadline(LOOK_TIMEOUT_S))
        yield cluster


def state(engine: Engine, running: Running) -> list[StateRow]:
    """What each node says of each extension."""
    with _looked_at(engine, running) as cluster:
        return cluster.states(timeout_s=PATIENCE.stretch(LOOK_TIMEOUT_S))


def site_states(engine: Engine, running: Running) -> list[SiteState]:
    """What each site says of each extension: of its own by its nodes' hints, of another's by asking that by DUNDi.

    Raises UsageError for a lab without sites.
    """
    lab = running.lab
    if not lab.sites:
        raise UsageError(f"the lab {lab.name} has no sites", "a lab with `sites:` has, such as two-sites")
    with _looked_at(engine, running) as cluster:
        rows = cluster.states(timeout_s=PATIENCE.stretch(LOOK_TIMEOUT_S))
        askers = {lab.node(node).site: node for node in reversed(cluster.connected)}
        return [_across(cluster, row, askers) for row in rows]


def _across(cluster: Cluster, row: StateRow, askers: dict[str, str]) -> SiteState:
    """What a site's own nodes say of an extension, and what the asker of each other site is told."""
    lab = cluster.lab
    site = lab.node(next(iter(row.states))).site
    is_phone = row.extension in [phone.extension for phone in lab.phones]
    own = " / ".join(sorted({*row.states.values()} - {UNKNOWN})) or UNKNOWN
    answers = {other: _ask(cluster, asker, row.extension, site) for other, asker in askers.items() if other != site}
    return SiteState(
        row.extension if is_phone else f"{row.extension} at {site}",
        row.device,
        site,
        {site: own, **{other: state for other, (state, _) in answers.items()}},
        {other: by for other, (_, by) in answers.items()},
    )


def _ask(cluster: Cluster, asker: str, extension: str, site: str) -> tuple[str, tuple[str, ...]]:
    """What a node is told by DUNDi of an extension at another site, and by whom."""
    names = {node.entityid: node.name for node in cluster.lab.nodes if node.site == site}
    answers = cluster.ask(asker, extension, dundi.STATE, fresh=False)
    of_site = [answer for answer in answers if answer.entityid in names]
    states = {dundi.STATES.get(answer.word, answer.word) for answer in of_site}
    return " / ".join(sorted(states)) or UNKNOWN, tuple(sorted(names[answer.entityid] for answer in of_site))


def wait(engine: Engine, running: Running, condition: str, timeout_s: float) -> None:
    """Wait until a condition holds: `ready`, `proven` as `up` means it, or `state=EXTENSION:STATE` on every node.

    Raises UsageError for another word, NotReady after `timeout_s` seconds, RingBroke where what a node said was lost
    though no fault is in force.
    """
    deadline = Deadline(timeout_s)
    extension, state = _wanted(running, condition)
    with Cluster(engine, running) as cluster:
        cluster.open()
        cluster.await_ready(deadline)
        if condition == "proven":
            Proof(cluster).all(deadline)
        elif extension:
            try:
                cluster.await_state(extension, state, deadline)
            except NotReady as late:
                raise _judged(cluster, engine, running, late) from None


def _judged(cluster: Cluster, engine: Engine, running: Running, late: NotReady) -> NotReady:
    """A wait that was in vain; not judged where a node says what is waited for, and Corosync took no change of that
    node's as a ring had lost its token by itself."""
    right = [node for node in cluster.connected if node not in late.missing]
    words = {node: running.stack_of(node).refused_lines for node in right}
    refused = {node: refused_with_none_lost(cluster.log_so_far(node), said) for node, said in words.items() if said}
    lines = [f"  {node}: {line}" for node, line in refused.items() if line]
    if not lines or injector.in_force(engine, running.lab.name):
        return late
    return RingBroke("\n".join([late.message, f"  {NOT_JUDGED}", *lines]), late.missing, WAY_OUT)


def _wanted(running: Running, condition: str) -> tuple[str, str]:
    """The extension and its state that a condition asks for; both empty where it is one of the other words."""
    kind, _, wanted = condition.partition("=")
    extension, _, word = wanted.partition(":")
    if kind not in ("ready", "proven", "state") or (kind == "state") != bool(extension and word):
        raise UsageError(f"--for={condition}: not a condition", "ready, proven, or state=101:InUse")
    if kind != "state":
        return "", ""
    state = state_named(word)
    if state is None:
        raise UsageError(f"--for={condition}: no state {word}", f"known: {', '.join(EXTENSION_STATES.values())}")
    known = running.lab.extensions
    if extension not in known:
        raise UsageError(f"--for={condition}: no extension {extension}", f"known here: {', '.join(known)}")
    return extension, state
