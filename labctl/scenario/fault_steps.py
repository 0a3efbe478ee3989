"""The steps that make things go wrong, and right again. (Jepsen's word for who does that.)"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError, UsageError
from labctl.faults import injector, model
from labctl.faults.model import Fault, Impairment
from labctl.history.events import Back, Gone, Healed
from labctl.history.events import Fault as FaultEvent
from labctl.history.journal import Journal
from labctl.names import ROLE_NODE
from labctl.progress import Progress
from labctl.scenario.recorded_step import BACK_S, Ground, a_step
from labctl.timing import Deadline

GONE = ("kill", "stop", "pause", "restart")


class Nemesis(Ground):
    """Faults, each with an undo; `heal` undoes all, also those that nobody remembers."""

    def __init__(self, engine: Engine, running: Running, journal: Journal, progress: Progress) -> None:
        super().__init__(engine, running, journal, progress)
        self._faults: dict[str, Fault] = {}
        self._returning: dict[str, Future[None]] = {}
        self._disturbed = False
        self._pool = ThreadPoolExecutor(max_workers=len(self.lab.nodes))

    @functools.cached_property
    def abilities(self) -> frozenset[str]:
        """What this kernel can do for faults; the first look takes a second."""
        image = next(each.image for each in self.running.seen.containers if each.role == ROLE_NODE)
        return injector.abilities(self.engine, image)

    @property
    def in_force(self) -> tuple[str, ...]:
        """The names of the faults in force; what a supervisor mends by itself is none."""
        return tuple(name for name, fault in self._faults.items() if not fault.passes)

    @a_step
    def kill(self, node: str, service: str = model.NODE) -> None:
        """End a node at once, as a power cut does; or one of its daemons, which its supervisor brings back."""
        self._end("kill", node, service)

    @a_step
    def stop(self, node: str, service: str = model.NODE) -> None:
        """End a node, or one of its daemons, in an orderly way; it stays down until `start` or `heal`."""
        self._end("stop", node, service)

    @a_step
    def restart(self, node: str, service: str) -> None:
        """End one of a node's daemons in an orderly way and start it again; return when it is there."""
        self._end("restart", node, service)
        self._await_returned()

    @a_step
    def pause(self, node: str) -> None:
        """Freeze all of a node until `start` or `heal`: to the others it is silent, itself it notices nothing."""
        self._end("pause", node, model.NODE)

    @a_step
    def start(self, node: str, service: str = model.NODE) -> None:
        """Undo kill, stop or pause of a node or daemon; return when its Asterisk is booted."""
        kinds = ("pause", "kill", "stop")
        mine = [_name(kind, node, service) for kind in kinds if _name(kind, node, service) in self._faults]
        if not mine:
            raise UsageError(f"{node}: nothing of it was killed, stopped or paused", "start undoes these")
        self._undo(mine)

    @a_step
    def partition(self, groups: Sequence[Sequence[str]], traffic: str = model.EVERY, name: str = "") -> None:
        """Cut the network by packet filter: only nodes that share a group hear each other."""
        self._inflict(model.partition(self._free(name, "partition"), groups, traffic, self.addresses))

    @a_step
    def cut(self, sender: str, receiver: str, traffic: str = model.EVERY, name: str = "") -> None:
        """Cut one way: what the sender sends does not reach the receiver."""
        self._inflict(model.cut(self._free(name, "cut"), sender, receiver, traffic, self.addresses))

    @a_step
    def iface_down(self, node: str, name: str = "") -> None:
        """Take a node's interface down."""
        self._inflict(model.interface_down(self._free(name, "iface-down"), node, self.addresses))

    @a_step
    def impair(
        self,
        node: str,
        loss: float = 0,
        delay: float = 0,
        jitter: float = 0,
        duplicate: float = 0,
        rate: int = 0,
        traffic: str = model.EVERY,
        name: str = "",
    ) -> None:
        """Make a node's link bad: loss and duplicates in percent, delay and jitter in seconds, rate in kbit/s.

        Raises HostError for what this kernel cannot do.
        """
        if any(fault.kind == "impair" and node in fault.nodes for fault in self._faults.values()):
            raise UsageError(f"the link of {node} is impaired already", "heal that first, or name all in one step")
        wrong = Impairment(loss, delay * 1000, jitter * 1000, duplicate, rate)
        self._inflict(model.impair(self._free(name, "impair"), node, wrong, traffic, self.abilities, self.addresses))

    @a_step
    def heal(self, fault: str = model.EVERY) -> None:
        """Undo a fault by its name, or all; return when every node that was gone is back, and booted."""
        if fault != model.EVERY and fault not in self._faults:
            known = ", ".join(self._faults) or "none"
            raise UsageError(f"no fault `{fault}` is in force", f"these are: {known}")
        self._undo(list(self._faults) if fault == model.EVERY else [fault])
        if fault == model.EVERY:
            injector.heal(self.engine, self.lab.name)

    # How

    def _free(self, name: str, kind: str) -> str:
        """The name that was given, or one that no file can give."""
        if name in self._faults:
            raise UsageError(f"a fault `{name}` is in force already", "heal it first, or name this one otherwise")
        return name or next(each for number in count(1) if (each := f"{kind}.{number}") not in self._faults)

    def _end(self, kind: str, node: str, service: str) -> None:
        self.known_node(node)
        name = _name(kind, node, service)
        if service == model.NODE:
            fault = model.container(name, kind, node, self.addresses)
        else:
            fault = model.service(name, kind, node, service, self.addresses, self.lab.rings)
        takes_asterisk = service != "corosync" or self.lab.follows_corosync
        if takes_asterisk:
            self._leave(node, kind, hang_up=service != "corosync")
        try:
            self._inflict(fault)
        finally:
            if takes_asterisk and service != model.NODE and (fault.passes or name not in self._faults):
                self._returns(node)

    def _leave(self, node: str, what: str, *, hang_up: bool) -> None:
        """Asterisk is about to go from the node. Without `hang_up` its connection stays, to show when it has gone."""
        if node in self.gone:
            raise UsageError(f"{node} is gone already", "start it first")
        self.gone.add(node)
        self.journal.write(Gone(self.journal.now_s(), node, what))
        if hang_up:
            self._cluster.disconnect(node)

    def _returns(self, node: str) -> None:
        """Have it connected to again as soon as it is back, beside what else goes on."""

        def back() -> None:
            self._cluster.await_gone(node, Deadline(BACK_S))
            self._cluster.reconnect(node, Deadline(BACK_S))
            self._recorder.node_lost_calls(node)
            self.gone.discard(node)
            self.journal.write(Back(self.journal.now_s(), node))

        self._returning[node] = self._pool.submit(back)

    def _await_returned(self) -> None:
        """Return when every node that is on its way is back. Raises what kept it."""
        for node in list(self._returning):
            self._returning.pop(node).result()

    def _inflict(self, fault: Fault) -> None:
        unasked = tuple(sorted(fault.blocks(model.DUNDI))) if self.lab.sites else ()
        spares_calls = fault.kind in ("partition", "cut") or fault.daemon == "corosync"
        uncalled = tuple(sorted(fault.blocks(model.SIP))) if spares_calls else None
        unheard = None if fault.kind == "impair" else tuple(sorted(fault.blocks(model.TOTEM)))
        self.journal.write(
            FaultEvent(
                at_s=self.journal.now_s(),
                fault=fault.name,
                what=fault.what,
                nodes=fault.nodes,
                unasked=unasked,
                uncalled=uncalled,
                unheard=unheard,
                absent=fault.absent,
            )
        )
        self._faults[fault.name] = fault
        self._disturbed = True
        try:
            injector.inflict(self.engine, self.lab.name, fault)
        except LabctlError:
            self._over(fault.name)
            raise

    def _over(self, name: str) -> None:
        del self._faults[name]
        self.journal.write(Healed(self.journal.now_s(), name))

    def _undo(self, names: Sequence[str]) -> None:
        """Undo them all, also after an error, and wait for the nodes that come back by it."""
        errors: list[LabctlError] = []
        for name in names:
            fault = self._faults[name]
            try:
                injector.undo(self.engine, self.lab.name, fault)
            except LabctlError as error:
                errors.append(error)
            self._over(name)
            for node in fault.nodes:
                if node in self.gone and node not in self._returning and not self._held(node):
                    self._returns(node)
        self._await_returned()
        if errors:
            raise LabError("\n".join(error.message for error in errors), errors[0].hint)

    def _held(self, node: str) -> bool:
        """Whether a fault that is still in force keeps the node's Asterisk away."""
        return any(node in fault.nodes and fault.kind in GONE and not fault.passes for fault in self._faults.values())


def _name(kind: str, node: str, service: str) -> str:
    return f"{kind}-{node}" if service == model.NODE else f"{kind}-{service}-{node}"
