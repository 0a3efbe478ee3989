"""Docker hosts of the tests' own: each an engine in a container, not privileged, on a network that only these have.

Debian's docker.io (20.10) runs in a Debian 12 that is made here. What a container's ordinary view has read-only is made
writable again within, and of the capabilities only those are given that the engine was seen to need.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import requests
from docker import errors as docker_errors
from docker.types import IPAMConfig, IPAMPool

from labctl.blueprint.addresses import free_subnet
from labctl.engine.actions import File
from labctl.engine.endpoint import EngineAddress
from labctl.engine.engine import Engine, open_endpoint
from labctl.engine.streams import lines as stream_lines
from labctl.images import recipes as images
from labctl.images.builder import Options, contexts, references
from labctl.images.recipes import Recipe, System
from labctl.images.systems import make_bare
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from labctl.timing import Deadline, pass_time
from tests.integration.conftest import RUN

PORT = 2375
SWARM_S, ASK_AGAIN_S = 120.0, 0.5
"""How long a host may take to be of a Swarm, or not; it takes a second. How soon it is asked again."""
RESERVED = "198.19.248.0/21"
"""What the engines have for themselves, beside the labs on them: no network of this machine that they are on may
meet it."""
CAPABILITIES = [
    *("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYS_PTRACE", "SYS_CHROOT", "SYS_NICE", "SYS_BOOT"),
    *("SYS_TTY_CONFIG", "SYSLOG", "MKNOD", "IPC_LOCK", "IPC_OWNER", "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "LEASE"),
    *("AUDIT_CONTROL", "AUDIT_WRITE", "SETFCAP"),
]
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
RUN apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends \\
    docker.io iptables iproute2 mount openssh-server procps && mkdir /run/sshd && rm -rf /var/lib/apt/lists/*
COPY start /start
VOLUME /var/lib/docker
ENTRYPOINT ["/bin/sh", "/start"]
"""
START = """\
set -e  # /proc/sys is writable as it is: see ReadonlyPaths
mount -o remount,rw /sys || true
mount -o remount,rw /sys/fs/cgroup || true
for folder in /sys/fs/cgroup/*; do
    if [ -d "$folder" ] && [ ! -L "$folder" ]; then mount -o remount,bind,rw "$folder"; fi
done
mount --make-rshared /
/usr/sbin/sshd
rm -f /var/run/docker.pid /run/docker/containerd/containerd.pid
tls=--tls=false
if [ -d /certs ]; then tls="--tlsverify --tlscacert /certs/ca.pem --tlscert /certs/cert.pem --tlskey /certs/key.pem"; fi
exec dockerd --storage-driver overlay2 -H unix:///var/run/docker.sock -H tcp://0.0.0.0:2375 $tls \\
    --bip 198.19.255.1/24 --default-address-pool base=198.19.252.0/23,size=24
"""


@dataclass(frozen=True)
class DockerHost:
    """A container with an engine in it, which answers at `url`."""

    engine: Engine
    name: str
    address: str

    @property
    def url(self) -> str:
        """As DOCKER_HOST takes it."""
        return f"tcp://{self.address}:{PORT}"

    @property
    def api(self) -> Any:
        """docker-py's client of it."""
        return docker.APIClient(base_url=self.url, version="auto", timeout=300)

    def let_in(self, public_key: str) -> str:
        """Let the owner of a key in as root; where that is, as DOCKER_HOST takes it."""
        self.engine.put_files(self.name, (File("/root/.ssh/authorized_keys", public_key, 0o600),))
        return f"ssh://root@{self.address}"

    def stop(self) -> None:
        """As a machine whose power is cut: the engine and all in it are gone at once."""
        self.engine._api.kill(self.name)

    def start(self) -> None:
        """Start its container, and return when its engine answers."""
        self.engine._api.start(self.name)
        self.await_up()

    def await_up(self) -> None:
        """Return when its engine answers."""
        began = self.engine._api.inspect_container(self.name)["State"]["StartedAt"]
        lines = []
        with closing(self.engine.follow_logs(self.name, since=began)) as log:
            for line in stream_lines(log):
                lines.append(line)
                if f"API listen on [::]:{PORT}" in line:
                    return
        raise AssertionError("\n".join(lines))


def image(engine: Engine) -> str:
    """The image of a host, made where it is not there yet."""
    tag = f"labctl/t-docker-host:{hashlib.sha256((DOCKERFILE + START).encode()).hexdigest()[:12]}"
    if not engine.image_id(tag):
        base = bare(engine, "bookworm")
        context = {"Dockerfile": (DOCKERFILE.encode(), 0o644), "start": (START.encode(), 0o755)}
        for _ in engine.build(images.pack(context), tag, {"BASE": base}, {}):
            pass
    return tag


def bare(engine: Engine, suite: str) -> str:
    """The image of a bare Debian, made where it is not there yet."""
    tag = f"labctl/t-host-{suite}-base:1"
    if not engine.image_id(tag):
        system = System(suite, f"debian:{suite}")
        make_bare(engine, Recipe("base", tag, contexts()[images.BASE], system=system), system, Silent())
    return tag


def no_files(_host: DockerHost) -> tuple[File, ...]:
    """Nothing beside what the image has."""
    return ()


