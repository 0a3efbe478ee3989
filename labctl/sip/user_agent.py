"""One SIP user agent: a SIPp process, what it sent and received so far, and what it is told to do."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from labctl.engine.streams import ExecStream
from labctl.errors import LabctlError, LabError
from labctl.sip import sipp, transcript
from labctl.sip.kept_agents import LINE
from labctl.sip.sipp import Agent
from labctl.sip.transcript import Ending, SipMessage, Transcript
from labctl.timing import PATIENCE, Deadline, Signal

ANSWER_TIMEOUT_S = 5.0
"""How long registering or subscribing may take; an answer takes milliseconds, a retransmission 0.5 s."""

ACKNOWLEDGED = ("NOTIFY", "OPTIONS")
"""What a phone answers at any time, and again if it comes again."""

_REFUSED = 300
_UNAUTHORIZED = 401
_SHOWN = 6
_CSEQ_LIMIT = 2**30
"""CSeq numbers are below 2**31 (RFC 3261, 8.1.1.5), and SIPp goes on from that of the last order."""

MessageListener = Callable[[str, SipMessage], None]
"""Called with the phone's name and a message that it sent or received."""


class Refused(LabError):
    """A node refused what a phone asked for; the message has the status line."""


class UserAgent(Transcript):
    """A SIPp process: what it sent and received so far, and how it ended. Made by Phones.

    `packets_before` is how many packets the phones of the lab had heard before it began. One that is `kept` goes on
    when labctl has ended.
    """

    def __init__(
        self,
        agent: Agent,
        activity: str,
        signal: Signal,
        packets_before: int,
        on_message: MessageListener,
        kept: bool = False,
    ) -> None:
        super().__init__()
        self.agent = agent
        self.activity = activity
        self.packets_before = packets_before
        self.kept = kept
        self.ending: Ending | None = None
        self.bytes_read = 0
        # SIPp takes an order of the number of one before for a retransmission, also of one by another labctl.
        self._order_numbers = itertools.count(time.time_ns() // 1_000_000 % _CSEQ_LIMIT)
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
                    if self.add(message):
                        self._on_message(self.agent.name, message)
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
        self._order(sipp.nudge(self.agent, self.agent.call_id, next(self._order_numbers)))

    def nudge_call(self, order: str = "") -> None:
        """Have it answer or hang up the call that came in; of several the last. Raises LabError if none did."""
        if not self.received("INVITE"):
            raise LabError(f"{self}: no call came in")
        self._order(sipp.nudge(self.agent, self.call, next(self._order_numbers), order))

    def answer(self, deadline: Deadline) -> None:
        """Have it answer the call that rings there, whoever dialled; it talks when this returns.

        Raises LabError if none rings by the deadline, or the call is over before it is answered.
        """
        self.wait_for(lambda: self.call_state in (transcript.RINGING, transcript.TALKING), "a call", deadline)
        if self.call_state == transcript.RINGING:
            self.nudge_call()
        self.wait_for(lambda: self.talking or bool(self.call_end), "an answer", deadline)
        if not self.talking:
            raise LabError(f"{self}: the call is over: {self.call_end}")

    def hang_up(self, deadline: Deadline) -> None:
        """Have it end its call: hang up, give up where it calls, refuse where it rings. Its node knows on return.

        Raises LabError if it is in no call, or its node does not answer by the deadline.
        """
        state = self.call_state
        if state in ("", transcript.OVER):
            raise LabError(f"{self} is in no call")
        if self.received("INVITE"):
            call = self.call
            self.nudge_call(sipp.REJECT if state == transcript.RINGING else "")
            self.wait_for(lambda: self.call != call or bool(self.call_end), "the end of its call", deadline)
        else:
            self.nudge()
            self.finish(deadline)

    def reject_call(self) -> None:
        """Have it refuse the call that rings: 486 Busy Here. Raises LabError if none came in."""
        self.nudge_call(sipp.REJECT)

    def hold(self) -> None:
        """Have it put the other end of its call on hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.HOLD)

    def resume(self) -> None:
        """Have it take the other end off hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.RESUME)

    def _offer(self, direction: str) -> None:
        deadline = PATIENCE.deadline(ANSWER_TIMEOUT_S)
        self.wait_for(lambda: self.talking or bool(self.call_end), f"{direction}: a call that goes on", deadline)
        if not self.talking:
            raise LabError(f"{self}: {direction}: the call is over: {self.call_end}")
        before = len(self.answers("INVITE"))
        self._order(sipp.nudge(self.agent, self.call, next(self._order_numbers), direction))
        self.wait_for(lambda: len(self.answers("INVITE")) > before, f"{direction}: an answer", deadline)
        answer = self.final_answers("INVITE")[-1]
        if answer.status >= _REFUSED:
            raise Refused(f"{self}: {direction}: {answer.status_line}")

    def drain(self) -> None:
        """Have it end as soon as its calls are over, whether or not what it has acknowledged may come again."""
        since_s = time.time() - sipp.AGAIN_MS / 1000
        requests = [message for method in ACKNOWLEDGED for message in self.received(method)]
        for call_id in {message.header("Call-ID") for message in requests if message.at_s > since_s}:
            self._order(sipp.nudge(self.agent, call_id, next(self._order_numbers)))
        self._order("drain\n")

    def kill(self) -> None:
        """End it at once."""
        self._order("kill\n")

    def _order(self, text: str) -> None:
        if self._stream and self.runs:
            with suppress(OSError):  # it has ended just now
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
