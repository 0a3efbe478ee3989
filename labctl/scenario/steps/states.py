"""Steps: states of devices, and the messages of mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.faults.fault import NodeName
from labctl.history.events import Said
from labctl.names import container_name
from labctl.scenario.argument_types import Device, DeviceState, Mailbox
from labctl.scenario.step_registry import step

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

SPOOL = "/var/spool/asterisk/voicemail/default"
"""Where app_voicemail keeps the messages of the context `default`."""


@step(short="mailbox")
def clear_voicemail(live: LiveLab, mailbox: Mailbox) -> None:
    """Delete every message of a mailbox

    On the node that keeps it, and have Asterisk notice.
    """
    keeper = live.lab.mailbox(mailbox).node
    script = f"rm -f {SPOOL}/{mailbox}/INBOX/* {SPOOL}/{mailbox}/Old/*"
    deleted = live.engine.run(container_name(live.lab.name, keeper), ["sh", "-c", script])
    if deleted.code:
        raise LabError(f"{keeper}: {deleted.text.strip()}", f"labctl ps shows whether {keeper} runs")
    if live.stack.refreshes_mailboxes:  # else it looks by itself (voicemail.conf, pollfreq)
        live.cluster.connection(keeper).ask("VoicemailRefresh", Context="default", Mailbox=mailbox)


@step()
def set_state(live: LiveLab, node: NodeName, device: Device, state: DeviceState) -> None:
    """Have a node say a state of a Custom device

    As its CLI's `devstate change` does.
    """
    at_s = live.journal.now_s()
    number = live.cluster.set_device(node, f"Custom:{device}", state)
    live.cluster.connection(node).answer(number)
    live.journal.write(Said(at_s, node, f"Custom:{device}", state))
