"""What no single step shows of phones: whether they are on, and whether the node that they turn to is there."""

from __future__ import annotations

from collections.abc import Collection

from labctl.lab import Lab, Phone
from labctl.scenario.draft_course import contested, course, keeps_going, phones_of
from labctl.scenario.step_form import Draft
from labctl.scenario.step_registry import STEPS
from labctl.yamlfile.document import shown
from labctl.yamlfile.review import Review

SWITCHING = ("register", "unregister", "vanish")
NEEDS_NO_NODE = ("start", "configure", "partition", "upgrade")
"""Steps that may name a node that was not started yet, and those that speak of it by themselves."""


def check_in_use(review: Review, drafts: list[Draft]) -> None:
    """Note each step that is of a phone which is not on by then."""
    in_use: set[str] = set()
    using = tuple(verb for verb, kind in STEPS.items() if any(mark.in_use for _, mark in kind.names.values()))
    for draft in course(drafts, ("register", "call"), using):
        needed = phones_of(draft, in_use=True)
        for phone in sorted(needed - in_use):
            review.say(draft.path, f"{shown(phone)} is not registered by now, nor has it called", "`register` it first")
        in_use |= needed | phones_of(draft, in_use=False)


def check_registered_once(review: Review, drafts: list[Draft]) -> None:
    """Note each phone that registers while it is registered; of what goes side by side nobody knows."""
    in_doubt = contested(drafts, SWITCHING)
    since: dict[str, int] = {}
    for draft in course([] if keeps_going(review) else drafts, SWITCHING):
        phones = draft.values["phones"]
        if draft.branch and draft.branch[0] in in_doubt:
            since = {phone: line for phone, line in since.items() if phone not in phones}
            continue
        for phone in phones:
            line = since.pop(phone, None)
            if draft.verb == "register" and line:
                fix = f"since line {line}: `unregister` it first"
                review.say(draft.path, f"{shown(phone)} is registered already", fix)
            if draft.verb == "register":
                since[phone] = review.document.line(draft.path)


def check_failovers(review: Review, drafts: list[Draft], lab: Lab) -> None:
    """Note each step in which no phone has another node to turn to; one of a loop is right where it is for some."""
    alone: dict[int, list[Draft]] = {}
    able: set[int] = set()
    for draft in drafts:
        if draft.verb == "register" and draft.values.get("failover"):
            line = review.document.line(draft.path)
            alone.setdefault(line, []).append(draft)
            able |= {line} if any(len(lab.phone(phone).registrars) > 1 for phone in draft.values["phones"]) else set()
    for draft in (first for line, (first, *_) in alone.items() if line not in able):
        phones = ", ".join(draft.values["phones"])
        review.say(draft.path, f"{shown(phones)}: no other node to turn to", "`also:` of a phone in the lab file")


def check_started(review: Review, drafts: list[Draft], without: Collection[str], lab: Lab | None) -> None:
    """Note each step that asks something of a node that was not started by then, or of a phone that turns to one."""
    waiting = {*without}
    places: dict[str, str] = {}
    for draft in drafts if without else ():
        if draft.arguments is None:
            return
        named = {
            str(draft.values[argument])
            for argument, (depth, mark) in STEPS[draft.verb].names.items()
            if mark.kind in ("node", "host", "registrar") and not depth and argument in draft.values
        }
        if draft.verb == "start":
            waiting -= named
        elif draft.verb not in NEEDS_NO_NODE:
            for node in sorted(named & waiting):
                review.say(draft.path, f"{shown(node)} is not started by now", f"`start: {shown(node)}` comes first")
            for phone in lab.phones if lab else ():
                if phone.name in phones_of(draft, in_use=False):
                    _check_registrar(review, draft, phone.name, _registrars(draft, phone, places), waiting, places)
        elif draft.verb == "partition" and waiting:
            review.say(draft.path, f"{', '.join(sorted(waiting))} is not started by now", "`start` it first")


def _registrars(draft: Draft, phone: Phone, places: dict[str, str]) -> tuple[str, ...]:
    """The nodes to which a phone turns in a step, one after the other."""
    if draft.verb != "register":
        return (places.get(phone.name, phone.registrars[0]),)
    return phone.registrars if draft.values.get("failover") else (draft.values.get("node") or phone.registrars[0],)


def _check_registrar(
    review: Review, draft: Draft, phone: str, tried: tuple[str, ...], waiting: set[str], places: dict[str, str]
) -> None:
    there = [node for node in tried if node not in waiting]
    if draft.verb == "register":
        places[phone] = (there or tried)[0]
    if not there and "node" not in draft.values:
        said = f"{shown(phone)} is a phone of {tried[0]}, which is not started by now"
        review.say(draft.path, said, f"`start: {tried[0]}` comes first")
