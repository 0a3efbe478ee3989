"""The two ways of a command in a container, and what a container says, as bytes."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import requests
from docker import errors as docker_errors
from docker.utils import socket as docker_socket

FRAME_HEAD = struct.Struct(">BxxxL")


class ExecStream:
    """The two ways of a command that runs in a container, as bytes. What it says on stderr is left out."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._socket = cast(socket.socket, getattr(raw, "_sock", raw))
        # What came together with the reply's head lies in the reader of that head, where docker-py would leave it.
        self._reader = getattr(getattr(getattr(raw, "_response", None), "raw", None), "_fp", None)
        self._reader = getattr(self._reader, "fp", None)
        if isinstance(self._reader, io.BufferedReader):
            self._socket.settimeout(None)

    def send(self, data: bytes) -> None:
        """Write to the command's standard input. Raises OSError once it has ended."""
        self._socket.sendall(data)

    def __iter__(self) -> Iterator[bytes]:
        """What the command says, as it comes, until it ends or the stream is closed."""
        with suppress(OSError, ValueError):
            for kind, data in self._frames():
                if kind == docker_socket.STDOUT:
                    yield data

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """The frames of the attach protocol: a byte that tells the stream, three more, the length of what follows."""
        if not isinstance(self._reader, io.BufferedReader):  # over ssh there is no such reader
            yield from docker_socket.frames_iter(self._raw, tty=False)  # type: ignore[no-untyped-call]
            return
        while len(head := self._reader.read(FRAME_HEAD.size)) == FRAME_HEAD.size:
            kind, size = FRAME_HEAD.unpack(head)
            yield kind, self._reader.read(size)

    def close(self) -> None:
        """Hang up. A reader in another thread ends; the command sees the end of its input."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for each in (self._raw, self._socket):
            with suppress(OSError):
                each.close()
            self._socket.close()


class LogStream:
    """What a container says, as bytes, until it ends or the stream is closed."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[bytes]:
        """What is said, as it comes."""
        with suppress(OSError, ValueError, AttributeError, requests.exceptions.RequestException):
            yield from self._raw

    def close(self) -> None:
        """Hang up. A reader in another thread ends."""
        with suppress(OSError, AttributeError, docker_errors.DockerException):
            self._raw.close()
        with suppress(OSError, AttributeError):
            self._raw._response.raw._fp.close()  # docker-py leaves the socket's own reader open
        with suppress(OSError, AttributeError):
            self._raw._response.close()
