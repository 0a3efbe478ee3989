"""The verbs: the order of what is done, and no detail of how."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from labctl import blueprint, build, compose, dundi, labfile, plan, sabotage
from labctl.asterisk import EXTENSION_STATES
from labctl.blueprint import ROLE_NODE, ROLE_PHONES, Blueprint, Images
from labctl.cluster import Cluster, learned
from labctl.document import Document, suggestion
from labctl.engine import Engine, SubnetTaken
from labctl.errors import LabctlError, LabError, UsageError
from labctl.facts import UNKNOWN, Call, Container, Crossing, NodeView, Observation, Route, SiteState, StateRow
from labctl.images import Recipe
from labctl.inspection import view
from labctl.lock import locked
from labctl.phone import TALK_MS, Phones
from labctl.progress import Progress, step
from labctl.proof import Proof
from labctl.spec import Lab, Overrides
from labctl.stack import Stack
from labctl.steps import Plan, Step, flatten
from labctl.wait import Deadline

SUBNET_TRIES = 8
PACKETS_A_SECOND = 50
"""G.711 in packets of 20 ms (RFC 3551, section 4.2)."""
LOOK_TIMEOUT_S = 5.0
"""How long a command that only looks waits for an Asterisk that does not answer."""


@dataclass(frozen=True)
class UpPlan:
    """What `up` would do: images to build, then steps."""

    builds: tuple[Recipe, ...]
    wanted: Blueprint
    steps: Plan


@dataclass(frozen=True)
class UpReport:
    """What `up` did, and what it proved."""

    lab: Lab
    done: tuple[Step, ...]
    nodes: tuple[NodeView, ...]
    crossings: tuple[Crossing, ...]
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One row of `labctl ls`. `stack` is empty where the lab is not whole."""

    name: str
    stack: str
    running: int
    nodes: int
    subnet: str


@dataclass(frozen=True)
class Running:
    """A lab as Docker holds it."""

    lab: Lab
    stack: Stack
    seen: Observation

    def container(self, node: str) -> Container:
        """A node's container. Raises UsageError for a name that is not in the lab, LabError if it is gone."""
        names = [each.name for each in self.lab.nodes]
        if node not in names:
            raise UsageError(f"no node `{node}` in the lab {self.lab.name}", suggestion(node, names))
        found = {each.node: each for each in self.seen.containers}
        if node not in found:
            raise LabError(f"the container of {node} is gone", f"labctl up --name {self.lab.name} makes it again")
        return found[node]


# up


def plan_up(engine: Engine, lab: Lab, stack: Stack, options: build.Options) -> UpPlan:
    """What `up` would do now. Changes nothing."""
    builds = tuple(build.plan(engine, stack, options))
    wanted, seen = _draw(engine, lab, stack, build.resolve(engine, stack, options))
    return UpPlan(builds, wanted, plan.up(wanted, seen))


def up(
    engine: Engine,
    lab: Lab,
    stack: Stack,
    options: build.Options,
    timeout_s: float,
    progress: Progress,
    *,
    proof: bool = True,
) -> UpReport:
    """Make the lab what the file says, and return when it is proven ready; without `proof`, when it is ready.

    Raises NotReady after `timeout_s` seconds (counted from when the containers run).
    """
    with locked(f"lab-{lab.name}"), ThreadPoolExecutor(max_workers=1) as pool:
        # What is there already is connected to while the rest is worked out: often nothing needs to change.
        before = engine.observe(lab.name)
        cluster = Cluster(engine, lab, stack, before)
        opening = pool.submit(cluster.open)
        try:
            images = build.build(engine, stack, options, progress)
            done = _make_so(engine, lab, stack, images, progress)
            failure = opening.exception()
            after = engine.observe(lab.name)
            # Even where nothing was done it may be another: the engine may still finish what an `up` asked of it
            # that was ended.
            if failure or after != before:
                cluster.close()
                cluster = Cluster(engine, lab, stack, after)
                cluster.open()
            deadline = Deadline(timeout_s)
            with step(progress, "wait for Asterisk, the ring and the cluster module"):
                cluster.await_ready(deadline)
            crossings: list[Crossing] = []
            routes: list[Route] = []
            if proof:
                proving = Proof(cluster)
                with step(progress, "prove that state crosses"):
                    crossings = proving.crossings(deadline)
                if lab.sites:
                    with step(progress, "prove that the sites find each other"):
                        routes = proving.routes(deadline)
            return UpReport(lab, tuple(done), tuple(cluster.views()), tuple(crossings), tuple(routes))
        finally:
            cluster.close()


