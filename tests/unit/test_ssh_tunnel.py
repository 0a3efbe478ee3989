"""An engine behind ssh: what ssh is told, and that it ends with whoever began it. A script stands for ssh."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from labctl.engine import ssh_tunnel
from labctl.engine.ssh_tunnel import Tunnel, command
from labctl.errors import HostError
from labctl.timing import Deadline

LETS_IN = """#!/bin/sh
[ "$1" != -G ] || exit 0
while [ "$1" != -L ]; do shift; done
: > "${2%%:*}"
echo ready
exec cat
"""
REFUSES = """#!/bin/sh
echo 'Warning: something' >&2
echo 'root@one.example: Permission denied (publickey).' >&2
exit 255
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for ssh; sockets are made in a folder of the test's."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(LETS_IN, "utf-8")
    program.chmod(0o755)
    (tmp_path / "sockets").mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "sockets"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return program


def left(ssh: Path) -> list[str]:
    return [path.name for path in (ssh.parents[1] / "sockets").iterdir()]


def test_the_address_says_user_port_and_socket() -> None:
    words = " ".join(command("ssh://me@one.example:2222/run/user/1/docker.sock", "/tmp/engine"))  # noqa: S108
    assert "-L /tmp/engine:/run/user/1/docker.sock -l me -p 2222 one.example echo ready" in words
    assert "-L s:/var/run/docker.sock one.example" in " ".join(command("ssh://one.example", "s"))


@pytest.mark.parametrize("url", ["ssh://", "ssh://-oProxyCommand=x", "ssh://-x@one", "ssh://a b", "ssh://one:port"])
def test_what_is_no_address_is_given_to_no_ssh(url: str) -> None:
    with pytest.raises(HostError, match="not an address"):
        command(url, "s")


def test_the_tunnel_is_there_as_long_as_its_object(ssh: Path) -> None:
    tunnel = Tunnel("ssh://one.example", 2)
    assert Path(tunnel.socket).is_file()
    del tunnel
    assert left(ssh) == []


def test_it_ends_with_its_process_however_that_ends(ssh: Path) -> None:
    script = (
        "import os, sys; from labctl.engine.ssh_tunnel import Tunnel; tunnel = Tunnel('ssh://one.example', 2); "
        "print(tunnel.socket, flush=True); os.kill(os.getpid(), 9)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().strip().endswith("/engine")
    process.wait()
    process.stdout.close()
    deadline = Deadline(10)
    while left(ssh):
        assert not deadline.passed


def test_what_ssh_said_last_is_told(ssh: Path) -> None:
    ssh.write_text(REFUSES, "utf-8")
    with pytest.raises(HostError, match=r"ssh://one\.example: root@one\.example: Permission denied") as refusal:
        Tunnel("ssh://one.example", 2)
    assert refusal.value.hint
    assert left(ssh) == []


def test_what_a_shell_prints_first_is_passed_over(ssh: Path) -> None:
    """It was taken for an error, and what ssh had to say of that was waited for for good."""
    ssh.write_text(LETS_IN.replace("echo ready", "echo Welcome; echo; echo ready"), "utf-8")
    assert Path(Tunnel("ssh://one.example", 2).socket).is_file()


def test_one_that_lets_nobody_in_is_given_up(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh.write_text(LETS_IN.replace("echo ready", "echo Welcome"), "utf-8")
    monkeypatch.setattr(ssh_tunnel, "OPEN_S", 0.2)
    with pytest.raises(HostError, match="it took too long"):
        Tunnel("ssh://one.example", 2)
    assert left(ssh) == []


@pytest.mark.long
def test_a_machine_that_is_gone_is_told_of_before_ssh_is_started_and_a_busy_one_is_not(ssh: Path) -> None:
    """ssh has one time-out for the connection and all until it is let in: a busy machine had two seconds for that."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        where = f"hostname 127.0.0.1\\nport {server.getsockname()[1]}"
        slow = LETS_IN.replace("echo ready", "sleep 1.5; echo ready")
        ssh.write_text(slow.replace("exit 0", f"{{ printf '{where}\\n'; exit; }}"), "utf-8")
        assert Path(Tunnel("ssh://one.example", 1).socket).is_file()
    with pytest.raises(HostError, match="refused"):
        Tunnel("ssh://one.example", 1)
    assert left(ssh) == []
