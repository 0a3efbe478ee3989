"""Steps: phones call, answer, hold, hang up, and leave messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.errors import LabError
from labctl.faults.fault import NodeName
from labctl.history.events import Heard
from labctl.scenario.argument_types import Callee, Mailbox, PhoneInUse, PhoneName, PhonesInUse
from labctl.scenario.step_registry import step
from labctl.scenario.steps.states import keeper_of
from labctl.sip.phone_control import UNTIL_ANSWERED_MS
from labctl.sip.rtp_listener import PACKETS_A_SECOND
from labctl.timing import PATIENCE, Deadline
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.conversation import CallEnd, Conversation
    from labctl.scenario.live_lab import LiveLab

ANSWER_S = 10.0
"""How long a phone may take to see what another did; it takes milliseconds."""


GONE_S = 1.5
"""The same of the end of a call through a node that is gone: the others end it at once."""

Peer = Annotated[
    Callee | None, Field(description="Which call of several: with that phone or number; the last by default")
]


@step()
def call(live: LiveLab, caller: PhoneName, callee: Callee) -> None:
    """Have a phone call another, or a number

    Returns when it rings at a phone that is registered; else when the node has begun to work on it.
    Raises LabError with the status of a node that refuses it by then.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
    """
    call = live.phones.place(caller, callee, UNTIL_ANSWERED_MS)
    if call.line:
        live.phones.await_ringing(call, PATIENCE.deadline(ANSWER_S))


def _ringing_at(live: LiveLab, phone: str, peer: str | None) -> tuple[CallEnd, Conversation | None, Deadline]:
    """The call that rings at a phone, as soon as one does, and by when it is to be dealt with. Raises as
    `await_ringing_at`."""
    deadline = PATIENCE.deadline(ANSWER_S)
    end = live.phones.await_ringing_at(phone, peer, deadline)
    return end, live.phones.conversation_of(end), deadline


@step(short="phone")
def answer(live: LiveLab, phone: PhoneInUse, peer: Peer = None) -> None:
    """Answer the call that rings at a phone

    Whoever dialled: a phone, or a node as for a queue. Returns when both ends know. Other calls of the phone go on.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
    """
    end, call, deadline = _ringing_at(live, phone, peer)
    if call is None or not call.near.own:
        end.agent.answer(deadline, end.call)
        return
    with live.phones.lost_otherwise(call):
        end.agent.nudge_call(call=end.call)
        live.phones.await_in_call(call, lambda: 200 in call.calling.answers("INVITE"), "an answer", deadline)
        end.await_answered(deadline)  # each phone is read by itself


@step(short="phone")
def reject(live: LiveLab, phone: PhoneInUse, peer: Peer = None) -> None:
    """Refuse the call that rings at a phone

    With 486 Busy Here; returns when the caller knows.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - reject: bob
    """
    end, call, deadline = _ringing_at(live, phone, peer)
    if call is None:
        end.agent.hang_up(deadline, end.call)
        return
    call.ending_wanted = call.refusal_wanted = True
    end.agent.reject_call(end.call)
    live.phones.finish(call, deadline)


@step(short="phone")
def hang_up(live: LiveLab, phone: PhoneInUse, peer: Peer = None) -> None:
    """Hang up, or give up, at either end of a call

    Returns when both ends know.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
        - hang_up: alice
    """
    deadline = PATIENCE.deadline(ANSWER_S)
    if not live.phones.ends(phone) and live.phones.is_over(phone, peer, deadline):
        return  # its node hung up before, as a dialplan may, or a step beside this one did
    try:
        end = live.phones.end_at(phone, peer)
    except LabError:  # just now
        if live.phones.is_over(phone, peer, deadline):
            return
        raise
    call = live.phones.conversation_of(end)
    if call is None:
        end.agent.hang_up(deadline, end.call)
        return
    call.ending_wanted = True
    end.nudge()
    live.phones.finish(call, Deadline(GONE_S) if live.gone & {*call.nodes} else deadline)


@step(short="phone")
def hold(live: LiveLab, phone: PhoneInUse, peer: Peer = None) -> None:
    """Put the other end of a call on hold

    By a=sendonly (RFC 6337, section 5.3).

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
        - hold: bob
    """
    end = live.phones.await_talk(phone, peer, PATIENCE.deadline(ANSWER_S))
    end.agent.hold(end.call)


@step(short="phone")
def resume(live: LiveLab, phone: PhoneInUse, peer: Peer = None) -> None:
    """Take the other end of a call off hold

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
        - hold: bob
        - resume: bob
    """
    end = live.phones.await_talk(phone, peer, PATIENCE.deadline(ANSWER_S))
    end.agent.resume(end.call)


@step(short="phones")
def talk(live: LiveLab, phones: PhonesInUse, duration: Duration = 1.0) -> None:
    """Go on when each phone has heard that much more

    A phone hears its node: media goes through the nodes. Of several calls of a phone it is the last.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
        - talk: {phones: [alice, bob], duration: 300ms}
    """
    wanted = max(1, int(duration * PACKETS_A_SECOND))
    ends = {phone: live.phones.end_at(phone) for phone in phones}
    calls = {phone: live.phones.conversation_of(end) for phone, end in ends.items()}
    before = {phone: live.phones.heard(end) for phone, end in ends.items()}
    deadline = PATIENCE.deadline(duration + ANSWER_S)
    try:
        for phone, end in ends.items():
            live.phones.await_heard(end, before[phone] + wanted, deadline)
    finally:
        for phone, end in ends.items():
            packets = min(live.phones.heard(end) - before[phone], wanted)
            conversation = calls[phone]
            name = conversation.name if conversation else ""
            live.journal.write(Heard(live.journal.now_s(), name, phone, packets, wanted))


@step()
def leave_voicemail(
    live: LiveLab,
    caller: PhoneName,
    mailbox: Mailbox,
    duration: Duration = 1.0,
    node: Annotated[NodeName | None, Field(description="Of several that store it; the first by default")] = None,
) -> None:
    """Leave a message of that length in a mailbox

    Raises LabError if the node hung up before the phone did: the message is shorter, or there is none.

    Example:
        - leave_voicemail: {caller: alice, mailbox: "102"}
    """
    number = f"*{mailbox}"
    if node is not None:
        keeper = keeper_of(live.lab, mailbox, node)
        number += f"*{live.lab.node(keeper).nodeid}" if len(live.lab.keepers(mailbox)) > 1 else ""
    call = live.phones.place(caller, number, int(duration * 1000))
    live.phones.finish(call, PATIENCE.deadline(duration + ANSWER_S))
