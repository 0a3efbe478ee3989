"""Steps: wait for something to be so, or for the lab to be quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from labctl.lab import MAX_NODES
from labctl.scenario.argument_types import Arguments, DialogState, Extension, ExtensionState, NodeNames, PhoneName
from labctl.scenario.step_registry import step
from labctl.timing import PATIENCE
from labctl.yamlfile.document import wrong
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

_WAYS = (
    ("extension", "state"),
    ("extension", "state", "nodes"),
    ("phone", "dialog"),
    ("phone", "lamp"),
    ("nodes", "members"),
)


class OneThing(Arguments):
    """What is waited for is one of a few things."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [*way], "propertyNames": {"enum": [*way, "timeout"]}} for way in _WAYS]
        }
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        arguments = {key for key, value in self if value is not None} - {"timeout"}
        if arguments not in [set(way) for way in _WAYS]:
            ways = "extension and state, phone and dialog, phone and lamp, or nodes and members"
            raise wrong("one thing to wait for is wanted", fix=ways)
        return self


@step(form=OneThing)
def wait_for(
    live: LiveLab,
    extension: Extension | None = None,
    state: ExtensionState | None = None,
    nodes: Annotated[NodeNames | None, Field(description="All that answer, by default")] = None,
    phone: PhoneName | None = None,
    dialog: DialogState | None = None,
    lamp: Annotated[int | None, Field(ge=0, le=10000, description="New messages that the phone was told of")] = None,
    members: Annotated[int | None, Field(ge=0, le=MAX_NODES, description="Members of the nodes' ring")] = None,
    timeout: Duration = 10.0,
) -> None:
    """Wait for a state of an extension, a phone's dialog or lamp, or the members of rings

    Raises NotReady at the deadline.

    Example:
        - set_state: {node: n1, device: door, state: BUSY}
        - wait_for: {extension: door, state: Busy, nodes: [n2, n3]}
    """
    deadline = PATIENCE.deadline(timeout)
    if extension and state:
        with_hint = [node for node in live.live if extension in live.lab.extensions_of(node)]
        live.cluster.await_state(extension, state, deadline, nodes or with_hint)
    elif nodes and members is not None:
        live.wait_until(lambda: live.rings.short_of(nodes, members), deadline)
    elif phone and dialog:
        live.wait_until(lambda: live.phones.watchers.dialog_missing(phone, dialog), deadline)
    elif phone and lamp is not None:
        live.wait_until(lambda: live.phones.watchers.lamp_missing(phone, lamp), deadline)


@step(short="timeout")
def settle(live: LiveLab, timeout: Duration = 30.0) -> None:
    """Wait until the rings are whole and nothing is said, then look at everything

    The rings are whole when they are what the faults in force leave of them. Raises NotReady at the deadline.

    Example:
        - set_state: {node: n1, device: door, state: INUSE}
        - settle: {timeout: 20s}
    """
    live.settle_until(PATIENCE.deadline(timeout))
