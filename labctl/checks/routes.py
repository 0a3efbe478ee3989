"""Is the way to a number of another site the right one? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.questions import answer, began_s, questions, reaches, who_knows
from labctl.checks.rule import check
from labctl.history.events import Event


@check(place=80)
def routes(events: Sequence[Event], _limits: Limits) -> Verdict:
    """A node that asks for the way to a number is told that to the number's own node, if that can be asked."""
    findings: list[Finding] = []
    asked = 0
    for question, replay in questions(events, "route"):
        asked += 1
        home = replay.began.home(question.number)
        reachable = bool(home) and reaches(replay, question.node, home)
        wanted = reachable if question.found is None else question.found
        way = f"/{question.number}@node-{home}"
        right = bool(question.answers) and all(dial_string.endswith(way) for dial_string in question.answers)
        if wanted != bool(question.answers) or (question.answers and not right):
            should = f"the way to {home}" if wanted else "nothing"
            text = (
                f"+{question.at_s:.3f} s: {question.node} asked for {question.number}, "
                f"and was told {answer(question)}, not {should}"
            )
            finding = Finding(text, question.at_s, (question.node, *question.by), extension=question.number)
            unanswered = wanted and not question.answers
            through = who_knows(replay, question) if unanswered else ()
            since_s = began_s(events, question)
            findings.append(replace(finding, since_s=since_s, late=unanswered, through=through))
    return verdict("routes", findings, asked, {"asked": asked})