def _make_so(engine: Engine, lab: Lab, stack: Stack, images: Images, progress: Progress) -> list[Step]:
    """Make the network and the containers; the steps that were done."""
    for _ in range(SUBNET_TRIES):
        wanted, seen = _draw(engine, lab, stack, images)
        steps = plan.up(wanted, seen)
        try:
            _apply(engine, steps, progress)
        except SubnetTaken as error:
            refusal = error
            continue
        return flatten(steps)
    raise LabError(f"no network for the lab: {refusal.message}", "take unused Docker networks away, or set `subnet:`")


def _draw(engine: Engine, lab: Lab, stack: Stack, images: Images) -> tuple[Blueprint, Observation]:
    """The lab as it is to be: on the network it has, or else on a free one with a fresh seed."""
    seen = engine.observe(lab.name)
    network = seen.networks[0] if seen.networks else None
    if network and lab.subnet in (None, network.subnet):
        subnet = network.subnet
    else:
        subnet = lab.subnet or blueprint.free_subnet(lab.name, engine.subnets())
    seed = network.seed if network else secrets.token_hex(16)
    return blueprint.draw(lab, stack, images, subnet, seed), seen


def _apply(engine: Engine, steps: Plan, progress: Progress) -> None:
    """Do a plan: stages in order, chains side by side; the first error is raised when its stage has ended."""

    def run(chain: tuple[Step, ...]) -> None:
        for each in chain:
            with step(progress, str(each)):
                engine.apply(each)

    for stage in steps:
        with ThreadPoolExecutor(max_workers=len(stage)) as pool:
            futures: list[Future[None]] = [pool.submit(run, chain) for chain in stage]
        for future in futures:
            future.result()


# down


def plan_down(engine: Engine, name: str | None) -> list[Step]:
    """What `down` would take away. Changes nothing."""
    return flatten(plan.down(engine.observe(name)))


def down(engine: Engine, name: str | None, progress: Progress) -> list[Step]:
    """Take away a lab, or all labs, in whatever state they are. Goes on after an error, and raises them all."""
    with locked(f"lab-{name}" if name else "labs"):
        steps = plan.down(engine.observe(name))
        errors: list[str] = []
        for stage in steps:
            with ThreadPoolExecutor(max_workers=len(stage)) as pool:
                futures = [pool.submit(_apply, engine, ((chain,),), progress) for chain in stage]
            errors += [str(future.exception()) for future in futures if future.exception()]
        if errors:
            raise LabctlError("\n".join(errors), "labctl down again goes on from here")
    return flatten(steps)


# What is there


def names(engine: Engine) -> list[str]:
    """The names of every lab that Docker holds."""
    return _names(engine.observe())


def _names(seen: Observation) -> list[str]:
    return sorted({each.lab for each in seen.containers} | {each.lab for each in seen.networks})


def summaries(engine: Engine) -> list[Summary]:
    """Every lab that Docker holds, in whatever state it is."""
    seen = engine.observe()
    return [_summary(name, seen) for name in _names(seen)]


def _summary(name: str, seen: Observation) -> Summary:
    containers = [each for each in seen.containers if each.lab == name]
    states = [each.state for each in containers if each.role == ROLE_NODE]
    described = json.loads(next((each.spec for each in containers if each.spec), "{}")).get("lab", {})
    subnet = next((each.subnet for each in seen.networks if each.lab == name), "")
    nodes = len(labfile.node_names(described)) if described else len(states)
    return Summary(name, described.get("stack", ""), states.count("running"), nodes, subnet)


