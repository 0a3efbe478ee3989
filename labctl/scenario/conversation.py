"""A call of a run: who is in it, the agents at both its ends, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from labctl.errors import LabError, UsageError
from labctl.lab import Lab
from labctl.sip.transcript import CALLING, RINGING
from labctl.sip.user_agent import UserAgent
from labctl.timing import Deadline


@dataclass(frozen=True)
class CallEnd:
    """A call as one phone has it: the agent that made or took it, and its Call-ID there."""

    phone: str
    agent: UserAgent
    call: str

    @property
    def own(self) -> bool:
        """Whether the phone made it: such an agent ends with its call."""
        return not self.agent.is_line

    @property
    def state(self) -> str:
        """How far it is, in the words of `transcript`."""
        return self.agent.state_of(self.call)

    @property
    def over(self) -> str:
        """Why it is over, "" while it goes on."""
        return self.agent.end_of(self.call) or (str(self.agent.ending) if self.agent.ending else "")

    @property
    def peer(self) -> str:
        """Who was at the other end at first."""
        return self.agent.peer_of(self.call)

    def nudge(self) -> None:
        """Have the phone hang up, or give up."""
        if self.own:
            self.agent.nudge()
        else:
            self.agent.nudge_call(call=self.call)

    def await_answered(self, deadline: Deadline) -> None:
        """Return when the phone has answered it. Raises LabError where it is over before, and at the deadline."""
        self.agent.wait_for(lambda: self.state not in (CALLING, RINGING) or bool(self.over), "its answer", deadline)
        if not self.agent.was_answered(self.call) and not self.agent.ending:
            raise LabError(f"{self.phone}: the call is over: {self.over}")


@dataclass
class Conversation:
    """A call in this run: who calls whom, the end that made it or was connected anew, and the nodes it goes through.

    `line` takes the calls of the phone that is called, None where that is no phone that is on; it had `calls_before`.
    `far` is the end there, once the call has come in. `node_may_hang_up`: what was dialled is no phone, so that the
    dialplan may end the call. `ending_wanted`: a step is ending it; `refusal_wanted`: by having it refused. `over` is
    None while it goes on, "" once it went as its phones wanted, else why it did not.
    """

    name: str
    caller: str
    callee: str
    near: CallEnd
    line: UserAgent | None
    nodes: tuple[str, ...]
    calls_before: frozenset[str] = frozenset()
    far: CallEnd | None = None
    node_may_hang_up: bool = False
    ending_wanted: bool = False
    refusal_wanted: bool = False
    over: str | None = None

    def __str__(self) -> str:
        return f"{self.caller} calls {self.callee}"

    @property
    def calling(self) -> UserAgent:
        """The agent at the end that made it."""
        return self.near.agent

    @property
    def ends(self) -> tuple[CallEnd, ...]:
        """Its ends at phones."""
        return (self.near, *([self.far] if self.far else []))

    @property
    def telling(self) -> tuple[CallEnd, ...]:
        """The ends whose node tells that it is over: of one that was dialled, the caller's."""
        return (self.near,) if self.near.own else self.ends

    def find_far_end(self, claimed: Collection[tuple[str, str]], lab: Lab, awaited: Collection[str] = ()) -> bool:
        """Whether it has reached the phone that is called: by a call that came in since and that no other has, of this
        caller's if there is one. Where there is none it may be whoever's goes on, unless it is of those whose call is
        `awaited` there; where this call is over, of this caller's alone."""
        if self.far is None and self.line is not None:
            new = [call for call in self.line.calls if call not in self.calls_before]
            free = [call for call in new if (self.line.agent.name, call) not in claimed]
            of_caller = [call for call in free if self.line.peer_of(call) in lab.phone(self.caller).shown_as]
            others = {name for phone in awaited for name in lab.phone(phone).shown_as}
            of_nobody = [call for call in free if not self.line.end_of(call) and self.line.peer_of(call) not in others]
            for call in [*of_caller, *(of_nobody if self.over is None else ())][:1]:
                self.far = CallEnd(self.line.agent.name, self.line, call)
        return self.far is not None

    def end_at(self, phone: str) -> CallEnd:
        """Its end at a phone. Raises UsageError."""
        for end in self.ends:
            if end.phone == phone:
                return end
        raise UsageError(f"{phone} is not in the call {self.name}", "register it before it is called")

    def other(self, phone: str) -> str:
        """Whom a phone of it is connected with."""
        return self.callee if phone == self.near.phone else self.caller


def nodes_of(lab: Lab, nodes_of_phone: Callable[[str], tuple[str, ...]], caller: str, callee: str) -> tuple[str, ...]:
    """The nodes that a call goes through, as far as what is dialled tells, and where phones register."""
    target = lab.phone_at(callee)
    keepers = [
        keeper
        for number in lab.mailbox_numbers
        for keeper in lab.keepers(number)
        if callee == f"*{number}*{lab.node(keeper).nodeid}"
        or (callee == f"*{number}" and keeper == lab.mailbox(number).node)
    ]
    called = nodes_of_phone(target.name) if target else keepers
    return tuple(dict.fromkeys([*nodes_of_phone(caller), *called]))
