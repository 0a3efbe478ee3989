"""A lab as one Docker Compose file that is whole in itself: configuration and image recipes are inline. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import yaml

from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import NO_ROUTER, ContainerSpec, File
from labctl.images.recipes import Recipe, ground, run_by_labs

HEADER = """\
# {name}: a labctl lab as a Docker Compose file, whole in itself; written by `labctl export`.
#
#   docker compose -f FILE up --detach
#   docker compose -f FILE exec {node} asterisk -rx 'core show hints'
#
# It needs Compose 2.23.1 or newer (inline configs). Where `labctl build` has made the images, they are used;
# elsewhere {elsewhere}.
# A lab of this name that labctl has up has these addresses too: `labctl down` first.
# Its secrets are made from the lab's name, so anyone can know them: for labs only.
"""

_END = "LABCTL_END_OF_FILE"


class _Mode(int):
    """File permissions, written as an octal number."""


class _Build(dict[str, Any]):
    """How an image is built: written once, and referred to from then on."""


def render(drawn: Blueprint, made: Mapping[str, Recipe]) -> str:
    """The Compose file's text."""
    node = drawn.containers[0]
    header = HEADER.format(name=drawn.lab.name, node=node.hostname, elsewhere=_elsewhere(node.image, made))
    document = yaml.dump(_document(drawn, made), Dumper=_Dumper, sort_keys=False, width=120)
    return f"{header}\n{document}"


def _elsewhere(node_image: str, made: Mapping[str, Recipe]) -> str:
    """Where the images come from that are not there."""
    found = {recipe.tag: ground(recipe, made).system for recipe in _buildable(made)}
    bases = " and ".join(sorted({system.base for system in found.values() if system}))
    if node_image in found:
        return f"Compose builds them, from {bases}"
    return f"Compose cannot build {node_image}" + (f"; it builds the phones', from {bases}" if bases else "")


def _document(drawn: Blueprint, made: Mapping[str, Recipe]) -> dict[str, Any]:
    builds = {recipe.tag: _build(recipe, made) for recipe in _buildable(made)}
    names = _config_names(drawn.containers)
    services: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    for container in drawn.containers:
        services[container.hostname] = _service(container, builds.get(container.image), names)
        for file in container.files:
            configs[names[container.hostname, file.path]] = {"content": _literal(file.text)}
    gateway = str(ipaddress.ip_network(drawn.subnet)[1])
    isolation = {"internal": True} if drawn.internal else {"driver_opts": dict(NO_ROUTER)}
    return {
        "name": drawn.network,
        "services": services,
        "networks": {"lab": {**isolation, "ipam": {"config": [{"subnet": drawn.subnet, "gateway": gateway}]}}},
        "configs": configs,
    }


def _literal(text: str) -> str:
    """Text in which Compose replaces no variables."""
    return text.replace("$", "$$")


def _config_names(containers: tuple[ContainerSpec, ...]) -> dict[tuple[str, str], str]:
    """(node, path) -> the config's name: one for all where the file is the same everywhere, else one a node."""
    texts: dict[str, set[str]] = {}
    files: list[tuple[str, File]] = [(each.hostname, file) for each in containers for file in each.files]
    for _, file in files:
        texts.setdefault(file.path, set()).add(file.text)
    return {
        (node, file.path): ("" if len(texts[file.path]) == 1 else f"{node}-")
        + re.sub(r"[/.]", "-", file.path.removeprefix("/etc/"))
        for node, file in files
    }


def _service(container: ContainerSpec, build: _Build | None, names: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    service: dict[str, Any] = {"image": container.image}
    if build:
        service["build"] = build
    service["hostname"] = container.hostname
    service["networks"] = {"lab": {"ipv4_address": container.address}}
    if container.capabilities:
        service["cap_add"] = list(container.capabilities)
    if container.shm_bytes:
        service["shm_size"] = f"{container.shm_bytes >> 20}m"
    if container.init:
        service["init"] = True
    if container.files:
        service["configs"] = [
            {"source": names[container.hostname, file.path], "target": file.path, "mode": _Mode(file.mode)}
            for file in container.files
        ]
    return service


def _buildable(made: Mapping[str, Recipe]) -> list[Recipe]:
    """What Compose can build of what labs run: where a registry has the base, and its own apt installs the rest."""
    found = []
    for recipe in filter(None, run_by_labs(made)):
        system = ground(recipe, made).system
        if system and system.base and not system.packages:
            found.append(recipe)
    return found


def _build(recipe: Recipe, made: Mapping[str, Recipe]) -> _Build:
    """The recipe of an image and of all that it stands on, as one Dockerfile with its files inline."""
    needed = _needed(recipe.name, made)
    stages = [
        f"FROM {each.system.base} AS {each.name}" if each.system else _stage(each)
        for each in made.values()
        if each.name in needed
    ]
    return _Build({"context": ".", "dockerfile_inline": _literal("\n".join(stages) + "\n")})


def _needed(name: str, made: Mapping[str, Recipe]) -> set[str]:
    return {name}.union(*(_needed(need, made) for need in made[name].needs))


def _stage(recipe: Recipe) -> str:
    """A Dockerfile of images/ as one stage, standing on the stages it needs."""
    files = "\n".join(
        f"COPY --chmod={mode:o} <<'{_END}' {path.removeprefix('root')}\n{content.decode().rstrip()}\n{_END}"
        for path, (content, mode) in sorted(recipe.context.items())
        if path.startswith("root/") and content
    )
    lines = recipe.context["Dockerfile"][0].decode().splitlines()
    kept = [line for line in lines if not line.startswith(("#", "ARG", "FROM"))]
    return f"FROM {recipe.needs[0]} AS {recipe.name}\n" + "\n".join(kept).replace("COPY root/ /", files)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, modes as octal numbers, and a build but once."""

    def ignore_aliases(self, data: Any) -> bool:
        return not isinstance(data, _Build)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Mode, lambda dumper, mode: dumper.represent_scalar("tag:yaml.org,2002:int", f"0{mode:o}"))
_Dumper.add_representer(_Build, lambda dumper, build: dumper.represent_dict(build))