def load(engine: Engine, name: str | None) -> Running:
    """A lab that Docker holds, by name, or the only one there is. Raises UsageError, LabError."""
    known = names(engine)
    if name is None:
        if len(known) != 1:
            there = f"these are here: {', '.join(known)}" if known else "there is none"
            raise UsageError(f"which lab? {there}", "--name NAME tells; labctl up makes one")
        name = known[0]
    if name not in known:
        there = ", ".join(known) or "none"
        raise LabError(f"no lab `{name}` is up (here: {there})", f"labctl up --name {name}")
    seen = engine.observe(name)
    spec = next((each.spec for each in seen.containers if each.role == ROLE_PHONES), "")
    if not spec:
        raise LabError(f"the lab {name} is not whole: its phones' container is gone", "labctl up mends it")
    lab, stack = _described(name, spec, Overrides())
    return Running(lab, stack, seen)


def as_made(engine: Engine, name: str, overrides: Overrides, other: Stack | None = None) -> tuple[Lab, Stack] | None:
    """A lab as it was made, with what flags say over it, on its own stack or on another; None where Docker holds
    none of that name."""
    seen = engine.observe(name)
    spec = next((each.spec for each in seen.containers if each.role == ROLE_PHONES), "")
    return _described(name, spec, overrides, other) if spec else None


def _described(name: str, spec: str, overrides: Overrides, other: Stack | None = None) -> tuple[Lab, Stack]:
    data = json.loads(spec)
    own, totem = Stack.model_validate(data["stack"]), data["lab"]["totem"]
    default = own.transports[0]
    if other and totem["transport"] == default and totem["encryption"] == (default in own.encrypted_transports):
        data["lab"]["totem"] = {"token": totem["token"]}  # the rest came from the stack, and goes with it
    return labfile.resolve(Document(f"lab {name}", data["lab"]), lambda _: other or own, overrides)


def ps(engine: Engine, running: Running) -> list[NodeView]:
    """Each node as its own tools tell it, asked side by side."""
    containers = {each.node: each for each in running.seen.containers if each.role == ROLE_NODE}

    def look(node: str) -> NodeView:
        container = containers.get(node)
        return (
            view(engine, running.lab, running.stack, running.seen, container) if container else NodeView(node, "gone")
        )

    with ThreadPoolExecutor(max_workers=len(running.lab.nodes) + 1) as pool:
        records = pool.submit(sabotage.in_force, engine, running.lab.name)
        views = list(pool.map(look, [node.name for node in running.lab.nodes]))
    faults = {
        each.node: tuple(f"{r.name}: {r.what}" for r in records.result() if each.node in r.nodes) for each in views
    }
    return [replace(each, faults=faults[each.node]) for each in views]


def state(engine: Engine, running: Running) -> list[StateRow]:
    """What each node says of each extension."""
    with Cluster(engine, running.lab, running.stack, running.seen) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(LOOK_TIMEOUT_S))
        return cluster.states()


def site_states(engine: Engine, running: Running) -> list[SiteState]:
    """What each site says of each extension: of its own by its nodes' hints, of another's by asking that by DUNDi.

    Raises UsageError for a lab without sites.
    """
    lab = running.lab
    if not lab.sites:
        raise UsageError(f"the lab {lab.name} has no sites", "a lab with `sites:` has, such as two-sites")
    with Cluster(engine, lab, running.stack, running.seen) as cluster:
        cluster.open()
        cluster.await_booted(Deadline(LOOK_TIMEOUT_S))
        rows = cluster.states()
        askers = {lab.node(node).site: node for node in reversed(cluster.connected)}
        homes = {phone.extension: lab.node(phone.node).site for phone in lab.phones}
        found: dict[str, SiteState] = {}
        for row in rows:
            site = lab.node(next(iter(row.states))).site
            home = homes.get(row.extension, "")
            name = row.extension if home else f"{row.extension} at {site}"
            said = {state for state in row.states.values() if state != UNKNOWN}
            own = said.pop() if len(said) == 1 else " / ".join(sorted(said)) or UNKNOWN
            found[name] = SiteState(name, row.device, home or site, {site: own}, {})
            for other, asker in askers.items():
                if other != site:
                    state, by = _remote(cluster, lab, asker, row.extension, site)
                    found[name].states[other], found[name].by[other] = state, by
    return list(found.values())


def _remote(cluster: Cluster, lab: Lab, asker: str, extension: str, site: str) -> tuple[str, tuple[str, ...]]:
    """What a node is told by DUNDi of an extension at another site, and by whom."""
    names = {node.entityid: node.name for node in lab.nodes if node.site == site}
    answers = [each for each in cluster.ask(asker, extension, dundi.STATE, fresh=False) if each.entityid in names]
    said = {dundi.STATES.get(each.word, each.word) for each in answers}
    return " / ".join(sorted(said)) or UNKNOWN, tuple(sorted(names[each.entityid] for each in answers))


