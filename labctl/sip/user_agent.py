"""One SIP user agent: a SIPp process, what it sent and received so far, and what it is told to do."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from labctl.engine.streams import ExecStream
from labctl.errors import LabError
from labctl.sip import sipp, transcript
from labctl.sip.sipp import Agent
from labctl.sip.transcript import Ending, SipMessage, Transcript
from labctl.timing import Deadline, Signal

ANSWER_TIMEOUT_S = 5.0
"""How long registering or subscribing may take; an answer takes milliseconds, a retransmission 0.5 s."""

ACKNOWLEDGED = ("NOTIFY", "OPTIONS")
"""What a phone answers at any time, and again if it comes again."""

_REFUSED = 300
_UNAUTHORIZED = 401
_SHOWN = 6

MessageListener = Callable[[str, SipMessage], None]
"""Told the phone's name and what it sent or received."""


class Refused(LabError):
    """A node refused what a phone asked for; the message has the status line."""


class UserAgent(Transcript):
    """A SIPp process: what it sent and received so far, and how it ended. Made by Phones."""

    def __init__(self, agent: Agent, what: str, signal: Signal, heard_before: int, on_message: MessageListener) -> None:
        super().__init__()
        self.agent = agent
        self.what = what
        self.heard_before = heard_before
        self.ending: Ending | None = None
        self._nudges = itertools.count(1)
        self._signal = signal
        self._on_message = on_message
        self._stream: ExecStream | None = None
        self._thread = threading.Thread(target=self._read, name=f"phone-{agent.name}", daemon=True)

    def __str__(self) -> str:
        return f"{self.agent.name} ({self.what})"

    def start(self, stream: ExecStream) -> None:
        """Follow the process that the stream leads to."""
        self._stream = stream
        self._thread.start()

    def _read(self) -> None:
        splitter = transcript.LogSplitter()
        if self._stream:
            for data in self._stream:
                for message in splitter.feed(data):
                    if self.add(message):
                        self._on_message(self.agent.name, message)
                self._signal.notify()
        self.ending = splitter.ending()
        self._signal.notify()

    def wait_for(self, ready: Callable[[], bool], what: str, deadline: Deadline) -> None:
        """Return when `ready` holds; looked at after each message. Raises LabError at the deadline or its end."""
        self._signal.wait_until(lambda: ready() or self.ending is not None, deadline)
        if not ready():
            raise LabError(f"{self}: {what}: not within {deadline.timeout_s:g} s{self._story()}")

    def _story(self) -> str:
        """The last messages and the ending, a line each, for an error."""
        lines = [f"{'sent' if each.sent else 'got '} {each.start}" for each in self.messages[-_SHOWN:]]
        if self.ending:
            lines += [str(self.ending), *self.ending.errors.strip().splitlines()[-2:]]
        return "".join(f"\n  {each}" for each in lines)

    def await_accepted(self, method: str, done: str) -> None:
        """Return when its node has accepted the signed request of that method; else end it, and raise LabError."""

        def answered() -> bool:
            answers = self.answers(method)
            return bool(answers) and (answers[-1] != _UNAUTHORIZED or len(answers) > 1)

        try:
            self.wait_for(answered, f"{done} with {self.agent.node_address}", Deadline(ANSWER_TIMEOUT_S))
            status = self.answers(method)[-1]
            if status >= _REFUSED:
                hint = "the node does not know this password" if status == _UNAUTHORIZED else ""
                raise Refused(f"{self}: not {done}: {self.answer_line(method)}", hint)
        except LabError:
            self.kill()
            raise

    # What it is told

    def nudge(self) -> None:
        """Have it go on: hang up or cancel its call, unsubscribe, unregister."""
        self._order(sipp.nudge(self.agent, self.agent.call_id, next(self._nudges)))

    def nudge_call(self, order: str = "") -> None:
        """Have it answer or hang up the call that came in last. Raises LabError if none did."""
        calls = self.received("INVITE")
        if not calls:
            raise LabError(f"{self}: no call came in")
        self._order(sipp.nudge(self.agent, calls[-1].header("Call-ID"), next(self._nudges), order))

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
        deadline = Deadline(ANSWER_TIMEOUT_S)
        self.wait_for(lambda: self.talking, f"{direction}: a call that goes on", deadline)
        before = len(self.answers("INVITE"))
        self._order(sipp.nudge(self.agent, self.call, next(self._nudges), direction))
        self.wait_for(lambda: len(self.answers("INVITE")) > before, f"{direction}: an answer", deadline)
        if self.answers("INVITE")[-1] >= _REFUSED:
            raise Refused(f"{self}: {direction}: {self.answer_line('INVITE')}")

    def drain(self) -> None:
        """Have it end as soon as its calls are over, whether or not what it has acknowledged may come again."""
        since_s = time.time() - sipp.AGAIN_MS / 1000
        requests = [each for method in ACKNOWLEDGED for each in self.received(method) if each.at_s > since_s]
        for call_id in {each.header("Call-ID") for each in requests}:
            self._order(sipp.nudge(self.agent, call_id, next(self._nudges)))
        self._order("drain\n")

    def kill(self) -> None:
        """End it at once."""
        self._order("kill\n")

    def _order(self, text: str) -> None:
        if self._stream and self.ending is None:
            with suppress(OSError):  # it has ended just now
                self._stream.send(text.encode())

    def finish(self, deadline: Deadline) -> Ending:
        """How it ended. Raises LabError if it has not by the deadline."""
        self._signal.wait_until(lambda: self.ending is not None, deadline)
        if self.ending is None:
            raise LabError(f"{self}: goes on after {deadline.timeout_s:g} s{self._story()}")
        return self.ending

    def close(self) -> None:
        """Hang up the stream; what still runs at its other end is killed by that."""
        if self._stream:
            self._stream.close()
            self._thread.join(timeout=1)
