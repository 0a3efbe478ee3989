"""Steps: phones are switched on and off, and watch extensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from labctl.errors import LabError, UsageError
from labctl.history.phone_events import NO_OPTIONS
from labctl.scenario.argument_types import Arguments, Extension, PhoneName, PhoneNames, PhonesInUse, RegistrarName
from labctl.scenario.step_registry import step
from labctl.sip.manner import EXPIRES_S, Manner
from labctl.sip.phone_control import UNTIL_ANSWERED_MS
from labctl.sip.user_agent import Refused, UserAgent
from labctl.yamlfile.document import wrong
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

_Expires = Annotated[
    Duration | None, Field(description="How long a registration lasts, renewed at half of it; an hour by default")
]
_At = Annotated[
    RegistrarName | None, Field(description="Which of its nodes, or a service in front of them; its own by default")
]
_Failover = Annotated[bool, Field(description="One after the other, until one takes it")]
_Options = Annotated[bool, Field(description="Whether it answers OPTIONS, by which a node asks if it is there")]
_Nat = Annotated[bool, Field(description="Its messages tell an address that is not its own")]


class RegisterForm(Arguments):
    """What must hold among the arguments of a step that switches phones on."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        phones: tuple[str, ...] = getattr(self, "phones", ())
        if len({*phones}) < len(phones):
            raise wrong("a phone is here twice", fix="each once")
        if getattr(self, "node", None) and getattr(self, "failover", False):
            raise wrong("`node` and `failover` are one too many", fix="`failover` tries its nodes in their order")
        return self


@step(short="phones", form=RegisterForm)
def register(
    live: LiveLab,
    phones: PhoneNames,
    node: _At = None,
    failover: _Failover = False,
    expires: _Expires = None,
    answers_options: _Options = True,
    behind_nat: _Nat = False,
) -> None:
    """Switch phones on: each registers with its node and takes calls

    Where a service is in front of that, or the lab's virtual address (`registrar` in the lab file, or here
    `node: front`, `node: lab.virtual`), all that it asks for goes there, and what nodes have of it is not judged.
    With `failover` each turns to its own in the order of the lab file (`registrar`, `node`, `also`), as to what the SRV
    records of DNS give, and stays with the first that answers. One that is `behind_nat` tells an address in Via,
    Contact and SDP that nobody has, as behind a router that does not change what is in messages; ports and packets are
    as always. Without `answers_options` its node may hold it for unreachable, and its state is not judged.

    Example:
        - register: [alice, bob]
    """
    for phone in phones:
        if phone in live.phones.lines:
            raise UsageError(f"{phone} is registered already", "unregister it first")
        registrars = live.lab.phone(phone).registrars
        tried = registrars if failover else (node or registrars[0],)
        manner = Manner(math.ceil(expires or EXPIRES_S), answers_options, hidden=behind_nat)
        live.phones.lines[phone] = _switched_on(live, phone, manner, tried)


def _switched_on(live: LiveLab, phone: str, manner: Manner, places: Sequence[str]) -> UserAgent:
    """A phone that is on, at the first of these places that answers it. Raises LabError of the last that does not."""
    for place in places:
        live.recorder.registers_at(phone, place)
        if manner.answers_options:
            live.recorder.sure(phone)
        else:
            live.recorder.unsure(phone, NO_OPTIONS)
        try:
            return live.phones.agents.switch_on(phone, UNTIL_ANSWERED_MS, manner=replace(manner, place=place))
        except Refused:
            raise
        except LabError:
            if place == places[-1]:
                raise
    raise LabError(f"{phone} has no node")


@step(short="phones")
def vanish(live: LiveLab, phones: PhonesInUse) -> None:
    """Have phones be gone without a word, as when they lose power

    Their registrations, subscriptions and calls go on where nobody knows better. When their node notices nobody can
    tell, so that their state is judged only as far as it is sure until they register again; who was in a call is not
    judged any more.

    Example:
        - register: [alice, bob]
        - vanish: bob
        - register: bob             # it is back
    """
    for phone in phones:
        live.recorder.vanished(phone, live.phones.vanish(phone))


@step(short="phones")
def unregister(live: LiveLab, phones: PhonesInUse) -> None:
    """Switch phones off: each takes its registration back

    Example:
        - register: alice
        - unregister: alice
    """
    for phone in phones:
        try:
            live.phones.agents.switch_off(live.phones.line(phone))
        except LabError:  # what its node has of it now nobody can tell
            live.recorder.vanished(phone, live.phones.vanish(phone))
            raise
        del live.phones.lines[phone]


@step()
def watch(live: LiveLab, phone: PhoneName, extension: Extension) -> None:
    """Have a phone subscribe to an extension, as the lamp of a key does

    By SUBSCRIBE to its dialogs (RFC 4235).

    Example:
        - register: bob
        - watch: {phone: alice, extension: "102"}
    """
    live.phones.watchers.watch(live.phones.agents, phone, extension)


@step(short="phone")
def watch_mailbox(live: LiveLab, phone: PhoneName) -> None:
    """Have a phone subscribe to its mailbox, in place of being told unasked

    By SUBSCRIBE to message-summary (RFC 3842). It need not be registered. `unwatch` ends it.

    Example:
        - watch_mailbox: alice
        - wait_for: {phone: alice, lamp: 0}
        - unwatch: alice
    """
    mailbox = live.lab.phone(phone).mailbox
    if not mailbox:
        raise UsageError(f"{phone} has no mailbox", "`mailbox:` of the phone in the lab file")
    live.phones.watchers.watch_mailbox(live.phones.agents, phone, mailbox)


@step(short="phone")
def unwatch(live: LiveLab, phone: PhoneName) -> None:
    """End all that a phone watches

    Example:
        - register: bob
        - watch: {phone: alice, extension: "102"}
        - unwatch: alice
    """
    live.phones.watchers.unwatch(phone)