@contextmanager
def hosts(
    engine: Engine,
    count: int,
    name: str,
    labs: Sequence[str],
    files: Callable[[DockerHost], tuple[File, ...]] = no_files,
) -> Iterator[Sequence[DockerHost]]:
    """So many hosts on a network of their own, of a name that no others have at that time; nothing of them is left
    afterwards. `labs`: the names of those that will be on them; a host does not tell its engine of the network that it
    is on itself, so that this keeps clear of theirs. `files`: what each has besides, such as the certificates in
    /certs without which its engine asks for no TLS."""
    api, name, tag = engine._api, f"t{RUN}-dockers-{name}", image(engine)
    with ExitStack() as undo:
        network, subnet = _network(engine, name, labs)
        undo.callback(api.remove_network, network)
        made = []
        for number in range(1, count + 1):
            host = DockerHost(engine, f"{name}-{number}", subnet.replace(".0/24", f".{10 + number}"))
            made.append(host)
            undo.callback(_remove, api, host.name)
            _make(api, tag, host, network)
            engine.put_files(host.name, files(host))
            api.start(host.name)
        for host in made:
            host.await_up()
        yield made


def _make(api: Any, tag: str, host: DockerHost, network: str) -> None:
    host_config = api.create_host_config(
        network_mode=network,
        cap_add=CAPABILITIES,
        security_opt=["seccomp=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
    )
    host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}  # `--security-opt systempaths=unconfined` of the client
    endpoint = api.create_endpoint_config(ipv4_address=host.address)
    api.create_container(
        tag,
        name=host.name,
        hostname=host.name,
        host_config=host_config,
        networking_config=api.create_networking_config({network: endpoint}),
    )


def _network(engine: Engine, name: str, labs: Sequence[str]) -> tuple[str, str]:
    """A network clear of those that there are and of those labs': its id and subnet."""
    of_labs = [free_subnet(lab, [RESERVED]) for lab in labs]
    deadline = Deadline(SWARM_S)
    while True:
        subnet = free_subnet(name, [*engine.subnets(), RESERVED, *of_labs])
        pools = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
        try:
            return engine._api.create_network(name, "bridge", ipam=pools, internal=True)["Id"], subnet
        except docker_errors.APIError as error:  # a test beside this one was quicker
            if deadline.passed or "overlap" not in str(error):
                raise


def _remove(api: Any, name: str) -> None:
    with suppress(docker_errors.NotFound):
        api.remove_container(name, force=True, v=True)


def swarm(members: Sequence[DockerHost]) -> None:
    """Make one Swarm of hosts, the first its manager."""
    manager, *workers = members
    how = {"advertise_addr": manager.address, "default_addr_pool": ["198.19.248.0/22"], "subnet_size": 24}
    _until(manager, "active", partial(manager.api.init_swarm, **how))
    join(manager, workers)


def join(manager: DockerHost, workers: Sequence[DockerHost]) -> None:
    """Have hosts join the Swarm of a manager."""
    token = manager.api.inspect_swarm()["JoinTokens"]["Worker"]
    for worker in workers:
        ask = partial(worker.api.join_swarm, [f"{manager.address}:2377"], token, advertise_addr=worker.address)
        _until(worker, "active", ask)


def leave(worker: DockerHost) -> None:
    """Have a host leave its Swarm."""
    _until(worker, "inactive", worker.api.leave_swarm)


def _until(worker: DockerHost, state: str, ask: Callable[[], object]) -> None:
    """Have a host be of a Swarm, or not: its engine gives up after some seconds, which on a busy machine are too few,
    and may go on with it all the same."""
    deadline = Deadline(SWARM_S)
    while worker.api.info()["Swarm"]["LocalNodeState"] != state:
        try:
            ask()
        except (docker_errors.APIError, requests.exceptions.ReadTimeout):
            if deadline.passed:
                raise
            pass_time(ASK_AGAIN_S)


def give_images(engine: Engine, members: Sequence[DockerHost]) -> None:
    """Give hosts the images of the shipped lab, as they are here."""
    images_of_lab = references(find_stack("22"), Options())
    for host in members:
        for tag in (images_of_lab.node, images_of_lab.phone):
            open_endpoint(EngineAddress(host.url)).load_image(engine.save_image(tag))


def make_context(folder: Path, name: str, url: str, tls: Mapping[str, str] | None = None) -> None:
    """A context in a folder of Docker's client, as `docker context create` makes it (docker/cli, cli/context/store);
    `tls` are the files of its TLS by name."""
    own = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    own.mkdir(parents=True)
    endpoints = {"docker": {"Host": url, "SkipTLSVerify": False}}
    text = json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints})
    (own / "meta.json").write_text(text, "utf-8")
    if tls:
        material = folder / "contexts" / "tls" / own.name / "docker"
        material.mkdir(parents=True)
        for file, content in tls.items():
            (material / file).write_text(content, "utf-8")


def left_on(host: DockerHost) -> list[str]:
    """What is on a host of any lab: containers, networks, volumes."""
    containers = [container["Names"][0] for container in host.api.containers(all=True)]
    networks = [network["Name"] for network in host.api.networks() if network["Name"].startswith("labctl")]
    volumes = [volume["Name"] for volume in host.api.volumes()["Volumes"] or []]
    return [*containers, *networks, *volumes]
