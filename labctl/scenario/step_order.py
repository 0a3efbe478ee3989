"""What no single step of a scenario shows: the steps in their order, gone through before anything is done."""

from __future__ import annotations

from collections.abc import Collection

from labctl.lab import Lab
from labctl.scenario import fault_order, file_order, phone_order
from labctl.scenario.draft_course import course
from labctl.scenario.step_form import Draft
from labctl.scenario.step_texts import check_variables
from labctl.stack.model import Stack
from labctl.yamlfile.document import shown
from labctl.yamlfile.review import Review


def rehearse(review: Review, drafts: list[Draft], lab: Lab | None = None, stack: Stack | None = None) -> None:
    """Note every such mistake; without the lab and its stack, those that show without."""
    without: Collection[str] = lab.without if lab else ()
    phone_order.check_in_use(review, drafts)
    phone_order.check_registered_once(review, drafts)
    _check_watches(review, drafts)
    fault_order.Faults(review, drafts, lab).check()
    fault_order.check_starts(review, drafts, without)
    check_variables(review, drafts)
    phone_order.check_started(review, drafts, without, lab)
    if lab:
        phone_order.check_failovers(review, drafts, lab)
    if lab and stack:
        file_order.check_edits(review, drafts, lab, stack)


def _check_watches(review: Review, drafts: list[Draft]) -> None:
    watching: set[str] = set()
    for draft in course(drafts, ("watch", "watch_mailbox", "unwatch")):
        phone = draft.values["phone"]
        if draft.verb != "unwatch":
            watching.add(phone)
        elif phone not in watching:
            review.say(draft.path, f"{shown(phone)} watches nothing by now", "`watch` comes first")
        else:
            watching.remove(phone)
