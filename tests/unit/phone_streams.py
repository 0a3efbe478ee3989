"""What stands in for SIPp in unit tests: a stream that says what it is told to, and messages as SIPp logs them."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

from labctl.sip.sipp import Agent
from labctl.sip.user_agent import UserAgent
from labctl.timing import Signal

CALL = "c1"
AGENT = Agent("alice", "secret", "192.0.2.1", "192.0.2.9", 6000, range(20000, 20010), "/tone", "token")
SIGNED = "Authorization: Digest username=alice"


def logged(start: str, cseq: str, *headers: str, sent: bool, call: str = CALL, body: str = "") -> bytes:
    """A message as SIPp's log has it."""
    via = f"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK-{cseq.replace(' ', '')}-{call}"
    lines = [start, via, f"Call-ID: {call}", f"CSeq: {cseq}", *headers, "", body]
    text = "\r\n".join(lines).encode()
    way = "sent" if sent else "received"
    head = f"{'-' * 47} 2026-11-26T15:00:00.000000\nUDP message {way} [{len(text)}] bytes:\n\n"
    return head.encode() + text


def sent(start: str, cseq: str, *headers: str, call: str = CALL, body: str = "") -> bytes:
    """A message that the agent sends."""
    return logged(start, cseq, *headers, sent=True, call=call, body=body)


def got(start: str, cseq: str, *headers: str, call: str = CALL, body: str = "") -> bytes:
    """A message that the agent receives."""
    return logged(start, cseq, *headers, sent=False, call=call, body=body)


def end(code: int, errors: str = "") -> bytes:
    """How run-sipp.sh tells of the end."""
    return f"\n=== end {code}\n{errors}".encode()


class Stream:
    """The two ways of a command: it says what `say` is given, and keeps what it is sent. Closing it ends it."""

    def __init__(self, *pieces: bytes) -> None:
        self.orders: list[str] = []
        self.closed = False
        self._pieces: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        for piece in pieces:
            self._pieces.put(piece)

    def say(self, *pieces: bytes) -> None:
        """Say more."""
        for piece in pieces:
            self._pieces.put(piece)

    def end(self, error: Exception | None = None) -> None:
        """Say no more, or break off with an error."""
        self._pieces.put(error)

    def send(self, data: bytes) -> None:
        """Take an order."""
        if self.closed:
            raise OSError("closed")
        self.orders += data.decode().splitlines()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        """End it."""
        self.closed = True
        self._pieces.put(None)


def started(stream: Stream, activity: str = "calls 102") -> UserAgent:
    """An agent that follows a stream."""
    agent = UserAgent(AGENT, activity, Signal(), 0, lambda _name, _message: None)
    agent.start(stream)  # type: ignore[arg-type]
    return agent
