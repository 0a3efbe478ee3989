"""What a scenario expects of an answer, and the words of it that later steps use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from labctl.errors import LabError
from labctl.history.events import Expected
from labctl.scenario.argument_types import Arguments
from labctl.timing import Deadline
from labctl.yamlfile.document import wrong
from labctl.yamlfile.pattern import filled, mistake_in

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

ASK_AGAIN_S = 0.25
"""How long after an answer that is not yet as expected it is asked for again, if nothing is heard of the lab before."""

KEPT = 2000
"""Characters of each end of an answer that the history keeps."""


class AnswerForm(Arguments):
    """What must hold among the arguments of a step that expects an answer."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        given = self.model_fields_set
        if {"within", "must"} & given and not {"expect", "absent"} & given:
            raise wrong("nothing is expected", fix="`expect:` or `absent:`, a regular expression, goes with it")
        if "capture" in given and "absent" in given and "expect" not in given:
            raise wrong("nothing is there to be captured", fix="`expect:` says what is")
        return self


@dataclass(frozen=True)
class Expectation:
    """What an answer must hold within some seconds: a match of `expect`, none of `absent`. `must`: else the run ends.

    `capture` is the variable that gets the first group of the match, or all of it; of no pattern, the whole answer.
    """

    expect: str | None
    absent: str | None
    within_s: float
    capture: str | None
    must: bool

    @property
    def wanted(self) -> str:
        """In words: `/2 members/, within 5 s`."""
        parts = [f"/{self.expect}/" if self.expect else "", f"no /{self.absent}/" if self.absent else ""]
        return f"{' and '.join(filter(None, parts))}, within {self.within_s:g} s"

    def match(self, answer: str) -> re.Match[str] | None:
        """The match of what is expected; None where it is not as expected."""
        if self.absent and re.search(self.absent, answer, re.MULTILINE):
            return None
        return re.search(self.expect or "", answer, re.MULTILINE)


def hold(live: LiveLab, nodes: tuple[str, ...], what: str, ask: Callable[[], str], wanted: Expectation) -> str:
    """Ask until the answer is as expected, or the time is over; the last answer.

    It is asked again after whatever the lab says, so that nothing is waited for that has come. What is not as expected
    is written into the history, which the check `expectations` reads. Raises LabError for it where it must be.
    """
    began_s, deadline = live.journal.now_s(), Deadline(wanted.within_s)
    while True:
        count = live.heard
        answer = ask()
        match = wanted.match(answer)
        if match or deadline.passed:
            break
        live.await_news(count, min(ASK_AGAIN_S, deadline.left_s))
    if wanted.expect or wanted.absent:
        at_s = live.journal.now_s()
        live.journal.write(Expected(at_s, began_s, what, wanted.wanted, bool(match), ends(answer), nodes, waited=True))
    if wanted.capture and match:
        live.variables[wanted.capture] = (match[1] or "") if match.re.groups else match[0] if wanted.expect else answer
    if wanted.must and not match:
        raise LabError(f"{what}: not as expected: {wanted.wanted}", "the history has the answer")
    return answer


def names_of_lab(live: LiveLab, part: str | None) -> dict[str, str]:
    """What each name such as `n1.address` stands for in a text about a node, which is `node` in it, or a service."""
    values = live.running.values(part or "")
    return {f"{of}.{what}": value for of, each in values.items() for what, value in each.items()}


def filled_pattern(live: LiveLab, text: str | None, part: str | None) -> str | None:
    """A regular expression with what names stand for and what was captured as it is, and not as part of the expression.
    Raises LabError."""
    known = {**names_of_lab(live, part), **live.variables}
    pattern = filled(text, known.get) if text else None
    if pattern and (mistake := mistake_in(pattern)):
        raise LabError(f"/{pattern}/: {mistake}", "what was captured came into it")
    return pattern


def ends(answer: str) -> str:
    """An answer as the history keeps it."""
    if len(answer) <= 2 * KEPT:
        return answer
    return f"{answer[:KEPT]}\n[… {len(answer) - 2 * KEPT} characters left out …]\n{answer[-KEPT:]}"


def filled_in(text: str, known: Mapping[str, str]) -> str:
    """A text with what is known in place of its name; Asterisk's own `${…}` stay, and those of shells."""
    return re.sub(r"\$\{([\w.-]+)\}", lambda match: known.get(match[1], match[0]), text)