def wait(engine: Engine, running: Running, condition: str, timeout_s: float) -> None:
    """Wait until a condition holds: `ready`, `proven`, or `state=EXTENSION:STATE` on every node.

    Raises UsageError for another word, NotReady after `timeout_s` seconds.
    """
    deadline = Deadline(timeout_s)
    kind, _, wanted = condition.partition("=")
    extension, _, value = wanted.partition(":")
    if kind not in ("ready", "proven", "state") or (kind == "state") != bool(extension and value):
        raise UsageError(f"--for={condition}: not a condition", "ready, proven, or state=101:InUse")
    states = {state.lower(): state for state in EXTENSION_STATES.values()}
    if kind == "state" and value.lower() not in states:
        raise UsageError(f"--for={condition}: no state {value}", f"known: {', '.join(states.values())}")
    known = [*(phone.extension for phone in running.lab.phones), *running.lab.devices]
    if kind == "state" and extension not in known:
        raise UsageError(f"--for={condition}: no extension {extension}", f"known here: {', '.join(known)}")
    with Cluster(engine, running.lab, running.stack, running.seen) as cluster:
        cluster.open()
        cluster.await_ready(deadline)
        if kind == "proven":
            Proof(cluster).crossings(deadline)
        elif kind == "state":
            cluster.await_state(extension, states[value.lower()], deadline)


def call(
    engine: Engine,
    running: Running,
    caller: str,
    callee: str,
    talk_s: float,
    timeout_s: float,
    progress: Progress,
    *,
    talk: bool = True,
) -> Call:
    """Have one phone of the lab call another, with audio both ways for `talk_s` seconds, and hang up.

    Without `talk` there is signalling alone, and the call stands for that long. Returns what each side heard, and
    when each node learned the states of the callee's extension. Raises UsageError for a name that is no phone,
    LabError for a call that fails or a side that hears nothing.
    """
    for name in (caller, callee):
        if name not in [phone.name for phone in running.lab.phones]:
            known = [phone.name for phone in running.lab.phones]
            raise UsageError(f"no phone `{name}` in the lab {running.lab.name}", suggestion(name, known))
    if caller == callee:
        raise UsageError(f"{caller} cannot call {callee}: it is one phone", "name two")
    extension = running.lab.phone(callee).extension
    packets = max(1, int(talk_s * PACKETS_A_SECOND))
    deadline = Deadline(timeout_s)
    with (
        Cluster(engine, running.lab, running.stack, running.seen) as cluster,
        Phones(engine, running.lab, running.seen) as phones,
    ):
        cluster.open()
        cluster.await_booted(deadline)
        with step(progress, f"{callee} registers with {running.lab.phone(callee).node}"):
            called = phones.switch_on(callee, audio=talk)
        cluster.await_state(extension, "Idle", deadline)
        history = cluster.follow(extension)
        with step(progress, f"{caller} calls {extension} from {running.lab.phone(caller).node}"):
            calling = phones.call(caller, extension, TALK_MS if talk else round(talk_s * 1000), talk)
        if talk:
            with step(progress, f"both hear {talk_s:g} s of audio from their nodes"):
                phones.await_heard(calling, packets, deadline)
                phones.await_heard(called, packets, deadline)
            calling.nudge()
        with step(progress, f"{caller} hangs up"):
            ending = calling.finish(deadline)
            if ending.code:
                raise LabError(f"{caller} calls {extension}: {ending}")
            cluster.await_state(extension, "Idle", deadline)
        heard = [phones.heard(agent)[agent.agent.node_address] for agent in (calling, called)]
        return Call(caller, callee, extension, heard[0], heard[1], learned(history))


def export(lab: Lab, stack: Stack) -> str:
    """The lab as a Compose file. Needs no engine: addresses and secrets follow from the lab's name."""
    options = build.Options()
    subnet = lab.subnet or blueprint.free_subnet(lab.name, [])
    drawn = blueprint.draw(lab, stack, build.references(stack, options), subnet, f"export/{lab.name}")
    return compose.render(drawn, build.recipes(stack, options))
