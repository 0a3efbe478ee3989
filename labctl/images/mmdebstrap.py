"""Base systems by mmdebstrap: its command, its run, and what it says when it fails."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labctl.errors import BuildError
from labctl.images.recipes import System

KEYRINGS = Path("/usr/share/keyrings")
TOOL = "mmdebstrap"
DPKG_OPTIONS = "root/etc/dpkg/dpkg.cfg.d/labctl"
"""Of images/base: what dpkg leaves out."""

ANSWER_S = 5
"""How long a mirror may take to answer when it is asked whether it has a suite."""

_UNEXPIRED = Path("/usr/libexec/mmdebstrap/gpgvnoexpkeysig")
_OLD_SYSTEMS = Path("/usr/share/mmdebstrap/hooks/maybe-jessie-or-older")
_TOLD = re.compile(r"^(?:E|W: GPG error|dpkg: error[^:]*): ?(.*)$", re.MULTILINE)
_NO_REASON = re.compile(r"^(apt-get |setup failed: |mmdebstrap failed |Some index files |Unable to fetch some |run_)")
_SIGNATURE = re.compile(r"signature|is not signed|NO_PUBKEY", re.IGNORECASE)
_CONTENT = re.compile(r"Hash Sum mismatch|unexpected size", re.IGNORECASE)
_LAST_LINES = 8
_OLD_PROGRAMS = "[vsyscall]"
"""What a process has of the kernel where that runs programs of before glibc 2.14 (proc(5), /proc/pid/maps)."""


def keyring(system: System) -> Path | None:
    """The file of a system's keyring, there or not; None where it is the tools' own."""
    return KEYRINGS / system.keyring if system.keyring else None


def command(system: System, mirror: str, dpkg_options: Path, *, checked: bool = True) -> list[str]:
    """The command that writes a system to its standard output, as a tar archive.

    `mirror` is as apt takes it, "" for mmdebstrap's own. `dpkg_options`: the file of dpkg's. `checked`: whether
    signatures are.
    """
    return [
        TOOL,
        "--variant=apt",
        f"--dpkgopt={dpkg_options}",
        # A mirror may serve a Release file past its Valid-Until; apt checks its signature all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *(_at_once(system, mirror, checked) if system.packages else []),
        system.suite,
        "-",
        *([mirror] if mirror else []),
    ]


def _at_once(system: System, mirror: str, checked: bool) -> list[str]:
    """What is said beside where every package of a node comes with the system, of a suite that has ended."""
    options = [
        f"--include={','.join(system.packages)}",
        # What the options below say is for the apt outside, and for none that is ever run within.
        '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
    ]
    if os.geteuid() == 0:
        # In a PID namespace of its own: old packages send signals to process 1 when they are set up.
        options.append("--mode=unshare")
    if _OLD_SYSTEMS.is_dir():
        options.append(f"--hook-dir={_OLD_SYSTEMS}")
    file = keyring(system)
    if mirror.startswith("copy:") or (file and not file.is_relative_to(KEYRINGS)):
        # What is this user's own need not be readable by apt's own user.
        options.append('--aptopt=APT::Sandbox::User "root"')
    if file or not checked:
        options.append("--skip=check/signed-by")  # mmdebstrap's own guess of a keyring would stand over it
    if not checked:
        return [
            *options,
            '--aptopt=APT::Get::AllowUnauthenticated "true"',
            '--aptopt=Acquire::AllowInsecureRepositories "true"',
        ]
    if file:
        options.append(f"--keyring={file}")
    if _UNEXPIRED.is_file():
        # The keys of suites that have ended are past their date; what they have signed is as good as it was.
        options.append(f'--aptopt=Apt::Key::gpgvcommand "{_UNEXPIRED}"')
    # Their signatures may be of SHA-1. Who wants to forge one needs another text for a digest that is given, and
    # nobody has found such; what has been found is pairs of texts by who writes both.
    return [*options, '--aptopt=APT::Hashes::SHA1::Weak "true"']


@contextmanager
def archive(words: list[str], system: System) -> Iterator[IO[bytes]]:
    """What a command of this module writes, once it is whole. Raises BuildError with the reason and the way out."""
    with tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as said:
        code = subprocess.run(words, stdout=written, stderr=said, stdin=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            said.seek(0)
            why = reason(said.read().decode("utf-8", "replace"))
            lines = "".join(f"\n  {line}" for line in why)
            raise BuildError(f"{TOOL} {system.suite} ended with {code}:{lines}", _way_out(system, "\n".join(why)))
        written.seek(0)
        yield written


def simulate(suite: str) -> str:
    """Why mmdebstrap's own mirror does not give a suite; "" where it does."""
    options = [
        'Check-Valid-Until "false"',
        'Retries "0"',
        f'http::Timeout "{ANSWER_S}"',
        f'https::Timeout "{ANSWER_S}"',
    ]
    words = [TOOL, "--simulate", "--variant=custom", *(f"--aptopt=Acquire::{each}" for each in options), suite, "-"]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    why = [] if done.returncode == 0 else reason(done.stderr.decode("utf-8", "replace"))
    return f"it has no {suite}" if any("does not have a Release file" in line for line in why) else "".join(why[:1])


def reason(said: str) -> list[str]:
    """Why mmdebstrap failed, of all that it and apt said: each thing once; where they give no reason, their last words.

    At least one line.
    """
    told = [line for line in _TOLD.findall(said) if line and not _NO_REASON.match(line)]
    last = [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]
    return list(dict.fromkeys(told)) or last or ["it said nothing"]


def _way_out(system: System, why: str) -> str:
    if _SIGNATURE.search(why):
        known = keyring(system) or "the tools' own keyring"
        return f"it is not signed by who is in {known}: another mirror (--mirror URL), or another keyring in the stack?"
    if _CONTENT.search(why):
        return "what came is not what was signed: another mirror (--mirror URL)?"
    if system.packages and _OLD_PROGRAMS not in Path("/proc/self/maps").read_text("utf-8"):
        return "this kernel runs no program of before glibc 2.14: boot the host with vsyscall=xonly"
    return "is a Debian mirror in reach? --mirror URL names another one"
