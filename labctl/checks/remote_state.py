"""Is what a node is told of another site's state so there? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from labctl.asterisk.dundi import STATES
from labctl.checks.disturbance import Losses, shadows
from labctl.checks.expected import Replay
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.questions import answer, anybody_answers, asking_step, began_s, moments, questions, who_knows
from labctl.checks.rule import check
from labctl.history.events import Back, Event, FaultBegan, Gone, Healed, Said, beginning
from labctl.history.site_events import Asked

NOT_TOLD = "whether an answer that was kept from before would do is not told"


@check(place=90)
def remote_state(events: Sequence[Event], limits: Limits) -> Verdict:
    """A node that asks for a state of another site's is told what it is there, or was within the cache time.

    What it asks for anew is what it is there now. Each side of a cut within the other site has a word of its own.
    """
    findings: list[Finding] = []
    asked = judged = 0
    for question, replay in questions(events, "state"):
        asked += 1
        device = replay.began.extensions.get(question.number, "")
        judged += not any(replay.is_unsure(device, replay.cluster(node)) for node in question.by)
        findings += _wrongs(_Asking(events, question, limits), replay)
    return verdict("remote_state", findings, judged, {"asked": asked})


@dataclass(frozen=True)
class _Asking:
    """A question in its history."""

    events: Sequence[Event]
    question: Asked
    limits: Limits

    @property
    def fresh(self) -> bool | None:
        """Whether it passed by what was kept of earlier answers; None where nothing tells."""
        step = asking_step(self.events, self.question)
        if self.question.fresh is not None or step is None:
            return self.question.fresh
        return "fresh=true" in step.what.lower()

    @property
    def slack_s(self) -> float:
        """So much later may be heard of what is so."""
        return self.limits.delay_ms / 1000

    @property
    def until_s(self) -> float:
        """Of what labctl is told until then the node that answers may have known before."""
        return self.question.at_s + self.slack_s

    def since_s(self, *, kept: bool) -> float:
        """From when on what was so may be the answer; `kept`: one that was kept will do."""
        cache_s = beginning(self.events).cache_s if kept else 0
        return began_s(self.events, self.question) - self.slack_s - cache_s

    def finding(self, text: str, *answerers: str, late: bool = False) -> Finding:
        """Something that is wrong with it."""
        at_s, node, number = self.question.at_s, self.question.node, self.question.number
        text = f"+{at_s:.3f} s: {node} asked for the state of {number}, and {text}"
        since_s = self.since_s(kept=False) if late else began_s(self.events, self.question)
        return Finding(text, at_s, (node, *answerers), extension=number, since_s=since_s, late=late)

    def anybody(self, *, kept: bool) -> bool:
        """Whether anybody could answer, now or, where an answer that was kept will do, within the cache time."""
        within = moments(self.events, self.since_s(kept=kept), self.question.at_s)
        return any(anybody_answers(replay, self.question) for replay in within)


def _wrongs(asking: _Asking, replay: Replay) -> Iterator[Finding]:
    """What is wrong with the answers to a question."""
    question = asking.question
    for word, node in zip_longest(question.answers, question.by, fillvalue=""):
        if not word or not node:
            text = f"{len(question.by)} nodes gave {len(question.answers)} answers"
            yield asking.finding(text).doubted("which node said which is not told")
            break
        yield from _wrong(asking, node, STATES.get(word, word))
    wanted = anybody_answers(replay, question) if question.found is None else question.found
    if wanted and not question.answers:
        yield replace(asking.finding("nobody answered"), late=True, through=who_knows(replay, question))
    if not wanted and question.answers and not asking.anybody(kept=asking.fresh is False):
        finding = asking.finding(f"was told {answer(question)}, though nobody could answer")
        yield finding.doubted(NOT_TOLD if asking.fresh is None and asking.anybody(kept=True) else "")


def _wrong(asking: _Asking, node: str, state: str) -> Iterator[Finding]:
    """What is wrong with the answer of a node."""
    since_s = asking.since_s(kept=asking.fresh is False)
    right, ghosts = _could_say(asking, node, since_s)
    if state in right:
        return
    late = state in _could_say(asking, node, since_s - asking.limits.late_s)[0]  # it was so a moment ago
    should = " or ".join(sorted(right)) or "anything, for no node of the lab is of that name"
    doubt = _unsettled(asking, node) or _lost(asking, node)
    if not doubt and asking.fresh is None and state in _could_say(asking, node, asking.since_s(kept=True))[0]:
        doubt = NOT_TOLD
    if not doubt and state in ghosts:
        doubt = f"another, from whom {node} is cut off, has said that, and whether {node} keeps it is another matter"
    yield asking.finding(f"{node} said {state}, not {should}", node, late=late).doubted(doubt)


def _could_say(asking: _Asking, node: str, since_s: float) -> tuple[set[str], set[str]]:
    """What a node could rightly say of the state: what held from then on, up to what labctl was told of so shortly
    after the question that the node may have known it before. And what it could have kept from those that live, and
    that it is cut off from."""
    began = beginning(asking.events)
    device = began.extensions.get(asking.question.number, "")
    right: set[str] = set()
    ghosts: set[str] = set()
    for replay in moments(asking.events, since_s, asking.until_s) if node in began.nodes else ():
        for group in replay.sides(node):
            right |= replay.right(device, group)
            if {*replay.cluster(node)} - {*group} - replay.gone:
                ghosts |= replay.ghosts(device, group)
    return right, ghosts


def _unsettled(asking: _Asking, node: str) -> str:
    """Why nobody knows what a node could say: something between the nodes of its site broke or was mended just then."""
    replay = Replay(beginning(asking.events))
    since_s = asking.since_s(kept=asking.fresh is not True) - asking.limits.settle_s
    for event in asking.events:
        if event.at_s > asking.until_s:
            break
        before = _broken(replay, node) if isinstance(event, FaultBegan | Healed | Gone | Back) else None
        replay.take(event)
        if before is not None and event.at_s >= since_s and _broken(replay, node) != before:
            return f"something at its site broke or was mended within {asking.limits.settle_s:g} s"
    return ""


def _lost(asking: _Asking, node: str) -> str:
    """Why a node may not have heard what it is asked for, through no fault of its own; "" where it did."""
    losses = Losses(shadows(asking.events, asking.limits))
    device = beginning(asking.events).extensions.get(asking.question.number, "")
    for event in asking.events:
        if isinstance(event, Said) and event.at_s <= asking.until_s:
            losses.said(event.device, event.at_s, event.node)
        elif isinstance(event, Gone) and event.at_s <= asking.until_s:
            losses.left(event.node)
    return losses.reason(device, asking.question.at_s, (node,))


def _broken(replay: Replay, node: str) -> set[str]:
    """What is broken between the nodes of a node's site: who is gone, and which faults keep them from each other."""
    site = {*replay.cluster(node)}
    parting = (
        fault
        for fault in replay.faults.values()
        if (fault.unheard is None and fault.nodes & site)
        or fault.absent & site
        or any({*pair} <= site for pair in fault.unheard or ())
    )
    return (site & replay.gone) | {f"fault {fault.name}" for fault in parting}
