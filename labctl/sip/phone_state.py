"""A phone's line, as its own SIP messages tell it: the device state that its node should have of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.asterisk import device_state
from labctl.sip.transcript import SipMessage

UNREGISTERED, FREE, RINGING, TALKING, HOLDING = "UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "ONHOLD"


@dataclass
class _Call:
    """One call of a phone's. `answered` if it was, so that a refusal is of a change to it, and not of the call."""

    state: str
    answered: bool = False
    holding: bool = False


class PhoneLine:
    """Follows what a phone sends and receives: registration and calls."""

    def __init__(self) -> None:
        self._registered = False
        self._expires = ""
        self._calls: dict[str, _Call] = {}

    @property
    def state(self) -> str:
        """The device state: of its calls together, else whether it is registered."""
        if self._calls:
            return device_state.aggregate(call.state for call in self._calls.values())
        return FREE if self._registered else UNREGISTERED

    def drop_calls(self) -> None:
        """Its node is gone, and with it every call."""
        self._calls.clear()

    def feed(self, message: SipMessage) -> str:
        """The state after a message that the phone sent or received."""
        if message.about == "REGISTER":
            self._register(message)
        elif message.about == "INVITE":
            self._invite(message.header("Call-ID"), message)
        elif message.method in ("BYE", "CANCEL"):
            self._calls.pop(message.header("Call-ID"), None)
        return self.state

    def _register(self, message: SipMessage) -> None:
        if message.method:
            self._expires = message.header("Expires")
        elif 200 <= message.status < 300:
            self._registered = self._expires != "0"

    def _invite(self, name: str, message: SipMessage) -> None:
        call = self._calls.get(name)
        if message.method:
            if message.sent and call:  # a re-INVITE, RFC 6337, 5.3
                call.holding = "a=sendonly" in message.body
        elif message.status >= 300:
            if message.status not in (401, 407) and call and not call.answered:
                del self._calls[name]
        elif message.status >= 200:
            call = self._calls.setdefault(name, _Call(TALKING))
            call.answered, call.state = True, HOLDING if call.holding else TALKING
        elif message.sent:
            if message.status == 180:
                self._calls[name] = _Call(RINGING)
        elif message.status > 100:
            # A node tells of a caller once the call rings or is answered: with 100 alone nothing is known of it.
            self._calls.setdefault(name, _Call(TALKING))
