"""The layout of a bundle (`bug.labz`), version 1.

A bundle is a zip. Unpacked it is a run's folder, which `labctl show`, `check` and `report` take, with three things
more: `manifest.json`, `report.html`, and images where they were asked for.

    manifest.json      what is below, in `Manifest`: the format and its version, the run and its verdict, the machine,
                       the images with their ids and packages, what was taken out, what is lacking, and of every other
                       file path, size and sha256
    report.html        the run as a page
    scenario.yaml      what was run, whole in itself; its seed is in the manifest
    lab.yaml           the lab, with every default filled in
    stack.yaml         the stack, as `--stack` takes it
    patches/001-NAME   the patches, in the order in which they were applied
    nodes/NODE/etc/…   every file that labctl rendered for a node
    history.jsonl      what was done and what was seen; NODE.log: what the nodes logged
    capture.pcapng     what crossed the network
    terms.json         what the run was judged by; verdict.json: what it came to
    made_with.json     as the manifest has it: the machine, the images
    images/node.tar    as `docker save` has it, of an id and without a tag; images/phones.tar

All but captures and images is UTF-8 text. Names are of ASCII letters, digits and `._+@-`; entries are stored or
deflated, and of no other kind than plain files; there is no zip64, no encryption and no comment.

A later version that an older labctl must not misread has a higher number; what only adds keys or files has the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from labctl.errors import UsageError, first_mistake
from labctl.plain_data import adapter
from labctl.scenario.made_with import ImageFacts, Machine
from labctl.scenario.run_folder import CAPTURE

FORMAT = "labctl bundle"
VERSION = 1
SUFFIX = ".labz"

MANIFEST = "manifest.json"
REPORT = "report.html"
IMAGES: Mapping[str, str] = {"node": "images/node.tar", "phones": "images/phones.tar"}
"""Where the image of a role is, where it is in the bundle."""

NAME = re.compile(r"(?=.{1,200}\Z)[A-Za-z0-9_][A-Za-z0-9._+@-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+@-]*){0,7}\Z", re.ASCII)
"""Of an entry. No part of it begins with a dot: none is `..`, and none is hidden."""

TEXTS = (".json", ".jsonl", ".yaml", ".log", ".html", ".txt", ".md")
"""How names of texts end at the top of a bundle; below `nodes/` and `patches/` all are texts."""

MAX_ENTRIES = 2000
MAX_MANIFEST = 1 << 20
MAX_FILE = 64 << 20
MAX_FILES = 128 << 20
MAX_IMAGE = 2047 << 20
"""Bytes of one file, of all files but images, and of an image: zipfile writes 2 GiB at most without zip64."""


@dataclass(frozen=True)
class FileEntry:
    """A file of a bundle."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class RunFacts:
    """The run of a bundle: `standing` and `sentence` are what it came to. `utc` is when it began."""

    scenario: str
    title: str
    stack: str
    standing: str
    sentence: str
    seed: int | None = None
    utc: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    `labctl` wrote the bundle, `made_by` ran the run; `made` is when the bundle was written. `lab` and `subnet` are the
    lab's name and network. `taken_out` says what of the run is not in it on purpose, `lacking` what the run's folder
    did not have, `left_out` which files were not taken.
    """

    format: str
    version: int
    labctl: str
    made: str
    run: RunFacts
    made_by: str = ""
    lab: str = ""
    subnet: str = ""
    machine: Machine = field(default_factory=Machine)
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    taken_out: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    files: tuple[FileEntry, ...] = ()


def is_text(path: str) -> bool:
    """Whether a file of a bundle is text."""
    return path.startswith(("nodes/", "patches/")) or ("/" not in path and path.endswith(TEXTS))


def belongs(path: str) -> bool:
    """Whether a bundle may have a file of that name: a text, the capture, an image."""
    return bool(NAME.match(path)) and (is_text(path) or path == CAPTURE or path in IMAGES.values())


def parse_manifest(data: bytes, source: str) -> Manifest:
    """The manifest of a bundle. Raises UsageError where it is none, or one of a later labctl."""
    try:
        manifest = adapter(Manifest).validate_json(data)
    except (ValidationError, RecursionError, ValueError) as error:
        why = first_mistake(error) if isinstance(error, ValidationError) else "it is nested too deeply"
        raise refused(source, f"{MANIFEST} is none of a bundle: {why[:200]}") from None
    if manifest.format != FORMAT:
        raise refused(source, f"{MANIFEST} is not of the format `{FORMAT}`")
    if manifest.version != VERSION:
        raise UsageError(
            f"{source}: a bundle of version {manifest.version}, and this labctl reads version {VERSION}",
            "use the labctl that wrote it, or a later one",
        )
    return manifest


def refused(source: str, why: str) -> UsageError:
    """That a file is no bundle that may be read."""
    return UsageError(f"{source}: not a bundle that labctl reads: {why}", "nothing of it was used; ask for it again")
