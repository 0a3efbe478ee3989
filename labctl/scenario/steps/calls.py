"""Steps: phones call, answer, hold, hang up, and leave messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.history.events import Heard
from labctl.scenario.argument_types import Callee, Mailbox, PhoneInUse, PhoneName, PhonesInUse
from labctl.scenario.step_registry import step
from labctl.timing import PATIENCE
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

ANSWER_S = 10.0
"""How long a phone may take to see what another did; it takes milliseconds."""

RING_FOR_EVER_MS = 600_000
PACKETS_A_SECOND = 50
"""G.711 in packets of 20 ms (RFC 3551, section 4.2)."""


@step()
def call(live: LiveLab, caller: PhoneName, callee: Callee) -> None:
    """Have a phone call another, or a number

    Returns when it rings at a phone that is registered; else when the node has begun to work on it.
    Raises LabError with the status of a node that refuses it by then.
    """
    call = live.phones.place(caller, callee, RING_FOR_EVER_MS)
    if call.called:
        live.phones.await_ringing(call, PATIENCE.deadline(ANSWER_S))


@step(short="phone")
def answer(live: LiveLab, phone: PhoneInUse) -> None:
    """Answer the call that rings at a phone

    Whoever dialled: a phone, or a node as for a queue. Returns when both ends know.
    """
    if live.phones.in_call_from_elsewhere(phone):
        live.phones.line(phone).answer(PATIENCE.deadline(ANSWER_S))
        return
    call = live.phones.call_of(phone)
    with live.phones.lost_otherwise(call):
        call.agent(phone).nudge_call()
        answered = "an answer"
        live.phones.await_in_call(
            call, lambda: 200 in call.calling.answers("INVITE"), answered, PATIENCE.deadline(ANSWER_S)
        )


@step(short="phone")
def reject(live: LiveLab, phone: PhoneInUse) -> None:
    """Refuse the call that rings at a phone

    With 486 Busy Here; returns when the caller knows.
    """
    if live.phones.in_call_from_elsewhere(phone):
        live.phones.line(phone).hang_up(PATIENCE.deadline(ANSWER_S))
        return
    call = live.phones.call_of(phone)
    call.ending_wanted = call.refusal_wanted = True
    call.agent(phone).reject_call()
    live.phones.finish(call, PATIENCE.deadline(ANSWER_S))


@step(short="phone")
def hang_up(live: LiveLab, phone: PhoneInUse) -> None:
    """Hang up, or give up, at either end of a call

    Returns when both ends know.
    """
    if live.phones.in_call_from_elsewhere(phone):
        live.phones.line(phone).hang_up(PATIENCE.deadline(ANSWER_S))
        return
    call = live.phones.call_of(phone)
    if call.over is not None:  # its node hung up before, as a dialplan may
        return
    call.ending_wanted = True
    if phone == call.caller:
        call.calling.nudge()
    else:
        call.agent(phone).nudge_call()
    live.phones.finish(call, PATIENCE.deadline(ANSWER_S))


@step(short="phone")
def hold(live: LiveLab, phone: PhoneInUse) -> None:
    """Put the other end of a call on hold

    By a=sendonly (RFC 6337, section 5.3).
    """
    live.phones.call_of(phone).agent(phone).hold()


@step(short="phone")
def resume(live: LiveLab, phone: PhoneInUse) -> None:
    """Take the other end of a call off hold"""
    live.phones.call_of(phone).agent(phone).resume()


@step(short="phones")
def talk(live: LiveLab, phones: PhonesInUse, duration: Duration = 1.0) -> None:
    """Go on when each phone has heard that much more

    A phone hears its node: media goes through the nodes.
    """
    wanted = max(1, int(duration * PACKETS_A_SECOND))
    calls = {phone: live.phones.call_of(phone) for phone in phones}
    before = {phone: live.phones.heard(call.agent(phone)) for phone, call in calls.items()}
    deadline = PATIENCE.deadline(duration + ANSWER_S)
    try:
        for phone, call in calls.items():
            live.phones.await_heard(call, phone, before[phone] + wanted, deadline)
    finally:
        for phone, call in calls.items():
            packets = min(live.phones.heard(call.agent(phone)) - before[phone], wanted)
            live.journal.write(Heard(live.journal.now_s(), call.name, phone, packets, wanted))


@step()
def leave_voicemail(live: LiveLab, caller: PhoneName, mailbox: Mailbox, duration: Duration = 1.0) -> None:
    """Leave a message of that length in a mailbox

    Raises LabError if the node hung up before the phone did: the message is shorter, or there is none.
    """
    call = live.phones.place(caller, f"*{mailbox}", int(duration * 1000))
    live.phones.finish(call, PATIENCE.deadline(duration + ANSWER_S))
