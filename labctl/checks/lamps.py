"""Do phones show what is so: the messages in their mailbox, and the extensions whose keys they watch? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Limits, Verdict, verdict
from labctl.checks.key_lamps import key_lamps
from labctl.checks.message_lamps import message_lamps
from labctl.checks.rule import check
from labctl.history.events import Event


@check(place=60)
def lamps(events: Sequence[Event], limits: Limits) -> Verdict:
    """A phone was told of as many messages as its mailbox holds, and of the state of each extension that it watches."""
    messages, keys = message_lamps(events, limits), key_lamps(events, limits)
    compared = messages.compared + keys.compared
    figures: dict[str, float] = {"compared": compared}
    if keys.compared:
        figures["keys"] = keys.compared
    return verdict("lamps", [*messages.findings, *keys.findings], compared, figures)
