"""A phone's line, as its own SIP messages tell it: the device state that its node should have of it. Pure."""

from __future__ import annotations

from labctl import devicestate
from labctl.sipp import SipMessage

UNREGISTERED, FREE, RINGING, TALKING, HOLDING = "UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "ONHOLD"


class PhoneLine:
    """Follows what a phone sends and receives: registration and calls."""

    def __init__(self) -> None:
        self._registered = False
        self._expires = ""
        self._calls: dict[str, str] = {}
        self._holding: set[str] = set()

    @property
    def state(self) -> str:
        """The device state: of its calls together, else whether it is registered."""
        if self._calls:
            return devicestate.aggregate(self._calls.values())
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

    def _invite(self, call: str, message: SipMessage) -> None:
        if message.method:
            if message.sent and call in self._calls:  # a re-INVITE, RFC 6337, 5.3
                (self._holding.add if "a=sendonly" in message.body else self._holding.discard)(call)
        elif message.status >= 300:
            if message.status not in (401, 407) and self._calls.get(call) not in (TALKING, HOLDING):
                self._calls.pop(call, None)
        elif message.status >= 200:
            self._calls[call] = HOLDING if call in self._holding else TALKING
        elif message.sent:
            if message.status == 180:
                self._calls[call] = RINGING
        else:
            self._calls.setdefault(call, TALKING)
