"""Message lamps: what a phone was told of its mailbox, against what that holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.checks.disturbance import Losses, shadows
from labctl.checks.evidence import MAILBOXES, LogSince
from labctl.checks.expected import Replay, groups, unanswered_rings
from labctl.checks.finding import Finding, Limits
from labctl.history.events import Count, Event, Lamp, Line, Looked, Watching, beginning


@dataclass
class Lit:
    """What came of all lamps of a kind: what is wrong, and how many were compared."""

    findings: list[Finding] = field(default_factory=list)
    compared: int = 0


def message_lamps(events: Sequence[Event], limits: Limits) -> Lit:
    """Hold what phones were told of their mailboxes against what those hold, in every look."""
    result, replay = Lit(), Replay(beginning(events))
    losses, lines = Losses(shadows(events, limits)), LogSince(MAILBOXES)
    notified: dict[str, Count] = {}
    held: dict[str, Count] = {}
    untold: set[str] = set()
    looked_s = float("-inf")  # what a mailbox holds otherwise than in the look before may be so since then
    for event in events:
        replay.take(event)
        if isinstance(event, Line):
            lines.take(event)
        elif isinstance(event, Lamp):
            notified[event.phone] = (event.new, event.old)
            untold.discard(event.phone)
        elif isinstance(event, Watching) and event.ended and event.extension.startswith("*"):
            untold.add(event.phone)  # its node tells it no more, be it asked or unasked, until it registers anew
        elif isinstance(event, Looked):
            for mailbox, kept in event.kept.items():
                if held.get(mailbox) != kept:
                    losses.said(mailbox, looked_s, replay.began.mailboxes.get(mailbox, ""))
            held |= event.kept
            looked_s = event.at_s
            for phone, counts in _shown(event, replay, notified):
                if phone in untold:
                    continue
                _compare(event, phone, counts, replay, losses, lines, result)
    return result


def _shown(look: Looked, replay: Replay, notified: Mapping[str, Count]) -> Iterator[tuple[str, Sequence[Count]]]:
    """The phones that a look tells of, and those that are registered: what each was told last, nothing if it never was.

    A message that came in before a look may reach labctl only after it, and one that came in during it may be of before
    the mailbox was read: then it is both what the look has and what the message says.
    """
    for phone in replay.began.lamps:
        if phone in look.lamps or _registered(replay.began.device(phone), replay):
            told = [counts[phone] for counts in (notified, look.lamps) if phone in counts]
            yield phone, [*dict.fromkeys((new, old) for new, old in told)]


def _registered(device: str, replay: Replay) -> bool:
    words = replay.last_words.get(device, {})
    home = replay.began.homes.get(device, "")
    return home in words and words[home].state != "UNAVAILABLE" and not replay.hurts(home)


def _compare(
    look: Looked,
    phone: str,
    shown: Sequence[Count],
    replay: Replay,
    losses: Losses,
    lines: LogSince,
    result: Lit,
) -> None:
    """Judge one phone, where its node is known to hear the one that keeps its mailbox."""
    began = replay.began
    mailbox = began.lamps[phone]
    keeper = began.mailboxes.get(mailbox, "")
    home = began.homes.get(began.device(phone), "")
    pair = tuple(sorted({home, keeper}))
    connected = groups(look, unanswered_rings(look, replay))
    kept = look.kept.get(mailbox)
    if kept is None or not any({*pair} <= {*group} for group in connected) or (not shown and not any(kept)):
        return
    result.compared += 1
    if tuple(kept) in shown:
        losses.was_right(mailbox, look.at_s, pair)
        lines.was_right((phone, pair))
        return
    news = f"was told of {shown[0][0]} new and {shown[0][1]} old messages" if shown else "was never told of any message"
    held = f"mailbox {mailbox} on {keeper} holds {kept[0]} and {kept[1]}"
    others = {node: boxes[mailbox] for node, boxes in look.copies.items() if mailbox in boxes}
    copies = [f"{node} {count[0]} and {count[1]}" for node, count in others.items()]
    held += f" (its copy on {', on '.join(copies)})" if copies else ""
    text = f"+{look.at_s:.3f} s: {phone} {news}, but {held}"
    finding = Finding(text, look.at_s, pair, lines.quotes((phone, pair), pair), f"*{mailbox}")
    result.findings.append(finding.doubted(losses.reason(mailbox, look.at_s, pair)))
