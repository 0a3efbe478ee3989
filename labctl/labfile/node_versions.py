"""What single nodes run other than the lab, and where: `nodes: [n1, {name: n2, stack: "1.8"}]`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labctl.errors import InvalidFile, Problem
from labctl.lab import Lab, Node, Version
from labctl.labfile.patch_files import as_data
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, shown
from labctl.yamlfile.document import Path as Place
from labctl.yamlfile.review import Review

VERSIONS = "versions"


def split(document: Document) -> Document:
    """The document with the names of nodes alone in `nodes` and `sites`, and with what else is said of a node at its
    name in `versions`; the lines go along. Raises InvalidFile for a node of which both say something."""
    data, lines = dict(document.data), dict(document.lines)
    versions: dict[Any, Any] = {}
    places: dict[Place, Place] = {}

    def names(items: list[Any], place: Place) -> list[Any]:
        return [name(item, (*place, number)) for number, item in enumerate(items)]

    def name(item: Any, place: Place) -> Any:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return item
        own = item["name"]
        if rest := {key: value for key, value in item.items() if key != "name"}:
            versions.setdefault(own, rest)
            places[VERSIONS, own] = place
            moved = {path: line for path, line in lines.items() if path[: len(place)] == place}
            lines.update({(VERSIONS, own, *path[len(place) :]): line for path, line in moved.items()})
        return own

    if isinstance(data.get("nodes"), list):
        data["nodes"] = names(data["nodes"], ("nodes",))
    if isinstance(sites := data.get("sites"), dict):
        data["sites"] = {
            site: names(items, ("sites", site)) if isinstance(items, list) else items for site, items in sites.items()
        }
    if versions:
        known = data.get(VERSIONS)
        by_name = known if isinstance(known, dict) else {}
        if twice := [name for name in versions if name in by_name]:
            raise InvalidFile(document.source, [_twice(document, name) for name in twice])
        data[VERSIONS] = versions | by_name
    return replace(document, data=data, lines=lines, moved=places)


def _twice(document: Document, name: str) -> Problem:
    fix = f"say all of it in one place: at its name, or in `{VERSIONS}`"
    return Problem(document.line((VERSIONS, name)), f"{name} has a version twice", fix)


def joined(node: Node) -> str | dict[str, Any]:
    """A node as a lab file has it in its list."""
    version = node.version
    if not version and not node.host:
        return node.name
    values = {
        "stack": version.named or None,
        "image": version.image or None,
        "patch": [as_data(patch) for patch in version.patches] or None,
        "host": node.host or None,
    }
    return {"name": node.name} | {key: value for key, value in values.items() if value is not None}


def check(review: Review, stack: Stack, stacks: Mapping[str, Stack], via: str, rings: Mapping[str, str]) -> None:
    """Note nodes that cannot be in one lab. `stacks`: those that nodes have of their own, by node; `rings`: the ring
    (site) of each node."""
    first = {ring: next(node for node, other in rings.items() if other == ring) for ring in rings.values()}
    for node, own in stacks.items():
        place = (VERSIONS, node, "stack")
        if via not in own.carriers:
            able = ", ".join(own.carriers)
            review.say(place, f"the stack {own.name} has no {shown(via)}", f"`share.via` for all nodes: {able}")
            continue
        if node not in rings or via != "corosync":
            continue
        other = next((name for name in rings if rings[name] == rings[node] and name != node), "")
        others = stacks.get(other, stack)
        if other and mismatch(own, others):
            review.say(place, f"{node} and {other} cannot be in one ring: {mismatch(own, others)}", WAY_OUT)
        elif node == first[rings[node]] and own.transports[0] not in stack.transports:
            review.say(place, f"{own.name} and {stack.name} have no transport of Totem in common", WAY_OUT)


WAY_OUT = "`sites:` with rings of their own ask each other by DUNDi"


def mismatch(one: Stack, other: Stack) -> str:
    """Why nodes of two stacks do not hear each other in one ring; "" where they may."""
    if one.cluster_module == other.cluster_module:
        return ""
    return (
        f"{one.cluster_module} (stack {one.name}) and {other.cluster_module} (stack {other.name}) do not speak "
        "to each other: OpenAIS's events are none of CPG's, nor is Corosync 1 heard by Corosync 3"
    )


def with_versions(lab: Lab, versions: Mapping[str, Version]) -> Lab:
    """The lab with other versions of some of its nodes."""
    nodes = tuple(replace(node, version=versions.get(node.name, node.version)) for node in lab.nodes)
    return replace(lab, nodes=nodes)


def stack_of(node: Node, stack: Stack) -> Stack:
    """The stack of a node, in a lab of `stack`."""
    return node.version.of(stack)
