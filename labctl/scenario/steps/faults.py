"""Steps: faults, each as its class says, and what undoes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from labctl.faults.fault import EVERY_FAULT, Fault, HostName
from labctl.faults.registry import FAULTS
from labctl.scenario.step_registry import STEPS, StepKind, step
from labctl.yamlfile.document import Text

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab


def fault_steps() -> Mapping[str, StepKind]:
    """A step for each kind of fault that there is by now."""
    return {kind: _step(cls) for kind, cls in FAULTS.items()}


@cache
def _step(cls: type[Fault]) -> StepKind:
    def inflict(live: LiveLab, **arguments: Any) -> str:
        return live.faults.inflict(cls.model_validate(arguments))

    return StepKind(cls.kind, inflict, cls, cls.about, cls.short, cls.needs, cls.__doc__ or "")


STEPS.follow(fault_steps)


@step(short="node")
def start(live: LiveLab, node: HostName, service: Literal["node", "corosync", "asterisk"] = "node") -> None:
    """Undo kill, stop or pause, or start a node that ended by itself or is of the lab's `without`

    Returns when the node's Asterisk is booted, or the service is ready.

    Example:
        - stop: {node: n2, service: corosync}
        - start: {node: n2, service: corosync}
    """
    live.faults.start(node, service)
    live.await_started()


@step(short="fault")
def heal(
    live: LiveLab, fault: Annotated[Text, Field(description="The `name` of a fault, or `all`")] = EVERY_FAULT
) -> None:
    """Undo a fault by its name, or all

    Returns when every node that was gone is back, and booted.

    Example:
        - partition: {groups: [[n1], [n2, n3]], name: split}
        - heal: split
    """
    live.faults.heal(fault)
    live.await_started()
