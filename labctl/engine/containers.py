"""The steps of a plan done: containers made, filled with files, started, paused, ended and taken away."""

from __future__ import annotations

import io
import re
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import PurePosixPath

from docker import errors as docker_errors

from labctl.engine.access import Access, translated
from labctl.engine.actions import (
    AwaitReady,
    ContainerSpec,
    CreateContainer,
    CreateNetwork,
    File,
    KillContainer,
    PauseContainer,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UnpauseContainer,
    mac_of,
)
from labctl.engine.host import Host
from labctl.engine.networks import Networks
from labctl.engine.swarm import SwarmState
from labctl.timing import PATIENCE, Deadline, Signal, pass_time

STOP_TIMEOUT_S = 5
"""How long a container that is asked to end may take before it is killed."""

BEGUN_S, ASK_AGAIN_S = 2.0, 0.01
"""How long commands in a container may take to begin before it is paused; they take milliseconds."""

LET_IN_S, LET_IN_AGAIN_S = 120.0, 0.2
"""How long a container is started again that its overlay network does not let in, and how soon: the engine waits 20 s
for the Swarm's manager to say yes, and a host that is back has yet to be told of the network (three starts in 31.7 s
were too few at a load of 10)."""

_NOT_LET_IN = re.compile(r"attaching to network failed|network \S+ not found")
"""What the engine says then: that it had no answer, or that it does not know the network, of which it has yet to be
told (seen at a load of 45)."""

FREEZE_S, FREEZE_AGAIN_S = 30.0, 0.1
"""How long a container is paused again that cannot be frozen, and how soon: runc tries a thousand times, thaws
it, and leaves it to who asks to try on (runc pull requests 2774 and 4388; seen beside busy tests)."""

_NOT_FROZEN = "unable to freeze"

SERVICES = "/etc/service"
"""The folder that runit watches. Where that has changed within the second in which runsvdir starts, it waits one more
before it starts any service (src/runsvdir.c), and some storage drivers take a file put below it for such a change."""

LOG_LIMIT = {"max-size": "20m", "max-file": "2"}


def _insist(do: Callable[[], object], deadline: Deadline, again_s: float, will_pass: Callable[[str], bool]) -> None:
    """Do it, and do it again where the engine refuses it by what `will_pass`. Raises APIError at the deadline, or
    where something else is refused."""
    while True:
        try:
            do()
        except docker_errors.APIError as error:
            if deadline.passed or not will_pass(str(error.explanation)):
                raise
            pass_time(again_s)
        else:
            return


