"""What no single value of a lab file shows: names that lead nowhere, doubles, too much of something."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from labctl.corosync.totem import timers
from labctl.lab import CARRIERS, EVERY_NODE, MAX_NODES, VIRTUAL
from labctl.labfile import config_form, node_versions
from labctl.labfile.entries import (
    DEFAULT_NODES,
    DEVICES,
    FEW_NODES,
    FIRST_EXTENSION,
    LARGE_PREFIX,
    NODES,
    PHONES,
    TotemEntry,
    device_names,
    node_names,
    site_nodes,
)
from labctl.labfile.node_versions import VERSIONS
from labctl.labfile.service_entries import MAX_SERVICES
from labctl.labfile.variables import OF_NODE, OF_SERVICE, OWN, each_text
from labctl.stack.model import Stack
from labctl.yamlfile.document import ANY, Path, shown
from labctl.yamlfile.review import Review

ECHO = "600"
"""*600 is the echo test, and *NUMBER a mailbox, so none can have this number."""


def check(review: Review, stack: Stack | None, stacks: Mapping[str, Stack]) -> None:
    """Note every such mistake; `stack` is None where it is not known, and then what only a stack shows is left out.
    `stacks`: those that nodes have of their own."""
    data = review.document.data
    for key, span in (("nodes", NODES), ("phones", PHONES), ("devices", DEVICES)):
        count = len(data[key]) if isinstance(data.get(key), list) else span.least
        if not span.least <= count <= span.most:
            review.say((key,), f"{count} {key}", f"{span.least} to {span.most} can be")
    for pattern in ("nodes *", "sites * *", "phones * name", "phones * extension"):
        review.each_once(*pattern.split())
    _check_devices(review)

    nodes = _known_nodes(review)
    review.known("node", review.values("phones", ANY, "node"), nodes)
    review.known("node", review.values("phones", ANY, "also", ANY), nodes)
    _check_registrars(review)
    review.known("service", review.values("phones", ANY, "registrar"), _fronts(review))
    review.known("node", review.values("mailboxes", ANY, "node"), nodes)
    review.known("node", review.keys("config"), nodes and [EVERY_NODE, *nodes])
    review.known("phone", review.values("phones", ANY, "watches", ANY), review.all("phones", ANY, "name"))

    lists_mailboxes = data.get("mailboxes") is not None or review.doubts("mailboxes")
    numbers = ("mailboxes", ANY, "number") if lists_mailboxes else ("phones", ANY, "extension")
    review.known("mailbox", review.values("phones", ANY, "mailbox"), review.all(*numbers))
    _check_mailboxes(review, numbers)
    check_without(review, nodes)
    _check_hints(review)
    named = None if nodes is None else _named(review, nodes)
    config_form.check(review, named)
    _check_services(review, stack, named or {})
    review.known("node", review.keys(VERSIONS), nodes)
    _check_places(review, nodes)
    _check_sites(review, stack)
    _check_across(review)
    if stack and nodes and not review.doubts("share"):
        node_versions.check(review, stack, stacks, _carrier(data.get("share")), _rings(data, nodes))
    if stack:
        _check_totem(review, stack, nodes)
        review.known("carrier", review.values("share", "via"), stack.carriers)


def _check_places(review: Review, nodes: Sequence[str] | None) -> None:
    """Note hosts that are here twice, nodes on none of them (where there are none, `--hosts` may say them), and a
    subnet that has no room for so many nodes."""
    review.each_once("hosts", ANY)
    if review.document.data.get("hosts"):
        review.known("host", review.values(VERSIONS, ANY, "host"), review.all("hosts", ANY))
    subnet = review.document.data.get("subnet")
    if not subnet or not nodes or len(nodes) <= FEW_NODES or review.doubts("subnet"):
        return
    if ipaddress.ip_network(str(subnet)).prefixlen > LARGE_PREFIX:
        fix = f"a /{LARGE_PREFIX} or wider, from {FEW_NODES + 1} nodes on"
        review.say(("subnet",), f"{len(nodes)} nodes have no room in {subnet}", fix)


def _check_registrars(review: Review) -> None:
    """Note each node that a phone knows twice: as its own and as another, or as two others."""
    known = {(path[:2], node) for path, node in review.values("phones", ANY, "node")}
    for path, node in review.values("phones", ANY, "also", ANY):
        if (path[:2], node) in known:
            review.say(path, f"`{node}` is here twice", "each once, and not the phone's own `node`")
        known.add((path[:2], node))


def _check_mailboxes(review: Review, numbers: tuple[str, ...]) -> None:
    """Note each mailbox of the echo test's number, `numbers` being where they stand; and each that is here twice on one
    node: one of a number may be on several."""
    for path, number in review.values(*numbers):
        if number == ECHO:
            review.say(path, f"no mailbox can be `{ECHO}`", f"*{ECHO} is the echo test")
    nodes = {path[:2]: node for path, node in review.values("mailboxes", ANY, "node")}
    earlier: set[tuple[str, str]] = set()
    for path, number in review.values("mailboxes", ANY, "number"):
        place = (number, nodes.get(path[:2], ""))
        if place in earlier:
            review.say(
                path, f"`{shown(number)}` is here twice on {shown(place[1])}", "once for each node that stores it"
            )
        earlier.add(place)


def check_without(review: Review, nodes: Sequence[str] | None) -> None:
    """Note what is wrong with the nodes that are not started, in a lab file or a scenario."""
    review.known("node", review.values("without", ANY), nodes)
    review.each_once("without", ANY)
    named = review.all("without", ANY)
    if nodes and named and {*nodes} <= {*named}:
        review.say(("without",), "no node is started", "one at least is, and starts the lab")


def _check_devices(review: Review) -> None:
    """Note each device that is here twice. Asterisk finds the hints of a device by its name in any case."""
    earlier: dict[str, str] = {}
    for path, device in review.values("devices", ANY):
        other = earlier.setdefault(device.lower(), "")
        earlier[device.lower()] = device
        if other:
            fix = "each once" if other == device else f"to Asterisk `{shown(other)}` is the same"
            review.say(path, f"`{shown(device)}` is here twice", fix)


def _check_hints(review: Review) -> None:
    """Note each hint whose extension has one already, or is that of a mailbox."""
    data = review.document.data
    phones = data.get("phones")
    taken = {extension: "a phone's" for _, extension in review.values("phones", ANY, "extension")}
    if not isinstance(phones, list) and not review.doubts("phones") and not review.doubts("nodes"):
        nodes = _known_nodes(review)
        count = len(nodes or ()) if phones is None else int(phones)
        taken |= {str(FIRST_EXTENSION + index): "a phone's" for index in range(count)}
    devices = data.get("devices", ["mystate"])
    if "devices" in data and isinstance(devices, list):
        taken |= dict.fromkeys((device for _, device in review.values("devices", ANY)), "a device's")
    elif not review.doubts("devices"):
        taken |= dict.fromkeys(device_names(devices if isinstance(devices, list) else int(devices)), "a device's")
    taken = {extension.lower(): whose for extension, whose in taken.items()}
    numbers = {ECHO, *(number for _, number in review.values("mailboxes", ANY, "number"))}
    numbers |= {extension for extension, whose in taken.items() if whose == "a phone's" and not data.get("mailboxes")}
    for path, extension in review.keys("hints"):
        if extension.lower() in taken:
            whose = taken[extension.lower()]
            review.say(path, f"`{extension}` is {whose}, and has a hint already", "another extension")
        elif extension.startswith("*") and extension[1:] in numbers:
            what = "the echo test" if extension[1:] == ECHO else f"mailbox {extension[1:]}"
            review.say(path, f"`{extension}` is {what}", "another extension")


def _named(review: Review, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What `${…}` may name in texts, and what there is of each."""
    services = review.document.data.get("services")
    of_services = dict.fromkeys(services if isinstance(services, dict) else (), OF_SERVICE)
    return {**dict.fromkeys((OWN, *nodes), OF_NODE), **of_services}


