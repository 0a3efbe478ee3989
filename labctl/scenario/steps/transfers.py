"""Steps: phones send a call elsewhere, connect the other end with somebody else, and press keys."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from labctl.errors import UsageError
from labctl.scenario.argument_types import Callee, PhoneInUse
from labctl.scenario.step_registry import step
from labctl.scenario.steps.calls import ANSWER_S, Peer
from labctl.timing import PATIENCE, Deadline
from labctl.yamlfile.document import Form

if TYPE_CHECKING:
    from labctl.scenario.conversation import CallEnd
    from labctl.scenario.live_lab import LiveLab

_Keys = Form("row of keys", r"[0-9A-D*#]{1,32}", "0 to 9, A to D, `*` and `#`, 32 at most", types=("string", "integer"))


@step()
def transfer(live: LiveLab, phone: PhoneInUse, to: Callee, peer: Peer = None, attended: bool = False) -> None:
    """Connect the other end of a phone's call with another phone or number

    By REFER (RFC 3515): the phone's node does it, and ends the phone's own call. Blind: the call with `peer`, by
    default the last, is sent to `to`; it rings there on return, if that is a phone that is registered. Attended: the
    phone talks with `to` already, and connects it with `peer`, by default its other call, by REFER with Replaces (RFC
    3891). What is left is a call of its own. Raises LabError where the node does not do it.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - answer: bob
        - transfer: {phone: bob, to: "*600"}
    """
    deadline = PATIENCE.deadline(ANSWER_S)
    if attended:
        second = live.phones.await_talk(phone, to, deadline)
        others = [end for end in live.phones.ends(phone) if end != second]
        first = live.phones.await_talk(phone, peer, deadline) if peer or not others else others[-1]
        if first == second:
            raise UsageError(f"{phone} has no other call than that with {to}", "an attended transfer connects two")
        _connect(live, first, second, to, deadline)
    else:
        _send(live, live.phones.await_talk(phone, peer, deadline), to, deadline)


@step()
def forward(live: LiveLab, phone: PhoneInUse, to: Callee, peer: Peer = None) -> None:
    """Send the call that rings at a phone elsewhere

    By 302 Moved Temporarily, as a phone does that forwards its calls. Returns when it rings there, if that is a phone
    that is registered; else when the phone's node has taken it.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - forward: {phone: bob, to: "*600"}
    """
    deadline = PATIENCE.deadline(ANSWER_S)
    end = live.phones.await_ringing_at(phone, peer, deadline)
    call = live.phones.conversation_of(end)
    if call:
        live.phones.redirect(call, to)
    end.agent.forward(_uri(live, end, to), end.call)
    end.agent.await_end_taken(end.call, deadline)
    if call and call.line:
        live.phones.await_ringing(call, deadline)


@step()
def dtmf(
    live: LiveLab,
    phone: PhoneInUse,
    digits: Annotated[str, _Keys],
    by: Annotated[Literal["rtp", "info"], Field(description="Events of RTP (RFC 4733), or INFO for each")] = "rtp",
    peer: Peer = None,
) -> None:
    """Press keys of a phone in its call

    By INFO it returns when the phone's node has taken each; as events of RTP, which nobody acknowledges, when the time
    is over that they take. Whether they were understood is for the scenario to ask.

    Example:
        - call: {caller: alice, callee: "*600"}
        - dtmf: {phone: alice, digits: "12"}
    """
    end = live.phones.await_talk(phone, peer, PATIENCE.deadline(ANSWER_S))
    if by == "info":
        end.agent.send_info(digits, end.call)
    else:
        end.agent.send_tones(digits, end.call)


def _uri(live: LiveLab, end: CallEnd, to: str) -> str:
    """What a phone calls `to`, as its node knows it."""
    target = live.lab.phone_at(to)
    return end.agent.uri(target.extension if target else to)


def _send(live: LiveLab, end: CallEnd, to: str, deadline: Deadline) -> None:
    """Blind: the call goes on from its other end to whom it was sent."""
    left = live.phones.conversation_of(end)
    remaining = live.phones.end_beyond(end)
    if left:
        left.ending_wanted = True
    call = live.phones.transferred(remaining, left, to, None) if remaining and left else None
    with live.phones.lost_otherwise(call) if call else nullcontext():
        end.agent.transfer(_uri(live, end, to), end.call, deadline)
    if left:
        live.phones.left(left)
    if call and call.line:
        live.phones.await_ringing(call, deadline)


def _connect(live: LiveLab, first: CallEnd, second: CallEnd, to: str, deadline: Deadline) -> None:
    """Attended: the other ends of two calls of a phone go on with each other."""
    left = [call for call in map(live.phones.conversation_of, (first, second)) if call]
    remaining, far = live.phones.end_beyond(first), live.phones.end_beyond(second)
    for call in left:
        call.ending_wanted = True
    uri = _uri(live, first, to) + second.agent.replacing(second.call)
    first.agent.transfer(uri, first.call, deadline)
    second.agent.wait_for(lambda: bool(second.over), "the end of its other call", deadline)
    for call in left:
        live.phones.left(call)
    if left and remaining:
        live.phones.transferred(remaining, left[0], to, far)
