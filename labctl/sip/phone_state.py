"""The device states that nodes should have of phones, as the phones' own SIP messages tell them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labctl.asterisk import device_state
from labctl.lab import Lab
from labctl.sip_message import SipMessage

UNREGISTERED, FREE, RINGING, TALKING, HOLDING = "UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "ONHOLD"

CHAN_SIP = "SIP"
"""The channel driver of Asterisk before chan_pjsip."""

KEPT_OVER = 100
"""Of so many calls that are over an answer that comes again, up to 32 s later, is known for that."""


@dataclass
class _Call:
    """One call of a phone's.

    `peer` is the extension at the other end. `answered` tells a refusal of a change to the call from one of the call
    itself. `offers_hold` is whether the phone last asked for the other end to be on hold, `holds` whether that was
    agreed to; `held` whether the other end has put this one on hold.
    """

    peer: str = ""
    state: str = ""
    answered: bool = False
    offers_hold: bool = False
    holds: bool = False
    held: bool = False


class PhoneLine:
    """Follows what one phone sends and receives: registration and calls.

    `channel` is the channel driver of its node. By chan_sip (sip_devicestate, channels/chan_sip.c, 1.6.2 and 1.8) a
    phone without an address is unavailable, in a call or not; and one that has put another on hold is on hold itself,
    whatever else it does. By chan_pjsip it is the phone that is held that is on hold (chan_pjsip_indicate, 22), so that
    its own messages do not tell: `hold` does.
    """

    def __init__(self, channel: str = "PJSIP") -> None:
        self._channel = channel
        self._registered = False
        self._expires = ""
        self._calls: dict[str, _Call] = {}
        self._transferred: dict[str, _Call] = {}
        self._over: deque[str] = deque(maxlen=KEPT_OVER)

    @property
    def state(self) -> str:
        """The device state: of its calls together, else whether it is registered."""
        calls = [call for call in self._calls.values() if call.state]
        if self._channel == CHAN_SIP:
            if not self._registered:
                return UNREGISTERED
            if any(call.holds for call in calls):
                return HOLDING
        if calls:
            return device_state.aggregate(HOLDING if call.held else call.state for call in calls)
        return FREE if self._registered else UNREGISTERED

    def drop_calls(self) -> None:
        """Its node is gone, and with it every call."""
        self._calls.clear()

    def holds(self, message: SipMessage) -> tuple[str, bool]:
        """The extension at the other end of the call that a message belongs to, and whether the phone holds it."""
        call = self._calls.get(message.header("Call-ID"), _Call())
        return call.peer, call.holds

    def hold(self, peer: str, held: bool) -> None:
        """The extension at the other end of a call has put this phone on hold, or taken it off."""
        for call in self._calls.values():
            if call.peer == peer and call.answered:
                call.held = held

    def feed(self, message: SipMessage) -> str:
        """The state after a message that the phone sent or received."""
        if message.about == "REGISTER":
            self._register(message)
        elif message.about == "INVITE":
            self._invite(message.header("Call-ID"), message)
        elif message.method in ("BYE", "CANCEL"):
            self._over.append(message.header("Call-ID"))
            self._calls.pop(message.header("Call-ID"), None)
        else:
            self._transfer(message.header("Call-ID"), message)
        return self.state

    def _transfer(self, call_id: str, message: SipMessage) -> None:
        """A node that has taken a transfer on ends its call with the phone, and tells of it later (RFC 3515, 2.4.4);
        one that then tells that it has failed goes on with it."""
        if message.about == "REFER" and 200 <= message.status < 300 and call_id in self._calls:
            self._transferred[call_id] = self._calls.pop(call_id)
        is_news = message.method == "NOTIFY" and message.header("Event").startswith("refer")
        if is_news and message.body[:9] in ("SIP/2.0 4", "SIP/2.0 5", "SIP/2.0 6") and call_id in self._transferred:
            self._calls[call_id] = self._transferred.pop(call_id)

    def _register(self, message: SipMessage) -> None:
        if message.method:
            self._expires = message.header("Expires")
        elif 200 <= message.status < 300:
            self._registered = self._expires != "0"

    def _invite(self, call_id: str, message: SipMessage) -> None:
        if not message.method and call_id in self._over:
            return  # an answer that comes again
        call = self._calls.setdefault(call_id, _Call())
        if message.method:
            call.peer = call.peer or message.peer
            if message.sent and call.answered:  # a re-INVITE, RFC 6337, 5.3
                call.offers_hold = "a=sendonly" in message.body
        elif message.status >= 300:
            if message.status not in (401, 407) and not call.answered:
                del self._calls[call_id]
        elif message.status >= 200:
            call.answered, call.state, call.holds = True, TALKING, call.offers_hold
        elif message.sent:
            if message.status == 180:
                call.state = RINGING
        elif message.status > 100 and not call.state:
            # A node tells of a caller once the call rings or is answered: with 100 alone nothing is known of it.
            call.state = TALKING


class PhoneLines:
    """Follows all phones of a lab: what one does to a call can change the state of the one at the other end."""

    def __init__(self, lab: Lab, channel: str, channels: Mapping[str, str] | None = None) -> None:
        self._lab = lab
        self._channels = {phone.name: (channels or {}).get(phone.name, channel) for phone in lab.phones}
        self._lines = {name: PhoneLine(of_node) for name, of_node in self._channels.items()}
        self.nodes = {phone.name: phone.node for phone in lab.phones}
        """Where each phone registers."""

    def state(self, phone: str) -> str:
        """The device state of a phone."""
        return self._lines[phone].state

    def feed(self, phone: str, message: SipMessage) -> dict[str, str]:
        """The states, by phone, of those that a message of a phone can have changed: its own first."""
        states = {phone: self._lines[phone].feed(message)}
        if self._channels[phone] != CHAN_SIP and message.about == "INVITE" and 200 <= message.status < 300:
            peer, holds = self._lines[phone].holds(message)
            for other in self._others_on_its_node(phone, peer):
                self._lines[other].hold(self._lab.phone(phone).extension, holds)
                states[other] = self._lines[other].state
        return states

    def move(self, phone: str, node: str) -> None:
        """A phone begins anew, and registers at a node."""
        self._lines[phone] = PhoneLine(self._channels[phone])
        self.nodes[phone] = node

    def drop_calls(self, phones: Iterable[str]) -> None:
        """Their node is gone, and with it every call."""
        for phone in phones:
            self._lines[phone].drop_calls()

    def _others_on_its_node(self, phone: str, extension: str) -> list[str]:
        """The phone of an extension, if it is on the same node as another: a hold is not passed on to other nodes, for
        which a node plays music itself (`moh_passthrough`, pjsip.conf)."""
        node = self.nodes[phone]
        others = [other for other in self._lab.phones if other.extension == extension and other.name != phone]
        return [other.name for other in others if self.nodes[other.name] == node]
