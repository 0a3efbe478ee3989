"""Drafts of steps in their order: those that change something, and what nobody knows of them before they are run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from labctl.scenario.step_form import Draft
from labctl.scenario.step_registry import STEPS
from labctl.yamlfile.review import Review


def course(drafts: list[Draft], changing: tuple[str, ...], using: tuple[str, ...] = ()) -> Iterator[Draft]:
    """The steps that change something and those that use it, as far as it is known what the former came to."""
    for draft in drafts:
        if draft.arguments is not None and draft.verb in (*changing, *using):
            yield draft
        elif draft.arguments is None and draft.verb in ("", *changing):
            return


def phones_of(draft: Draft, *, in_use: bool) -> set[str]:
    """The phones that a step names; those that must be in use by then, or those that it puts in use."""
    phones: set[str] = set()
    for argument, (depth, mark) in STEPS[draft.verb].names.items():
        if mark.kind == "phone" and mark.in_use == in_use and argument in draft.values:
            phones.update(draft.values[argument] if depth else [draft.values[argument]])
    return phones


def keeps_going(review: Review) -> bool:
    """Whether steps may come after one that failed, so that nobody knows what those before came to."""
    return str(review.document.data.get("keep_going", "no")).lower() not in ("no", "false", "off")


def contested(drafts: Iterable[Draft], verbs: Collection[str]) -> set[int]:
    """The blocks of steps side by side of which several branches have such steps: nobody knows which comes first."""
    branches: dict[int, set[int]] = {}
    for draft in drafts:
        if draft.branch and draft.verb in verbs:
            branches.setdefault(draft.branch[0], set()).add(draft.branch[1])
    return {block for block, numbers in branches.items() if len(numbers) > 1}
