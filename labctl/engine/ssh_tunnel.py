"""An engine behind ssh: one ssh, this machine's own, makes its socket a socket of this machine.

Docker's client starts an ssh for each connection; labctl has dozens. docker-py's own way wants paramiko.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from labctl.errors import HostError
from labctl.timing import Deadline

SOCKET = "/var/run/docker.sock"
OPEN_S = 20.0
"""How long ssh may take once it is connected: to agree on keys and to let the user in."""

END_S = 2.0
"""How long ssh may take to end by itself."""

READY = b"ready\n"
_THEN_TIDY_UP = """trap : TERM; "$@"; rm -rf -- "$0\""""
"""Run by the shell that starts ssh: it goes on after SIGTERM, until ssh has ended."""
_USER = re.compile(r"\w[\w.-]*")


class Tunnel:
    """An open tunnel to the engine at `ssh://[USER@]HOST[:PORT][/SOCKET]`; it is there as long as this object is.

    ssh asks for nothing: a key that needs a passphrase wants an agent. It ends with its standard input, and so with
    this process, however that ends; its socket goes then. `connect_s`: how many seconds the machine may take to answer
    at all. Raises HostError.
    """

    def __init__(self, url: str, connect_s: int) -> None:
        folder = tempfile.mkdtemp(prefix="labctl-ssh-")
        self.socket = str(Path(folder) / "engine")
        process = subprocess.Popen(
            ["sh", "-c", _THEN_TIDY_UP, folder, *command(url, self.socket, connect_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for labctl, which still has to tidy up
        )
        self._finalizer = weakref.finalize(self, _end, process)
        assert process.stdout
        assert process.stderr
        ready, _, _ = select.select([process.stdout], [], [], Deadline(OPEN_S + connect_s).left_s)
        if ready and process.stdout.readline() == READY:
            return
        why = "it took too long" if not ready else process.stderr.read().decode("utf-8", "replace").strip()
        self._finalizer()
        lines = why.splitlines() or ["it said nothing"]
        raise HostError(f"no Docker Engine answers: {url}: {lines[-1]}", "ssh to there by hand tells more")


def command(url: str, socket: str, connect_s: int) -> list[str]:
    """The ssh that makes an engine's socket the `socket` here. It ends with its standard input. Raises HostError for
    what is no such address."""
    parts = urlsplit(url)
    try:
        port, host, user = parts.port, parts.hostname or "", parts.username or ""
    except ValueError:
        port, host, user = None, "", ""
    if not re.fullmatch(r"[\w.:-]+", host) or host.startswith("-") or (user and not _USER.fullmatch(user)):
        raise HostError(f"{url}: not an address", "ssh://USER@HOST:PORT")
    return [
        "ssh",
        "-T",
        *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={connect_s}", "-o", "ExitOnForwardFailure=yes"),
        *("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ServerAliveInterval=15"),
        *(["-l", user] if user else []),
        *(["-p", str(port)] if port else []),
        *("-L", f"{socket}:{parts.path or SOCKET}"),
        host,
        "echo ready && exec cat",
    ]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have ssh end by the end of its input; at once where it has not begun to read that."""
    pipes: list[IO[bytes] | None] = [process.stdin, process.stdout, process.stderr]
    for pipe in filter(None, pipes):
        pipe.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
