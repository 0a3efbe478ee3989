"""Mirrors of Debian releases that left the main archive: which one, whether it is in reach, how far to trust it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from labctl.errors import BuildError, HostError
from labctl.images import mmdebstrap
from labctl.images.recipes import System

ASK = "ask-suite"
"""The script of images/builder that asks."""

_LOCAL = re.compile(r"(?:copy|file)://")


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror: `url` as apt takes it, "" for mmdebstrap's own, and who names it."""

    url: str
    named_by: str

    def __str__(self) -> str:
        return f"{self.url or 'its own mirror'} (named by {self.named_by})"


@dataclass(frozen=True)
class Way:
    """How a system comes about: from an image of it, or else from a mirror; and whether signatures are checked."""

    image: str = ""
    mirror: Mirror = Mirror("", "")
    checked: bool = True

    def __str__(self) -> str:
        how = f"from the image {self.image}" if self.image else f"by mmdebstrap from {self.mirror}"
        return how if self.checked else f"{how}, with no signature checked"


@dataclass(frozen=True)
class Reply:
    """What was learned of a mirror: why it does not give the suite ("" where it does), whether it has a signature, and
    whether the keyring to check that with is there."""

    mirror: Mirror
    refusal: str
    signed: bool
    keyring: bool


def is_folder(text: str) -> bool:
    """Whether what --mirror was given is a folder of this machine."""
    return bool(text) and ("://" not in text or bool(_LOCAL.match(text)))


def folder(text: str) -> str:
    """The folder that a mirror is, "" for one that is none."""
    if not is_folder(text):
        return ""
    return str(Path(unquote(_LOCAL.sub("", text)) if _LOCAL.match(text) else text).absolute())


def url(text: str) -> str:
    """A mirror as --mirror was given it, as apt takes it."""
    return f"copy://{quote(folder(text))}" if is_folder(text) else text


def question(system: System, mirror_option: str) -> list[str]:
    """The command, in the builder's container, that asks whether a mirror gives a system."""
    return [ASK, system.suite, mmdebstrap.keyring(system), url(mirror_option)]


def parse_reply(text: str) -> Reply:
    """What ASK printed."""
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    mirror = Mirror(facts.get("mirror", ""), facts.get("named_by", "mmdebstrap"))
    # No answer at all is a refusal too.
    refusal = facts.get("refused", "" if "signed" in facts or "named_by" in facts else text.strip() or "no answer")
    if "does not have a Release file" in refusal:
        refusal = "it does not have the suite"
    return Reply(mirror, refusal, "signed" in facts, "keyring" in facts)


def from_image(
    system: System, mirror_option: str, insecure: bool, take_image: Callable[[str], None]
) -> tuple[Way | None, str]:
    """The way from an image of the system, or why there is none.

    `take_image` sees to it that an image is here, or raises HostError. An image is taken only where that is allowed
    to be `insecure`: its own apt cannot check signatures any more.
    """
    image = f"the image {system.base}"
    if not system.base:
        return None, "an image of it: the stack names none (`base`)"
    if not insecure:
        return None, f"{image}: not tried, for its apt cannot check signatures any more (--insecure takes it)"
    if system.architecture:
        return None, f"{image}: not tried, for it may not be of {system.architecture}"
    if is_folder(mirror_option):
        return None, f"{image}: within Docker, its apt does not see the folder {mirror_option}"
    try:
        take_image(system.base)
    except HostError as error:
        return None, f"{image}: not here, and {error.message.splitlines()[0]}"
    return Way(system.base, Mirror(mirror_option, "--mirror"), checked=False), ""


def from_mirror(system: System, reply: Reply, insecure: bool) -> tuple[Way | None, str]:
    """The way from a mirror by mmdebstrap, of what was learned of it; or from which one there is none, and why."""
    if reply.refusal:
        return None, f"mmdebstrap from {reply.mirror}: {reply.refusal}"
    doubt = "" if reply.signed else "it is not signed"
    if not reply.keyring:
        doubt = f"there is no keyring {system.keyring}"
    if doubt and not insecure:
        why = f"{doubt}, so it cannot be verified (--insecure takes it all the same)"
        return None, f"mmdebstrap from {reply.mirror}: {why}"
    return Way("", reply.mirror, checked=not doubt), ""


def refusal(stack: str, system: System, tried: tuple[str, ...]) -> BuildError:
    """What is said where a system cannot come about: what was tried, what is missing, and how to go on."""
    what = f"Debian {system.suite} with {', '.join(system.packages)}"
    ways = [
        f"--mirror URL names a mirror that has {system.suite}, or the folder of one",
        "--image IMAGE takes a node image from elsewhere: of a registry, or here by docker load (images/README.md)",
    ]
    lines = [f"the stack {stack} cannot be built here, for nothing gives {what}:", *tried]
    return BuildError("\n  ".join(lines), "\n  ".join(ways))
