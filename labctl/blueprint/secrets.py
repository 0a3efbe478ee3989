"""A lab's secrets: all made from one random seed, so that they stay the same as long as the lab."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from dataclasses import dataclass
from functools import cache

DUNDI_KEY_BITS = 1024


@dataclass(frozen=True)
class Secrets:
    """All of a lab's secrets, made from one random seed so that they stay the same as long as the lab."""

    seed: str

    def _derive(self, purpose: str, length: int) -> str:
        key = hmac.new(self.seed.encode(), purpose.encode(), hashlib.sha256).digest()
        return hashlib.shake_256(key).hexdigest(length)

    @property
    def ami(self) -> str:
        """The password of AMI's user `labctl`."""
        return self._derive("ami", 16)

    @property
    def authkey(self) -> str:
        """Corosync's key: 256 hexadecimal digits, 1024 bits (corosync-keygen(8) makes at least as many)."""
        return self._derive("authkey", 128)

    def sip(self, phone: str) -> str:
        """A phone's SIP password."""
        return self._derive(f"sip/{phone}", 16)

    def rsa(self, owner: str) -> tuple[str, str]:
        """A pair of RSA keys, private and public, in PEM. DUNDi takes 1024 bits and no other number (pbx_dundi.c)."""
        return _rsa(self.seed, owner)

    def pin(self, mailbox: str) -> str:
        """A mailbox's PIN, four digits."""
        return f"{int(self._derive(f'pin/{mailbox}', 4), 16) % 10000:04d}"


TAKEN_OUT = "taken-out"
"""What stands where a secret was."""


class Placeholders(Secrets):
    """In place of a lab's secrets, where its files are to be shown to others."""

    def __init__(self) -> None:
        super().__init__(TAKEN_OUT)

    def _derive(self, _purpose: str, _length: int) -> str:
        return TAKEN_OUT

    def rsa(self, owner: str) -> tuple[str, str]:
        """No keys."""
        return f"{TAKEN_OUT}: the private key of {owner}\n", f"{TAKEN_OUT}: the public key of {owner}\n"

    def pin(self, _mailbox: str) -> str:
        """No PIN."""
        return TAKEN_OUT


@cache
def _rsa(seed: str, owner: str) -> tuple[str, str]:
    """A key takes tenths of a second to make, and each node of a lab has it."""
    from Crypto.PublicKey import RSA  # noqa: PLC0415 - only labs of several sites need it

    numbers = itertools.count()

    def random(length: int) -> bytes:
        return hashlib.shake_256(f"{seed}/rsa/{owner}/{next(numbers)}".encode()).digest(length)

    key = RSA.generate(DUNDI_KEY_BITS, randfunc=random)
    return f"{key.export_key().decode()}\n", f"{key.public_key().export_key().decode()}\n"
