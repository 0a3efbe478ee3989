"""The phones of a run: which are on, what each watches, and the calls that go on, whose end is written at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from labctl.errors import LabError, UsageError
from labctl.history.events import Called, Ended
from labctl.history.journal import Journal
from labctl.lab import Lab
from labctl.sip.phones import Phones
from labctl.sip.transcript import RINGING, TALKING, SipMessage
from labctl.sip.user_agent import MessageListener, UserAgent
from labctl.timing import Deadline

GIVE_UP_S = 3.0
"""How long a caller who gives up waits for its node to agree: two retransmissions."""

BY_PHONE, BY_NODE = "it ", "its node "
"""How `Transcript.call_end` begins where nobody refused the call."""

FAILURE = 300
"""From here on a status refuses what it answers (RFC 3261, 21.3 to 21.6)."""


@dataclass
class Conversation:
    """A call in this run: who calls whom, the agents at both ends, and the nodes it goes through.

    `node_may_hang_up`: what was dialled is no phone, so that the dialplan may end the call. `ending_wanted`: a step is
    ending it; `refusal_wanted`: by having it refused. `over` is None while it goes on, "" once it went as its phones
    wanted, else why it did not.
    """

    name: str
    caller: str
    callee: str
    calling: UserAgent
    called: UserAgent | None
    nodes: tuple[str, ...]
    invites_before: int = 0
    node_may_hang_up: bool = False
    ending_wanted: bool = False
    refusal_wanted: bool = False
    over: str | None = None

    def __str__(self) -> str:
        return f"{self.caller} calls {self.callee}"

    def agent(self, phone: str) -> UserAgent:
        """The agent at a phone's end. Raises UsageError."""
        agent = self.calling if phone == self.caller else self.called
        if agent is None:
            raise UsageError(f"{phone} is not in the call {self.name}", "register it before it is called")
        return agent

    @property
    def rings(self) -> bool:
        """Whether it has reached the phone that is called."""
        return self.called is not None and len(self.called.received("INVITE")) > self.invites_before


