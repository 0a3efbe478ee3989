"""The verbs: the order of what is done, and no detail of how."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from labctl.blueprint import addresses, compose, drawing, plan
from labctl.blueprint.drawing import Blueprint
from labctl.blueprint.running_lab import Running
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.connections import Cluster
from labctl.cluster.proof import Proof
from labctl.cluster.views import Crossing, NodeView, Route
from labctl.engine.actions import Plan, StartContainer, Step, flatten
from labctl.engine.client import Engine
from labctl.engine.containers import SubnetTaken
from labctl.engine.observation import Observation
from labctl.errors import LabctlError, LabError, UsageError
from labctl.faults import injector
from labctl.images import builder
from labctl.images.recipes import Images, Recipe
from labctl.lab import Lab, Overrides
from labctl.labfile import reader, writer
from labctl.lock import locked
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.progress import Progress, step
from labctl.stack.model import Stack
from labctl.timing import Deadline
from labctl.yamlfile.document import Document

SUBNET_TRIES = 8


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
    config_problems: tuple[ConfigProblem, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One row of `labctl ls`. `stack` is empty where the lab is not whole."""

    name: str
    stack: str
    running: int
    nodes: int
    subnet: str


# up


def plan_up(engine: Engine, lab: Lab, stack: Stack, options: builder.Options) -> UpPlan:
    """What `up` would do now. Changes nothing."""
    builds = tuple(builder.plan(engine, stack, options))
    wanted, seen = _draw(engine, lab, stack, builder.resolve(engine, stack, options))
    return UpPlan(builds, wanted, plan.up(wanted, seen))


def up(
    engine: Engine,
    lab: Lab,
    stack: Stack,
    options: builder.Options,
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
        before = Running(lab, stack, engine.observe(lab.name))
        cluster = Cluster(engine, before)
        opening = pool.submit(cluster.open)
        try:
            images = builder.build(engine, stack, options, progress)
            done = _make_so(engine, lab, stack, images, progress)
            failure = opening.exception()
            after = Running(lab, stack, engine.observe(lab.name))
            # Even where nothing was done it may be another: the engine may still finish what an `up` asked of it
            # that was ended.
            if failure or after != before:
                cluster.close()
                cluster = Cluster(engine, after)
                cluster.open()
            deadline = Deadline(timeout_s)

            def mend(node: str) -> None:
                with step(
                    progress, f"restart Asterisk on {node}, whose {stack.cluster_module} has lost Corosync for good"
                ):
                    injector.restart(engine, lab.name, node, "asterisk")
                    cluster.reconnect(node, deadline)

            with step(progress, "wait for Asterisk, the ring and the cluster module"):
                cluster.await_ready(deadline, None if lab.follows_corosync else mend)
            crossings, routes = _prove(cluster, deadline, progress) if proof else ([], [])
            problems = tuple(problem for node in _begun(after, done) for problem in cluster.config_problems(node))
            return UpReport(lab, tuple(done), tuple(cluster.views()), tuple(crossings), tuple(routes), problems)
        finally:
            cluster.close()


def _begun(running: Running, done: Iterable[Step]) -> list[str]:
    """The nodes that were started by these steps: what others have logged was told before."""
    started = {step.name for step in done if isinstance(step, StartContainer)}
    return [node.name for node in running.lab.nodes if running.container(node.name).name in started]


def _prove(cluster: Cluster, deadline: Deadline, progress: Progress) -> tuple[list[Crossing], list[Route]]:
    """That state crosses in each cluster, and that sites find each other where there are any."""
    proving = Proof(cluster)
    with step(progress, "prove that state crosses"):
        crossings = proving.crossings(deadline)
    if not cluster.lab.sites:
        return crossings, []
    with step(progress, "prove that the sites find each other"):
        return crossings, proving.routes(deadline)


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
        subnet = lab.subnet or addresses.free_subnet(lab.name, engine.subnets())
    seed = network.seed if network else secrets.token_hex(16)
    return drawing.draw(lab, stack, images, subnet, seed), seen


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
    nodes = len(writer.node_names(described)) if described else len(states)
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
        raise UsageError(f"no lab `{name}` is up (here: {there})", f"labctl up --name {name}")
    seen = engine.observe(name)
    spec = next((each.spec for each in seen.containers if each.role == ROLE_PHONES), "")
    if not spec:
        raise LabError(
            f"the lab {name} is not whole: its phones' container is gone", f"labctl up --name {name} mends it"
        )
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
    return reader.resolve(Document(f"lab {name}", data["lab"]), lambda _: other or own, overrides)


def files(lab: Lab, stack: Stack) -> dict[str, dict[str, str]]:
    """Every file of every node, by node and path, as `export` has them. Needs no engine."""
    return {
        container.hostname: {file.path: file.text for file in container.files}
        for container in _never_up(lab, stack).containers
        if container.files
    }


def export(lab: Lab, stack: Stack) -> str:
    """The lab as a Compose file. Needs no engine: addresses and secrets follow from the lab's name."""
    return compose.render(_never_up(lab, stack), builder.recipes(stack, builder.Options()))


def _never_up(lab: Lab, stack: Stack) -> Blueprint:
    """What a lab would be that no engine holds."""
    subnet = lab.subnet or addresses.free_subnet(lab.name, [])
    return drawing.draw(lab, stack, builder.references(stack, builder.Options()), subnet, f"export/{lab.name}")