def _check_services(review: Review, stack: Stack | None, named: dict[str, tuple[str, ...]]) -> None:
    services = review.document.data.get("services")
    if not isinstance(services, dict):
        return
    if len(services) > MAX_SERVICES:
        review.say(("services",), f"{len(services)} services", f"{MAX_SERVICES} at most")
    for name, entry in services.items():
        path = ("services", name)
        if named.get(name) == OF_NODE or name in (_known_nodes(review) or ()):
            review.say(path, f"`{shown(name)}` is a node", "another name for one of them")
        if not isinstance(entry, dict) or review.doubts(*path):
            continue
        image, packages = entry.get("image"), entry.get("packages")
        if image and packages:
            review.say(path, "`image` and `packages` do not go together", "packages are installed on labctl's own base")
        elif not image and not packages:
            review.say(path, f"nothing says what `{shown(name)}` is made of", "`image:`, or `packages:`")
        elif packages and not entry.get("command"):
            review.say(
                path, f"nothing says what `{shown(name)}` runs", "`command:`: packages start nothing by themselves"
            )
        if packages and stack and not stack.build:
            fix = "`image:`"
            review.say((*path, "packages"), f"the stack {stack.name} has nothing built here to install them on", fix)
        _check_texts(review, path, entry, {key: of for key, of in named.items() if key != OWN})


def _check_texts(review: Review, path: Path, entry: dict[str, Any], named: dict[str, tuple[str, ...]]) -> None:
    """Note each name in the texts of a service that stands for nothing; where nodes are in doubt, none is known."""
    for key in ("files", "environment", "command", "ready") if named else ():
        for place, text in each_text(entry.get(key), (*path, key)):
            config_form.check_names(review, place, text, named)


def _carrier(share: Any) -> str:
    return str(share.get("via", CARRIERS[0])) if isinstance(share, dict) else CARRIERS[0]


def _rings(data: dict[str, Any], nodes: list[str]) -> dict[str, str]:
    """The site of each node, each of which is a ring of its own."""
    if isinstance(data.get("sites"), dict):
        return {name: site for site, names in site_nodes(data["sites"]).items() for name in names}
    return dict.fromkeys(nodes, "")


