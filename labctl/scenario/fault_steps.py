"""The steps that make things go wrong, and right again, on top of the lab's FaultControl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine
from labctl.faults import model, registry
from labctl.history.journal import Journal
from labctl.progress import Progress
from labctl.scenario.fault_control import FaultControl
from labctl.scenario.recorded_step import Ground, a_step


class Nemesis(Ground):
    """Faults, each with an undo; `heal` undoes all, also those that nobody remembers."""

    def __init__(self, engine: Engine, running: Running, journal: Journal, progress: Progress) -> None:
        super().__init__(engine, running, journal, progress)
        self.faults = FaultControl(engine, running, self._cluster, journal, self._recorder.node_lost_calls)
        self.gone = self.faults.gone

    @property
    def abilities(self) -> frozenset[str]:
        """What this kernel can do for faults; the first look takes a second."""
        return self.faults.abilities

    @property
    def in_force(self) -> tuple[str, ...]:
        """The names of the faults in force; what a supervisor mends by itself is none."""
        return self.faults.in_force

    @a_step
    def kill(self, node: str, service: str = model.NODE) -> None:
        """End a node at once, as a power cut does; or one of its daemons, which its supervisor brings back."""
        self._inflict("kill", node=node, service=service)

    @a_step
    def stop(self, node: str, service: str = model.NODE) -> None:
        """End a node, or one of its daemons, in an orderly way; it stays down until `start` or `heal`."""
        self._inflict("stop", node=node, service=service)

    @a_step
    def restart(self, node: str, service: str) -> None:
        """End one of a node's daemons in an orderly way and start it again; return when it is there."""
        self._inflict("restart", node=node, service=service)

    @a_step
    def pause(self, node: str) -> None:
        """Freeze all of a node until `start` or `heal`: to the others it is silent, itself it notices nothing."""
        self._inflict("pause", node=node)

    @a_step
    def start(self, node: str, service: str = model.NODE) -> None:
        """Undo kill, stop or pause of a node or daemon; return when its Asterisk is booted."""
        self.faults.start(node, service)

    @a_step
    def partition(self, groups: Sequence[Sequence[str]], traffic: str = model.EVERY, name: str = "") -> None:
        """Cut the network by packet filter: only nodes that share a group hear each other."""
        self._inflict("partition", groups=groups, traffic=traffic, name=name)

    @a_step
    def cut(self, sender: str, receiver: str, traffic: str = model.EVERY, name: str = "") -> None:
        """Cut one way: what the sender sends does not reach the receiver."""
        self._inflict("cut", sender=sender, receiver=receiver, traffic=traffic, name=name)

    @a_step
    def iface_down(self, node: str, name: str = "") -> None:
        """Take a node's interface down."""
        self._inflict("iface_down", node=node, name=name)

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
        wrongs = {"loss": loss, "delay": delay, "jitter": jitter, "duplicate": duplicate, "rate": rate}
        self._inflict("impair", node=node, traffic=traffic, name=name, **wrongs)

    @a_step
    def heal(self, fault: str = model.EVERY) -> None:
        """Undo a fault by its name, or all; return when every node that was gone is back, and booted."""
        self.faults.heal(fault)

    def _inflict(self, kind: str, **arguments: Any) -> None:
        self.faults.inflict(registry.make(kind, {key: value for key, value in arguments.items() if value}))
