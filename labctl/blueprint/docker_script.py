"""The nodes of a lab as a shell script of `docker` commands, whole in itself but for their images. Pure.

Phones and services are none of it: whoever follows it by hand has `docker` and the nodes' own commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import ContainerSpec, File
from labctl.names import LABEL_ROLE, ROLE_NODE

END = "END-OF-FILE"

_PUT = """\
files=$(mktemp -d)
put() {    # NODES PATH MODE: a file of what comes in
    mkdir -p "$files/${2%/*}" && cat > "$files/$2" && chmod "$3" "$files/$2"
    for node in $1; do tar -C "$files" --owner=0 --group=0 -cf - "$2" | docker cp - "$lab-$node:/"; done
}"""


def render(drawn: Blueprint) -> str:
    """The script; it runs with `set -eu`, and leaves the nodes started. `$lab-NODE` is the name of a container."""
    nodes = nodes_of(drawn)
    started = [f'"$lab-{node.hostname}"' for node in nodes if node.name not in drawn.waiting]
    lines = [
        f"lab={shlex.quote(drawn.network)}",
        f'docker network create {"--internal " if drawn.internal else ""}--subnet {drawn.subnet} "$lab" > /dev/null',
        *map(_create, nodes),
        _PUT,
        *_files(nodes),
        'rm -r "$files"',
        f"docker start {' '.join(started)}",
    ]
    return "\n".join(lines)


def nodes_of(drawn: Blueprint) -> list[ContainerSpec]:
    """The containers of a lab that are nodes."""
    return [container for container in drawn.containers if (LABEL_ROLE, ROLE_NODE) in container.labels]


def _create(node: ContainerSpec) -> str:
    flags = [
        f"--hostname {node.hostname}",
        f"--network-alias {node.hostname}",
        f"--ip {node.address}",
        *(f"--cap-add {capability}" for capability in node.capabilities),
        *([f"--shm-size {node.shm_bytes >> 20}m"] if node.shm_bytes else []),
        *(["--init"] if node.init else []),
    ]
    return f'docker create --name "$lab-{node.hostname}" --network "$lab" {" ".join(flags)} {node.image} > /dev/null'


def _files(nodes: Sequence[ContainerSpec]) -> Iterable[str]:
    """Each file once, for all nodes that have it alike."""
    owners: dict[File, list[str]] = {}
    for node in nodes:
        for file in node.files:
            owners.setdefault(file, []).append(node.hostname)
    for file, names in owners.items():
        path, text = shlex.quote(file.path.lstrip("/")), file.text.rstrip("\n")
        yield f"put '{' '.join(names)}' {path} {file.plain_mode:o} <<'{END}'\n{text}\n{END}"
