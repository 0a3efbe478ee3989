"""What no single step of a scenario shows: the steps in their order, gone through before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.faults.registry import FAULTS
from labctl.lab import Lab
from labctl.scenario.step_arguments import EVERY
from labctl.scenario.step_parsing import Draft
from labctl.yamlfile.document import shown, suggestion
from labctl.yamlfile.review import Review


def rehearse(review: Review, drafts: list[Draft], lab: Lab | None) -> None:
    """Note every such mistake; those that a lab shows only if it is known."""
    _check_phones(review, drafts)
    _check_watches(review, drafts)
    _check_faults(review, drafts)
    _check_starts(review, drafts)
    if lab:
        _check_groups(review, drafts, {node.name for node in lab.nodes})
        _check_fit(review, drafts, lab)


def _course(drafts: list[Draft], changing: tuple[str, ...], using: tuple[str, ...] = ()) -> Iterator[Draft]:
    """The steps that change something and those that use it, as far as it is known what the former came to."""
    for draft in drafts:
        if draft.arguments is not None and draft.verb in (*changing, *using):
            yield draft
        elif draft.arguments is None and draft.verb in ("", *changing):
            return


def _check_phones(review: Review, drafts: list[Draft]) -> None:
    on: set[str] = set()
    using = ("unregister", "answer", "reject", "hang_up", "hold", "resume", "talk")
    for draft in _course(drafts, ("register", "call"), using):
        given = draft.given
        phones = given.get("phones") or [given.get("phone") or given["caller"]]
        for phone in sorted({*phones} - on if draft.verb in using else ()):
            review.say(draft.path, f"{shown(phone)} is not registered by now, nor has it called", "`register` it first")
        on.update(phones)


def _check_watches(review: Review, drafts: list[Draft]) -> None:
    watching: set[str] = set()
    for draft in _course(drafts, ("watch", "unwatch")):
        phone = draft.given["phone"]
        if draft.verb == "watch":
            watching.add(phone)
        elif phone not in watching:
            review.say(draft.path, f"{shown(phone)} watches nothing by now", "`watch` comes first")
        else:
            watching.remove(phone)


def _check_faults(review: Review, drafts: list[Draft]) -> None:
    since: dict[str, int] = {}
    for draft in _course(drafts, (*FAULTS, "heal")):
        healed, name = draft.given.get("fault"), draft.given.get("name")
        if name in since:
            fix = f"since line {since[name]}: heal that first, or choose another name"
            review.say(draft.path, f"the fault `{name}` is in force already", fix)
        elif name:
            since[name] = review.document.line(draft.path)
        elif healed == EVERY:
            since.clear()
        elif healed and not since.pop(healed, None):
            review.say(
                draft.path, f"no fault `{shown(healed)}` is in force by now", suggestion(healed, [EVERY, *since])
            )


def _check_starts(review: Review, drafts: list[Draft]) -> None:
    ended: set[tuple[str, str]] = set()
    for draft in _course(drafts, ("kill", "stop", "pause", "start", "heal")):
        given = draft.given
        what = (given.get("node", ""), given.get("service", "node"))
        if draft.verb == "heal":
            ended = set() if given["fault"] == EVERY else ended
        elif draft.verb != "start":
            ended.add(what)
        elif what not in ended:
            thing = what[0] if what[1] == "node" else f"{what[1]} on {what[0]}"
            review.say(draft.path, f"{shown(thing)} is not killed, stopped or paused by now", "`start` undoes these")
        else:
            ended.remove(what)


def _check_fit(review: Review, drafts: list[Draft], lab: Lab) -> None:
    """What a step asks for is there in this lab at all."""
    for draft in drafts:
        if draft.verb in ("look_up", "ask_state") and not lab.sites:
            review.say(draft.path, "this lab has no sites to be asked", "a lab with `sites:`, such as two-sites")
        elif not lab.rings and _needs_ring(draft.given):
            review.say(draft.path, "no node of this lab is in a ring", "`share.via: corosync`, or another step")


def _needs_ring(arguments: Mapping[str, Any]) -> bool:
    """Whether a step with these arguments makes sense only where nodes are members of a ring."""
    return arguments.get("service") == "corosync" or arguments.get("traffic") == "totem" or "members" in arguments


def _check_groups(review: Review, drafts: list[Draft], nodes: set[str]) -> None:
    for draft in _course(drafts, (), ("partition",)):
        groups = draft.given["groups"]
        left_out = sorted(nodes.difference(*groups))
        if left_out:
            review.say(draft.path, f"in no group: {', '.join(left_out)}", "every node is in one at least")
        if any(nodes <= {*group} for group in groups):
            review.say(draft.path, "this cuts nothing: some group holds every node", "take one out of it")
