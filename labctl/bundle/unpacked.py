"""A run to be looked at: its folder, or the bundle that was sent of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from labctl.bundle import archive as archives
from labctl.bundle.layout import IMAGES, SUFFIX
from labctl.scenario import run_record
from labctl.scenario.run_record import RunRecord

BEGINS = b"PK\3\4"
"""What a zip begins with that has anything in it."""


def is_bundle(run: str) -> bool:
    """Whether a bundle's file is meant, and not the folder of a run: whatever its name, by what it begins with."""
    path = Path(run)
    try:
        if run.endswith(SUFFIX):
            return not path.is_dir()
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(BEGINS)) == BEGINS
    except OSError:  # it cannot be read, or no file can have such a name
        return False


@contextmanager
def folder_of(run: str) -> Iterator[Path]:
    """The folder of a run, as `run_record.find` has it; of a bundle one that is there only while the block runs.

    A bundle is read as a stranger's: every name in it is one of a run's, so nothing is written elsewhere. Its images
    stay in it. Raises UsageError for what is no run or no bundle.
    """
    if not is_bundle(run):
        yield run_record.find(run)
        return
    with archives.opened(Path(run)) as archive, tempfile.TemporaryDirectory(prefix="labctl-bundle-") as folder:
        for name in archive.paths:
            if name not in IMAGES.values():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.data(name))
        yield Path(folder)


def named(record: RunRecord, run: str) -> RunRecord:
    """A run by the name that the user gave it: that of a bundle where it came in one."""
    return replace(record, sent_as=run, result=replace(record.result, folder=run)) if is_bundle(run) else record
