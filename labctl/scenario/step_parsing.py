"""The steps of a scenario one by one, with the mistakes that each shows by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from labctl.faults.registry import FAULTS
from labctl.lab import Lab
from labctl.scenario.entries import MAX_STEPS
from labctl.scenario.step_arguments import VERBS
from labctl.yamlfile.document import ANY, Path, shown, suggestion
from labctl.yamlfile.review import Review

_NAMED = {
    "phone": ("phone", "phones *", "caller"),
    "node": ("node", "nodes *", "sender", "receiver", "groups * *"),
    "extension": ("extension",),
    "mailbox": ("mailbox",),
    "device": ("device",),
    "number": ("number",),
}
"""Kinds of things in a lab, and the arguments that name them."""
_DIALED = r"\*?[0-9]{1,32}"


@dataclass(frozen=True)
class Draft:
    """A step as far as it was understood: the verb is empty or the arguments are None where these are in doubt."""

    path: Path
    verb: str
    arguments: dict[str, Any] | None

    @property
    def given(self) -> dict[str, Any]:
        """Its arguments, or none."""
        return self.arguments or {}


def understand(review: Review, lab: Lab | None) -> list[Draft]:
    """Every step, with the mistakes noted that it shows by itself."""
    steps = review.document.data.get("steps")
    if not isinstance(steps, list):
        return []
    if len(steps) > MAX_STEPS:
        review.refuse(("steps",), f"{len(steps)} steps", f"1 to {MAX_STEPS} can be")
        return []
    fitted = [_fit(review, ("steps", index), step) for index, step in enumerate(steps)]
    if lab:
        _check_names(review, lab)
    return [replace(draft, arguments=None) if review.doubts(*draft.path) else draft for draft in fitted]


def _fit(review: Review, path: Path, step: Any) -> Draft:
    if not isinstance(step, dict) or len(step) != 1:
        if not review.doubts(*path):
            fix = "`- verb: {argument: value}`; lines of arguments are indented below their verb"
            review.refuse(path, "a step is one verb with its arguments", fix)
        return Draft(path, "", None)
    verb = str(next(iter(step)))
    if verb not in VERBS:
        review.refuse(path, f"no step `{shown(verb)}`", suggestion(verb, VERBS))
        return Draft(path, "", None)
    arguments = review.fit(VERBS[verb].arguments, (*path, verb))
    return Draft(path, verb, arguments.model_dump(exclude_none=True) if arguments else None)


def _check_names(review: Review, lab: Lab) -> None:
    """Whatever a step names is in the lab."""
    phones = [phone.name for phone in lab.phones]
    known = {
        "phone": phones,
        "node": [node.name for node in lab.nodes],
        "extension": [*(phone.extension for phone in lab.phones), *lab.devices],
        "mailbox": [mailbox.number for mailbox in lab.mailboxes],
        "device": lab.devices,
        "number": [*(phone.extension for phone in lab.phones), *(f"*{mailbox.number}" for mailbox in lab.mailboxes)],
    }
    of_faults = [name for fault in FAULTS.values() for name in fault.model_fields if fault.argument(name).node]
    for kind, arguments in {**_NAMED, "node": dict.fromkeys([*_NAMED["node"], *of_faults])}.items():
        for argument in arguments:
            review.known(kind, review.values("steps", ANY, ANY, *argument.split()), known[kind])
    called = review.values("steps", ANY, ANY, "callee")
    review.known("phone", [each for each in called if not re.fullmatch(_DIALED, each[1])], phones)
