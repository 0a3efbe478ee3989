"""The archive by which files get into a container."""

from __future__ import annotations

import io
import tarfile
import time

from labctl.engine.actions import File
from labctl.engine.containers import archive_of


def members(*paths: str) -> dict[str, tarfile.TarInfo]:
    """What is in the archive of some files, in its order."""
    archive = archive_of(tuple(File(path, "text") for path in paths), {})
    return {member.name: member for member in tarfile.open(fileobj=io.BytesIO(archive))}


def test_files_are_of_now() -> None:
    (file,) = members("/etc/asterisk/pjsip.conf").values()
    assert (file.isfile(), file.size, time.time() - file.mtime < 60) == (True, 4, True)


def test_the_folder_of_services_is_old_whatever_is_put_below_it() -> None:
    told = members("/etc/service/corosync/before-start", "/etc/hosts")
    assert [*told] == ["etc/service/corosync/before-start", "etc/hosts", "etc/service"]
    folder = told["etc/service"]
    assert (folder.isdir(), folder.mtime, folder.mode, folder.uid) == (True, 1, 0o755, 0)
