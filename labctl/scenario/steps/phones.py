"""Steps: phones are switched on and off, and watch extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, UsageError
from labctl.history.events import Watching
from labctl.scenario.argument_types import Extension, PhoneName, PhoneNames, PhonesInUse
from labctl.scenario.step_registry import step
from labctl.timing import PATIENCE

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

RING_FOR_EVER_MS = 600_000
"""How long a phone rings that somebody answers by a step."""

UNSUBSCRIBE_S = 10.0
"""How long a phone may take to end a subscription; it takes milliseconds."""


@step(short="phones")
def register(live: LiveLab, phones: PhoneNames) -> None:
    """Switch phones on: each registers with its node and takes calls"""
    for phone in phones:
        if phone in live.phones.lines:
            raise UsageError(f"{phone} is registered already", "unregister it first")
        live.phones.lines[phone] = live.phones.agents.switch_on(phone, RING_FOR_EVER_MS)


@step(short="phones")
def unregister(live: LiveLab, phones: PhonesInUse) -> None:
    """Switch phones off: each takes its registration back"""
    for phone in phones:
        live.phones.agents.switch_off(live.phones.line(phone))
        del live.phones.lines[phone]


@step()
def watch(live: LiveLab, phone: PhoneName, extension: Extension) -> None:
    """Have a phone subscribe to an extension, as the lamp of a key does

    By SUBSCRIBE to its dialogs (RFC 4235).
    """
    journal = live.journal
    journal.write(Watching(journal.now_s(), phone, extension))
    try:
        live.phones.watchers[phone, extension] = live.phones.agents.watch(phone, extension)
    except LabError:
        journal.write(Watching(journal.now_s(), phone, extension, ended=True))
        raise


@step(short="phone")
def unwatch(live: LiveLab, phone: PhoneName) -> None:
    """End all that a phone watches"""
    subscriptions = [key for key in live.phones.watchers if key[0] == phone]
    if not subscriptions:
        raise UsageError(f"{phone} watches nothing", "watch comes first")
    for key in subscriptions:
        watcher = live.phones.watchers.pop(key)
        live.journal.write(Watching(live.journal.now_s(), *key, ended=True))
        watcher.nudge()
        watcher.finish(PATIENCE.deadline(UNSUBSCRIBE_S))
