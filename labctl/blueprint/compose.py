"""A lab as one Docker Compose file that is whole in itself: configuration and image recipes are inline. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import NO_ROUTER, ContainerSpec, File
from labctl.images.recipes import Recipe, ground, run_by_labs, services_of
from labctl.yamlfile.blocks import BlockDumper

HEADER = """\
# {name}: a labctl lab as a Docker Compose file, whole in itself; written by `labctl export`.
#
#   docker compose -f FILE up --detach
#   docker compose -f FILE exec {node} asterisk -rx 'core show hints'
#
# It needs Compose 2.23.1 or newer (inline configs). Where `labctl build` has made the images, they are used;
# elsewhere {elsewhere}.
# A lab of this name that labctl has up has these addresses too: `labctl down` first.
{late}# Its secrets are made from the lab's name, so anyone can know them: for labs only.
"""

LATE = """\
# Not started by that: {nodes}; `docker compose -f FILE --profile late up --detach` starts all.
"""

_END = "LABCTL_END_OF_FILE"


class _Mode(int):
    """File permissions, written as an octal number."""


class _Build(dict[str, Any]):
    """How an image is built: written once, and referred to from then on."""


def render(drawn: Blueprint, recipes: Mapping[str, Recipe]) -> str:
    """The Compose file's text."""
    node = drawn.containers[0]
    late = LATE.format(nodes=", ".join(drawn.lab.without)) if drawn.lab.without else ""
    header = HEADER.format(
        name=drawn.lab.name, node=node.hostname, elsewhere=_elsewhere(node.image, recipes), late=late
    )
    document = yaml.dump(_document(drawn, recipes), Dumper=_Dumper, sort_keys=False, width=120)
    return f"{header}\n{document}"


def _elsewhere(node_image: str, recipes: Mapping[str, Recipe]) -> str:
    """Where Compose gets the images from on a host that has none of them."""
    systems = {recipe.tag: ground(recipe, recipes).system for recipe in _buildable(recipes)}
    bases = " and ".join(sorted({system.base for system in systems.values() if system}))
    if node_image in systems:
        return f"Compose builds them, from {bases}"
    return f"Compose cannot build {node_image}" + (f"; it builds the phones', from {bases}" if bases else "")


def _document(drawn: Blueprint, recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    builds = {recipe.tag: _build(recipe, recipes) for recipe in _buildable(recipes)}
    names = _config_names(drawn.containers)
    services: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    for container in drawn.containers:
        services[container.hostname] = _service(container, builds.get(container.image), names)
        for file in container.files:
            configs[names[container.hostname, file.path]] = {"content": _literal(file.text)}
    for node in drawn.lab.without:
        services[node]["profiles"] = ["late"]
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
    """(node, path) -> the config's name: one for all where the file is the same everywhere, else one a node.

    Paths that differ in `.`, `/` and `-` alone would come to the same name; from the second on they have a number.
    """
    texts: dict[str, set[str]] = {}
    files: list[tuple[str, File]] = [(spec.hostname, file) for spec in containers for file in spec.files]
    for _, file in files:
        texts.setdefault(file.path, set()).add(file.text)
    names: dict[tuple[str, str], str] = {}
    for node, file in files:
        shared = len(texts[file.path]) == 1
        owner = "" if shared else node
        names.setdefault((owner, file.path), _free_name(owner, file.path, names.values()))
    return {(node, file.path): names.get(("", file.path)) or names[node, file.path] for node, file in files}


def _free_name(owner: str, path: str, taken: Collection[str]) -> str:
    """The name of a config: its node where it has one, and its path without what Compose allows in no name."""
    plain = (f"{owner}-" if owner else "") + re.sub(r"[/.]", "-", path.removeprefix("/etc/"))
    candidates = (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in candidates if name not in taken)


def _service(container: ContainerSpec, build: _Build | None, names: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    service: dict[str, Any] = {"image": container.image}
    if build:
        service["build"] = build
    service["hostname"] = container.hostname
    service["networks"] = {"lab": {"ipv4_address": container.address}}
    if container.command:
        service["command"] = [_literal(word) for word in container.command]
    if container.environment:
        service["environment"] = {name: _literal(value) for name, value in container.environment}
    if container.capabilities:
        service["cap_add"] = list(container.capabilities)
    if container.shm_bytes:
        service["shm_size"] = f"{container.shm_bytes >> 20}m"
    if container.init:
        service["init"] = True
    if container.processes:
        service["pids_limit"] = container.processes
    if container.memory_bytes:
        service["mem_limit"] = f"{container.memory_bytes >> 20}m"
    service["security_opt"] = ["no-new-privileges:true"]
    if container.files:
        service["configs"] = [
            {
                "source": names[container.hostname, file.path],
                "target": file.path,
                "mode": _Mode(file.plain_mode),
            }
            for file in container.files
        ]
    return service


def _buildable(recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """What Compose can build of what labs run: where a registry has the base, and its own apt installs the rest."""
    buildable = []
    for recipe in filter(None, (*run_by_labs(recipes), *services_of(recipes))):
        system = ground(recipe, recipes).system
        if system and system.base and not system.packages:
            buildable.append(recipe)
    return buildable


def _build(recipe: Recipe, recipes: Mapping[str, Recipe]) -> _Build:
    """The recipe of an image and of all that it stands on, as one Dockerfile with its files inline."""
    needed = _needed(recipe.name, recipes)
    stages = [
        f"FROM {layer.system.base} AS {layer.name}" if layer.system else _stage(layer)
        for layer in recipes.values()
        if layer.name in needed
    ]
    return _Build({"context": ".", "dockerfile_inline": _literal("\n".join(stages) + "\n")})


def _needed(name: str, recipes: Mapping[str, Recipe]) -> set[str]:
    return {name}.union(*(_needed(need, recipes) for need in recipes[name].needs))


def _stage(recipe: Recipe) -> str:
    """A Dockerfile of images/ as one stage, standing on the stages it needs."""
    files = "\n".join(
        f"COPY --chmod={mode:o} <<'{_END}' {path.removeprefix('root')}\n{content.decode().rstrip()}\n{_END}"
        for path, (content, mode) in sorted(recipe.context.items())
        if path.startswith("root/") and content
    )
    lines = recipe.context["Dockerfile"][0].decode().splitlines()
    kept = [line for line in lines if not line.startswith(("#", "ARG", "FROM"))]
    text = "\n".join(kept).replace("COPY root/ /", files)
    text = re.sub("(?<=--from=)[a-z]+", recipe.needs[-1], text)
    return f"FROM {recipe.needs[0]} AS {recipe.name}\n{text}"


class _Dumper(BlockDumper):
    """Writes modes as octal numbers, and a build but once."""

    def ignore_aliases(self, data: Any) -> bool:
        return not isinstance(data, _Build)


_Dumper.add_representer(_Mode, lambda dumper, mode: dumper.represent_scalar("tag:yaml.org,2002:int", f"0{mode:o}"))
_Dumper.add_representer(_Build, lambda dumper, build: dumper.represent_dict(build))
