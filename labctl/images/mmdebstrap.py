"""Base systems by mmdebstrap: its commands, and what it says when it fails.

A bare Debian of today is made by this machine's own mmdebstrap, where no registry gives one. Debians that have ended
are made in a container of labctl's own, whose tools are of the versions that take their signatures: later ones refuse
SHA-1 and keys that have expired.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labctl.errors import BuildError
from labctl.images.recipes import System

KEYRINGS = "/usr/share/keyrings"
"""Of the builder: those of the package debian-archive-keyring."""
OWN_KEYRING = "/opt/labctl/keyring.gpg"
"""Where a keyring of the user's own is put in the builder."""
OUTPUT = "/opt/labctl/system.tar"
"""Where a system is written in the builder."""
TOOL = "mmdebstrap"
DPKG_OPTIONS = "root/etc/dpkg/dpkg.cfg.d/labctl"
"""Of images/base: what dpkg leaves out."""

_UNEXPIRED = "/usr/libexec/mmdebstrap/gpgvnoexpkeysig"
"""A gpgv that takes what keys have signed that have expired since (mmdebstrap 1.3)."""
_OLD_SYSTEMS = "/usr/share/mmdebstrap/hooks/maybe-jessie-or-older"
"""mmdebstrap's own steps for a Debian of before stretch (mmdebstrap 1.3)."""
_TOLD = re.compile(r"^(?:E|W: GPG error|dpkg: error[^:]*): ?(.*)$", re.MULTILINE)
_NO_REASON = re.compile(r"^(apt-get |setup failed: |mmdebstrap failed |Some index files |Unable to fetch some |run_)")
_SIGNATURE = re.compile(r"signature|is not signed|NO_PUBKEY", re.IGNORECASE)
_CONTENT = re.compile(r"Hash Sum mismatch|unexpected size", re.IGNORECASE)
_LAST_LINES = 8


def keyring(system: System) -> str:
    """The path, in the builder, of the keyring that a system's signatures are checked with; "" for apt's own keys."""
    if system.keyring.startswith("/"):
        return OWN_KEYRING
    return f"{KEYRINGS}/{system.keyring}" if system.keyring else ""


def bare_command(system: System, mirror: str, dpkg_options: Path) -> list[str]:
    """The command of this machine that writes a bare Debian to its standard output, as a tar archive.

    `mirror` is as apt takes it, "" for mmdebstrap's own. `dpkg_options`: the file of dpkg's.
    """
    return _command(system, mirror, str(dpkg_options), "-", [])


def whole_command(system: System, mirror: str, *, checked: bool = True) -> list[str]:
    """The command of the builder that writes a system with every package of a node, of a suite that has ended, to
    OUTPUT. `checked`: whether signatures are."""
    options = [
        f"--include={','.join(system.packages)}",
        # What the options below say is for the apt outside, and for none that is ever run within.
        '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
        # In a PID namespace of its own: old packages send signals to process 1 when they are set up.
        "--mode=unshare",
        f"--hook-dir={_OLD_SYSTEMS}",
        # What is put into the builder, or is a folder of this user's, need not be readable by apt's own user.
        '--aptopt=APT::Sandbox::User "root"',
    ]
    if system.architecture:
        options.append(f"--architectures={system.architecture}")
    if system.keyring or not checked:
        options.append("--skip=check/signed-by")  # mmdebstrap's own guess of a keyring would stand over it
    options += _checks(system) if checked else _NO_CHECKS
    return _command(system, mirror, f"/{DPKG_OPTIONS.removeprefix('root/')}", OUTPUT, options)


def _command(system: System, mirror: str, dpkg_options: str, output: str, more: list[str]) -> list[str]:
    return [
        TOOL,
        "--variant=apt",
        f"--dpkgopt={dpkg_options}",
        # A mirror may serve a Release file past its Valid-Until; apt checks its signature all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *more,
        system.suite,
        output,
        *([mirror] if mirror else []),
    ]


_NO_CHECKS = [
    '--aptopt=APT::Get::AllowUnauthenticated "true"',
    '--aptopt=Acquire::AllowInsecureRepositories "true"',
]


def _checks(system: System) -> list[str]:
    return [
        *([f"--keyring={keyring(system)}"] if system.keyring else []),
        # The keys of suites that have ended are past their date; what they have signed is as good as it was.
        f'--aptopt=Apt::Key::gpgvcommand "{_UNEXPIRED}"',
        # Their signatures may be of SHA-1. Who wants to forge one needs another text for a digest that is given, and
        # nobody has found such; what has been found is pairs of texts by who writes both.
        '--aptopt=APT::Hashes::SHA1::Weak "true"',
    ]


@contextmanager
def archive(words: list[str], system: System) -> Iterator[IO[bytes]]:
    """What a command of this module writes, once it is whole. Raises BuildError with the reason and the way out."""
    with tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as errors:
        code = subprocess.run(words, stdout=written, stderr=errors, stdin=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            errors.seek(0)
            raise failure(system, code, errors.read().decode("utf-8", "replace"))
        written.seek(0)
        yield written


def failure(system: System, code: int, text: str) -> BuildError:
    """What is said where mmdebstrap ended with an exit code, of all that it printed."""
    why = reason(text)
    lines = "".join(f"\n  {line}" for line in why)
    return BuildError(f"{TOOL} {system.suite} ended with {code}:{lines}", _way_out(system, "\n".join(why)))


def reason(output: str) -> list[str]:
    """Why mmdebstrap failed, of all that it and apt said: each thing once; where they give no reason, their last words.

    At least one line.
    """
    reasons = [line for line in _TOLD.findall(output) if line and not _NO_REASON.match(line)]
    last = [line for line in output.splitlines() if line.strip()][-_LAST_LINES:]
    return list(dict.fromkeys(reasons)) or last or ["it said nothing"]


def _way_out(system: System, why: str) -> str:
    if _SIGNATURE.search(why):
        known = system.keyring or "the tools' own keyring"
        return f"it is not signed by who is in {known}: another mirror (--mirror URL), or another keyring in the stack?"
    if _CONTENT.search(why):
        return "what came is not what was signed: another mirror (--mirror URL)?"
    return "is a Debian mirror in reach? --mirror URL names another one"
