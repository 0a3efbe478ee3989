"""Steps: states of devices, and the messages of mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.errors import LabError, UsageError
from labctl.faults.fault import NodeName
from labctl.history.events import Said
from labctl.lab import Lab
from labctl.names import container_name
from labctl.scenario.argument_types import Device, DeviceState, Mailbox
from labctl.scenario.step_registry import step

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

SPOOL = "/var/spool/asterisk/voicemail/default"
"""Where app_voicemail keeps the messages of the context `default`."""


@step(short="mailbox")
def clear_voicemail(
    live: LiveLab,
    mailbox: Mailbox,
    node: Annotated[NodeName | None, Field(description="Of several that store it; the first by default")] = None,
) -> None:
    """Delete every message of a mailbox

    On the node that keeps it, and have Asterisk notice.

    Example:
        - leave_voicemail: {caller: alice, mailbox: "102"}
        - clear_voicemail: "102"
    """
    keeper = keeper_of(live.lab, mailbox, node)
    script = f"rm -f {SPOOL}/{mailbox}/INBOX/* {SPOOL}/{mailbox}/Old/*"
    deleted = live.engine.run(container_name(live.lab.name, keeper), ["sh", "-c", script])
    if deleted.code:
        raise LabError(f"{keeper}: {deleted.text.strip()}", f"labctl ps shows whether {keeper} runs")
    if live.stack.refreshes_mailboxes:  # else it looks by itself (voicemail.conf, pollfreq)
        live.cluster.connection(keeper).ask("VoicemailRefresh", Context="default", Mailbox=mailbox)


def keeper_of(lab: Lab, mailbox: str, node: str | None) -> str:
    """The node that is meant of those that store a mailbox. Raises UsageError for one that does not."""
    keepers = lab.keepers(mailbox)
    if node is not None and node not in keepers:
        raise UsageError(f"{node} stores no mailbox {mailbox}", f"on {', '.join(keepers)}")
    return node or keepers[0]


@step()
def set_state(live: LiveLab, node: NodeName, device: Device, state: DeviceState) -> None:
    """Have a node say a state of a Custom device

    As its CLI's `devstate change` does.

    Example:
        - set_state: {node: n1, device: door, state: BUSY}
    """
    at_s = live.journal.now_s()
    number = live.cluster.set_device(node, f"Custom:{device}", state)
    live.cluster.connection(node).answer(number)
    live.journal.write(Said(at_s, node, f"Custom:{device}", state))
