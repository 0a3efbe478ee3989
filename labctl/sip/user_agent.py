"""One SIP user agent: a SIPp process, what it sent and received so far, and what it is told to do."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from labctl.engine.streams import ExecStream
from labctl.errors import LabctlError, LabError
from labctl.sip import sipp, transcript
from labctl.sip.kept_agents import LINE
from labctl.sip.sipp import Agent
from labctl.sip.transcript import Ending, Transcript
from labctl.sip_message import SipMessage
from labctl.timing import PATIENCE, Deadline, Signal, pass_time

ANSWER_TIMEOUT_S = 5.0
"""How long registering or subscribing may take; an answer takes milliseconds, a retransmission 0.5 s."""

TAKEN_S = 1.0
"""How long a node may take to acknowledge that a call is over; it takes milliseconds, a retransmission 0.5 s."""

SHOWN_S = 1.0
"""How long a call may take to come in after its caller was told that it rings: each phone is read by itself."""

ACKNOWLEDGED = ("NOTIFY", "OPTIONS")
"""What a phone answers at any time, and again if it comes again."""

REFER_AGAIN_S, CONNECTED_S = 0.1, 5.0
"""After how long a transfer is asked for again that came before the node had connected the ends of the call; and how
long it may take to: an application that talks with the phone itself never does."""

_DONE, _REFUSED = 200, 300
_NOT_CONNECTED = 400
"""What Asterisk tells of a transfer of a channel that is in no bridge (measured with 22)."""
_UNAUTHORIZED = 401
_SHOWN = 6
_CSEQ_LIMIT = 2**30
"""CSeq numbers are below 2**31 (RFC 3261, 8.1.1.5), and SIPp goes on from that of the last order."""

SOON_S, AT_MOST_S = 0.002, 0.25
"""After how long an order that SIPp has not taken is given again: SOON_S, then twice as long each time."""

BEFORE_TONES_S, TONE_S = 1.0, 0.6
"""What SIPp takes before the first key, and for each (measured with 3.8.0: 0.8 and 0.5)."""

MessageListener = Callable[[str, SipMessage], None]
"""Called with the phone's name and a message that it sent or received."""


class Refused(LabError):
    """A node refused what a phone asked for; the message has the status line."""


@dataclass(frozen=True)
class _Order:
    """What an agent is told in a call (`sipp.nudge`), and how long ago that was in vain."""

    call: str
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    waits_s: float = SOON_S


