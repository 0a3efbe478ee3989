"""A Lab becomes a lab file again, one in which every default is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.lab import Lab, Phone, Service
from labctl.labfile.node_versions import joined
from labctl.yamlfile.blocks import written


def to_data(lab: Lab) -> dict[str, Any]:
    """The lab as the data of a lab file in which every default is filled in."""
    config: dict[str, dict[str, Any]] = {}
    for extra in lab.config:
        added = [part for part in lab.config if (part.scope, part.path) == (extra.scope, extra.path)]
        parts = [part.text if part.edits is None else dict(part.edits) for part in added]
        config.setdefault(extra.scope, {})[extra.path] = parts if len(parts) > 1 else parts[0]
    data: dict[str, Any] = {
        "name": lab.name,
        "stack": lab.stack,
        **_nodes_data(lab),
        "share": {"events": list(lab.share), "via": lab.via},
        "phones": [_phone_data(phone) for phone in lab.phones],
        "mailboxes": [vars(mailbox) for mailbox in lab.mailboxes],
        "devices": list(lab.devices),
        "without": list(lab.without) or None,
        "hints": {hint.extension: hint.device for hint in lab.hints} or None,
        "modules": lab.modules,
        "follows_corosync": lab.follows_corosync,
        "totem": _without_none(
            {
                "token": lab.totem.token_ms,
                "token_coefficient": lab.totem.coefficient_ms,
                "consensus": lab.totem.consensus_ms,
                "transport": lab.totem.transport,
                "encryption": lab.totem.encryption,
            }
        ),
        "config": config,
        "services": {service.name: _service_data(service) for service in lab.services} or None,
        "hosts": list(lab.docker_hosts) or None,
        "subnet": lab.subnet,
    }
    return _without_none(data)


def _service_data(service: Service) -> dict[str, Any]:
    """A service without what is so by default."""
    data = {
        "image": service.image,
        "packages": list(service.packages),
        "command": service.command[2] if _is_line_of_shell(service) else list(service.command),
        "environment": dict(service.environment),
        "files": dict(service.files),
        "ready": service.ready,
        "within": f"{service.ready_s:g}s",
        "capabilities": list(service.capabilities),
    }
    return {key: value for key, value in data.items() if value}


def _is_line_of_shell(service: Service) -> bool:
    return len(service.command) == 3 and service.command[:2] == ("sh", "-c")


def node_names(data: Mapping[str, Any]) -> list[str]:
    """The names of all nodes in what `to_data` made."""
    items = data["nodes"] if "nodes" in data else [item for items in data["sites"].values() for item in items]
    return [item["name"] if isinstance(item, dict) else item for item in items]


def _nodes_data(lab: Lab) -> dict[str, Any]:
    if not lab.sites:
        return {"nodes": [joined(node) for node in lab.nodes]}
    sites = {site: [joined(node) for node in lab.nodes if node.site == site] for site in lab.sites}
    return {"sites": sites, "dundi": {"cache": lab.cache_s}}


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def to_yaml(lab: Lab) -> str:
    """The lab as a lab file in which every default is filled in."""
    return written(to_data(lab), flow=True)


def _phone_data(phone: Phone) -> dict[str, Any]:
    """A phone as a lab file has it: other nodes that know it, and what is in front, only where there are any."""
    data = vars(phone) | {"watches": list(phone.watches), "also": list(phone.also) or None}
    return _without_none(data | {"registrar": phone.registrar or None})
