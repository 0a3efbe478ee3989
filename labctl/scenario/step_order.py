"""What no single step of a scenario shows: the steps in their order, gone through before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from labctl.faults.fault import EVERY_FAULT
from labctl.faults.registry import FAULTS
from labctl.scenario.step_form import Draft
from labctl.scenario.step_registry import STEPS
from labctl.scenario.step_texts import check_variables
from labctl.yamlfile.document import shown, suggestion
from labctl.yamlfile.review import Review


def rehearse(
    review: Review, drafts: list[Draft], without: Collection[str] = (), homes: Mapping[str, str] | None = None
) -> None:
    """Note every such mistake. `without`: the nodes that are not started at first; `homes`: phone -> its node."""
    _check_phones(review, drafts)
    _check_watches(review, drafts)
    _check_faults(review, drafts)
    _check_starts(review, drafts, without)
    check_variables(review, drafts)
    _check_started(review, drafts, without, homes or {})


def _course(drafts: list[Draft], changing: tuple[str, ...], using: tuple[str, ...] = ()) -> Iterator[Draft]:
    """The steps that change something and those that use it, as far as it is known what the former came to."""
    for draft in drafts:
        if draft.arguments is not None and draft.verb in (*changing, *using):
            yield draft
        elif draft.arguments is None and draft.verb in ("", *changing):
            return


def _phones(draft: Draft, *, in_use: bool) -> set[str]:
    """The phones that a step names; those that must be in use by then, or those that it puts in use."""
    phones: set[str] = set()
    for argument, (depth, mark) in STEPS[draft.verb].names.items():
        if mark.kind == "phone" and mark.in_use == in_use and argument in draft.values:
            phones.update(draft.values[argument] if depth else [draft.values[argument]])
    return phones


def _check_phones(review: Review, drafts: list[Draft]) -> None:
    in_use: set[str] = set()
    using = tuple(verb for verb, kind in STEPS.items() if any(mark.in_use for _, mark in kind.names.values()))
    for draft in _course(drafts, ("register", "call"), using):
        needed = _phones(draft, in_use=True)
        for phone in sorted(needed - in_use):
            review.say(draft.path, f"{shown(phone)} is not registered by now, nor has it called", "`register` it first")
        in_use |= needed | _phones(draft, in_use=False)


def _check_watches(review: Review, drafts: list[Draft]) -> None:
    watching: set[str] = set()
    for draft in _course(drafts, ("watch", "watch_mailbox", "unwatch")):
        phone = draft.values["phone"]
        if draft.verb != "unwatch":
            watching.add(phone)
        elif phone not in watching:
            review.say(draft.path, f"{shown(phone)} watches nothing by now", "`watch` comes first")
        else:
            watching.remove(phone)


def _check_faults(review: Review, drafts: list[Draft]) -> None:
    since: dict[str, int] = {}
    for draft in _course(drafts, (*FAULTS, "heal")):
        healed, name = draft.values.get("fault"), draft.values.get("name")
        if name in since:
            fix = f"since line {since[name]}: heal that first, or choose another name"
            review.say(draft.path, f"the fault `{name}` is in force already", fix)
        elif draft.verb in FAULTS:
            since[FAULTS[draft.verb].model_validate(draft.values).named(since)] = review.document.line(draft.path)
        elif healed == EVERY_FAULT:
            since.clear()
        elif healed and not since.pop(healed, None):
            review.say(
                draft.path, f"no fault `{shown(healed)}` is in force by now", suggestion(healed, [EVERY_FAULT, *since])
            )


STARTS_OR_NEEDS_NONE = ("start", "configure", "partition")
"""Steps that may name a node that was not started yet, and those that speak of it by themselves."""


def _check_started(review: Review, drafts: list[Draft], without: Collection[str], homes: Mapping[str, str]) -> None:
    """Note each step that asks something of a node that was not started by then, or of a phone there."""
    waiting = {*without}
    for draft in drafts if without else ():
        if draft.arguments is None:
            return
        named = {
            str(draft.values[argument])
            for argument, (depth, mark) in STEPS[draft.verb].names.items()
            if mark.kind in ("node", "host") and not depth and argument in draft.values
        }
        if draft.verb == "start":
            waiting -= named
        elif draft.verb not in STARTS_OR_NEEDS_NONE:
            for node in sorted(named & waiting):
                review.say(draft.path, f"{shown(node)} is not started by now", f"`start: {shown(node)}` comes first")
            for phone in sorted(_phones(draft, in_use=False)):
                if (home := homes.get(phone)) in waiting:
                    said = f"{shown(phone)} is a phone of {home}, which is not started by now"
                    review.say(draft.path, said, f"`start: {home}` comes first")
        elif draft.verb == "partition" and waiting:
            review.say(draft.path, f"{', '.join(sorted(waiting))} is not started by now", "`start` it first")


def _check_starts(review: Review, drafts: list[Draft], without: Collection[str]) -> None:
    ended: set[tuple[str, str]] = {(node, "node") for node in without}
    waiting = {*ended}
    for draft in _course(drafts, ("kill", "stop", "pause", "start", "heal")):
        arguments = draft.values
        target = (arguments.get("node", ""), arguments.get("service", "node"))
        if draft.verb == "heal":
            ended = {*waiting} if arguments["fault"] == EVERY_FAULT else ended
        elif draft.verb != "start":
            ended.add(target)
        elif target not in ended:
            thing = target[0] if target[1] == "node" else f"{target[1]} on {target[0]}"
            review.say(draft.path, f"{shown(thing)} is not killed, stopped or paused by now", "`start` undoes these")
        else:
            ended.remove(target)
            waiting.discard(target)
