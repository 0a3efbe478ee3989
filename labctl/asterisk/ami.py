"""One kept connection to the manager interface (AMI) of a node, over any stream of bytes.

The protocol is small and its libraries dial TCP themselves, while labctl comes in through `docker exec`;
so the framing is here (labctl.asterisk) and the threads are here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from labctl.asterisk.output import Message, MessageSplitter, render_action
from labctl.errors import LabError
from labctl.timing import PATIENCE, Deadline, Signal

CONNECT = ["socat", "-", "TCP:127.0.0.1:5038,retry=2000,interval=0.02"]
"""Run in a node, this joins the stream to AMI as soon as Asterisk listens. It gives up after 40 s, so that none stays
in a node whose Asterisk never boots; whoever wants to wait longer connects again."""

USER = "labctl"
ACTION_TIMEOUT_S = 10.0

NUDGES_S = (0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""After anything was sent or received, here or on another node's connection, Pings follow, so far apart. Asterisk wakes
a session for an event by a signal, which is lost where it comes just before the session waits (get_input in
main/manager.c): in one change of 2000 the event then stays there until the session is spoken to again."""

STIRRED = 3
"""With this gap the row begins again where another node's word comes while it is under way."""

ANSWERED = 2
"""To the Ping of that number an answer is awaited, where the node was spoken to, or spoke."""

SILENT_S = 5.0
"""A booted Asterisk that says nothing for so long after it was spoken to, not even to a Ping, is not there any more,
or what lies between is not: the connection is given up."""

GONE = "the manager connection is gone"
"""How an error says that a connection has ended."""

_NUDGE = "nudge"
FOREVER_S = 3600.0


class ActionRefused(LabError):
    """Asterisk's answer to an action is an error; the message has its words."""


class Stream(Protocol):
    """What a connection needs of a stream."""

    def send(self, data: bytes) -> None:
        """Write; OSError once the other side is gone."""

    def __iter__(self) -> Iterator[bytes]:
        """Read until it ends."""

    def close(self) -> None:
        """Hang up."""


