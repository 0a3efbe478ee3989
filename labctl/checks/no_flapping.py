"""Does a node that has told of a new state stay with it? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.propagation import Change, changes
from labctl.checks.rule import check
from labctl.history.events import Event, Seen


@check(place=50)
def no_flapping(events: Sequence[Event], limits: Limits) -> Verdict:
    """A node that has told of a new state does not go back without anybody having said so."""
    all_changes = changes(events, limits)
    any_told = any(isinstance(event, Seen) for event in events)
    every = (*all_changes.judged, *all_changes.again)
    findings = [
        _finding(change, flap, every, limits)
        for change in every
        for flap in change.flaps
        if not _ends_a_hold(change, flap, limits)
    ]
    judged = len(all_changes.judged) if any_told else 0
    figures: dict[str, float] = {"changes": judged}
    if all_changes.left_out:
        figures["not judged"] = all_changes.left_out
    remarks = [all_changes.remark(limits), _unspoken(all_changes.unspoken)]
    return verdict("no_flapping", findings, judged, figures, "; ".join(filter(None, remarks)))


def _finding(change: Change, flap: Seen, every: Sequence[Change], limits: Limits) -> Finding:
    """A node went back, or told only now of an earlier change that it had not told of: that is late."""
    text = (
        f"+{flap.at_s:.3f} s: {flap.node} told {flap.extension} {flap.state} after it had told {change.new}, "
        f"and nobody had said so since {change.word.node} did at +{change.word.at_s:.3f} s"
    )
    untold_s = [
        earlier.since_s
        for earlier in every
        if (earlier.extension, earlier.new) == (flap.extension, flap.state)
        and flap.node in earlier.nodes
        and flap.node not in earlier.told_s
        and earlier.until_s <= flap.at_s <= earlier.until_s + limits.late_s
    ]
    since_s = min([flap.at_s, *untold_s])
    return Finding(text, flap.at_s, (flap.node,), extension=flap.extension, since_s=since_s, late=bool(untold_s))


def _unspoken(times: int) -> str:
    """That nodes told what nobody had said, in words."""
    return f"{times} not judged: told before anybody had said anything of its extension" if times else ""


def _ends_a_hold(change: Change, flap: Seen, limits: Limits) -> bool:
    """Whether a node took a phone off hold to hang up on it. Asterisk does so when the other end, who held it, goes
    (main/bridge_channel.c, where a channel leaves its bridge), so the phone's next state follows within the bound."""
    ended = (change.new, flap.state) in (("Hold", "InUse"), ("InUse&Hold", "InUse"))
    return ended and change.until_s - flap.at_s <= limits.delay_ms / 1000
