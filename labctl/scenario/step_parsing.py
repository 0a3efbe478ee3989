"""The steps of a scenario one by one, with the mistakes that each shows by itself; and those of a program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labctl.errors import UsageError
from labctl.faults.network import apart, between_services
from labctl.faults.registry import FAULTS
from labctl.lab import Lab, Phone
from labctl.labfile.config_form import check_file
from labctl.scenario.entries import MAX_STEPS
from labctl.scenario.step_form import Draft, as_in_yaml, listed
from labctl.scenario.step_registry import STEPS, StepKind
from labctl.scenario.step_texts import ASKING, check_names_of_lab, misspelt, named_in
from labctl.yamlfile.document import EMPTY_FIX, Document, Path, shown, suggestion
from labctl.yamlfile.review import Review

IN_A_SERVICE = "`exec` runs commands in a service"
"""What is told of a step for nodes alone."""


def understand(review: Review, lab: Lab | None, loops: Sequence[tuple[str, ...]]) -> list[Draft]:
    """Every step of a scenario, with the mistakes noted that it shows by itself. `loops`: of each step, what those
    `for` that it is within go through."""
    steps = review.document.data.get("steps")
    if not isinstance(steps, list):
        return []
    if len(steps) > MAX_STEPS:
        review.refuse(("steps",), f"{len(steps)} steps", f"1 to {MAX_STEPS} can be")
        return []
    drafts = [
        replace(_fit(review, ("steps", index), step), loops=around)
        for index, (step, around) in enumerate(zip(steps, loops, strict=True))
    ]
    for draft, step in zip(drafts, steps, strict=True):
        if lab and draft.verb:
            _check_names(review, draft, step[draft.verb], lab)
    drafts = [replace(draft, arguments=None) if review.doubts(*draft.path) else draft for draft in drafts]
    for draft in drafts:
        if lab and draft.verb:
            _check_fit(review, draft, lab)
    return drafts


def understand_call(kind: StepKind, positional: tuple[Any, ...], named: Mapping[str, Any], lab: Lab) -> dict[str, Any]:
    """The arguments of a step that a program calls, held to the same as those of a scenario.

    Raises UsageError with every mistake, before anything is done.
    """
    parameters = [*kind.arguments.model_fields]
    twice = set(parameters[: len(positional)]) & set(named)
    if len(positional) > len(parameters) or twice:
        what = f"`{min(twice)}` is given twice" if twice else f"{len(positional)} arguments are too many"
        raise UsageError(f"{kind.verb}: {what}", f"it takes: {kind.takes or 'none'}")
    arguments = {**dict(zip(parameters, positional, strict=False)), **named}
    said = {key: value for key, value in arguments.items() if value is not None and not _is_default(kind, key, value)}
    yaml_like = listed(kind, {key: as_in_yaml(value) for key, value in said.items()})
    review = Review(Document("", {kind.verb: yaml_like}))
    draft = _fit(review, (), review.document.data)
    _check_names(review, draft, yaml_like, lab)
    if not review.problems:
        _check_fit(review, draft, lab)
    if review.problems:
        fixes = dict.fromkeys(problem.fix for problem in review.problems if problem.fix)
        whats = dict.fromkeys(problem.what for problem in review.problems)
        raise UsageError(f"{kind.verb}: {'; '.join(whats)}", "; ".join(fixes) or f"it takes: {kind.takes or 'none'}")
    return draft.values


def _is_default(kind: StepKind, argument: str, value: Any) -> bool:
    """Whether it is what is so anyway, as in a step of a scenario, in which every default is filled in."""
    field = kind.arguments.model_fields.get(argument)
    return field is not None and not field.is_required() and bool(field.default == value)


def _fit(review: Review, path: Path, step: Any) -> Draft:
    if not isinstance(step, dict) or len(step) != 1:
        if not review.doubts(*path):
            fix = "`- verb: {argument: value}`; lines of arguments are indented below their verb"
            review.refuse(path, "a step is one verb with its arguments", fix)
        return Draft(path, "", None)
    verb = str(next(iter(step)))
    if verb not in STEPS:
        review.refuse(path, f"no step `{shown(verb)}`", suggestion(verb, STEPS))
        return Draft(path, "", None)
    arguments = review.fit(STEPS[verb].arguments, (*path, verb))
    for argument, value in step[verb].items() if arguments else ():
        if value is None:
            here = (*path, verb, argument)
            review.refuse(here, f"`{review.dotted(here)}` has no value", EMPTY_FIX)
    return Draft(path, verb, arguments.model_dump(exclude_none=True) if arguments else None)


def _check_names(review: Review, draft: Draft, arguments: Any, lab: Lab) -> None:
    """Whatever a step names is in the lab."""
    if not isinstance(arguments, Mapping):
        return
    for argument, (depth, mark) in STEPS[draft.verb].names.items():
        path = (*draft.path, draft.verb, argument)
        texts = _texts(path, arguments.get(argument), depth)
        certain = [(at, text) for at, text in texts if not review.is_doubtful(at) and not mark.allows(text)]
        for at, text in certain:
            near = [loop for name in re.findall(r"^\$\{(\w+)\}$", text) for loop in misspelt(name, draft.loops)]
            if near:
                review.refuse(at, f"no {mark.word} `{shown(text)}`", f"did you mean `${{{near[0]}}}`?")
            elif mark.kind == "node" and lab.service(text):
                fault = FAULTS.get(draft.verb)
                fix = fault.instead if fault else ""
                review.refuse(at, f"no node `{text}`: it is a service", fix or IN_A_SERVICE)
        certain = [(at, text) for at, text in certain if not review.is_doubtful(at)]
        review.known(mark.word, certain, mark.known(lab) if mark.is_told_by(lab) else None)


def _texts(path: Path, value: Any, depth: int) -> Iterator[tuple[Path, str]]:
    """Every text within so many lists, with where it is."""
    if depth and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts((*path, index), item, depth - 1)
    elif not depth and isinstance(value, str):
        yield path, value


def _check_fit(review: Review, draft: Draft, lab: Lab) -> None:
    """What a step asks for is there in this lab at all."""
    if STEPS[draft.verb].needs == "sites" and not lab.sites:
        review.say(draft.path, "this lab has no sites to be asked", "a lab with `sites:`, such as two-sites")
    elif not lab.rings and _needs_ring(draft.values):
        review.say(draft.path, "no node of this lab is in a ring", "`share.via: corosync`, or another step")
    elif draft.verb in ASKING:
        check_names_of_lab(review, draft, lab)
    elif draft.verb == "configure" and draft.values:
        _check_configuration(review, draft, lab)
    elif draft.verb in ("leave_voicemail", "clear_voicemail", "watch_mailbox") and draft.values:
        _check_mailbox(review, draft, lab)
    elif draft.verb == "partition" and draft.values:
        _check_groups(review, draft, lab)
    elif draft.verb == "register" and draft.values.get("node"):
        _check_registrar(review, draft, lab)
    elif draft.verb == "cut" and lab.service(draft.values.get("sender", "")):
        _check_cut(review, draft, lab)


def _needs_ring(arguments: Mapping[str, Any]) -> bool:
    """Whether a step with these arguments makes sense only where nodes are members of a ring."""
    return arguments.get("service") == "corosync" or arguments.get("traffic") == "totem" or "members" in arguments


def _check_configuration(review: Review, draft: Draft, lab: Lab) -> None:
    for argument in ("text", "keys"):
        if argument in draft.values:
            path = (*draft.path, draft.verb, argument)
            check_file(review, path, draft.values["file"], draft.values[argument], named_in(lab))


def _check_mailbox(review: Review, draft: Draft, lab: Lab) -> None:
    """The node that is named stores the mailbox, and the phone has one."""
    phone, mailbox, node = (draft.values.get(argument) for argument in ("phone", "mailbox", "node"))
    if mailbox and node and node not in lab.keepers(mailbox):
        fix = f"it is on {', '.join(lab.keepers(mailbox))}"
        review.say(draft.path, f"{node} stores no mailbox {mailbox}", fix)
    if phone and not lab.phone(phone).mailbox:
        review.say(draft.path, f"{phone} has no mailbox", "`mailbox:` of the phone in the lab file")


def _check_groups(review: Review, draft: Draft, lab: Lab) -> None:
    groups, nodes = draft.values["groups"], [node.name for node in lab.nodes]
    left_out = sorted({*nodes}.difference(*groups))
    if left_out:
        review.say(draft.path, f"in no group: {', '.join(left_out)}", "every node is in one at least")
    cut = apart(groups, nodes)
    if not cut:
        review.say(draft.path, "this cuts nothing: some group holds every node", "take one out of it")
    if both := next((pair for pair in cut if lab.service(pair[0]) and lab.service(pair[1])), None):
        review.say(draft.path, *between_services(*both))


def _check_registrar(review: Review, draft: Draft, lab: Lab) -> None:
    for phone, node in ((phone, draft.values["node"]) for phone in draft.values["phones"]):
        if node not in (*lab.phone(phone).registrars, *lab.fronts):
            review.say(draft.path, *unknown_there(lab.phone(phone), node))


def unknown_there(phone: Phone, node: str) -> tuple[str, str]:
    """Why a phone cannot register with a node, and the way out."""
    fix = f"it knows {', '.join(phone.registrars)}; `also:` of a phone in the lab file names others"
    return f"{phone.name} cannot register with {node}", fix


def _check_cut(review: Review, draft: Draft, lab: Lab) -> None:
    if lab.service(draft.values["receiver"]):
        review.say(draft.path, *between_services(draft.values["sender"], draft.values["receiver"]))
