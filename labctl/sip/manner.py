"""What may be other than as always with a phone. Pure."""

from __future__ import annotations

from dataclasses import dataclass

EXPIRES_S = 3600
HIDDEN_ADDRESS = "198.18.255.254"
"""What a phone tells that is behind an address translator: an address that no lab has."""


@dataclass(frozen=True)
class Manner:
    """What is not as always with a phone: how long its registrations last, whether it answers OPTIONS, where it
    registers (by the lab file where that is ""), and whether its messages tell an address that is not its own."""

    expires_s: int = EXPIRES_S
    answers_options: bool = True
    place: str = ""
    hidden: bool = False


AS_ALWAYS = Manner()