def _fronts(review: Review) -> list[str] | None:
    """What phones can register with that is no node; None where the services are in doubt."""
    services = review.document.data.get("services") or {}
    return [*services, VIRTUAL] if isinstance(services, dict) else None


def _known_nodes(review: Review) -> list[str] | None:
    """The names of the nodes; None if they are in doubt, or if there are none at all."""
    data = review.document.data
    if "sites" in data:
        doubts = review.doubts("sites") or not isinstance(data["sites"], dict)
        return None if doubts else [name for names in site_nodes(data["sites"]).values() for name in names]
    nodes = data.get("nodes", DEFAULT_NODES)
    if isinstance(nodes, list):
        return review.all("nodes", ANY) or None
    return None if review.doubts("nodes") else node_names(int(nodes))


def _check_sites(review: Review, stack: Stack | None) -> None:
    data, sites = review.document.data, review.document.data.get("sites")
    for site in (site for site, nodes in (sites.items() if isinstance(sites, dict) else ()) if nodes == []):
        review.say(("sites", site), f"no node is in `{shown(site)}`", "one at least")
    if sites is not None and not review.doubts("sites"):
        _check_site_nodes(review, sites)
    if sites is None and data.get("dundi") is not None and not review.doubts("dundi"):
        fix = "`sites:` says which there are, in place of `nodes`"
        review.say(("dundi",), "no sites are here to ask each other", fix)
    if sites and stack and not stack.dundi:
        review.say(("sites",), f"the stack {stack.name} has no DUNDi", "leave `sites` out, or take another stack")


def _check_site_nodes(review: Review, sites: dict[str, Any]) -> None:
    if "nodes" in review.document.data:
        review.say(("nodes",), "`nodes` and `sites` do not go together", "sites say which nodes there are")
    names = [name for names in site_nodes(sites).values() for name in names]
    if len(sites) < 2:
        what = "one site alone" if sites else "no site"
        review.say(("sites",), what, "two at least; `nodes` is for one cluster")
    if len(names) > MAX_NODES:
        review.say(("sites",), f"{len(names)} nodes", f"{MAX_NODES} can be in all sites together")
    listed = [name for _, name in review.values("sites", ANY, ANY)]
    for name in sorted({name for name in names if names.count(name) > 1} - {n for n in listed if listed.count(n) > 1}):
        review.say(("sites",), f"two nodes are `{shown(name)}`", "list the nodes of these sites by name")


def _check_across(review: Review) -> None:
    """Note what a phone watches at another site: it learns only of the phones and mailboxes of its own."""
    data = review.document.data
    if not data.get("sites") or any(review.doubts(key) for key in ("sites", "phones", "mailboxes")):
        return
    site = {name: key for key, names in site_nodes(data["sites"]).items() for name in names}
    phones = data["phones"] if isinstance(data.get("phones"), list) else []
    at = {phone["name"]: site[phone["node"]] for phone in phones}
    boxes = {str(box["number"]): site[box["node"]] for box in data.get("mailboxes") or []}
    for index, phone in enumerate(phones):
        for number, other in enumerate(phone.get("also") or []):
            if site[other] != site[phone["node"]]:
                fix = "a phone may turn to nodes of its own site"
                review.say(("phones", index, "also", number), f"{other} is at another site", fix)
        here, box = at[phone["name"]], str(phone.get("mailbox", ""))
        path = ("phones", index)
        for number, other in enumerate(phone.get("watches") or []):
            if at[other] != here:
                review.say((*path, "watches", number), f"{other} is at another site", "only its own can be watched")
        if boxes.get(box, here) != here:
            review.say((*path, "mailbox"), f"mailbox {box} is at another site", "only its own can light its lamp")


def _check_totem(review: Review, stack: Stack, nodes: Sequence[str] | None) -> None:
    review.known("transport", review.values("totem", "transport"), stack.transports)
    if review.doubts("totem"):
        return
    entry = TotemEntry.model_validate(review.document.data.get("totem", {}))
    if nodes:
        _check_consensus(review, entry, list(nodes))
    transport = entry.transport or stack.transports[0]
    if entry.encryption and transport in stack.transports and transport not in stack.encrypted_transports:
        able = ", ".join(stack.encrypted_transports) or "none of this stack"
        review.say(("totem", "encryption"), f"{transport} does not encrypt", f"transports that do: {able}")


def _check_consensus(review: Review, entry: TotemEntry, nodes: list[str]) -> None:
    """Note a consensus that is shorter than the token allows (corosync.conf(5), consensus)."""
    rings = list(_rings(review.document.data, nodes).values())
    least_ms = timers(entry.token, max(map(rings.count, rings)), entry.token_coefficient).consensus
    if entry.consensus is not None and entry.consensus < least_ms:
        what = f"a consensus of {entry.consensus} ms is too short for the token of so many nodes"
        review.say(("totem", "consensus"), what, f"{least_ms} at least, 1.2 times the token's; or a smaller token")
