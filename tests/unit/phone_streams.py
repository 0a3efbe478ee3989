"""What stands in for the phones' container in unit tests: streams that say what a test says, as SIPp logs it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import cast

from labctl.blueprint.running_lab import Running
from labctl.engine.actions import File, StartContainer
from labctl.engine.client import Engine
from labctl.engine.commands import Output
from labctl.engine.observation import Container, Network, Observation
from labctl.names import ROLE_PHONES
from labctl.sip.phones import Phones
from labctl.sip.sipp import Agent
from labctl.sip.user_agent import UserAgent
from labctl.timing import Signal
from tests.unit.labs import SUBNET, lab, stack

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
    agent = UserAgent(AGENT, activity, Signal(), {}, lambda _name, _message: None)
    agent.start(stream)  # type: ignore[arg-type]
    return agent


CONTAINER = "phones-id"
REGISTERED = (
    sent("REGISTER sip:n1 SIP/2.0", "2 REGISTER", SIGNED, call="r"),
    got("SIP/2.0 200 OK", "2 REGISTER", call="r"),
)
CALLS = (
    sent("INVITE sip:102@n1 SIP/2.0", "2 INVITE", SIGNED),
    got("SIP/2.0 180 Ringing", "2 INVITE"),
)
REFUSED = (
    sent("INVITE sip:102@n1 SIP/2.0", "2 INVITE", SIGNED),
    got("SIP/2.0 488 Not Acceptable Here", "2 INVITE", 'Warning: 304 n1 "no codec"'),
    end(1),
)
LAB = lab("name: lab\nnodes: 3\nphones: 3\n")


class Sipp(Stream):
    """A SIPp or tshark that says its pieces, and ends when it is told to, as run-sipp.sh does."""

    def __init__(self, command: list[str], *pieces: bytes) -> None:
        super().__init__()
        self.command = command
        self.on_order: Callable[[str], tuple[bytes, ...]] = lambda _datagram: ()
        self._say_all(pieces)

    def obeys(self, *pieces: bytes) -> None:
        """Say this when it is given an order."""
        self.on_order = lambda _datagram: pieces

    def _say_all(self, pieces: tuple[bytes, ...]) -> None:
        self.say(*pieces)
        if any(b"=== end" in piece for piece in pieces):
            self.end()

    def send(self, data: bytes) -> None:
        """Take an order; `kill` and `drain` end it."""
        super().send(data)
        for order in data.decode().splitlines():
            if order in ("kill", "drain"):
                self._say_all((end(137 if order == "kill" else 0),))
        if data.startswith(b"send"):
            self._say_all(self.on_order(base64.b64decode(data.split(b" ")[-1]).decode()))


class PhonesContainer:
    """The phones' container, as an engine: what it was given, what runs in it, and what it lists as left on."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[bytes, ...]] = {"register": REGISTERED, "call": CALLS}
        self.streams: list[Sipp] = []
        self.files: dict[str, str] = {}
        self.ran: list[list[str]] = []
        self.started: list[object] = []
        self.listing = ""
        self.on_order: Callable[[str], tuple[bytes, ...]] = lambda _datagram: ()
        self.refuses_to_keep = ""

    def apply(self, step: object) -> None:
        """Start the container."""
        assert step == StartContainer(CONTAINER) or str(step) == str(StartContainer(CONTAINER))
        self.started.append(step)

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into it."""
        assert container == CONTAINER
        self.files |= {file.path: file.text for file in files}

    def run(self, container: str, command: list[str]) -> Output:
        """Run a script to its end: one that keeps SIPp, or lists what was kept."""
        assert container == CONTAINER
        self.ran.append(command)
        if command[0] == "rm":
            return Output(0, "")
        kind = command[3]
        assert kind in ("keep-sipp", "list-kept")
        if kind == "list-kept":
            return Output(0, self.listing)
        return Output(int(bool(self.refuses_to_keep)), self.refuses_to_keep)

    def open_stream(self, container: str, command: list[str]) -> Sipp:
        """Run a script, and keep both its ways open."""
        assert container == CONTAINER
        words = " ".join(command[3:])
        kind = next((kind for kind in self.says if kind in words), "")
        stream = Sipp(command, *self.says.get(kind, ()))
        stream.on_order = self.on_order
        self.streams.append(stream)
        return stream

    @property
    def captures(self) -> list[Sipp]:
        """Those that run tshark."""
        return [stream for stream in self.streams if stream.command[3] == "capture"]

    @property
    def agents(self) -> list[Sipp]:
        """Those that run SIPp, or follow one that was left on."""
        return [stream for stream in self.streams if stream.command[3] != "capture"]


def running_lab(state: str = "running") -> Running:
    """The lab, whose phones' container is in that state."""
    here = Container(CONTAINER, "labctl-lab-phones", "lab", ROLE_PHONES, "phones", state, "hash")
    seen = Observation((Network("id", "labctl-lab", "lab", SUBNET, "seed"),), (here,))
    return Running(LAB, stack(), seen)


def made(container: PhonesContainer, state: str = "running") -> Phones:
    """The phones of the lab."""
    return Phones(cast("Engine", container), running_lab(state))
