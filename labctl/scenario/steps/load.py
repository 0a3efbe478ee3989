"""Steps: a phone does one thing again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from labctl.errors import UsageError
from labctl.history.events import Load as LoadEvent
from labctl.lab import Phone
from labctl.scenario.argument_types import Callee, Count, PhoneName, Rate
from labctl.scenario.step_registry import step
from labctl.timing import Deadline
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab
    from labctl.sip.load import LoadResult

QUIET_S = 0.2
"""After a load nothing more is said of it when nothing is said for so long."""

QUIET_WITHIN_S = 10.0


@step()
def storm(live: LiveLab, phone: PhoneName, rate: Rate, count: Count) -> None:
    """Register a phone again and again

    It is on or off after it as it was before.

    Example:
        - storm: {phone: alice, rate: 20, count: 40}
    """
    began_s = live.journal.now_s()
    result = live.phones.agents.storm(phone, rate, count)
    _write(live, f"storm {phone}", result, began_s, [live.lab.phone(phone)])


@step()
def load(
    live: LiveLab,
    caller: PhoneName,
    callee: Callee,
    rate: Rate,
    count: Count,
    duration: Annotated[Duration, Field(description="Of each call")] = 0.1,
) -> None:
    """Have a phone call another again and again

    The other is switched on for it, answers at once and is switched off again; there is no audio. Raises UsageError
    where it is on already: one that a person answers cannot take so many.

    Example:
        - load: {caller: alice, callee: bob, rate: 5, count: 10}
    """
    target = live.lab.phone_at(callee)
    if target and target.name in live.phones.lines:
        raise UsageError(f"{target.name} is registered", "load switches it on itself: unregister it first")
    began_s = live.journal.now_s()
    called = live.phones.agents.switch_on(target.name, audio=False) if target else None
    number = target.extension if target else callee
    result = live.phones.agents.calls(caller, number, rate, count, round(duration * 1000))
    if called:
        live.phones.agents.switch_off(called)
    ends = [live.lab.phone(caller), *([target] if target else [])]
    _write(live, f"load {caller} -> {callee}", result, began_s, ends)


def _write(live: LiveLab, what: str, load: LoadResult, began_s: float, phones: Sequence[Phone]) -> None:
    """Write down what came of a load, when nothing is said of it any more."""
    live.await_quiet(QUIET_S, Deadline(QUIET_WITHIN_S))
    live.journal.write(
        LoadEvent(
            at_s=live.journal.now_s(),
            what=what,
            asked=load.asked,
            done=load.done,
            failed=load.failed,
            rate_asked=load.rate_asked,
            rate=load.rate,
            saturated=load.saturated,
            nodes=tuple(dict.fromkeys(node for phone in phones for node in live.recorder.nodes_of(phone.name))),
            began_s=began_s,
            extensions=tuple(phone.extension for phone in phones),
            causes=dict(load.causes),
        )
    )
