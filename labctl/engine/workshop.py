"""A command in a container of its own, which is made for it and gone afterwards, and the files that it leaves."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, cast

from docker import errors as docker_errors
from docker.types import Mount

from labctl.engine.access import translated
from labctl.engine.client import Engine
from labctl.errors import HostError

LIMIT_S = 3600
"""How long a command may take; a base system over a slow line takes some minutes."""


@dataclass(frozen=True)
class Work:
    """A command that has ended: its exit code, what it printed, and the container that it ran in."""

    code: int
    text: str
    container: str


@contextmanager
def worked(
    engine: Engine, image: str, command: list[str], files: Mapping[str, bytes], folder: str = ""
) -> Iterator[Work]:
    """Run a command to its end in a container of an image, as root, on the network of the engine's machine.

    It may mount and make namespaces (CAP_SYS_ADMIN, with no filter of system calls), as mmdebstrap must. `files` are
    put in beforehand, by path; `folder` is one of the engine's machine, to be read at the same path within. Raises
    HostError.
    """
    api: Any = engine._api
    mounts = [Mount(folder, folder, type="bind", read_only=True)] if folder else []
    with translated(f"run `{command[0]}` in {image}"):
        host_config = api.create_host_config(
            network_mode="host",
            cap_add=["SYS_ADMIN"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            mounts=mounts,
        )
        try:
            container = api.create_container(image, command, host_config=host_config)["Id"]
        except docker_errors.APIError as error:
            if "bind source path does not exist" not in str(error.explanation):
                raise
            raise HostError(
                f"the engine's machine has no folder {folder}",
                f"python3 -m http.server --directory {folder} serves one of another: --mirror http://ADDRESS:8000",
            ) from None
    try:
        with translated(f"run `{command[0]}` in {image}"):
            if files:
                api.put_archive(container, "/", _archive(files))
            api.start(container)
            code = api.wait(container, timeout=LIMIT_S)["StatusCode"]
            text = cast(bytes, api.logs(container)).decode("utf-8", "replace")
        yield Work(int(code), text, container)
    finally:
        with translated(f"remove {container}"), suppress(docker_errors.NotFound):
            api.remove_container(container, force=True, v=True)


@contextmanager
def compiled(
    engine: Engine, image: str, command: list[str], files: Mapping[str, bytes], tell: Callable[[str], None]
) -> Iterator[Work]:
    """Run a command to its end in a container of an image, as root, without a network and without any privilege.

    `files` are put in beforehand, by path; `tell` gets what it prints, as it comes. Raises HostError.
    """
    api: Any = engine._api
    with translated(f"run `{command[0]}` in {image}"):
        host_config = api.create_host_config(network_mode="none", security_opt=["no-new-privileges:true"])
        container = api.create_container(image, command, host_config=host_config)["Id"]
    try:
        with translated(f"run `{command[0]}` in {image}"):
            api.put_archive(container, "/", _archive(files))
            api.start(container)
            text = ""
            for chunk in api.logs(container, stream=True, follow=True):
                piece = chunk.decode("utf-8", "replace")
                text += piece
                tell(piece)
            code = api.wait(container, timeout=LIMIT_S)["StatusCode"]
        yield Work(int(code), text, container)
    finally:
        with translated(f"remove {container}"), suppress(docker_errors.NotFound):
            api.remove_container(container, force=True, v=True)


@contextmanager
def opened(engine: Engine, work: Work, path: str) -> Iterator[IO[bytes]]:
    """A file that a command has left, as it comes. Raises LabError where it is not there."""
    with translated(f"read {path}"):
        chunks, _ = engine._api.get_archive(work.container, path)
    with tarfile.open(fileobj=cast(Any, _Chunks(chunks)), mode="r|") as archive:
        member = archive.next()
        content = archive.extractfile(member) if member else None
        yield content or io.BytesIO()


@contextmanager
def folder_of_image(engine: Engine, image: str, path: str) -> Iterator[IO[bytes]]:
    """A folder of an image as a tar archive, as it comes. Raises HostError, LabError where it is not there."""
    idle = engine.create_idle(image)
    try:
        with translated(f"read {path} of {image}"):
            chunks, _ = engine._api.get_archive(idle, path)
        yield cast(IO[bytes], _Chunks(chunks))
    finally:
        engine.remove_idle(idle)


class _Chunks:
    """An iterator of bytes, to be read like a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """The next bytes, as many as are wanted where there are so many."""
        parts = [self._rest]
        length = len(self._rest)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