class Connection:
    """A logged-in AMI connection. `on_event(node, monotonic_s, message)` is called from its own thread.

    `began_s`: when Asterisk greeted, and `heard_s`: when it was heard of last, on the monotonic clock. `closed`:
    whether labctl hung up itself, so that its end is no loss. `gives_up`: whether it is to hang up on an Asterisk that
    is silent for SILENT_S; whoever sets this connects again.
    """

    def __init__(self, node: str, stream: Stream, secret: str, on_event: Callable[[str, float, Message], None]) -> None:
        self.node = node
        self.booted = False
        self.ended = False
        self.closed = False
        self.gives_up = False
        self._slow_commands = 0
        self._concerned = False
        self.began_s = self.heard_s = time.monotonic()
        self._stream = stream
        self._on_event = on_event
        self._signal = Signal()
        self._answers: dict[str, Message] = {}
        self._lists: dict[str, list[Message]] = {}
        self._numbers = itertools.count(1)
        self._secret = secret
        self._activity = Signal()
        self._words = Signal()
        self._thread = threading.Thread(target=self._read, name=f"ami-{node}", daemon=True)
        self._nudger = threading.Thread(target=self._nudge, name=f"ami-{node}-nudge", daemon=True)

    def open(self) -> None:
        """Start to read, and log in as soon as Asterisk greets."""
        self._thread.start()
        self._nudger.start()

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1)

    def send(self, action: str, **headers: str) -> str:
        """Send an action without waiting; the id to wait for its answer by. Raises LabError."""
        number = str(next(self._numbers))
        self._send(action, {"ActionID": number, **headers})
        self._concern()
        return number

    def _send(self, action: str, headers: dict[str, str]) -> None:
        try:
            self._stream.send(render_action(action, headers).encode())
        except OSError:
            raise LabError(f"{self.node}: {GONE}") from None
        except ValueError as error:
            raise LabError(f"{self.node}: {error}") from None

    def probe(self) -> None:
        """Have Asterisk asked in a moment whether it is there; one that is silent is given up, where `gives_up`."""
        if self.booted:
            self._concern()

    def stir(self) -> None:
        """Something was said elsewhere: have Asterisk hand out what may have come of it here. One that is silent to
        that is not given up for it."""
        if self.booted:
            self._activity.notify()

    def _concern(self) -> None:
        self._concerned = True
        self._activity.notify()

    def answer(self, number: str, timeout_s: float = ACTION_TIMEOUT_S) -> Message:
        """Wait for the answer to what `send` sent. Raises LabError if there is none in time, or it is an error."""
        deadline = PATIENCE.deadline(timeout_s)
        self._signal.wait_until(lambda: number in self._answers or self.ended, deadline)
        message = self._answers.pop(number, None)
        if message is None and self.ended:
            raise LabError(f"{self.node}: {GONE}")
        if message is None:
            raise LabError(f"{self.node}: Asterisk did not answer within {deadline.timeout_s:g} s")
        if message.get("Response") == "Error":
            reason = message.get("Output") or message.get("Message", "")
            raise ActionRefused(f"{self.node}: Asterisk says: {' '.join(reason.split())}")
        return message

    def ask(self, action: str, **headers: str) -> Message:
        """Send an action and wait for its answer."""
        return self.answer(self.send(action, **headers))

    def ask_list(self, action: str, **headers: str) -> list[Message]:
        """Send an action and wait for its answer, with all events that belong to it where it is a list of them.

        Raises LabError as `answer` does, or where the list does not come to its end.
        """
        number = str(next(self._numbers))
        events = self._lists[number] = []
        try:
            self._send(action, {"ActionID": number, **headers})
            self._concern()
            response = self.answer(number)
            if response.get("EventList", "").lower() != "start":
                return [response]
            deadline = PATIENCE.deadline(ACTION_TIMEOUT_S)
            self._signal.wait_until(lambda: self.ended or _is_whole(events), deadline)
            if not _is_whole(events):
                raise LabError(
                    f"{self.node}: {GONE if self.ended else f'the list of {action} did not come to its end'}"
                )
            return [response, *events]
        finally:
            del self._lists[number]

    def command(self, line: str, *, slow: bool = False) -> str:
        """What a CLI command prints. `slow`: it may take its time; until it ends Asterisk answers nothing else here."""
        self._slow_commands += slow
        try:
            return self.ask("Command", Command=line).get("Output", "")
        finally:
            self._slow_commands -= slow

    def _read(self) -> None:
        """Take messages until the stream ends. However that comes about, the connection has ended then."""
        splitter = MessageSplitter()
        try:
            with suppress(LabError):
                for data in self._stream:
                    for message in splitter.feed(data):
                        self._take(message)
        finally:
            self.ended = True
            for signal in (self._signal, self._activity, self._words):
                signal.notify()
            self._on_event(self.node, time.monotonic(), {"Event": "Disconnected"})

    def _nudge(self) -> None:
        """Have Asterisk hand out what it may have kept back, a moment after anything was said, and ever more rarely."""
        activities, asked_s, under_way = 0, 0.0, False
        with suppress(LabError):
            while not self.ended:
                self._activity.wait_beyond(activities, Deadline(FOREVER_S))
                stirred = under_way and not self._concerned
                under_way = True
                for number, gap_s in enumerate(NUDGES_S[STIRRED if stirred else 0 :], 1):
                    activities = self._activity.count
                    if self.ended or self._activity.wait_beyond(activities, Deadline(gap_s)):
                        break  # messages still come and go: that will do
                    if self.heard_s < asked_s and not self._concerned:
                        continue  # it has not answered the last: one more would lie there, too
                    asked_s = time.monotonic()
                    self._send("Ping", {"ActionID": _NUDGE})
                    if self._concerned and number == ANSWERED:
                        self._concerned = False
                        self._await_word(asked_s)
                else:
                    under_way = False

    def _await_word(self, since_s: float) -> None:
        """Return when Asterisk was heard of after that time; hang up where it is silent for too long, if that is asked
        for.

        It costs nothing at rest: this is waited for only after a Ping, which a live Asterisk answers in milliseconds.
        """
        timeout_s = ACTION_TIMEOUT_S if self._slow_commands else SILENT_S
        heard = self._words.wait_until(lambda: self.ended or self.heard_s >= since_s, PATIENCE.deadline(timeout_s))
        if not heard and self.booted and self.gives_up:
            self._stream.close()

    def _take(self, message: Message) -> None:
        self.heard_s = time.monotonic()
        self._words.notify()
        if message.get("ActionID") == _NUDGE:
            return
        self._concern()
        if "Greeting" in message:
            self.began_s = self.heard_s
            self.send("Login", Username=USER, Secret=self._secret)
        elif "Response" in message:
            self._answers[message.get("ActionID", "")] = message
            self._signal.notify()
        else:
            self.booted = self.booted or message.get("Event") == "FullyBooted"
            events = self._lists.get(message.get("ActionID", ""))
            if events is not None:
                events.append(message)
                self._signal.notify()
            self._on_event(self.node, time.monotonic(), message)


def _is_whole(events: list[Message]) -> bool:
    """Whether a list of events has come to its end."""
    return bool(events) and events[-1].get("EventList", "").lower() in ("complete", "cancelled")
