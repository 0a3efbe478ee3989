"""What no single value of a lab file shows: names that lead nowhere, doubles, too much of something."""

from __future__ import annotations

from typing import Any

from labctl.lab import EVERY_NODE
from labctl.labfile.entries import DEFAULT_NODES, MAX_NODES, NODES, PHONES, TotemEntry, node_names, site_nodes
from labctl.stack.model import Stack
from labctl.yamlfile.document import ANY, shown
from labctl.yamlfile.review import Review

ECHO = "600"
"""*600 is the echo test, and *NUMBER a mailbox, so none can have this number."""


def check(review: Review, stack: Stack | None) -> None:
    """Note every such mistake; `stack` is None where it is not known, and then what only a stack shows is left out."""
    data = review.document.data
    for key, span in (("nodes", NODES), ("phones", PHONES)):
        count = len(data[key]) if isinstance(data.get(key), list) else span.least
        if not span.least <= count <= span.most:
            review.say((key,), f"{count} {key}", f"{span.least} to {span.most} can be")
    for pattern in ("nodes *", "sites * *", "phones * name", "phones * extension", "mailboxes * number", "devices *"):
        review.each_once(*pattern.split())

    nodes = _known_nodes(review)
    review.known("node", review.values("phones", ANY, "node"), nodes)
    review.known("node", review.values("mailboxes", ANY, "node"), nodes)
    review.known("node", review.keys("config"), nodes and [EVERY_NODE, *nodes])
    review.known("phone", review.values("phones", ANY, "watches", ANY), review.all("phones", ANY, "name"))

    lists_mailboxes = data.get("mailboxes") is not None or review.doubts("mailboxes")
    numbers = ("mailboxes", ANY, "number") if lists_mailboxes else ("phones", ANY, "extension")
    review.known("mailbox", review.values("phones", ANY, "mailbox"), review.all(*numbers))
    for path, number in review.values(*numbers):
        if number == ECHO:
            review.say(path, f"no mailbox can be `{ECHO}`", f"*{ECHO} is the echo test")
    _check_sites(review, stack)
    _check_across(review)
    if stack:
        _check_totem(review, stack)
        review.known("carrier", review.values("share", "via"), stack.carriers)


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
        here, box = at[phone["name"]], str(phone.get("mailbox", ""))
        path = ("phones", index)
        for number, other in enumerate(phone.get("watches") or []):
            if at[other] != here:
                review.say((*path, "watches", number), f"{other} is at another site", "only its own can be watched")
        if boxes.get(box, here) != here:
            review.say((*path, "mailbox"), f"mailbox {box} is at another site", "only its own can light its lamp")


def _check_totem(review: Review, stack: Stack) -> None:
    review.known("transport", review.values("totem", "transport"), stack.transports)
    if review.doubts("totem"):
        return
    entry = TotemEntry.model_validate(review.document.data.get("totem", {}))
    transport = entry.transport or stack.transports[0]
    if entry.encryption and transport in stack.transports and transport not in stack.encrypted_transports:
        able = ", ".join(stack.encrypted_transports) or "none of this stack"
        review.say(("totem", "encryption"), f"{transport} does not encrypt", f"transports that do: {able}")
