"""What people have phones do by hand. A phone stays on between two commands: each finds it again by `Phones.kept`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from labctl.errors import LabError
from labctl.lab import Lab
from labctl.sip.phones import Phones
from labctl.sip.transcript import OVER, RINGING, TALKING
from labctl.sip.user_agent import Refused, UserAgent
from labctl.timing import Deadline

RINGS_S = 10.0
"""How long a call may take to ring, and a phone to see what another did; it takes milliseconds."""

KEYS = 8
"""How many phones one watches by itself: each is a process."""

UNTIL_ANSWERED_MS = 600_000
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
    watcher = phones.attach(kept) if kept else phones.watch(name, extension, kept=True)
    return (watcher.dialog_states or [""])[-1]


def switch_off(phones: Phones, name: str) -> bool:
    """End all that a phone does, in an orderly way where its node answers. False if it was off."""
    agents = [phones.attach(kept) for kept in phones.kept() if kept.phone == name and kept.running]
    for agent in agents:
        if agent.call_state not in ("", OVER):
            with suppress(LabError):
                agent.hang_up(Deadline(RINGS_S))
    phones.end(agents)
    phones.forget(name)
    return bool(agents)


def dial(phones: Phones, name: str, number: str) -> UserAgent:
    """Have a phone call a number; it rings there, or is answered, when this returns. Raises Refused, LabError."""
    agent = phones.call(name, number, LONGEST_TALK_MS, kept=True)
    agent.wait_for(lambda: agent.call_state in (RINGING, TALKING, OVER), "a ring", Deadline(RINGS_S))
    if agent.call_end:
        raise Refused(f"{name} calls {number}: {agent.call_end}")
    return agent


def answer(phones: Phones, name: str) -> str:
    """Have a phone answer the call that rings there, whoever dialled; who that is. Raises LabError."""
    line = phones.line(name)
    if line is None:
        raise LabError(f"{name} is off", f"labctl phone on {name}")
    line.answer(Deadline(RINGS_S))
    return line.peer


def hang_up(phones: Phones, name: str) -> list[str]:
    """Have a phone end its calls, made or come in; with whom they were. Raises LabError if it is in none."""
    agents = [phones.attach(kept) for kept in phones.kept() if kept.phone == name and kept.running]
    calls = [agent for agent in agents if agent.call_state not in ("", OVER)]
    if not calls:
        raise LabError(f"{name} is in no call", "labctl phone ls shows what the phones do")
    for call in calls:
        call.hang_up(Deadline(RINGS_S))
    return [call.peer for call in calls]


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