class Switchboard:
    """The phones of the lab. `connect` makes their agents, given who is to be told of each message; `recorder` is told
    too. Only one run at a time has them. `gone` are the nodes that do not answer."""

    agents: Phones

    def __init__(
        self,
        lab: Lab,
        journal: Journal,
        gone: Collection[str],
        connect: Callable[[MessageListener], Phones],
        recorder: MessageListener,
    ) -> None:
        self.lines: dict[str, UserAgent] = {}
        self.watchers: dict[tuple[str, str], UserAgent] = {}
        self.calls: list[Conversation] = []
        self._lab = lab
        self._journal = journal
        self._gone = gone
        self._connect = connect
        self._recorder = recorder
        self._placed = 0
        self._lock = threading.Lock()

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
        if phone not in self.lines:
            raise UsageError(f"{phone} is not registered", "register it first")
        return self.lines[phone]

    def lamps(self) -> dict[str, tuple[int, int]]:
        """What each phone that is on was told last of its mailbox: new and old messages."""
        summaries = {name: agent.mailbox for name, agent in self.lines.items() if agent.ending is None}
        return {name: (summary.new, summary.old) for name, summary in summaries.items() if summary}

    def dialog_missing(self, phone: str, dialog: str) -> str:
        """ "" once a phone was told last of such a dialog; else what it was told."""
        last_told = [agent.dialog_states[-1:] for (name, _), agent in self.watchers.items() if name == phone]
        return "" if [dialog] in last_told else f"{phone} was last told {last_told}, not {dialog}"

    def lamp_missing(self, phone: str, lamp: int) -> str:
        """ "" once a phone was told last of that many new messages; else what it was told. Raises UsageError."""
        summary = self.line(phone).mailbox
        if summary and summary.new == lamp:
            return ""
        return f"{phone} was told of {summary.new if summary else 'no'} messages, not {lamp}"

    def in_call_from_elsewhere(self, phone: str) -> bool:
        """Whether a phone is in a call that no phone of this run has made: its node has, as for a queue."""
        if phone not in self.lines or any(phone in (call.caller, call.callee) for call in self.calls):
            return False
        return self.lines[phone].call_state in (RINGING, TALKING)

    # Calls

    def place(self, caller: str, callee: str, talk_ms: int) -> Conversation:
        """Have a phone call another, or a number; its node has begun to work on it when this returns.

        `talk_ms` is how long the caller talks before it hangs up by itself. Raises LabError.
        """
        target = self._lab.phone_at(callee)
        called = self.lines.get(target.name) if target else None
        invites_before = len(called.received("INVITE")) if called else 0
        self._placed += 1
        name = f"{caller}-{target.name if target else callee}-{self._placed}"
        nodes = self._nodes(caller, callee)
        self._journal.write(Called(self._journal.now_s(), name, caller, callee, nodes))
        try:
            calling = self.agents.call(caller, target.extension if target else callee, talk_ms)
        except LabError as error:
            self._journal.write(Ended(self._journal.now_s(), name, ok=False, why=error.message))
            raise
        call = Conversation(name, caller, target.name if target else callee, calling, called, nodes, invites_before)
        call.node_may_hang_up = target is None and not callee.startswith("*")
        self.calls.append(call)
        self._note_end(call)
        return call

    def call_of(self, phone: str) -> Conversation:
        """The call that a phone is in; of several the last. Raises UsageError, LabError if it ended otherwise."""
        calls = [call for call in self.calls if phone in (call.caller, call.callee)]
        if not calls:
            raise UsageError(f"{phone} is in no call", "call comes first")
        if calls[-1].over:
            raise LabError(f"{calls[-1]}: {calls[-1].over}")
        return calls[-1]

    def await_ringing(self, call: Conversation, deadline: Deadline) -> None:
        """Return when the call has reached the phone that is called. Raises LabError, also if it is over by then."""
        with self.lost_otherwise(call):
            self.await_in_call(call, lambda: call.rings, f"a call at {call.callee}", deadline)

    def await_in_call(self, call: Conversation, ready: Callable[[], bool], what: str, deadline: Deadline) -> None:
        """Return when `ready` holds. Raises LabError at the deadline, or as soon as the call is over."""
        call.calling.wait_for(lambda: ready() or call.over is not None, what, deadline)
        if not ready():
            raise LabError(f"{call}: {call.over or 'it is over'}")

    def await_heard(self, call: Conversation, phone: str, packets: int, deadline: Deadline) -> None:
        """Return when a phone has heard that many packets from its node. Raises LabError, also if the call is over."""
        self.agents.await_heard(call.agent(phone), packets, deadline)

    def heard(self, agent: UserAgent) -> int:
        """How many packets of audio an agent has heard from its node."""
        return self.agents.heard(agent)[agent.agent.node_address]

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
        """Return when the caller's agent has ended, and with it the call. Raises LabError if it went otherwise.

        What a node that is gone keeps from ending in an orderly way is ended all the same.
        """
        self.calls.remove(call)
        try:
            ending = call.calling.finish(deadline)
        except LabError as error:
            call.calling.kill()
            self._end(call, error.message)
            if not any(node in self._gone for node in call.nodes):
                raise
            return
        self._note_end(call)
        self._end(call, "" if call.refusal_wanted or not ending.code else str(ending))
        if call.over and not call.ending_wanted:
            raise LabError(f"{call}: {call.over}")

    # How

    def _nodes(self, caller: str, callee: str) -> tuple[str, ...]:
        """The nodes that a call goes through, as far as what is dialled tells."""
        target = self._lab.phone_at(callee)
        keepers = [box.node for box in self._lab.mailboxes if f"*{box.number}" == callee]
        return tuple(dict.fromkeys([self._lab.phone(caller).node, *([target.node] if target else keepers)]))

    def _phone_said(self, phone: str, message: SipMessage) -> None:
        """A message that a phone sent or received; what ends a call is written down as it comes."""
        self._recorder(phone, message)
        if message.sent or not (message.method == "BYE" or message.status >= FAILURE):
            return
        for call in list(self.calls):
            if call.over is None and call.caller == phone:
                self._note_end(call)

    def _note_end(self, call: Conversation) -> None:
        """Write down that the call is over, if its node refused or ended it, and no step asked for that."""
        why = call.calling.call_end
        if why and not call.ending_wanted and not why.startswith(BY_PHONE):
            self._end(call, "" if call.node_may_hang_up and why.startswith(BY_NODE) else why)

    def _end(self, call: Conversation, why: str) -> None:
        with self._lock:
            if call.over is not None:
                return
            call.over = why
        self._journal.write(Ended(self._journal.now_s(), call.name, not why, why))

    def _give_up(self, call: Conversation) -> None:
        """Have the caller cancel or hang up as a person would: a node that is not told goes on with the call. One that
        does not answer is gone, and with it the call."""
        call.ending_wanted = True
        call.calling.nudge()
        with suppress(LabError):
            call.calling.finish(Deadline(GIVE_UP_S))
        call.calling.kill()

    def _lose_calls(self) -> None:
        """What still goes on when the run ends is cut off; what has ended meanwhile is told as it ended."""
        for call in [call for call in self.calls if call.over is None]:
            ending = call.calling.ending
            self._note_end(call)
            if ending:
                self._end(call, str(ending) if ending.code else "")
            else:
                call.calling.nudge()
                self._end(call, "it was still going on when the run ended")
