"""A Lab becomes a lab file again, one in which every default is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from labctl.lab import Lab


def to_data(lab: Lab) -> dict[str, Any]:
    """The lab as the data of a lab file in which every default is filled in."""
    config: dict[str, dict[str, str]] = {}
    for extra in lab.config:
        config.setdefault(extra.scope, {})[extra.path] = extra.text
    data: dict[str, Any] = {
        "name": lab.name,
        "stack": lab.stack,
        **_nodes_data(lab),
        "share": {"events": list(lab.share), "via": lab.via},
        "phones": [_without_none(vars(phone) | {"watches": list(phone.watches)}) for phone in lab.phones],
        "mailboxes": [vars(mailbox) for mailbox in lab.mailboxes],
        "devices": list(lab.devices),
        "modules": lab.modules,
        "follows_corosync": lab.follows_corosync,
        "totem": {
            "token": lab.totem.token_ms,
            "transport": lab.totem.transport,
            "encryption": lab.totem.encryption,
        },
        "config": config,
        "subnet": lab.subnet,
    }
    return _without_none(data)


def node_names(data: Mapping[str, Any]) -> list[str]:
    """The names of all nodes in what `to_data` made."""
    return list(data["nodes"]) if "nodes" in data else [name for names in data["sites"].values() for name in names]


def _nodes_data(lab: Lab) -> dict[str, Any]:
    if not lab.sites:
        return {"nodes": [node.name for node in lab.nodes]}
    sites = {site: [node.name for node in lab.nodes if node.site == site] for site in lab.sites}
    return {"sites": sites, "dundi": {"cache": lab.cache_s}}


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def to_yaml(lab: Lab) -> str:
    """The lab as a lab file in which every default is filled in."""
    text: str = yaml.safe_dump(to_data(lab), sort_keys=False, default_flow_style=None, width=100)
    return text
