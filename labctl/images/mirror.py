"""Where the packages of a suite that has ended come from, and whether they are in reach: told within seconds."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from labctl.errors import BuildError, HostError
from labctl.images import mmdebstrap
from labctl.images.recipes import System

SCRIPTS = Path("/usr/share/debootstrap/scripts")
"""debootstrap's, one a suite: they know where the suites are that have left the mirrors."""

_HELPER = "/usr/lib/apt/apt-helper"
"""apt's own way to fetch a file: by the proxies and certificates that mmdebstrap will use."""
_LIMIT_S = 8

_NAMED = re.compile(r"^\s*default_mirror\s+(\S+)", re.MULTILINE)
_KEYRING = re.compile(r"^\s*keyring\s+(\S+)", re.MULTILINE)
_LOCAL = re.compile(r"(?:copy|file)://")
_REFUSED = re.compile(r"^E: (?:Failed to fetch \S+ +)?(.*)$", re.MULTILINE)


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


def is_folder(text: str) -> bool:
    """Whether what --mirror was given is a folder of this machine."""
    return bool(text) and ("://" not in text or bool(_LOCAL.match(text)))


def _folder(text: str) -> Path:
    return Path(unquote(_LOCAL.sub("", text)) if _LOCAL.match(text) else text).absolute()


def choose(system: System, given: str, scripts: Path = SCRIPTS) -> Mirror:
    """The mirror that is given (a URL, or a folder), or else that of debootstrap's script for the suite.

    Where that script names none, it is that of another whose suites are signed with the same keyring, and where there
    are no scripts, mmdebstrap's own.
    """
    if given:
        return Mirror(f"copy://{quote(str(_folder(given)))}" if is_folder(given) else given, "--mirror")
    own = _read(scripts / system.suite)
    texts = (own, *(_read(path) for path in sorted(scripts.glob("*"))))
    for text in texts:
        named, keyring = _NAMED.search(text), _KEYRING.search(text)
        if named and (text is own or (keyring and Path(keyring[1]).name == system.keyring)):
            return Mirror(named[1], "debootstrap")
    return Mirror("", "mmdebstrap")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""


def ask(mirror: Mirror, suite: str) -> tuple[str, bool]:
    """Why a mirror does not give a suite ("" where it does), and whether it has a signature of it.

    Takes a few seconds at most.
    """
    if not mirror.url:
        return mmdebstrap.simulate(suite), True
    names = ("Release", "Release.gpg", "InRelease")
    if is_folder(mirror.url):
        folder = _folder(mirror.url) / "dists" / suite
        here, refusal = {name for name in names if (folder / name).is_file()}, f"{folder}/Release is not there"
    else:
        here, refusal = _fetch(f"{mirror.url.rstrip('/')}/dists/{suite}", names)
    return "" if here & {"Release", "InRelease"} else refusal, bool(here & {"Release.gpg", "InRelease"})


def _fetch(url: str, names: tuple[str, ...]) -> tuple[set[str], str]:
    """Which of some files are at a URL, and what apt said of the first that is not."""
    options = [
        "-oAcquire::Retries=0",
        *(f"-oAcquire::{each}::Timeout={mmdebstrap.ANSWER_S}" for each in ("http", "https")),
    ]
    with tempfile.TemporaryDirectory() as folder:
        pairs = [word for name in names for word in (f"{url}/{name}", f"{folder}/{name}")]
        try:
            done = subprocess.run(
                [_HELPER, *options, "download-file", *pairs],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return set(), f"no answer within {_LIMIT_S} s"
        except OSError as error:
            return set(), f"{_HELPER}: {error.strerror}"
        said = _REFUSED.search(done.stderr.decode("utf-8", "replace"))
        return {path.name for path in Path(folder).iterdir()}, said[1].strip() if said else "it does not answer"


def find(
    system: System, given: str, insecure: bool, take_image: Callable[[str], None]
) -> tuple[Way | None, tuple[str, ...]]:
    """How a system with its packages comes about, None where it cannot; and what was tried in vain, each with why.

    `take_image` sees to it that an image is here, or raises HostError. An image is taken only where that is allowed
    to be `insecure`: its own apt cannot check signatures any more.
    """
    way, why = _from_image(system, given, insecure, take_image)
    if way:
        return way, ()
    tried = (why,)
    way, why = _from_mirror(system, given, insecure)
    return way, tried if way else (*tried, why)


def _from_image(
    system: System, given: str, insecure: bool, take_image: Callable[[str], None]
) -> tuple[Way | None, str]:
    """The way from an image of the system, or why there is none."""
    image = f"the image {system.base}"
    if not system.base:
        return None, "an image of it: the stack names none (`base`)"
    if not insecure:
        return None, f"{image}: not tried, for its apt cannot check signatures any more (--insecure takes it)"
    if is_folder(given):
        return None, f"{image}: within Docker, its apt does not see the folder {given}"
    try:
        take_image(system.base)
    except HostError as error:
        return None, f"{image}: not here, and {error.message.splitlines()[0]}"
    return Way(system.base, Mirror(given, "--mirror"), checked=False), ""


def _from_mirror(system: System, given: str, insecure: bool) -> tuple[Way | None, str]:
    """The way from a mirror by mmdebstrap, or from which one there is none, and why."""
    if not shutil.which(mmdebstrap.TOOL):
        return None, "mmdebstrap: it is not installed (apt-get install mmdebstrap)"
    mirror = choose(system, given)
    refusal, signed = ask(mirror, system.suite)
    if refusal:
        return None, f"mmdebstrap from {mirror}: {refusal}"
    keyring = mmdebstrap.keyring(system)
    doubt = "" if signed else "it is not signed"
    if keyring and not keyring.is_file():
        package = "" if keyring.parent != mmdebstrap.KEYRINGS else " (apt-get install debian-archive-keyring)"
        doubt = f"there is no keyring {keyring}{package}"
    if doubt and not insecure:
        return None, f"mmdebstrap from {mirror}: {doubt}, so it cannot be verified (--insecure takes it all the same)"
    return Way("", mirror, checked=not doubt), ""


def refusal(stack: str, system: System, tried: tuple[str, ...]) -> BuildError:
    """What is said where a system cannot come about: what was tried, what is missing, and how to go on."""
    what = f"Debian {system.suite} with {', '.join(system.packages)}"
    ways = [
        f"--mirror URL names a mirror that has {system.suite}, or the folder of one",
        "--image IMAGE takes a node image from elsewhere: of a registry, or here by docker load (images/README.md)",
    ]
    if not SCRIPTS.is_dir() and shutil.which("apt-get"):
        ways.insert(0, "apt-get install debootstrap: its scripts know where the old suites are")
    lines = [f"the stack {stack} cannot be built here, for nothing gives {what}:", *tried]
    return BuildError("\n  ".join(lines), "\n  ".join(ways))
