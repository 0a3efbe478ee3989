"""A lab as one Docker Compose file that is whole in itself: its configuration is inline. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any

import yaml

from labctl.blueprint import Blueprint
from labctl.steps import ContainerSpec

HEADER = """\
# {name}: a labctl lab as a Docker Compose file, whole in itself; written by `labctl export`.
# It needs Compose 2.23.1 or newer (inline configs) and these images, which `labctl build` makes:
{images}
# Its secrets are made from the lab's name, so anyone can know them: for labs only.
#
#   docker compose -f FILE up --detach
#   docker compose -f FILE exec {node} asterisk -rx 'core show hints'
"""


def document(drawn: Blueprint) -> dict[str, Any]:
    """The Compose document of a lab."""
    configs: dict[str, Any] = {}
    services: dict[str, Any] = {}
    gateway = ipaddress.ip_network(drawn.subnet)[1]
    for container in drawn.containers:
        services[container.hostname] = _service(container, configs)
    return {
        "name": drawn.network,
        "services": services,
        "networks": {"lab": {"ipam": {"config": [{"subnet": drawn.subnet, "gateway": str(gateway)}]}}},
        "configs": configs,
    }


def _service(container: ContainerSpec, configs: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": container.image,
        "pull_policy": "never",
        "hostname": container.hostname,
        "networks": {"lab": {"ipv4_address": container.address}},
    }
    if container.capabilities:
        service["cap_add"] = list(container.capabilities)
    if container.shm_bytes:
        service["shm_size"] = f"{container.shm_bytes >> 20}m"
    if container.init:
        service["init"] = True
    mounts = []
    for file in container.files:
        name = _config_name(container.hostname, file.path, file.text, configs)
        configs.setdefault(name, {"content": file.text.replace("$", "$$")})
        mounts.append({"source": name, "target": file.path, "mode": file.mode})
    if mounts:
        service["configs"] = mounts
    return service


def _config_name(node: str, path: str, text: str, configs: dict[str, Any]) -> str:
    """One name for a file that is the same on every node, one for each node where it differs."""
    shared = path.removeprefix("/etc/").replace("/", "-").replace(".", "-")
    content = {"content": text.replace("$", "$$")}
    return shared if configs.get(shared, content) == content else f"{node}-{shared}"


def render(drawn: Blueprint) -> str:
    """The Compose file's text."""
    images = sorted({container.image for container in drawn.containers})
    header = HEADER.format(
        name=drawn.lab.name,
        images="\n".join(f"#   {image}" for image in images),
        node=drawn.containers[0].hostname,
    )
    return header + "\n" + yaml.dump(document(drawn), Dumper=_Dumper, sort_keys=False, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and modes as octal numbers."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
