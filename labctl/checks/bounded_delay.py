"""Does every change reach every node in time? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.checks.disturbance import Shadows, shadows
from labctl.checks.finding import Finding, Limits, Verdict, verdict
from labctl.checks.propagation import Change, changes
from labctl.checks.rule import check
from labctl.history.events import Event, beginning
from labctl.timing import percentile


@check(place=40)
def bounded_delay(events: Sequence[Event], limits: Limits) -> Verdict:
    """While nothing is broken, every change reaches every node in time.

    A node that had the new state before, and so told nothing of it, is neither late nor counted.
    """
    all_changes = changes(events, limits)
    delays_ms: dict[str, list[float]] = {node: [] for node in beginning(events).nodes}
    findings: list[Finding] = []
    shadow = shadows(events, limits)
    for change in all_changes.judged:
        for node in (node for node in change.nodes if node not in change.already):
            delay_ms = _delay_ms(change, node)
            if delay_ms is not None:
                delays_ms[node].append(delay_ms)
            findings += _late(change, node, delay_ms, limits, shadow)
    every = sorted(delay_ms for of_node in delays_ms.values() for delay_ms in of_node)
    figures: dict[str, float] = {"changes": len(every)}
    if every:
        figures |= {"p50_ms": round(percentile(every, 50), 2), "p99_ms": round(percentile(every, 99), 2)}
        figures["max_ms"] = round(every[-1], 2)
    figures |= {f"max_ms {node}": round(max(of_node), 2) for node, of_node in delays_ms.items() if of_node}
    if all_changes.left_out:
        figures["not judged"] = all_changes.left_out
    return verdict("bounded_delay", findings, len(every), figures, all_changes.remark(limits))


def _delay_ms(change: Change, node: str) -> float | None:
    """How long a node took to tell of a change; None where it did not."""
    told_s = change.told_s.get(node)
    return None if told_s is None else max(0.0, (told_s - change.word.at_s) * 1000)


def _late(change: Change, node: str, delay_ms: float | None, limits: Limits, shadow: Shadows) -> Iterator[Finding]:
    """What is told after its time, or not at all: that may be late, too, where it was over before it could be told."""
    lasted_ms = (change.until_s - change.word.at_s) * 1000
    if delay_ms is None and lasted_ms <= limits.delay_ms:
        return
    if delay_ms is not None and delay_ms <= limits.delay_ms:
        return
    late = "not at all" if delay_ms is None else f"after {delay_ms:.0f} ms"
    text = (
        f"+{change.word.at_s:.3f} s: {node} told {late} that {change.extension} is {change.new}, "
        f"as {change.word.node} said; {limits.delay_ms:g} ms is the bound"
    )
    waited_ms = lasted_ms if delay_ms is None else delay_ms
    until_s = change.word.at_s + min(waited_ms / 1000, limits.late_s)
    bound_s = limits.delay_ms / 1000
    may_be_late = delay_ms is not None or shadow.slowed(change.word.at_s, change.until_s, node, bound_s)
    yield Finding(text, until_s, (node,), extension=change.extension, since_s=change.word.at_s, late=may_be_late)