class Containers:
    """The containers of an engine."""

    def __init__(self, access: Access, networks: Networks) -> None:
        self._api = access.api
        self._networks = networks
        self._groups_of: dict[str, Mapping[str, int]] = {}
        self._lock = threading.Lock()

    def apply(self, step: Step) -> None:
        """Do one step. What is gone already counts as removed."""
        with translated(str(step)):
            self._apply(step)

    def _apply(self, step: Step) -> None:
        match step:
            case CreateNetwork():
                self._networks.create(step)
            case CreateContainer():
                self._create_container(step.container)
            case RenameContainer():
                self._api.rename(step.name, step.to)
            case RemoveContainer():
                with suppress(docker_errors.NotFound):
                    self._remove_container(step.id)
            case RemoveNetwork():
                self._networks.remove(step)
            case AwaitReady():
                raise TypeError("commands.py waits")  # the engine's own `apply` has it done there
            case _:
                self._set_running(step)

    def _set_running(
        self, step: StartContainer | KillContainer | StopContainer | PauseContainer | UnpauseContainer
    ) -> None:
        match step:
            case StartContainer():
                self._start(step.name)
            case KillContainer():
                self._api.kill(step.name)
            case StopContainer():
                self._api.stop(step.name, timeout=STOP_TIMEOUT_S)
            case PauseContainer():
                self._pause(step.name)
            case UnpauseContainer():
                self._api.unpause(step.name)

    def _start(self, container: str) -> None:
        _insist(
            lambda: self._api.start(container),
            PATIENCE.deadline(LET_IN_S),
            LET_IN_AGAIN_S,
            lambda refusal: bool(_NOT_LET_IN.search(refusal)) and self._is_in_swarm(),
        )

    def _pause(self, container: str) -> None:
        def pause() -> None:
            self._await_begun(container)
            self._api.pause(container)

        _insist(pause, PATIENCE.deadline(FREEZE_S), FREEZE_AGAIN_S, lambda refusal: _NOT_FROZEN in refusal)

    def _is_in_swarm(self) -> bool:
        """Whether the engine is in a Swarm, which tells it of networks: elsewhere a network is there, or is not."""
        return SwarmState.of(Host(""), self._api.info().get("Swarm") or {}).active

    def _await_begun(self, container: str) -> None:
        """Return when every command that is to run in a container has begun, or after BEGUN_S.

        One that is frozen as it begins holds the engine for good: it waits for it, and the container can neither go on
        nor be removed (seen with Docker 28.2 and runc, on cgroups of version 1).
        """
        deadline, again = Deadline(BEGUN_S), Signal()
        while not deadline.passed and any(map(self._begins, self._api.inspect_container(container)["ExecIDs"] or ())):
            again.wait_beyond(again.count, Deadline(ASK_AGAIN_S))

    def _begins(self, command: str) -> bool:
        """Whether a command in a container was asked for, and has no process yet."""
        with suppress(docker_errors.NotFound):
            told = self._api.exec_inspect(command)
            return bool(told["ExitCode"] is None and not told["Pid"])
        return False

    def _remove_container(self, container: str) -> None:
        try:
            self._api.remove_container(container, force=True, v=True)
        except docker_errors.APIError as error:
            if error.status_code != 409 or "in progress" not in str(error.explanation):
                raise
            # An interrupted `down`, or another client, asked for its removal first: wait until that is done.
            self._api.wait(container, condition="removed")

    def _create_container(self, spec: ContainerSpec) -> None:
        host_config = self._api.create_host_config(
            network_mode=spec.network,
            cap_add=list(spec.capabilities) or None,
            shm_size=spec.shm_bytes,
            init=spec.init or None,
            pids_limit=spec.processes,
            mem_limit=spec.memory_bytes,
            security_opt=["no-new-privileges:true"],
            log_config={"type": "json-file", "config": LOG_LIMIT},
        )
        endpoint = self._api.create_endpoint_config(
            ipv4_address=spec.address, mac_address=mac_of(spec.address), aliases=[spec.hostname]
        )
        self._api.create_container(
            spec.image,
            list(spec.command) or None,
            environment=dict(spec.environment) or None,
            name=spec.name,
            hostname=spec.hostname,
            labels=dict(spec.labels),
            host_config=host_config,
            networking_config=self._api.create_networking_config({spec.network: endpoint}),
        )
        if spec.files:
            self._put(spec.name, spec.files, image=spec.image_id or spec.image)

    def put_files(self, container: str, files: tuple[File, ...]) -> None:
        """Put files into a container, running or not."""
        with translated(f"put files into {container}"):
            self._put(container, files)

    def find_file(self, container: str, path: str) -> str | None:
        """The text of a file in a container, running or not; None where there is none."""
        with translated(f"read {path} of {container}"):
            try:
                chunks, _ = self._api.get_archive(container, path)
                archived = b"".join(chunks)
            except docker_errors.NotFound:
                return None
        with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
            members = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
        return next((file.read().decode("utf-8", "replace") for file in members if file), None)

    def _put(self, container: str, files: tuple[File, ...], image: str = "") -> None:
        """Put files into a container; into one that was just made of an `image`, by what that has of groups."""
        groups: Mapping[str, int] = {}
        if any(file.group for file in files):
            groups = self._groups_in(image, container) if image else self._groups(container)
        self._api.put_archive(container, "/", archive_of(files, groups))

    def copy_between(self, source: str, target: str, path: str) -> None:
        """Copy a file or folder of one container to the same place in another, running or not; nothing where it is not
        there."""
        with translated(f"copy {path} of {source}"):
            try:
                chunks, _ = self._api.get_archive(source, path)
            except docker_errors.NotFound:
                return
            self._api.put_archive(target, str(PurePosixPath(path).parent), b"".join(chunks))

    def _groups_in(self, image: str, container: str) -> Mapping[str, int]:
        """The groups of an image, of which a container was just made: read once, however many are made of it, since
        for each file that is read the engine mounts a container and starts a process."""
        with self._lock:
            if image not in self._groups_of:
                self._groups_of[image] = self._groups(container)
            return self._groups_of[image]

    def _groups(self, container: str) -> dict[str, int]:
        """The groups of a container by name, running or not: the engine takes numbers alone."""
        chunks, _ = self._api.get_archive(container, "/etc/group")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile("group")
            lines = member.read().decode("utf-8", "replace").splitlines() if member else []
        fields = (line.split(":") for line in lines)  # group(5)
        return {name: int(number) for name, _, number, *_ in fields if number.isdecimal()}


def archive_of(files: tuple[File, ...], groups: Mapping[str, int]) -> bytes:
    """The files as a tar archive, to be unpacked at /. One of a group that the container does not have, by `groups`
    (name -> number), stays readable for all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            content = file.text.encode()
            info = tarfile.TarInfo(file.path.lstrip("/"))
            known = not file.group or file.group in groups
            info.size, info.mode = len(content), file.mode if known else file.mode | 0o044
            info.gid = groups.get(file.group, 0)
            info.mtime = time.time()  # Asterisk takes a file of the same time and size for one that it has read
            archive.addfile(info, io.BytesIO(content))
        if any(PurePosixPath(file.path).is_relative_to(SERVICES) for file in files):
            archive.addfile(_old_folder(SERVICES))
    return buffer.getvalue()


def _old_folder(path: str) -> tarfile.TarInfo:
    """A folder as it was long ago, whatever is put into it."""
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1
    return info
