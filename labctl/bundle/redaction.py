"""What is taken out of the texts of a run before they are sent: the lab's secrets, and whose machine it was. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labctl.blueprint.secrets import TAKEN_OUT, Secrets
from labctl.lab import Lab

NAMES_OF_MANY = {
    *("root", "user", "admin", "daemon", "nobody", "asterisk", "corosync", "docker", "debian", "ubuntu", "runner"),
    *("localhost", "test", "build", "labctl", "node", "phones"),
}
"""Names of users and hosts that say nothing of anybody, and that stand in logs for other things."""

SECRETS = (
    "the lab's secrets, all made for this lab alone: SIP and AMI passwords, PINs where a text says that they are such, "
    "Corosync's key, RSA keys, the seed they come from, and the answers to SIP's digest challenges in texts"
)
OF_NO_SEED = (
    "RSA keys, and the answers to SIP's digest challenges in texts; but not: the lab's passwords, PINs and Corosync's "
    "key, wherever a log has them, as the seed that they come from was not kept with this run"
)
CAPTURE = "but not: in the capture the answers to SIP's digest challenges, made with those passwords"
OF_LAB_FILE = "but not: what the lab file itself says, such as a password in `config:` or of a service"
MACHINE = "the names of the host and of the user, and the paths of their folders"

_DIGEST = re.compile(r'(\bresponse\s*=\s*\\?")[0-9a-fA-F]{32,64}(?=\\?")')
"""RFC 7616, 3.4: what who registers answers, by which a password can be guessed."""
_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_HOMES = re.compile(r"/(?:home|Users)/[^/\s\"'\\:,;]+")


@dataclass(frozen=True)
class Reporter:
    """Whose machine a run was made on. `folders`: the paths that lead to what is his, each with what stands for it."""

    user: str = ""
    host: str = ""
    folders: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LabSecrets:
    """What is made from a lab's seed: `words` are long enough not to stand in a text by chance, PINs (mailbox -> PIN)
    are not."""

    words: tuple[str, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)


def secrets_of(phones: Iterable[str], mailboxes: Iterable[str], seed: str) -> LabSecrets:
    """Every secret of a lab with these phones and mailboxes, and their seed; none without one."""
    if not seed:
        return LabSecrets()
    secrets = Secrets(seed)
    words = (seed, secrets.ami, secrets.authkey, *map(secrets.sip, phones))
    return LabSecrets(words, {mailbox: secrets.pin(mailbox) for mailbox in mailboxes})


class Redaction:
    """Takes secrets, and what says whose machine it was, out of texts."""

    def __init__(self, secrets: LabSecrets, reporter: Reporter, own_words: Iterable[str] = ()) -> None:
        """`own_words` are names that the lab has too, such as a phone's: they stay."""
        kept = {word.lower() for word in own_words} | NAMES_OF_MANY
        self.names = (*_names(reporter, kept),)
        self._pins = [_of_mailbox(*pair) for pair in secrets.pins.items()]
        paths = {path: stands_for for path, stands_for in reporter.folders if len(path.strip("/")) > 2}
        self._values = _as_written(
            dict.fromkeys(filter(None, secrets.words), TAKEN_OUT) | paths | _names(reporter, kept)
        )
        # A secret or a path may have more before it, a name may not: `mona` is not in `monaco`, nor in `my-mona`.
        self._somewhere = _one_of([key for key in self._values if len(key) >= 32], "", "")
        self._path = _one_of([key for key in self._values if "/" in key], "", r"(?![\w-])")
        self._word = _one_of([key for key in self._values if "/" not in key], r"(?<![\w-])", r"(?![\w-])")

    def applied(self, text: str) -> str:
        """The text without them."""
        text = _KEY.sub(TAKEN_OUT, text)
        for said in (_DIGEST, *self._pins):
            text = said.sub(rf"\g<1>{TAKEN_OUT}", text)
        for pattern in (self._somewhere, self._path):
            text = pattern.sub(self._instead, text)
        return self._word.sub(self._instead, _HOMES.sub("~", text))

    def _instead(self, match: re.Match[str]) -> str:
        return self._values[match[0]]


def _of_mailbox(mailbox: str, pin: str) -> re.Pattern[str]:
    """Finds a PIN where it is said to be one: in voicemail.conf's form, or behind the word."""
    said = rf"\b{re.escape(mailbox)}\s*=>?\s*|\b(?:[Pp]assword|PIN|pin|secret)\W{{1,3}}"
    return re.compile(rf"({said}){pin}(?!\d)")


def _as_written(values: Mapping[str, str]) -> dict[str, str]:
    """The same for what JSON makes of each key."""
    return {form: value for key, value in values.items() for form in (key, json.dumps(key)[1:-1])}


def _one_of(keys: Iterable[str], before: str, behind: str) -> re.Pattern[str]:
    """Finds any of some keys, the longest first; nothing where there is none."""
    either = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
    return re.compile(f"{before}(?:{either}){behind}" if either else r"(?!)")


def _names(reporter: Reporter, kept: set[str]) -> dict[str, str]:
    short_host = reporter.host.partition(".")[0]
    names = ((reporter.user, "USER"), (short_host, "HOST"), (reporter.host, "HOST"))
    return {name: stands_for for name, stands_for in names if len(name) > 2 and name.lower() not in kept}


def own_words(lab: Lab, *more: str) -> tuple[str, ...]:
    """The names that a lab has for its parts: a user or host of that name cannot be told from them."""
    return (
        lab.name,
        *(node.name for node in lab.nodes),
        *(phone.name for phone in lab.phones),
        *lab.devices,
        *(word for hint in lab.hints for word in (hint.extension, hint.device)),
        *lab.sites,
        *more,
    )
