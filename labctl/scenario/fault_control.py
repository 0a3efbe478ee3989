"""The faults of one running lab: put in force, undone, and who is gone and comes back by them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from labctl.blueprint.running_lab import Running
from labctl.engine.actions import AwaitReady
from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError, UsageError
from labctl.faults import injector, model
from labctl.faults.fault import EVERY_FAULT, Fault
from labctl.faults.model import NODE, PreparedFault, Target
from labctl.history.events import BY_ITSELF, Back, FaultBegan, Gone, Healed
from labctl.history.journal import Journal
from labctl.names import ROLE_NODE, ROLE_SERVICE, container_name
from labctl.timing import PATIENCE, Deadline

BACK_S = 60.0
"""How long a node may take to be back after it was gone; it takes two to five seconds."""


class NodeConnections(Protocol):
    """What is wanted of the connections to the nodes of a lab (cluster.connections.Cluster)."""

    def disconnect(self, node: str) -> None:
        """Hang up on a node that is gone."""

    def await_gone(self, node: str, deadline: Deadline) -> None:
        """Return when the node's Asterisk has hung up, or at the deadline."""

    def reconnect(self, node: str, deadline: Deadline) -> None:
        """Connect anew, and return when the node is fully booted. Raises NotReady."""


def target_of(engine: Engine, running: Running) -> Target:
    """A running lab as its faults want it."""

    @functools.cache
    def ask_abilities() -> frozenset[str]:
        image = next(container.image for container in running.observation.containers if container.role == ROLE_NODE)
        return injector.abilities(engine, image)

    lab, containers = running.lab, running.observation.containers
    hosts = {one.node: one.host for one in containers if one.role in (ROLE_NODE, ROLE_SERVICE) and one.host}
    return Target(running.addresses, lab.rings, lab.follows_corosync, ask_abilities, running.service_addresses, hosts)


