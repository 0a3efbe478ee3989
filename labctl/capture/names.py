"""What the ends of a message are called. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from labctl.capture.datagrams import Endpoint
from labctl.capture.messages import Message

SIP_PORT = 5060
"""Where SIP listens if nothing else is said (RFC 3261, 18.2.1)."""


class Names(Protocol):
    """The names of a lab, or of whatever else a capture is of."""

    def place(self, endpoint: Endpoint) -> str:
        """Who is at an address and port: a node, a phone."""

    def user(self, user: str) -> str:
        """One name for whoever has several: a phone has a name and an extension. Any other as it is."""


class AddressNames:
    """Names where nothing is known: an address, with its port where several of it speak SIP.

    The port that a TCP connection begins at is chosen for it alone: its messages are of the port that they name.
    """

    def __init__(self, messages: Iterable[Message]) -> None:
        self._listening: dict[Endpoint, Endpoint] = {}
        ports: dict[str, set[int]] = {}
        messages = list(messages)
        for message in messages:
            if message.transport == "TCP" and message.sip.method:
                self._listening.setdefault(message.source, Endpoint(message.source.address, _via_port(message)))
        for message in messages:
            for endpoint in (message.source, message.target):
                ports.setdefault(endpoint.address, set()).add(self._heard_at(endpoint).port)
        self._several = {address for address, known in ports.items() if len(known) > 1}

    def place(self, endpoint: Endpoint) -> str:
        """Its address, with the port where that is needed."""
        endpoint = self._heard_at(endpoint)
        return str(endpoint) if endpoint.address in self._several else endpoint.address

    def user(self, user: str) -> str:
        """As it is."""
        return user

    def _heard_at(self, endpoint: Endpoint) -> Endpoint:
        return self._listening.get(endpoint, endpoint)


def _via_port(message: Message) -> int:
    """The port that a request's sender listens at, as it says itself (RFC 3261, 18.2.2)."""
    sent_by = message.sip.header("Via").partition(",")[0].partition(";")[0].split(" ")[-1]
    port = sent_by.rpartition("]")[2].rpartition(":")[2] if ":" in sent_by else ""
    return int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else SIP_PORT
