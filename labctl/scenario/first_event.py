"""The first event of a history: what the lab is. Pure, but for the day."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from labctl.history.events import Began
from labctl.lab import Lab
from labctl.stack.model import Stack


def first_event(lab: Lab, stack: Stack, device_of: Callable[[str], str], at_s: float) -> Began:
    """What a lab is, at a time of its history; `device_of` gives the name of a phone's device.

    What is run on the lab is filled in by whoever writes it.
    """
    devices = {phone.name: device_of(phone.name) for phone in lab.phones}
    phones = {phone.extension: devices[phone.name] for phone in lab.phones}
    return Began(
        at_s=at_s,
        scenario="",
        lab=lab.name,
        stack=stack.name,
        nodes=tuple(node.name for node in lab.nodes),
        extensions=phones | {device: f"Custom:{device}" for device in lab.devices},
        hints={hint.extension: hint.device for hint in lab.hints},
        homes={devices[phone.name]: phone.node for phone in lab.phones},
        mailboxes={number: lab.mailbox(number).node for number in lab.mailbox_numbers},
        lamps={phone.name: phone.mailbox for phone in lab.phones if phone.mailbox},
        sites={node.name: node.site for node in lab.nodes if node.site},
        cache_s=lab.cache_s,
        via=lab.via,
        utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