class UserAgent(Transcript):
    """A SIPp process: what it sent and received so far, and how it ended. Made by Phones.

    `heard_before` is how many packets the phones of the lab had heard before it began, by port and source. One that is
    `kept` goes on when labctl has ended.
    """

    def __init__(
        self,
        agent: Agent,
        activity: str,
        signal: Signal,
        heard_before: Mapping[tuple[int, str], int],
        on_message: MessageListener,
        kept: bool = False,
    ) -> None:
        super().__init__()
        self.agent = agent
        self.activity = activity
        self.heard_before = heard_before
        self.kept = kept
        self.ending: Ending | None = None
        self.bytes_read = 0
        # SIPp takes an order of the number of one before for a retransmission, also of one by another labctl.
        self._order_numbers = itertools.count(time.time_ns() // 1_000_000 % _CSEQ_LIMIT)
        self._given: dict[str, _Order] = {}
        self._lag_s = math.inf  # of the phone's clock, which may be another machine's, behind ours
        self._sending = threading.Lock()
        self._adding = threading.Lock()
        self._drains = False
        self._signal = signal
        self._on_message = on_message
        self._stream: ExecStream | None = None
        self._thread = threading.Thread(target=self._read, name=f"phone-{agent.name}", daemon=True)

    def __str__(self) -> str:
        return f"{self.agent.name} ({self.activity})"

    @property
    def is_line(self) -> bool:
        """Whether it is the agent by which its phone takes calls."""
        return self.activity == LINE

    @property
    def runs(self) -> bool:
        """Whether its process was started, and has not ended."""
        return self._stream is not None and self.ending is None

    def start(self, stream: ExecStream) -> None:
        """Follow the process that the stream leads to."""
        self._stream = stream
        self._thread.start()

    def _read(self) -> None:
        """Read to the end of the stream. However that comes, the agent has an ending then: others wait for it."""
        splitter = transcript.LogSplitter()
        ending = None
        try:
            for data in self._stream or ():
                for message in splitter.feed(data):
                    self._lag_s = min(self._lag_s, time.time() - message.at_s)
                    with self._adding:
                        is_new, drains = self.add(message), self._drains
                    if is_new:
                        self._on_message(self.agent.name, message)
                    if drains and is_new and message.method in ACKNOWLEDGED and not message.sent:
                        self._give(_Order(message.header("Call-ID")))
                    self._give_again(message)
                self.bytes_read += len(data)
                self._signal.notify()
            ending = splitter.ending()
        except (LabctlError, ValueError, OSError) as error:
            ending = Ending(-1, f"what it says could not be read: {error}")
        finally:
            ending = ending or Ending(-1, "what it says could not be read")
            self.ending = replace(ending, call_end=self.call_end) if ending.code else ending
            self._signal.notify()

    def wait_for(
        self, ready: Callable[[], bool], what: str, deadline: Deadline, other: UserAgent | None = None
    ) -> None:
        """Return when `ready` holds, which is looked at after each message.

        Raises LabError at the deadline, or as soon as this agent, or the `other` one that is to cause it, has ended.
        """
        agents = [self, *([other] if other else [])]
        self._signal.wait_until(lambda: ready() or any(agent.ending for agent in agents), deadline)
        if ready():
            return
        for agent in agents:
            if agent.ending:
                raise LabError(f"{self}: {what}: {agent} has ended: {agent.ending}{agent.last_messages()}")
        raise LabError(f"{self}: {what}: not within {deadline.timeout_s:g} s{self.last_messages()}")

    def last_messages(self) -> str:
        """The last messages and the ending, a line each, for an error."""
        messages = self.messages[-_SHOWN:]
        lines = [f"{'sent' if message.sent else 'got '} {message.start}" for message in messages]
        if self.ending:
            lines += [str(self.ending), *self.ending.errors.strip().splitlines()[-2:]]
        return "".join(f"\n  {line}" for line in lines)

    def await_accepted(self, method: str, done: str) -> None:
        """Return when its node has accepted the signed request of that method; else end it, and raise LabError."""
        try:
            what = f"{done} with {self.agent.node_address}"
            self.wait_for(lambda: bool(self.answers(method)), what, PATIENCE.deadline(ANSWER_TIMEOUT_S))
            answer = self.final_answers(method)[-1]
            if answer.status >= _REFUSED:
                hint = "the node does not know this password" if answer.status == _UNAUTHORIZED else ""
                raise Refused(f"{self}: not {done}: {answer.status_line}", hint)
        except LabError:
            self.kill()
            raise

    # What it is ordered to do

    def nudge(self) -> None:
        """Have it go on: hang up or cancel its call, unsubscribe, unregister."""
        self._give(_Order(self.agent.call_id))

    def nudge_call(self, order: str = "", call: str = "", **headers: str) -> None:
        """Have it answer or hang up a call, or do as `order` says: by default the last that came in and goes on.

        Raises LabError if none did.
        """
        if not call and not self.received("INVITE"):
            raise LabError(f"{self}: no call came in")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._give(_Order(call or self.call, order, named))

    def _give(self, order: _Order) -> None:
        number = next(self._order_numbers)
        self._given[f"{number} INFO"] = order
        self._order(sipp.nudge(self.agent, order.call, number, order.text, order.headers))

    def _give_again(self, message: SipMessage) -> None:
        """Give an order again that SIPp did not take: between two of its waits, as before the 180 of a call that has
        just come in, it answers an INFO by itself (`-aa`) and forgets it. What it takes it does not answer."""
        if not (message.sent and message.status == _DONE):
            return
        order = self._given.pop(message.header("CSeq"), None)
        if order and not self.end_of(order.call):
            later = replace(order, waits_s=min(2 * order.waits_s, AT_MOST_S))
            timer = threading.Timer(order.waits_s, self._give, (later,))
            timer.daemon = True
            timer.start()

    def answer(self, deadline: Deadline, call: str = "") -> str:
        """Have it answer the call that rings there, of several the last, whoever dialled; it talks when this returns.
        Which it is.

        Raises LabError if none rings by the deadline, or the call is over before it is answered.
        """
        if not call:
            self.wait_for(lambda: bool(self.ringing), "a call", deadline)
            call = (self.ringing or self.calls)[-1]
        if self.state_of(call) in (transcript.CALLING, transcript.RINGING):
            self.nudge_call(call=call)
        self.wait_for(lambda: self.talks_in(call) or bool(self.end_of(call)), "an answer", deadline)
        if not self.talks_in(call):
            raise LabError(f"{self}: the call is over: {self.end_of(call)}")
        return call

    def await_call(
        self, before: Collection[str], deadline: Deadline, calling: UserAgent, callers: Collection[str]
    ) -> str:
        """The call that comes in of one of these callers, and is none of those of before. Where `calling` is told that
        it rings and none of theirs has come within SHOWN_S, it is the last that came: a node may show another caller.

        Raises LabError at the deadline, or as soon as it has ended, or who is `calling`.
        """

        def new(callers: Collection[str] = ()) -> list[str]:
            calls = [call for call in self.calls if call not in before]
            return [call for call in calls if not callers or self.peer_of(call) in callers]

        def rings() -> bool:
            return bool(new()) and calling.call_state not in ("", transcript.CALLING)

        self.wait_for(lambda: bool(new(callers)) or rings(), "a call", deadline, calling)
        with suppress(LabError):
            what = f"a call of {' or '.join(callers)}"
            self.wait_for(lambda: bool(new(callers)), what, PATIENCE.deadline(SHOWN_S), calling)
        return (new(callers) or new())[-1]

    def hang_up(self, deadline: Deadline, call: str = "") -> None:
        """Have it end a call: hang up, give up where it calls, refuse where it rings. Its node knows on return, as
        `await_over` has it.

        Raises LabError if it is in no call, or is not out of it by the deadline.
        """
        call = call or self.call
        state = self.state_of(call)
        if state in ("", transcript.OVER):
            raise LabError(f"{self} is in no call")
        if self.is_line:
            self.nudge_call("" if state == transcript.TALKING else sipp.REJECT, call)
            self.await_over(call, deadline)
        else:
            self.nudge()
            self.finish(deadline)

    def await_over(self, call: str, deadline: Deadline, what: str = "the end of its call") -> None:
        """Return when a call is over, and its node has acknowledged that where the phone ended it: one that does not is
        waited for no longer than TAKEN_S. The calls of an agent that has ended are over.

        Raises LabError if the call goes on at the deadline.
        """
        self.wait_for(lambda: bool(self.end_of(call) or self.ending), what, deadline)
        with suppress(LabError):
            self.await_end_taken(call, Deadline(min(PATIENCE.stretch(TAKEN_S), deadline.left_s)))

    def await_end_taken(self, call: str, deadline: Deadline) -> None:
        """Return when a call is over and its node has acknowledged that. Raises LabError at the deadline."""
        self.wait_for(lambda: self.end_is_taken(call), "its node to take that", deadline)

    def reject_call(self, call: str = "") -> None:
        """Have it refuse the call that rings: 486 Busy Here. Raises LabError if none came in."""
        self.nudge_call(sipp.REJECT, call)

    def forward(self, uri: str, call: str = "") -> None:
        """Have it send the call that rings elsewhere, to a SIP URI: 302 Moved Temporarily. Raises LabError."""
        self.nudge_call(sipp.FORWARD, call, Refer_To=f"<{uri}>")

    def hold(self, call: str = "") -> None:
        """Have it put the other end of a call on hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.HOLD, call)

    def resume(self, call: str = "") -> None:
        """Have it take the other end off hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.RESUME, call)

    def uri(self, number: str) -> str:
        """What it calls to have that number."""
        return f"sip:{number}@{self.agent.node_address}"

    def replacing(self, call: str) -> str:
        """What makes a URI one that takes the place of a call of it (RFC 3891)."""
        own, nodes_own = self.tags_of(call)
        return "?Replaces=" + quote(f"{call};to-tag={nodes_own};from-tag={own}", safe="")

    def transfer(self, uri: str, call: str, deadline: Deadline) -> None:
        """Have it ask its node to connect the other end of a call with a SIP URI (RFC 3515); it is out of that call
        when this returns. A node that tells that it has done it waits for the phone to hang up, or does so itself.

        One that has not connected the two ends yet, since its dialplan does something else first, is asked again.
        Raises Refused where its node does not take that on, LabError where it has not done it.
        """
        what = "the end of the call that it has transferred"
        connected = PATIENCE.deadline(CONNECTED_S)
        while (told := self._refer(uri, call, deadline, what)) == _NOT_CONNECTED and not connected.passed:
            with suppress(LabError):
                self.wait_for(lambda: bool(self.end_of(call)), what, Deadline(REFER_AGAIN_S))
        if told >= _REFUSED:
            raise LabError(f"{self}: the transfer failed: its node tells {told}")
        if not self.end_of(call):
            self.nudge_call(call=call)
        self.await_over(call, deadline, what)

    def _refer(self, uri: str, call: str, deadline: Deadline, what: str) -> int:
        """Have it ask for a transfer; what its node tells of it, 0 where the call ended without that."""
        self._ask_in_call(sipp.REFER, "REFER", call, deadline, Refer_To=f"<{uri}>")
        self.wait_for(lambda: bool(self.end_of(call)) or self.transfer_state(call) >= _DONE, what, deadline)
        return self.transfer_state(call)

    def send_tones(self, digits: str, call: str) -> None:
        """Have it send digits in a call, as events of RTP (RFC 4733), which nobody acknowledges: when this returns the
        time is over that they take. What is done to the call any sooner would have them heard by somebody else."""
        self._await_talk(sipp.TONES, call, PATIENCE.deadline(ANSWER_TIMEOUT_S))
        self.nudge_call(sipp.TONES, call, X_Digits=digits)
        pass_time(PATIENCE.stretch(BEFORE_TONES_S + TONE_S * len(digits)))

    def send_info(self, digits: str, call: str) -> None:
        """Have it send digits in a call, each by INFO; its node has taken them when this returns. Raises Refused,
        LabError."""
        for digit in digits:
            self._ask_in_call(sipp.INFO, "INFO", call, PATIENCE.deadline(ANSWER_TIMEOUT_S), X_Digits=digit)

    def _offer(self, direction: str, call: str) -> None:
        self._ask_in_call(direction, "INVITE", call or self.call, PATIENCE.deadline(ANSWER_TIMEOUT_S))

    def _await_talk(self, what: str, call: str, deadline: Deadline) -> None:
        """Return when a call goes on with nothing under way. Raises LabError where it is over."""
        self.wait_for(lambda: self.talks_in(call) or bool(self.end_of(call)), f"{what}: a call that goes on", deadline)
        if not self.talks_in(call):
            raise LabError(f"{self}: {what}: the call is over: {self.end_of(call)}")

    def _ask_in_call(self, order: str, method: str, call: str, deadline: Deadline, **headers: str) -> None:
        """Have it ask its node for something in a call. Raises Refused, LabError."""
        self._await_talk(order, call, deadline)
        before = len(self.answers_in(call, method))
        self.nudge_call(order, call, **headers)
        self.wait_for(lambda: len(self.answers_in(call, method)) > before, f"{order}: an answer", deadline)
        answer = self.answers_in(call, method)[-1]
        if answer.status >= _REFUSED:
            raise Refused(f"{self}: {order}: {answer.status_line}")

    def drain(self) -> None:
        """Have it end as soon as its calls are over, whether or not what it acknowledges may come again."""
        since_s = time.time() - self._lag_s - sipp.AGAIN_MS / 1000
        with self._adding:
            self._drains = True
            requests = [message for method in ACKNOWLEDGED for message in self.received(method)]
        for call_id in {message.header("Call-ID") for message in requests if message.at_s > since_s}:
            self._order(sipp.nudge(self.agent, call_id, next(self._order_numbers)))
        self._order("drain\n")

    def kill(self) -> None:
        """End it at once."""
        self._order("kill\n")

    def _order(self, text: str) -> None:
        if self._stream and self.runs:
            with suppress(OSError), self._sending:  # it has ended just now
                self._stream.send(text.encode())

    def finish(self, deadline: Deadline) -> Ending:
        """How it ended. Raises LabError if it has not by the deadline."""
        self._signal.wait_until(lambda: self.ending is not None, deadline)
        if self.ending is None:
            raise LabError(f"{self}: goes on after {deadline.timeout_s:g} s{self.last_messages()}")
        return self.ending

    def close(self) -> None:
        """Leave it: what still runs at the other end of the stream is killed by that, unless it is kept."""
        if self._stream:
            self._stream.close()
            self._thread.join(timeout=1)
