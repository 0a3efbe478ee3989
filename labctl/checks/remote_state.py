"""Is what a node is told of another site's state so there? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from labctl.asterisk.dundi import STATES
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.questions import answer, anybody_answers, moments, questions
from labctl.checks.rule import check
from labctl.history.events import Asked, Event, beginning


@check(place=90)
def remote_state(events: Sequence[Event], limits: Limits) -> Verdict:
    """A node that asks for a state of another site's is told what it is there, or was within the cache time."""
    findings: list[Finding] = []
    asked = 0
    for question, replay in questions(events, "state"):
        asked += 1
        findings += _wrongs(events, question, replay, limits)
    return verdict("remote_state", findings, asked, {"asked": asked})


def _wrongs(events: Sequence[Event], question: Asked, replay: Replay, limits: Limits) -> Iterator[Finding]:
    """What is wrong with the answers to a question."""

    def finding(text: str, *answerers: str) -> Finding:
        where = f"+{question.at_s:.3f} s: {question.node} asked for the state of {question.number}"
        nodes, at_s = (question.node, *answerers), question.at_s
        return Finding(f"{where}, and {text}", at_s, nodes, extension=question.number, since_s=at_s)

    slack_s = limits.delay_ms / 1000
    since_s, until_s = question.at_s - replay.began.cache_s - slack_s, question.at_s + slack_s
    could_say = {node: _could_say(events, question, node, since_s, until_s) for node in dict.fromkeys(question.by)}
    for word, node in zip_longest(question.answers, question.by, fillvalue=""):
        state = STATES.get(word, word)
        if not word or not node:
            text = f"{len(question.by)} nodes gave {len(question.answers)} answers"
            yield finding(text).doubted("which node said which is not told")
            break
        if state not in could_say[node]:
            right = " or ".join(sorted(could_say[node])) or "anything, for no node of the lab is of that name"
            yield finding(f"{node} said {state}, not {right}", node)
    wanted = anybody_answers(replay, question) if question.found is None else question.found
    if wanted and not question.answers:
        yield finding("nobody answered")
    if not wanted and question.answers and not _anybody_since(events, question, since_s):
        yield finding(f"was told {answer(question)}, though nobody could answer")


def _anybody_since(events: Sequence[Event], question: Asked, since_s: float) -> bool:
    """Whether anybody could answer at any time since then: an answer is kept for a while."""
    return any(anybody_answers(replay, question) for replay in moments(events, since_s, question.at_s))


def _could_say(events: Sequence[Event], question: Asked, node: str, since_s: float, until_s: float) -> set[str]:
    """What a node could rightly say of the state: what held from then on, up to what labctl was told of so shortly
    after the question that the node may have known it before."""
    began = beginning(events)
    device = began.extensions.get(question.number, "")
    cluster = next((nodes for nodes in began.clusters if node in nodes), None)
    if cluster is None:
        return set()
    return {state for replay in moments(events, since_s, until_s) for state in replay.right(device, cluster)}
