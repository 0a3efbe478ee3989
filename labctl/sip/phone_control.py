"""What people have phones do by hand. A phone stays on between two commands: each finds it again by `Phones.kept`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from labctl.errors import LabError
from labctl.lab import Lab
from labctl.sip.phones import Phones
from labctl.sip.transcript import OVER, RINGING, TALKING
from labctl.sip.user_agent import Refused, UserAgent
from labctl.timing import PATIENCE

RINGS_S = 10.0
"""How long a call may take to ring, and a phone to see what another did; it takes milliseconds."""

SEEN_S = 2.0
"""How long a phone may take to say that it rings after its caller was told so; it takes milliseconds."""

KEYS = 8
"""How many phones one watches by itself: each is a process."""

UNTIL_ANSWERED_MS = 600_000
"""How long a phone rings that somebody answers by a step or a command."""
LONGEST_TALK_MS = 3_600_000


@dataclass(frozen=True)
class PhoneView:
    """One row of `labctl phone ls`: a phone that is on, or something that it does; `state` is how far that is."""

    phone: str
    node: str
    extension: str
    activity: str
    state: str


def switch_on(phones: Phones, lab: Lab, name: str, ring_ms: int = UNTIL_ANSWERED_MS) -> bool:
    """Switch a phone on, to stay on; it rings for `ring_ms`, or until it is ordered to answer. False if it was on.

    It watches what the lab file says that it watches, up to KEYS. Raises LabError.
    """
    if phones.line(name):
        return False
    phones.switch_on(name, ring_ms, kept=True)
    for watched in lab.phone(name).watches[:KEYS]:
        watch(phones, name, lab.phone(watched).extension)
    return True


def watch(phones: Phones, name: str, extension: str) -> str:
    """Have a phone watch an extension until it is off, once; what it was told of it last. Raises LabError."""
    running = [kept for kept in phones.kept() if kept.running and kept.phone == name]
    kept = next((kept for kept in running if kept.activity == f"watches {extension}"), None)
    if kept is None:
        return phones.watch(name, extension, kept=True).dialog_states[-1]
    watcher = phones.attach(kept)  # whoever began it may wait for its first NOTIFY, too
    watcher.wait_for(lambda: bool(watcher.dialog_states), "a first NOTIFY", PATIENCE.deadline(RINGS_S))
    return watcher.dialog_states[-1]


def switch_off(phones: Phones, name: str) -> bool:
    """End all that a phone does, in an orderly way where its node answers. False if it was off."""
    agents = _agents(phones, name)
    for agent, call in _going_on(agents):
        with suppress(LabError):
            agent.hang_up(PATIENCE.deadline(RINGS_S), call)
    phones.end(agents)
    phones.forget(name)
    return bool(agents)


def dial(phones: Phones, lab: Lab, name: str, number: str, called: str = "") -> UserAgent:
    """Have a phone call a number; it rings there, or is answered, when this returns. Raises Refused, LabError.

    Where it is the number of `called`, a phone that is on, that phone has said so too: what it is told to do next finds
    the call.
    """
    line = phones.line(called) if called else None
    before = line.calls if line else ()
    agent = phones.call(name, number, LONGEST_TALK_MS, kept=True)
    agent.wait_for(lambda: agent.call_state in (RINGING, TALKING, OVER), "a ring", PATIENCE.deadline(RINGS_S))
    if agent.call_end:
        raise Refused(f"{name} calls {number}: {agent.call_end}")
    if line:
        with suppress(LabError):  # a dialplan may lead the call elsewhere
            line.await_call(before, PATIENCE.deadline(SEEN_S), agent, lab.phone(name).shown_as)
    return agent


def answer(phones: Phones, lab: Lab, name: str) -> str:
    """Have a phone answer the call that rings there, whoever dialled; who that is. Raises LabError.

    A phone of the lab that dialled it knows of that when this returns.
    """
    line = phones.line(name)
    if line is None:
        raise LabError(f"{name} is off", f"labctl phone on {name}")
    peer = line.peer_of(line.answer(PATIENCE.deadline(RINGS_S)))
    callers = [phone.name for phone in lab.phones if peer in phone.shown_as]
    own = [(agent, call) for caller in callers for agent, call in _going_on(_agents(phones, caller))]
    for agent, call in own:
        if agent.peer_of(call) in lab.phone(name).shown_as:
            with suppress(LabError):  # a dialplan may have led another call there
                knows = partial(_is_settled, agent, call)
                agent.wait_for(knows, "an answer", PATIENCE.deadline(SEEN_S))
    return peer


def _is_settled(agent: UserAgent, call: str) -> bool:
    return agent.state_of(call) in (TALKING, OVER)


def transfer(phones: Phones, name: str, number: str, attended: bool = False) -> str:
    """Have a phone connect the other end of its call with a number; who that was. Its own call is over on return.

    `attended`: it talks with that number already, and connects its other call with it. Of several calls it is the last.
    Raises Refused, LabError.
    """
    deadline = PATIENCE.deadline(RINGS_S)
    talking = _talking(phones, name)
    agent, call = talking.pop()
    uri = agent.uri(number)
    if attended:
        if not talking:
            raise LabError(f"{name} has one call only", f"labctl phone dial {name} {number} comes first")
        uri += agent.replacing(call)
        second, (agent, call) = (agent, call), talking[-1]
        agent.transfer(uri, call, deadline)
        second[0].wait_for(lambda: bool(second[0].end_of(second[1])), "the end of its other call", deadline)
    else:
        agent.transfer(uri, call, deadline)
    return agent.peer_of(call)


def press(phones: Phones, name: str, digits: str, by_info: bool = False) -> str:
    """Have a phone press keys in its call, as events of RTP or by INFO; with whom that is. Raises LabError."""
    agent, call = _talking(phones, name)[-1]
    if by_info:
        agent.send_info(digits, call)
    else:
        agent.send_tones(digits, call)
    return agent.peer_of(call)


def _talking(phones: Phones, name: str) -> list[tuple[UserAgent, str]]:
    """The calls in which a phone talks, in the order in which they began. Raises LabError if there are none."""
    calls = [(agent, call) for agent, call in _going_on(_agents(phones, name)) if agent.state_of(call) == TALKING]
    if not calls:
        raise LabError(f"{name} talks with nobody", "labctl phone ls shows what the phones do")
    return sorted(calls, key=lambda pair: pair[0].began_s(pair[1]))


def hang_up(phones: Phones, name: str) -> list[str]:
    """Have a phone end its calls, made or come in; with whom they were. Raises LabError if it is in none."""
    calls = _going_on(_agents(phones, name))
    if not calls:
        raise LabError(f"{name} is in no call", "labctl phone ls shows what the phones do")
    for agent, call in calls:
        agent.hang_up(PATIENCE.deadline(RINGS_S), call)
    return [agent.peer_of(call) for agent, call in calls]


def _agents(phones: Phones, name: str) -> list[UserAgent]:
    """What a phone does that was left on."""
    return [phones.attach(kept) for kept in phones.kept() if kept.phone == name and kept.running]


def _going_on(agents: Sequence[UserAgent]) -> list[tuple[UserAgent, str]]:
    """The calls of a phone's agents that are not over."""
    return [(agent, call) for agent in agents for call in agent.calls if agent.state_of(call) != OVER]


def views(phones: Phones, lab: Lab) -> list[PhoneView]:
    """What each phone that was left on does now; a call that is over stays to be seen until the phone is off."""
    rows = []
    for kept in phones.kept():
        phone = lab.phone(kept.phone)
        agent = phones.attach(kept)
        rows.append(PhoneView(phone.name, phone.node, phone.extension, kept.activity, _state(agent, kept.running)))
    return rows


def _state(agent: UserAgent, running: bool) -> str:
    if agent.is_line:
        in_call = running and agent.call_state not in ("", OVER)
        return f"{agent.call_state}, {agent.peer}" if in_call else "on" if running else "ended"
    if agent.call_state:
        return f"over: {agent.call_end or agent.ending}" if agent.call_end or not running else agent.call_state
    return (agent.dialog_states or ["ended"])[-1] if running else "ended"
