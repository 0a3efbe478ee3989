"""The input and output of a command in a container, and the log of a container, as bytes while they come.

docker-py gives no public way to these sockets. What is used of its private parts stands in the three functions at the
end; pyproject.toml bounds docker-py's version for them, and tests/unit/test_streams.py holds docker-py to them.
"""

from __future__ import annotations

import codecs
import io
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import dropwhile
from typing import Any, Generic, TypeVar, cast

import requests
import urllib3
from docker import errors as docker_errors
from docker.utils import socket as docker_socket

Piece = TypeVar("Piece")

FRAME_HEAD = struct.Struct(">BxxxL")
"""The head of a frame, Docker Engine API, "Attach to a container", Stream format: the stream, 3 bytes, the length."""


BROKEN_OFF = "the engine broke off amid what a command printed"

PIECE_BYTES = 16384
"""How much of a line Docker keeps at once (moby, daemon/logger/copier.go)."""


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of UTF-8, from bytes as they come: a chunk may end within a line, or within a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from whole
    if rest:
        yield rest


def stamped_after(since: str, stamped: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The lines, as `split_stamp` has them, from the first that was logged later than that."""
    return dropwhile(lambda read: read[0] <= since, map(split_stamp, stamped))


def split_stamp(line: str) -> tuple[str, str]:
    """When a line was logged, by the engine's clock (RFC 3339, of fixed width: later is greater), and what. The engine
    keeps a long line in pieces, and has the stamp before each."""
    stamp, _, text = line.partition(" ")
    return stamp, text if len(text) < PIECE_BYTES else text.replace(f"{stamp} ", "")


class ExecStream:
    """The standard input and output of a command that runs in a container."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._socket = _socket_of(raw)
        self._reader = _reader_of(raw)
        if self._reader:
            self._socket.settimeout(None)

    def send(self, data: bytes) -> None:
        """Write to the command's standard input. Raises OSError once it has ended."""
        self._socket.sendall(data)

    def __iter__(self) -> Iterator[bytes]:
        """What the command prints on its standard output, as it comes, until it ends or the stream is closed."""
        return (data for stream, data in self.outputs() if stream == docker_socket.STDOUT)

    def outputs(self) -> Iterator[tuple[int, bytes]]:
        """The same, and what it prints on standard error, each with the stream that it was printed on: 1 or 2."""
        with suppress(OSError, ValueError):
            yield from self.frames()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """The same, to its very end. Raises OSError where the engine breaks off, ValueError where it is closed."""
        if not self._reader:
            yield from docker_socket.frames_iter(self._raw, tty=False)  # type: ignore[no-untyped-call]
            return
        while head := self._reader.read(FRAME_HEAD.size):
            if len(head) < FRAME_HEAD.size:
                raise ConnectionResetError(BROKEN_OFF)
            stream, size = FRAME_HEAD.unpack(head)
            yield stream, (data := self._reader.read(size))
            if len(data) < size:
                raise ConnectionResetError(BROKEN_OFF)

    def close(self) -> None:
        """Hang up. A reader in another thread ends; the command sees the end of its input."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for end in (self._raw, self._socket):
            with suppress(OSError):
                end.close()


class EngineStream(Generic[Piece]):
    """What the engine tells, until it ends that or the stream is closed."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[Piece]:
        """What is told, as it comes."""
        with suppress(
            OSError,
            ValueError,
            AttributeError,
            struct.error,  # docker-py's, of a frame that was cut off in its head
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
        ):
            yield from self._raw

    def close(self) -> None:
        """Hang up. A reader in another thread ends."""
        with suppress(OSError, ValueError, AttributeError, docker_errors.DockerException):
            self._raw.close()
        response = _response_of(self._raw)
        with suppress(OSError, ValueError, AttributeError):  # ValueError: its reader has just closed it
            response.raw._fp.close()  # docker-py leaves the socket's own reader open
        with suppress(OSError, ValueError, AttributeError):
            response.close()


LogStream = EngineStream[bytes]
"""What a container logs."""


def _socket_of(raw: Any) -> socket.socket:
    """The socket of what `exec_start(socket=True)` returns: that of a SocketIO, or over TLS or ssh the thing itself."""
    return cast(socket.socket, getattr(raw, "_sock", raw))


def _reader_of(raw: Any) -> io.BufferedReader | None:
    """The reader of the reply's head (docker-py, APIClient._get_raw_response_socket): it may have read the first
    output along with the head, which docker-py would lose. None over ssh, where there is no such reader."""
    connection = getattr(getattr(getattr(raw, "_response", None), "raw", None), "_fp", None)
    reader = getattr(connection, "fp", None)
    return reader if isinstance(reader, io.BufferedReader) else None


def _response_of(raw: Any) -> Any:
    """The response that docker-py's CancellableStream reads from."""
    return getattr(raw, "_response", None)