class FaultControl:
    """Puts faults in force in a lab, and undoes them; each is in the journal from its beginning to its end.

    `gone` are the nodes that do not answer, by what was done to them or by themselves; `ended` those of them that ended
    by themselves as a whole, and `waiting` those that were not started when the lab came up. `on_asterisk_gone` is
    called with a node whose Asterisk was gone, once that is back: its calls are lost.
    """

    def __init__(
        self,
        engine: Engine,
        running: Running,
        connections: NodeConnections,
        journal: Journal,
        on_asterisk_gone: Callable[[str], None],
    ) -> None:
        self.target = target_of(engine, running)
        self.waiting = frozenset(
            part.node for part in running.observation.containers if part.state == injector.NEVER_STARTED
        ) & {node.name for node in running.lab.nodes}
        self.gone: set[str] = {*self.waiting}
        self.ended: set[str] = {*self.waiting}
        self.disturbed = False
        self._engine = engine
        self._running, self._lab = running, running.lab
        self._connections = connections
        self._journal = journal
        self._on_asterisk_gone = on_asterisk_gone
        self._faults: dict[str, PreparedFault] = {}
        self._returning: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(max_workers=len(self._lab.nodes) + len(self._lab.services))
        self._lock = threading.RLock()
        """Held by whoever changes which faults are in force, or waits for what comes of that: steps go side by side."""

    @property
    def abilities(self) -> frozenset[str]:
        """What this kernel can do for faults; the first look takes a second."""
        return self.target.abilities

    @property
    def in_force(self) -> tuple[str, ...]:
        """The names of the faults in force; what a supervisor mends by itself is none."""
        return tuple(name for name, fault in tuple(self._faults.items()) if not fault.passes)

    @property
    def faults(self) -> Mapping[str, PreparedFault]:
        """Every fault by its name, also those that a supervisor mends, until `note_settled`."""
        return self._faults

    def inflict(self, fault: Fault) -> str:
        """Put a fault in force; the name by which it can be healed.

        Raises UsageError where it does not go together with the lab or with what is in force; HostError for what this
        kernel cannot do; LabError where it fails, and then it is undone.
        """
        with self._lock:
            return self._inflict(fault)

    def _inflict(self, fault: Fault) -> str:
        prepared = fault.prepare(fault.named(self._faults), self.target)
        prepared.check_free([other.record for other in self._faults.values() if not other.passes])
        for node in prepared.leaving:
            if node in self.gone:
                raise UsageError(f"{node} is gone already", "start it first")
        for node in prepared.leaving:
            self._leave(node, prepared)
        try:
            self._put_in_force(prepared)
        finally:
            # Also where it failed: Asterisk may be there still, or come back.
            if prepared.passes or prepared.name not in self._faults:
                for node in prepared.leaving:
                    self._await_back_meanwhile(node)
        if prepared.waits_for_return:
            self.await_returned()
        return prepared.name

    def heal(self, name: str = EVERY_FAULT) -> None:
        """Undo a fault by its name, or all, and then whatever else is in force in the lab, remembered or not.

        Returns when every node that was gone is back, and booted. Goes on after an error, and raises LabError with all
        of them; what could not be undone stays in force. Raises UsageError for a name that no fault has.
        """
        with self._lock:
            if name == EVERY_FAULT:
                self._heal_every()
            elif name in self._faults:
                errors = self._undo([name])
                _raise_all([*errors, *self._return_errors()])
            else:
                names = ", ".join(self._faults) or "none"
                raise UsageError(f"no fault `{name}` is in force", f"these are: {names}")

    def start(self, node: str, service: str = NODE) -> None:
        """Undo kill, stop or pause of a node or daemon; return when its Asterisk is booted. Raises UsageError.

        A node that ended by itself is started; whoever watches for crashes knows when it is back.
        """
        if service == NODE and node in self.ended:
            injector.bring_back(self._engine, self._lab.name, node)
            return
        with self._lock:
            names = [
                name
                for name, fault in tuple(self._faults.items())
                if fault.daemon == service and fault.nodes == (node,)
            ]
            if not names:
                raise UsageError(f"{node}: nothing of it was killed, stopped or paused", "start undoes these")
            errors = self._undo(names)
            _raise_all([*errors, *self._return_errors()])

    def await_returned(self) -> None:
        """Return when every node that is on its way is back. Raises what kept it."""
        with self._lock:
            for node in list(self._returning):
                self._returning.pop(node).result()

    def note_settled(self) -> None:
        """The lab has settled: what a supervisor mended is over."""
        with self._lock:
            for name in [name for name, fault in tuple(self._faults.items()) if fault.passes]:
                self._note_over(name)

    def expected_rings(self, traffic: str = model.TOTEM) -> dict[str, tuple[str, ...]] | None:
        """Who should hear whom in each cluster, by the faults in force; None where that cannot be told."""
        expected: dict[str, tuple[str, ...]] = {}
        for nodes in {self._lab.cluster_of(node.name) for node in self._lab.nodes}:
            rings = model.rings([node.name for node in nodes], list(self._faults.values()), traffic)
            if rings is None:
                return None
            expected |= {node: tuple(name for name in ring if name not in self.ended) for node, ring in rings.items()}
        return expected

    def note_crash(self, node: str, at_s: float, how: str, *, whole: bool) -> None:
        """A node's Asterisk, or the whole node, was found to have ended by itself."""
        self.gone.add(node)
        self.ended |= {node} if whole else set()
        self.disturbed = True
        self._journal.write(Gone(at_s, node, BY_ITSELF, how, whole))

    def note_back(self, node: str) -> None:
        """A node that was gone is back, and connected to."""
        self._on_asterisk_gone(node)
        self.gone.discard(node)
        self.ended.discard(node)
        self._journal.write(Back(self._journal.now_s(), node))

    def close(self) -> None:
        """Wait for no node any more."""
        self._pool.shutdown(cancel_futures=True)

    # How

    def _put_in_force(self, fault: PreparedFault) -> None:
        unasked = tuple(sorted(fault.blocks(model.DUNDI))) if self._lab.sites else ()
        self._journal.write(
            FaultBegan(
                at_s=self._journal.now_s(),
                fault=fault.name,
                what=fault.what,
                nodes=fault.nodes,
                unasked=unasked,
                uncalled=fault.uncalled,
                unheard=fault.unheard,
                absent=fault.absent,
            )
        )
        self._faults[fault.name] = fault
        self.disturbed = True
        try:
            injector.inflict(self._engine, self._lab.name, fault)
        except LabctlError as error:
            if isinstance(error, UsageError) or not self._is_left(fault):
                self._note_over(fault.name)
            raise

    def _is_left(self, fault: PreparedFault) -> bool:
        """Whether a fault that failed is in force all the same; so too where no node can be asked."""
        try:
            names = {record.name for record in injector.in_force(self._engine, self._lab.name)}
        except LabctlError:
            return True
        return not names.isdisjoint(injector.names_on_nodes(fault))

    def _leave(self, node: str, fault: PreparedFault) -> None:
        """Asterisk is about to go from the node. Where it goes after its Corosync, its connection shows when."""
        self.gone.add(node)
        self._journal.write(Gone(self._journal.now_s(), node, fault.kind))
        if fault.daemon != model.COROSYNC:
            self._connections.disconnect(node)

    def _await_back_meanwhile(self, node: str) -> None:
        """Have it connected to again as soon as it is back, beside what else goes on."""

        def await_back() -> None:
            self._connections.await_gone(node, PATIENCE.deadline(BACK_S))
            self._connections.reconnect(node, PATIENCE.deadline(BACK_S))
            self.note_back(node)

        self._returning[node] = self._pool.submit(await_back)

    def _heal_every(self) -> None:
        # Whole nodes first: on one that is paused nothing else can be undone.
        names = sorted(self._faults, key=lambda name: not self._faults[name].action)
        undo_errors = self._undo(names)
        errors = self._return_errors()
        try:
            healing = injector.heal(self._engine, self._lab.name)
        except LabctlError as error:
            _raise_all([*errors, *undo_errors, error])
            return
        left = {record.name for record in healing.left}
        for name, fault in tuple(self._faults.items()):
            if left.isdisjoint(injector.names_on_nodes(fault)):  # the sweep has undone it
                self._over(name)
        errors += self._return_errors()
        try:
            healing.check()
        except LabctlError as error:
            errors.append(error)
        _raise_all(errors)

    def _undo(self, names: Sequence[str]) -> list[LabctlError]:
        """Undo them all, also after an error; what went wrong. The nodes that come back by it are on their way then."""
        errors: list[LabctlError] = []
        for name in names:
            fault = self._faults[name]
            try:
                injector.undo(self._engine, self._lab.name, fault)
            except LabctlError as error:
                errors.append(error)
                continue
            for node in fault.nodes if fault.action in ("kill", "stop") else ():
                errors += self._renew_on(node, [other for other in self._faults if other not in names])
            self._over(name)
        return errors

    def _renew_on(self, node: str, names: Sequence[str]) -> list[LabctlError]:
        """A node's container was started anew, without what faults had done to it: put these in force there again.

        One that fails is undone everywhere. What went wrong.
        """
        errors: list[LabctlError] = []
        for name in names:
            fault = self._faults[name]
            if node not in fault.scripts or fault.passes:
                continue
            try:
                injector.renew(self._engine, self._lab.name, fault, node)
            except LabctlError as error:
                errors += [error, *self._undo([name])]
        return errors

    def _return_errors(self) -> list[LabctlError]:
        """Wait for every node that is on its way; what kept them."""
        errors: list[LabctlError] = []
        while self._returning:
            try:
                self.await_returned()
            except LabctlError as error:
                errors.append(error)
        return errors

    def _over(self, name: str) -> None:
        """A fault was undone: its nodes and services come back, unless another keeps them away."""
        fault = self._faults[name]
        self._note_over(name)
        kept_away = {node for other in self._faults.values() if not other.passes for node in other.leaving}
        for node in fault.nodes:
            if node in self.gone and node not in self._returning and node not in kept_away:
                self._await_back_meanwhile(node)
        for service in filter(None, map(self._lab.service, fault.nodes if fault.action else ())):
            if service.ready:
                name = container_name(self._lab.name, service.name)
                ready = self._running.named_in(service).ready
                step = AwaitReady(name, ready, PATIENCE.stretch(service.ready_s))
                self._returning[service.name] = self._pool.submit(self._engine.apply, step)

    def _note_over(self, name: str) -> None:
        del self._faults[name]
        self._journal.write(Healed(self._journal.now_s(), name))


def _raise_all(errors: Sequence[LabctlError]) -> None:
    """Raise one error that says all of these, if there are any."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise LabError("\n".join(error.message for error in errors), errors[0].hint)
