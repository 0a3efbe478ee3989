"""The verbs that make labs and take them away: the order of what is done, and no detail of how."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from labctl.blueprint import addresses, compose, drawing, plan
from labctl.blueprint.drawing import Blueprint
from labctl.blueprint.owner import USER_KIND, Owner
from labctl.blueprint.record import Request
from labctl.blueprint.running_lab import Running
from labctl.cluster import changed_files, image_delivery, lab_hosts, neighbours
from labctl.cluster.config_problems import ConfigProblem
from labctl.cluster.connections import Cluster
from labctl.cluster.inventory import (
    USERS,
    Summary,
    find_record,
    in_use,
    load,
    names,
    orphans,
    refuse_guess,
    remnants,
    require_own,
    summaries,
)
from labctl.cluster.lab_lock import lab_lock
from labctl.cluster.proof import Proof
from labctl.cluster.readiness import Restart
from labctl.cluster.views import Crossing, NodeView, Route
from labctl.engine.actions import Plan, StartContainer, Step, flatten
from labctl.engine.client import Engine
from labctl.engine.host import Host
from labctl.engine.networks import SubnetTaken
from labctl.engine.observation import Container, Observation
from labctl.errors import HostError, LabctlError, LabError
from labctl.faults import injector
from labctl.images import builder, lab_images
from labctl.images.recipes import Images, Recipe
from labctl.lab import Lab
from labctl.names import ROLE_NODE, check_lab_name
from labctl.progress import Progress, Silent, step
from labctl.stack.model import Stack
from labctl.timing import Deadline

__all__ = [
    "USERS",
    "Summary",
    "UpPlan",
    "UpReport",
    "clear_way",
    "down",
    "down_orphans",
    "export",
    "files",
    "find_record",
    "in_use",
    "left_by_down",
    "load",
    "names",
    "orphans",
    "plan_down",
    "plan_up",
    "refuse_guess",
    "remnants",
    "require_own",
    "summaries",
    "up",
]

SUBNET_TRIES = 8
LABS_AT_ONCE = 4
"""How many labs `down --all` takes away at a time."""


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
    restarted: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    """Extensions of which nodes that were there before say different things, though what is new crosses."""
    left: tuple[str, ...] = ()
    """Hosts that do not answer, of which the lab is to be on none, and what of it may be there still."""

    @property
    def changed(self) -> tuple[str, ...]:
        """What was done, in words: the steps, and of which nodes Asterisk was restarted then."""
        return (*map(str, self.done), *(f"restart Asterisk on {node}" for node in self.restarted))


@dataclass(frozen=True)
class _Order:
    """What `up` is to make, how its images are made, what is kept on its labels of why and by whom, and the Docker
    hosts that it is to be over."""

    lab: Lab
    stack: Stack
    options: builder.Options
    request: Request
    owner: Owner
    hosts: tuple[Host, ...] = ()

    @classmethod
    def of(
        cls, lab: Lab, stack: Stack, options: builder.Options, request: Request | None, owner: Owner | None = None
    ) -> _Order:
        """What is asked for, by default the lab itself, and by this process for a user."""
        options = replace(options, services=lab.services)
        return cls(lab, stack, options, request or Request.of(lab), owner or Owner.current(USER_KIND))


# up


def plan_up(engine: Engine, lab: Lab, stack: Stack, options: builder.Options, request: Request | None = None) -> UpPlan:
    """What `up` would do now. Changes nothing."""
    order = replace(_Order.of(lab, stack, options, request), hosts=lab_hosts.required(engine, lab))
    builds = tuple(lab_images.plan(engine, lab, stack, order.options))
    wanted, observation = _draw(engine, order, lab_images.resolve(engine, lab, stack, order.options))
    return UpPlan(builds, wanted, plan.up(wanted, observation))


def up(
    engine: Engine,
    lab: Lab,
    stack: Stack,
    options: builder.Options,
    timeout_s: float,
    progress: Progress,
    *,
    proof: bool = True,
    owner: Owner | None = None,
    request: Request | None = None,
) -> UpReport:
    """Make the lab what is wanted, and return when it is proven ready; without `proof`, when it is ready.

    `owner` is who makes it, this process for a user by default. `request` is what the user asked for, which is kept
    with the lab; the lab itself by default. Raises NotReady after `timeout_s` seconds (counted from when the
    containers run).
    """
    order = replace(_Order.of(lab, stack, options, request, owner), hosts=lab_hosts.required(engine, lab))
    with lab_lock(engine, lab.name, progress), ThreadPoolExecutor(max_workers=1) as pool:
        # Connect to the running containers while the plan is computed: often there is nothing to do.
        before = Running(lab, stack, engine.observe(lab.name))
        cluster = Cluster(engine, before)
        opening = pool.submit(cluster.open)
        try:
            images = lab_images.build(engine, lab, stack, order.options, progress)
            neighbours.check(engine, lab, images.node)
            steps = _make_so(engine, order, images, progress)
            failure = opening.exception()
            after = Running(lab, stack, engine.observe(lab.name))
            # Compare even where no step was done: the engine may have finished what a killed `up` had asked of it.
            if failure or after != before:
                cluster.close()
                cluster = Cluster(engine, after)
                cluster.open()
            report = _settle(engine, order, cluster, steps, Deadline(timeout_s), progress, proof=proof)
            return replace(report, left=lab_hosts.left_alone(lab.name, before.observation, order.hosts))
        finally:
            cluster.close()


def _settle(
    engine: Engine,
    order: _Order,
    cluster: Cluster,
    steps: Sequence[Step],
    deadline: Deadline,
    progress: Progress,
    *,
    proof: bool,
) -> UpReport:
    """Wait until the lab is ready, mend what can be mended, and prove it. Raises NotReady."""
    lab, stack = order.lab, order.stack
    restarted: list[str] = []

    def mend(node: str) -> None:
        restarted.append(node)
        with step(progress, f"restart Asterisk on {node}, whose {stack.cluster_module} has lost Corosync for good"):
            injector.restart(engine, lab.name, node, "asterisk")
            cluster.reconnect(node, deadline)

    with step(progress, "wait for Asterisk, the ring and the cluster module"):
        cluster.await_ready(deadline, mend)
    crossings, routes = _prove(cluster, deadline, progress, mend) if proof else ([], [])
    problems = tuple(problem for node in cluster.connected for problem in cluster.config_problems(node))
    views = tuple(cluster.views())
    begun = sum(isinstance(one, StartContainer) for one in steps)
    differing = [row.extension for row in cluster.states() if not row.agreed] if begun < len(lab.nodes) else []
    routed = (tuple(crossings), tuple(routes))
    return UpReport(lab, tuple(steps), views, *routed, problems, tuple(restarted), tuple(differing))


def _prove(
    cluster: Cluster, deadline: Deadline, progress: Progress, mend: Restart
) -> tuple[list[Crossing], list[Route]]:
    """That state crosses in each cluster, and that sites find each other where there are any."""
    proving = Proof(cluster, mend)
    with step(progress, "prove that state crosses"):
        crossings = proving.crossings(deadline)
    if not cluster.lab.sites:
        return crossings, []
    with step(progress, "prove that the sites find each other"):
        return crossings, proving.routes(deadline)


def _make_so(engine: Engine, order: _Order, images: Images, progress: Progress) -> list[Step]:
    """Make the network and the containers; returns the steps that were done. Raises HostError, LabError."""
    for _ in range(SUBNET_TRIES):
        wanted, observation = _draw(engine, order, images)
        image_delivery.deliver(engine, wanted.containers, progress)
        steps = plan.up(wanted, observation)
        try:
            _apply(engine, steps, progress)
        except SubnetTaken as error:
            refusal = error
            continue
        return flatten(steps)
    raise HostError(f"no network for the lab: {refusal.message}", "take unused Docker networks away, or set `subnet:`")


def _draw(engine: Engine, order: _Order, images: Images) -> tuple[Blueprint, Observation]:
    """The lab as it is to be: on the network it has, or else on a free one with a fresh seed."""
    lab = order.lab
    observation = _as_it_is(engine, engine.observe(lab.name))
    network = observation.networks[0] if observation.networks else None
    if network and lab.subnet in (None, network.subnet):
        subnet = network.subnet
    else:
        subnet = lab.subnet or addresses.free_subnet(lab.name, engine.subnets())
    seed = network.seed if network else secrets.token_hex(16)
    blueprint = drawing.draw(lab, order.stack, images, subnet, seed, order.request, order.hosts)
    return replace(blueprint, labels=(*blueprint.labels, *order.owner.labels)), observation


def _as_it_is(engine: Engine, observation: Observation) -> Observation:
    """What is there, where a node whose files were changed since it was made is not what its label says."""

    def look(container: Container) -> Container:
        is_node = container.role == ROLE_NODE and container.state != "removing"
        changed = is_node and changed_files.changed(engine, container.id)
        return replace(container, config_hash="") if changed else container

    with ThreadPoolExecutor(max_workers=max(1, len(observation.containers))) as pool:
        return replace(observation, containers=tuple(pool.map(look, observation.containers)))


def _apply(engine: Engine, steps: Plan, progress: Progress) -> None:
    """Do a plan: stages in order, chains side by side; the first error is raised when its stage has ended."""

    def run(chain: tuple[Step, ...]) -> None:
        for action in chain:
            with step(progress, str(action)):
                engine.apply(action)

    for stage in steps:
        with ThreadPoolExecutor(max_workers=len(stage)) as pool:
            futures: list[Future[None]] = [pool.submit(run, chain) for chain in stage]
        for future in futures:
            future.result()


# down


def plan_down(engine: Engine, name: str | None) -> list[Step]:
    """What `down` would take away. Changes nothing."""
    return flatten(plan.down(engine.observe(name)))


def left_by_down(engine: Engine, name: str | None) -> list[str]:
    """What is said of hosts that `down` leaves alone: they do not answer, and are none of those that were named."""
    return [line for lab in _meant(engine, name) for line in lab_hosts.left_alone(lab, engine.observe(lab))]


def _meant(engine: Engine, name: str | None) -> list[str]:
    if name is not None:
        check_lab_name(name)
    return [name] if name else remnants(engine)


def down(engine: Engine, name: str | None, progress: Progress) -> list[Step]:
    """Take away a lab, or all labs, in whatever state they are; returns what was taken away.

    Goes on after an error, and raises all of them as one: HostError if the engine refused any.
    """
    labs = _meant(engine, name)
    if not labs:
        return []
    with ThreadPoolExecutor(max_workers=min(len(labs), LABS_AT_ONCE)) as pool:
        results = [pool.submit(_down_one, engine, lab, progress) for lab in labs]
    errors = [error for result in results if (error := result.exception())]
    _raise_all(errors)
    return [action for result in results for action in result.result()]


def down_orphans(engine: Engine, older_than_s: float | None, progress: Progress) -> list[Step]:
    """Take away all that `orphans` names; returns what was taken away. Goes on after an error, as `down` does."""
    steps: list[Step] = []
    errors: list[BaseException] = []
    for lab in orphans(engine, older_than_s):

        def is_one_still(name: str = lab) -> bool:
            return name in orphans(engine, older_than_s)

        try:
            steps += _down_one(engine, lab, progress, is_one_still)
        except LabctlError as error:
            errors.append(error)
    _raise_all(errors)
    return steps


def _down_one(engine: Engine, lab: str, progress: Progress, is_meant: Callable[[], bool] = lambda: True) -> list[Step]:
    """Take one lab away, if it is the one that is meant once nobody else is at work on it."""
    with lab_lock(engine, lab, progress):
        if not is_meant():
            return []
        observation = engine.observe(lab)
        steps = plan.down(observation)
        errors: list[BaseException] = []
        for stage in steps:
            with ThreadPoolExecutor(max_workers=len(stage)) as pool:
                futures = [pool.submit(_apply, engine, ((chain,),), progress) for chain in stage]
            errors += [error for future in futures if (error := future.exception())]
        errors += [lab_hosts.not_reached(lab, host) for host in observation.lost if host.meant]
        _raise_all(errors)
    return flatten(steps)


def _raise_all(errors: Sequence[BaseException]) -> None:
    """Raise several errors as one; anything that is no error of ours as it is."""
    for error in errors:
        if not isinstance(error, LabctlError):
            raise error
    ours = [error for error in errors if isinstance(error, LabctlError)]
    if not ours:
        return
    hints = [line for error in ours if error.hint for line in error.hint.splitlines()]
    kind = next((kind for kind in (HostError, LabError) if any(isinstance(error, kind) for error in ours)), LabctlError)
    again = "labctl down again goes on from here"
    raise kind("\n".join(error.message for error in ours), "\n".join(dict.fromkeys([*hints, again])))


def clear_way(engine: Engine, name: str, owner: Owner) -> None:
    """Take away what an earlier run of the same kind left of a lab. Raises UsageError if another made it."""
    require_own(engine, name, owner)
    down(engine, name, Silent())


# What needs no engine


def files(lab: Lab, stack: Stack) -> dict[str, dict[str, str]]:
    """Every file of every node, by node and path, as `export` has them."""
    return {
        container.hostname: {file.path: file.text for file in container.files}
        for container in never_up(lab, stack).containers
        if container.files
    }


def export(lab: Lab, stack: Stack) -> str:
    """The lab as a Compose file: addresses and secrets follow from the lab's name."""
    return compose.render(never_up(lab, stack), builder.recipes(stack, builder.Options(services=lab.services)))


def never_up(lab: Lab, stack: Stack) -> Blueprint:
    """What a lab would be that no engine holds: on one machine, wherever its nodes are to be."""
    lab = replace(lab, nodes=tuple(replace(node, host="") for node in lab.nodes))
    subnet = lab.subnet or addresses.free_subnet(lab.name, [])
    images = lab_images.references(lab, stack, builder.Options(services=lab.services))
    return drawing.draw(lab, stack, images, subnet, f"export/{lab.name}")
