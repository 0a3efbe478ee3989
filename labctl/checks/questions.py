"""What a node asked other sites by DUNDi, and who could answer. Pure.

A question crosses unless a fault keeps it, or its answer, from crossing; a node that is gone answers none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from labctl.checks.expected import Replay
from labctl.history.events import Did, Event, beginning
from labctl.history.site_events import Asked


def questions(events: Sequence[Event], what: Literal["route", "state"]) -> Iterator[tuple[Asked, Replay]]:
    """Each question of a kind, and what was the case then."""
    replay = Replay(beginning(events))
    for event in events:
        if isinstance(event, Asked) and event.what == what:
            yield event, replay
        replay.take(event)


def reaches(replay: Replay, asker: str, node: str) -> bool:
    """Whether a node's question reaches another, and the answer comes back."""
    pairs = {(asker, node), (node, asker)}
    return node not in replay.gone and all(pairs.isdisjoint(fault.unasked) for fault in replay.faults.values())


def asking_step(events: Sequence[Event], question: Asked) -> Did | None:
    """The step that asked; None where the history does not tell."""
    verb, number = ("look_up", "number") if question.what == "route" else ("ask_state", "extension")
    words = {verb, f"node={question.node}", f"{number}={question.number}"}
    steps = (event for event in events if isinstance(event, Did) and event.began_s <= question.at_s <= event.at_s)
    return next((step for step in steps if words <= {*step.what.split()}), None)


def began_s(events: Sequence[Event], question: Asked) -> float:
    """Since when a question was under way."""
    step = asking_step(events, question)
    return step.began_s if step else question.at_s


def who_knows(replay: Replay, question: Asked) -> tuple[str, ...]:
    """The nodes that know what is asked: those of the site of the number's own node, or of every other site."""
    began = replay.began
    home, own = began.home(question.number), began.sites.get(question.node, "")
    sites = {began.sites.get(home, "")} if home else set(began.sites.values()) - {own}
    return tuple(node for node in began.nodes if began.sites.get(node, "") in sites)


def anybody_answers(replay: Replay, question: Asked) -> bool:
    """Whether any node that knows the number's state can be asked."""
    return any(reaches(replay, question.node, node) for node in who_knows(replay, question))


def moments(events: Sequence[Event], since_s: float, until_s: float) -> Iterator[Replay]:
    """What was the case at a time, and after each event from then on until another."""
    replay = Replay(beginning(events))
    begun = False
    for event in events:
        if event.at_s > until_s:
            break
        if event.at_s >= since_s and not begun:
            begun = True
            yield replay
        replay.take(event)
        if begun:
            yield replay
    if not begun:
        yield replay


def answer(question: Asked) -> str:
    """What a node was told, in words."""
    return ", ".join(question.answers) or "nothing"
