"""An engine behind ssh: one ssh, this machine's own, makes its socket a socket of this machine.

Docker's client starts an ssh for each connection; labctl has dozens. docker-py's own way wants paramiko.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import weakref
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from labctl.errors import HostError
from labctl.timing import Deadline

SOCKET = "/var/run/docker.sock"
OPEN_S = 20.0
"""How long ssh may take: to agree on keys and to let the user in."""

HINT = "ssh to there by hand tells more"
END_S = 2.0
"""How long ssh may take to end by itself."""

READY = b"ready\n"
_THEN_TIDY_UP = """trap : TERM; "$@"; rm -rf -- "$0\""""
"""Run by the shell that starts ssh: it goes on after SIGTERM, until ssh has ended."""
_USER = re.compile(r"\w[\w.-]*")


class Tunnel:
    """An open tunnel to the engine at `ssh://[USER@]HOST[:PORT][/SOCKET]`; it is there as long as this object is.

    ssh asks for nothing: a key that needs a passphrase wants an agent. It ends with its standard input, and so with
    this process, however that ends; its socket goes then. `reach_s`: how many seconds its machine may take until it can
    be connected to, where ssh goes there by no other one. Raises HostError.
    """

    def __init__(self, url: str, reach_s: int) -> None:
        _reach(url, reach_s)
        folder = tempfile.mkdtemp(prefix="labctl-ssh-")
        self.socket = str(Path(folder) / "engine")
        process = subprocess.Popen(
            ["sh", "-c", _THEN_TIDY_UP, folder, *command(url, self.socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for labctl, which still has to tidy up
        )
        said: deque[bytes] = deque(maxlen=1)
        assert process.stderr
        listening = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)  # ssh is not to wait
        listening.start()
        self._finalizer = weakref.finalize(self, _end, process)
        assert process.stdout
        ended = _await_ready(process.stdout, Deadline(OPEN_S))
        if ended is None:
            return
        self._finalizer()
        listening.join(END_S)
        last = said[0].decode("utf-8", "replace").strip() if said and ended else ""
        why = last or ("it said nothing" if ended else "it took too long")
        raise HostError(f"no Docker Engine answers: {url}: {why}", HINT)


def _await_ready(output: IO[bytes], deadline: Deadline) -> bool | None:
    """None once ssh has let the user in, after whatever the shell there prints first; else whether ssh has ended."""
    printed = b""
    while READY not in printed.splitlines(keepends=True):
        readable, _, _ = select.select([output], [], [], deadline.left_s)
        if not readable:
            return False
        data = os.read(output.fileno(), 4096)
        if not data:
            return True
        printed += data
    return None


def _listen(errors: IO[bytes], said: deque[bytes]) -> None:
    """Keep the last line of what ssh says."""
    with errors:
        said.extend(errors)


def _reach(url: str, reach_s: int) -> None:
    """Raise HostError where the machine itself cannot be connected to: ssh's own time-out is for that and all until it
    is let in, for which a busy machine takes longer."""
    told = ""
    with suppress(OSError):  # without an ssh, whoever starts that says so
        told = subprocess.run(["ssh", "-G", *_target(url)], check=False, capture_output=True, text=True).stdout
    options = dict(line.split(maxsplit=1) for line in told.splitlines() if " " in line.strip())
    if "hostname" not in options or {"proxyjump", "proxycommand"} & {*options}:
        return
    try:
        socket.create_connection((options["hostname"], int(options.get("port", 22))), reach_s).close()
    except (OSError, ValueError) as error:
        raise HostError(f"no Docker Engine answers: {url}: {error}", HINT) from None


def command(url: str, socket: str) -> list[str]:
    """The ssh that makes an engine's socket the `socket` here. It ends with its standard input. Raises HostError for
    what is no such address."""
    path = urlsplit(url).path
    return [
        "ssh",
        "-T",
        *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={OPEN_S:g}", "-o", "ExitOnForwardFailure=yes"),
        *("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ServerAliveInterval=15"),
        *("-L", f"{socket}:{path or SOCKET}"),
        *_target(url),
        "echo ready && exec cat",
    ]


def _target(url: str) -> list[str]:
    """Where an address leads, in ssh's words. Raises HostError for what is none."""
    parts = urlsplit(url)
    try:
        port, host, user = parts.port, parts.hostname or "", parts.username or ""
    except ValueError:
        port, host, user = None, "", ""
    if not re.fullmatch(r"[\w.:-]+", host) or host.startswith("-") or (user and not _USER.fullmatch(user)):
        raise HostError(f"{url}: not an address", "ssh://USER@HOST:PORT")
    return [*(["-l", user] if user else []), *(["-p", str(port)] if port else []), host]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have ssh end by the end of its input; at once where it has not begun to read that."""
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    process.stdout.close()
