"""The nodes of a lab as a shell script of `docker` commands, whole in itself but for their images. Pure.

Phones and services are none of it: whoever follows it by hand has `docker` and the nodes' own commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from labctl.blueprint.drawing import Blueprint
from labctl.engine.actions import ContainerSpec, File
from labctl.names import LABEL_ROLE, ROLE_NODE

END = "END-OF-FILE"

_NETWORK = """\
net=@net@    # or the next that nothing has here
until why=$(docker network create @internal@--subnet "$net.0/24" "$lab" 2>&1); do
    case $why in *overlap*) net=${net%.*}.$((${net##*.} + 1)) ;; *) echo "$why" >&2; exit 1 ;; esac
done
moved() { sed "s/@pattern@[.]/$net./g"; }    # what comes in, with the addresses of that network"""
_PUT = """\
files=$(mktemp -d)
put() {    # NODES PATH MODE: a file of what comes in
    mkdir -p "$files/${2%/*}" && moved > "$files/$2" && chmod "$3" "$files/$2"
    for node in $1; do tar -C "$files" --owner=0 --group=0 -cf - "$2" | docker cp - "$lab-$node:/"; done
}"""


def render(drawn: Blueprint) -> str:
    """The script; it runs with `set -eu`, and leaves the nodes started. `$lab-NODE` is the name of a container.

    Where something has the lab's subnet, a /24, another is taken: addresses in what is done afterwards go through
    `moved`.
    """
    nodes, net = nodes_of(drawn), drawn.subnet.removesuffix(".0/24")
    values = {"net": net, "internal": "--internal " if drawn.internal else "", "pattern": net.replace(".", "[.]")}
    started = [f'"$lab-{node.hostname}"' for node in nodes if node.name not in drawn.waiting]
    lines = [
        f"lab={shlex.quote(drawn.network)}",
        re.sub("@([a-z]+)@", lambda name: values[name[1]], _NETWORK),
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
        f'--ip "$net.{node.address.rpartition(".")[2]}"',
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
