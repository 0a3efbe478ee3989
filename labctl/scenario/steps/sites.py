"""Steps: a node asks other sites by DUNDi, for the way to a number and for its state there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.asterisk import dundi
from labctl.faults.fault import NodeName
from labctl.history.site_events import Asked
from labctl.scenario.argument_types import Extension, Number
from labctl.scenario.step_registry import step

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

_ByFaults = "by the faults in force, else"


@step(needs="sites")
def look_up(
    live: LiveLab,
    node: NodeName,
    number: Annotated[Number, Field(description="A phone's extension, or `*` and a mailbox")],
    found: Annotated[bool | None, Field(description=f"Whether there must be a way; {_ByFaults}")] = None,
) -> tuple[str, ...]:
    """Have a node ask other sites for the way to a number, by DUNDi

    Returns the dial strings that it was given.

    Example:
        - look_up: {node: east1, number: "103"}
    """
    answers = live.cluster.ask(node, number, dundi.ROUTE, fresh=True)
    words = tuple(answer.destination for answer in answers)
    givers = _givers(live, answers)
    live.journal.write(Asked(live.journal.now_s(), node, "route", number, words, givers, found, fresh=True))
    return words


@step(needs="sites")
def ask_state(
    live: LiveLab,
    node: NodeName,
    extension: Annotated[Extension, Field(description="A phone's extension, or one of the lab's `devices`")],
    found: Annotated[bool | None, Field(description=f"Whether anybody must answer; {_ByFaults}")] = None,
    fresh: Annotated[bool, Field(description="Pass by what is kept of earlier answers")] = False,
) -> tuple[str, ...]:
    """Have a node ask other sites for the state of an extension, by DUNDi

    Returns the word of each node that answers. Without `fresh` what is kept of earlier answers may do, as it does for
    the dialplan.

    Example:
        - ask_state: {node: east1, extension: "103"}
    """
    answers = live.cluster.ask(node, extension, dundi.STATE, fresh=fresh)
    known = tuple(answer for answer in answers if answer.word != dundi.ABSENT)
    words = tuple(answer.word for answer in known)
    givers = _givers(live, known)
    live.journal.write(Asked(live.journal.now_s(), node, "state", extension, words, givers, found, fresh))
    return words


def _givers(live: LiveLab, answers: tuple[dundi.Answer, ...]) -> tuple[str, ...]:
    """The node that gave each answer; its entity id where no node of the lab has that."""
    names = {node.entityid: node.name for node in live.lab.nodes}
    return tuple(names.get(answer.entityid, answer.entityid) for answer in answers)
