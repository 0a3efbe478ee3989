"""What a lab's `config:` makes of a node's files: texts added, sections edited, names filled in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from labctl.blueprint.addresses import address, phones_address, service_address, virtual_address
from labctl.configfile import asterisk, corosync
from labctl.configfile.edit import Edited, Edits, Miss
from labctl.engine.actions import mac_of
from labctl.lab import EVERY_NODE, ExtraConfig, Lab, Node, Service
from labctl.labfile.variables import OWN, Values, filled, filled_in

Missed = tuple[int, Miss]
"""Which of the lab's ExtraConfig it is, by its place among them, and what was missed."""


def values_of(lab: Lab, node: Node | None, subnet: str) -> Values:
    """What the names in `config:` stand for in the files of a node, or of a service, which is None."""
    of_nodes = {other.name: _of_node(other, subnet) for other in lab.nodes}
    lab_values = {
        "lab": {"name": lab.name, "subnet": subnet, "virtual": virtual_address(subnet)},
        "phones": {"address": phones_address(subnet)},
    }
    of_all = {**lab_values, **of_nodes, **_of_services(lab, subnet)}
    return {**of_all, OWN: of_nodes[node.name]} if node else of_all


def named_in(service: Service, lab: Lab, subnet: str) -> Service:
    """A service with the names in all its texts filled in."""
    values = values_of(lab, None, subnet)
    return replace(
        service,
        command=tuple(filled(word, values) for word in service.command),
        environment=tuple((name, filled(value, values)) for name, value in service.environment),
        files=tuple((path, filled(text, values)) for path, text in service.files),
        ready=filled(service.ready, values),
    )


def _of_services(lab: Lab, subnet: str) -> dict[str, dict[str, str]]:
    return {
        service.name: {"name": service.name, "address": service_address(subnet, service.number)}
        for service in lab.services
    }


def _of_node(node: Node, subnet: str) -> dict[str, str]:
    at = address(subnet, node.nodeid)
    return {
        "name": node.name,
        "address": at,
        "nodeid": str(node.nodeid),
        "entityid": node.entityid,
        "mac": mac_of(at),
        "site": node.site,
    }


def add(texts: dict[str, str], lab: Lab, node: Node, subnet: str) -> list[Missed]:
    """Have the texts of a node's files, by path below /etc, be what `config:` makes of them; what it missed."""
    values = values_of(lab, node, subnet)
    missed: list[Missed] = []
    for place, extra in enumerate(lab.config):
        if extra.scope in (EVERY_NODE, node.name):
            edited = changed(texts.get(extra.path, ""), extra, values)
            texts[extra.path] = edited.text
            missed += [(place, miss) for miss in edited.misses]
    return missed


def changed(text: str, extra: ExtraConfig, values: Values) -> Edited:
    """The text of a file as a part of `config:` makes it."""
    if extra.edits is None:
        return Edited(text + filled(extra.text, values).rstrip("\n") + "\n")
    edits: Any = filled_in(extra.edits, values)
    return edited(extra.path, text, edits)


def edited(path: str, text: str, edits: Edits) -> Edited:
    """The text of a file, by its path below /etc, with its sections edited."""
    edit = corosync.edit if path.startswith("corosync/") else asterisk.edit
    result = edit(text, edits)
    return Edited(result.text if not result.text or result.text.endswith("\n") else f"{result.text}\n", result.misses)


def unmade(lab: Lab, missed: Mapping[str, list[Missed]]) -> Iterator[Missed]:
    """The edits that could be made on none of the nodes that they are for, by what was missed on each node."""
    seen: set[tuple[int, tuple[str, ...]]] = set()
    for of_node in missed.values():
        for place, miss in of_node:
            scope = lab.config[place].scope
            nodes = [other.name for other in lab.nodes] if scope == EVERY_NODE else [scope]
            nowhere = all(_misses(missed.get(node, []), place, miss) for node in nodes)
            if (nowhere or not miss.absent) and (place, miss.where) not in seen:
                seen.add((place, miss.where))
                yield place, miss


def _misses(missed: Iterable[Missed], place: int, miss: Miss) -> bool:
    """Whether another node has no place for an edit either: the section is missing there, or the key in it."""
    return any(other == place and at.where == miss.where[: len(at.where)] for other, at in missed)
