"""The phones of a run: which are on, what each watches, and the calls that go on, whose end is written at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from labctl.checks.calls import was_in_the_way
from labctl.errors import LabError, UsageError
from labctl.history.events import Called, Ended
from labctl.history.journal import Journal
from labctl.lab import Lab
from labctl.scenario.conversation import CallEnd, Conversation, nodes_of
from labctl.scenario.watchers import Watchers, line_of
from labctl.sip.phones import Phones
from labctl.sip.transcript import CALLING, RINGING, TALKING
from labctl.sip.user_agent import MessageListener, UserAgent
from labctl.sip_message import SipMessage
from labctl.timing import PATIENCE, Deadline, Signal

GIVE_UP_S = 3.0
"""How long a caller who gives up waits for its node to agree: two retransmissions."""

FAR_END_S = 1.0
"""So long the other phone of a call is waited for to know that it is over where a fault may have kept it from that."""

BY_PHONE, BY_NODE = "it ", "its node "
"""How `Transcript.call_end` begins where nobody refused the call."""

FAILURE = 300
"""From here on a status refuses what it answers (RFC 3261, 21.3 to 21.6)."""


class Switchboard:
    """The phones of the lab, of one run at a time. `connect` makes their agents, given who is told of each message, as
    `recorder` is. `gone` do not answer. `on_cut_off` hears of a phone one of whose calls ends without a word."""

    agents: Phones

    def __init__(
        self,
        lab: Lab,
        journal: Journal,
        gone: Collection[str],
        connect: Callable[[MessageListener], Phones],
        recorder: MessageListener,
        nodes_of: Callable[[str], tuple[str, ...]] | None = None,
        on_cut_off: Callable[[str], None] = lambda _phone: None,
    ) -> None:
        self.lines: dict[str, UserAgent] = {}
        self.watchers = Watchers(journal, self.lines)
        self.calls: list[Conversation] = []
        self._beside: list[Conversation] | None = None
        self._lab = lab
        self._journal = journal
        self._gone = gone
        self._connect = connect
        self._recorder = recorder
        self._on_cut_off = on_cut_off
        self._nodes_of = nodes_of or (lambda phone: (lab.phone(phone).node,))
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ended = Signal()

    def open(self) -> None:
        """Have the phones ready to be switched on. Raises LabError if another labctl has them."""
        agents = self._connect(self._phone_said)
        agents.open()
        self.agents = agents

    def close(self) -> None:
        """Cut off what still goes on, and switch every phone off."""
        self._lose_calls()
        if hasattr(self, "agents"):
            self.agents.close()

    # Phones

    def line(self, phone: str) -> UserAgent:
        """The agent of a phone that is on. Raises UsageError."""
        return line_of(phone, self.lines)

    def vanish(self, phone: str) -> bool:
        """End all that a phone does at once, without a word to anybody; whether it was in a call.

        Its calls are over by that, for it alone: who was connected with it is not told.
        """
        ends = self.ends(phone)
        calls = [call for call in map(self.conversation_of, ends) if call]
        for call in calls:
            call.ending_wanted = True
        lost = [self.line(phone), *self.watchers.lose(phone), *(end.agent for end in ends)]
        for agent in dict.fromkeys(lost):
            agent.kill()
            agent.finish(PATIENCE.deadline(GIVE_UP_S))
        del self.lines[phone]
        for call in calls:
            if call.near.phone == phone:
                self.left(call)
        return bool(ends)

    # Calls

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """Steps go side by side within: whoever ends a call that another step ends has ended it, too."""
        self._beside = []
        try:
            yield
        finally:
            self._beside = None

    def place(self, caller: str, callee: str, talk_ms: int) -> Conversation:
        """Have a phone call another, or a number; its node has begun to work on it when this returns.

        `talk_ms` is how long the caller talks before it hangs up by itself. Raises LabError.
        """
        nodes, target = nodes_of(self._lab, self._nodes_of, caller, callee), self._lab.phone_at(callee)
        line, before = self._aim(callee)
        name = self._began(caller, callee, nodes)
        try:
            calling = self.agents.call(caller, target.extension if target else callee, talk_ms)
        except LabError as error:
            self._journal.write(Ended(self._journal.now_s(), name, ok=False, why=error.message))
            raise
        near = CallEnd(caller, calling, calling.agent.call_id)
        call = Conversation(name, caller, self._name(callee), near, line, nodes, before)
        call.node_may_hang_up = target is None and not self._lab.is_mailbox(callee)
        self.calls.append(call)
        self._note_end(call)
        return call

    def ends(self, phone: str) -> list[CallEnd]:
        """The calls of a phone that go on, made or come in, in the order in which they began."""
        agents = [end.agent for call in self.calls for end in call.ends if end.phone == phone]
        agents += [self.lines[phone]] if phone in self.lines else []
        ends = (CallEnd(phone, agent, call) for agent in dict.fromkeys(agents) for call in agent.calls)
        return sorted((end for end in ends if not end.over), key=lambda end: end.agent.began_s(end.call))

    def end_at(self, phone: str, peer: str | None = None) -> CallEnd:
        """The call of a phone that a step means: with `peer`, a phone or number; of several the last. Raises
        UsageError, LabError if there is none, or it is over."""
        ends = [end for end in self.ends(phone) if peer is None or self._is_with(end, peer)]
        if ends:
            return ends[-1]
        call = self.call_of(phone, peer)
        ending = call.near.over if call.near.phone == phone else ""
        raise LabError(
            f"{phone} is in no call{f' with {peer}' if peer else ''} any more: {call}: {ending or 'it is over'}"
        )

    def await_talk(self, phone: str, peer: str | None, deadline: Deadline) -> CallEnd:
        """The call in which a phone talks, as soon as it is answered; of several the last. Raises UsageError, LabError
        if there is none, it is over before, or at the deadline."""
        ends = [end for end in self.ends(phone) if peer is None or self._is_with(end, peer)]
        if talking := [end for end in ends if end.state == TALKING]:
            return talking[-1]
        end = self.end_at(phone, peer)
        end.agent.wait_for(lambda: end.state == TALKING or bool(end.over), "an answer", deadline)
        if end.over:
            raise LabError(f"{phone}: the call is over: {end.over}")
        return end

    def await_ringing_at(self, phone: str, peer: str | None, deadline: Deadline) -> CallEnd:
        """The call that rings at a phone, as soon as one does, whoever dialled; of several the last. Raises UsageError
        if the phone is off, LabError at the deadline."""
        if phone not in self.lines:
            self.call_of(phone, peer)  # what became of that says more
        line = self.line(phone)

        def ringing() -> list[CallEnd]:
            ends = [end for end in self.ends(phone) if end.agent is line and end.state in (CALLING, RINGING)]
            return [end for end in ends if peer is None or self._is_with(end, peer)]

        line.wait_for(lambda: bool(ringing()), f"a call{f' of {peer}' if peer else ''}", deadline)
        return ringing()[-1]

    def conversation_of(self, end: CallEnd) -> Conversation | None:
        """The call of this run that a phone's end belongs to; None where a node made it, as a queue does."""
        self._find_far_ends()
        return next((call for call in self._all_calls[::-1] if end in call.ends), None)

    def end_beyond(self, end: CallEnd) -> CallEnd | None:
        """The other end of a phone's call; None where that is no phone of this run, or not known."""
        call = self.conversation_of(end)
        return next((other for other in call.ends if other != end), None) if call else None

    def call_of(self, phone: str, peer: str | None = None) -> Conversation:
        """The call that a phone is in; of several the last. Raises UsageError, LabError if it ended otherwise."""
        calls = [call for call in self._all_calls if phone in (call.caller, call.callee)]
        calls = [call for call in calls if peer is None or self._name(peer) == call.other(phone)]
        if not calls:
            raise UsageError(f"{phone} is in no call{f' with {peer}' if peer else ''}", "call comes first")
        if calls[-1].over:
            raise LabError(f"{calls[-1]}: {calls[-1].over}")
        return calls[-1]

    def is_over(self, phone: str, peer: str | None, deadline: Deadline) -> bool:
        """Whether the call that a phone was in last went as its phones wanted; one that a step ends beside is waited
        for. Raises UsageError, LabError if it ended otherwise."""
        call = self.call_of(phone, peer)
        if self._beside is not None and call.ending_wanted:
            self._ended.wait_until(lambda: call.over is not None, deadline)
        return call.over is not None

    def await_ringing(self, call: Conversation, deadline: Deadline) -> None:
        """Return when the call has reached the phone that is called. Raises LabError, also if it is over by then."""
        with self.lost_otherwise(call):
            self.await_in_call(call, lambda: self.reached(call), f"a call at {call.callee}", deadline)

    def reached(self, call: Conversation) -> bool:
        """Whether a call has reached the phone that is called."""
        self._find_far_ends()
        return call.far is not None

    def await_in_call(self, call: Conversation, ready: Callable[[], bool], what: str, deadline: Deadline) -> None:
        """Return when `ready` holds. Raises LabError at the deadline, or as soon as the call is over."""
        call.calling.wait_for(lambda: ready() or call.over is not None, what, deadline)
        if not ready():
            raise LabError(f"{call}: {call.over or 'it is over'}")

    def await_heard(self, end: CallEnd, packets: int, deadline: Deadline) -> None:
        """Return when a phone has heard that many packets from its node in a call. Raises LabError, also if the call is
        over."""
        self.agents.await_heard(end.agent, packets, deadline, end.call)

    def heard(self, end: CallEnd) -> int:
        """How many packets of audio a phone has heard from its node in a call."""
        return self.agents.heard_of_nodes(end.agent, end.call)

    @contextmanager
    def lost_otherwise(self, call: Conversation) -> Iterator[None]:
        """What goes wrong within ends the call."""
        try:
            yield
        except LabError as error:
            if call.over is None:
                self._give_up(call)
                self._end(call, error.message)
            raise

    def finish(self, call: Conversation, deadline: Deadline) -> None:
        """Return when all its phones know that it is over, as a step wants it. Raises LabError if it went otherwise.

        What a node that is gone keeps from ending in an orderly way is ended all the same. The phone at the far end is
        not waited for beyond FAR_END_S where a fault was in the way of the call: its node may know it no more.
        """
        if not self._take_out(call):
            self._ended.wait_until(lambda: call.over is not None, deadline)
            return
        try:
            why = self._await_end(call, deadline)
        except LabError as error:
            broken = any(node in self._gone for node in call.nodes)
            self._give_up(call, waits=not broken)
            self._end(call, call.near.over or error.message)
            if not broken:
                raise
            return
        self._note_end(call)
        self._end(call, why)
        if call.over and not call.ending_wanted:
            raise LabError(f"{call}: {call.over}")
        nodes = {*call.nodes, *(node for end in call.ends for node in self._nodes_of(end.phone))}
        if (far := call.far) and not nodes & {*self._gone}:
            with suppress(LabError):
                far.agent.await_over(far.call, PATIENCE.deadline(FAR_END_S))
            if not far.over and not was_in_the_way(self._journal.events, call.name, nodes):
                far.agent.await_over(far.call, deadline)

    # Calls that are connected anew

    def redirect(self, call: Conversation, callee: str) -> None:
        """What has rung at a phone goes elsewhere now."""
        call.callee, call.far = self._name(callee), None
        call.line, call.calls_before = self._aim(callee)
        call.node_may_hang_up = self._lab.phone_at(callee) is None

    def transferred(self, near: CallEnd, by: Conversation, callee: str, far: CallEnd | None) -> Conversation:
        """A call as it goes on without the phone that has transferred it: from its other end to another phone or a
        number. `far` is the end there, where that is connected already."""
        nodes = tuple(dict.fromkeys([*by.nodes, *nodes_of(self._lab, self._nodes_of, near.phone, callee)]))
        name = self._began(near.phone, callee, nodes)
        line, before = self._aim(callee)
        call = Conversation(name, near.phone, self._name(callee), near, line, nodes, before, far)
        call.node_may_hang_up = self._lab.phone_at(callee) is None
        self.calls.append(call)
        return call

    def left(self, call: Conversation) -> None:
        """A phone has left a call by transferring it."""
        if self._take_out(call):
            self._end(call, "")

    # How

    @property
    def _all_calls(self) -> list[Conversation]:
        """With those that steps which go side by side have ended, first."""
        with self._lock:
            return [*(self._beside or ()), *self.calls]

    def _take_out(self, call: Conversation) -> bool:
        """Whether it is for the caller to end that call: it is for whoever comes first."""
        with self._lock:
            if call not in self.calls:
                return False
            self.calls.remove(call)
            if self._beside is not None:
                self._beside.append(call)
            return True

    def _began(self, caller: str, callee: str, nodes: tuple[str, ...]) -> str:
        """Write down that a call begins; its name."""
        name = f"{caller}-{self._name(callee)}-{next(self._numbers)}"
        self._journal.write(Called(self._journal.now_s(), name, caller, callee, nodes))
        return name

    def _aim(self, callee: str) -> tuple[UserAgent | None, frozenset[str]]:
        """The agent that takes the calls of whom is called, if that is a phone that is on, and what it had by now."""
        line = self.lines.get(self._name(callee))
        return line, frozenset(line.calls if line else ())

    def _find_far_ends(self) -> None:
        with self._lock:
            # A call that was given up may still arrive; it is not to take what comes of another since.
            waiting = sorted((call for call in self.calls if call.far is None), key=lambda call: bool(call.over))
            for call in waiting:
                claimed = {(end.agent.agent.name, end.call) for other in self.calls for end in other.ends}
                awaited = {other.caller for other in waiting if other.line is call.line and other.far is None}
                call.find_far_end(claimed, self._lab, awaited - {call.caller})

    def _name(self, callee: str) -> str:
        """The name of the phone that a name or number is; else the number."""
        return target.name if (target := self._lab.phone_at(callee)) else callee

    def _is_with(self, end: CallEnd, peer: str) -> bool:
        call = self.conversation_of(end)
        return self._name(peer) == (call.other(end.phone) if call else self._name(end.peer))

    def _await_end(self, call: Conversation, deadline: Deadline) -> str:
        """When the phone at its near end knows: why it ended otherwise than that wanted, "" where it did not. Raises
        LabError."""
        if call.near.own:
            ending = call.calling.finish(deadline)
            return "" if call.refusal_wanted or not ending.code else str(ending)
        call.calling.await_over(call.near.call, deadline)
        return ""

    def _phone_said(self, phone: str, message: SipMessage) -> None:
        """A message that a phone sent or received; what ends a call is written down as it comes."""
        self._recorder(phone, message)
        if message.sent or not (message.method == "BYE" or message.status >= FAILURE):
            return
        for call in list(self.calls):
            if call.over is None and any(end.phone == phone for end in call.telling):
                self._note_end(call)

    def _note_end(self, call: Conversation) -> None:
        """Write down that the call is over, if its node refused or ended it, and no step asked for that."""
        for end in call.telling:
            why = end.agent.end_of(end.call)
            if why and not call.ending_wanted and not why.startswith(BY_PHONE):
                self._end(call, "" if call.node_may_hang_up and why.startswith(BY_NODE) else why)

    def _end(self, call: Conversation, why: str) -> None:
        with self._lock:
            if call.over is not None:
                return
            call.over = why
        self._journal.write(Ended(self._journal.now_s(), call.name, not why, why))
        self._ended.notify()

    def _give_up(self, call: Conversation, *, waits: bool = True) -> None:
        """Have the caller cancel or hang up as a person would: a node that is not told goes on with the call."""
        call.ending_wanted = True
        if not call.near.own:
            for end in call.ends:
                end.agent.nudge_call(call=end.call)
            return
        call.calling.nudge()
        with suppress(LabError):
            call.calling.finish(PATIENCE.deadline(GIVE_UP_S if waits else 0))
        if not call.near.over and not {*self._nodes_of(call.near.phone)} & {*self._gone}:
            self._on_cut_off(call.near.phone)
        call.calling.kill()

    def _lose_calls(self) -> None:
        """What still goes on when the run ends is cut off; what has ended meanwhile is told as it ended."""
        for call in [call for call in self.calls if call.over is None]:
            ending = call.calling.ending
            self._note_end(call)
            if ending:
                self._end(call, str(ending) if ending.code else "")
                continue
            call.near.nudge()
            self._end(call, "it was still going on when the run ended")
