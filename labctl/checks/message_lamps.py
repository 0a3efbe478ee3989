"""Message lamps: what a phone was told of its mailbox, against what that holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from labctl.checks.disturbance import Losses, shadows
from labctl.checks.evidence import MAILBOXES, LogSince
from labctl.checks.expected import Replay, groups, unanswered_rings
from labctl.checks.finding import Finding, Limits
from labctl.history.events import Count, Event, FaultBegan, Gone, Lamp, Line, Looked, Watching, beginning
from labctl.history.phone_events import IN_FRONT, NO_OPTIONS


@dataclass
class Lit:
    """What came of all lamps of a kind: what is wrong, and how many were compared."""

    findings: list[Finding] = field(default_factory=list)
    compared: int = 0


@dataclass
class _Told:
    """What phones were told of their mailboxes, and by which nodes.

    `untold`: those whose node tells them no more, as far as anybody knows, until it does. `subscribed`: phone -> the
    node at which it has subscribed to its mailbox, and that may be another than it is registered with since then.
    """

    replay: Replay
    notified: dict[str, Count] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)
    subscribed: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Go one event further."""
        match event:
            case Lamp(phone=phone, new=new, old=old):
                self.notified[phone] = (new, old)
                self.untold.discard(phone)
            case Watching(phone=phone, extension=watched, ended=ended) if self.replay.began.is_mailbox(watched):
                if ended:
                    self._end([phone])
                else:
                    self.subscribed[phone] = self.replay.home(self.replay.began.device(phone))
            case Gone(node=gone):
                self._end([phone for phone, node in self.subscribed.items() if node == gone])
            case FaultBegan(fault=fault) if self.replay.faults[fault].of_interface:
                nodes = self.replay.faults[fault].nodes
                self.untold |= {phone for phone in self.replay.began.lamps if self.nodes(phone) & nodes}
            case _:
                pass

    def _end(self, phones: Sequence[str]) -> None:
        """These have subscribed no more. Their nodes tell them nothing, be it asked or unasked, until they register."""
        self.untold |= {*phones}
        for phone in phones:
            self.subscribed.pop(phone, None)

    def nodes(self, phone: str) -> set[str]:
        """The nodes that tell a phone: where it is registered, and where it has subscribed."""
        device = self.replay.began.device(phone)
        subscribed = {self.subscribed[phone]} if phone in self.subscribed else set()
        return subscribed | ({self.replay.home(device)} if not subscribed or self._registered(device) else set())

    def shown(self, look: Looked) -> Iterator[tuple[str, Sequence[Count]]]:
        """The phones that a look tells of, and those that are registered: what each was told last, nothing if it never
        was.

        A message that came in before a look may reach labctl only after it, and one that came in during it may be of
        before the mailbox was read: then it is both what the look has and what the message says.
        """
        for phone in (phone for phone in self.replay.began.lamps if phone not in self.untold):
            if phone in look.lamps or self._registered(self.replay.began.device(phone)):
                told = [counts[phone] for counts in (self.notified, look.lamps) if phone in counts]
                yield phone, [*dict.fromkeys((new, old) for new, old in told)]

    def _registered(self, device: str) -> bool:
        home = self.replay.home(device)
        word = self.replay.last_words.get(device, {}).get(home)
        there = word is not None and word.state != "UNAVAILABLE" and not self.replay.hurts(home)
        return there and not self.replay.out_of_sight(device) and device not in self.replay.astray

    def doubt(self, phone: str) -> str:
        """Why its node may tell a phone nothing unasked, or which node that is nobody knows; "" where neither is so."""
        device = self.replay.began.device(phone)
        if device in self.replay.doubts and self.replay.doubts[device].why == IN_FRONT:
            return f"{phone} is told by way of a server in front of its nodes"
        if phone in self.subscribed:
            return ""
        if self.replay.out_of_sight(device) or device in self.replay.astray:
            return f"where {phone} is registered last is not told"
        unreachable = device in self.replay.doubts and self.replay.doubts[device].why == NO_OPTIONS
        return f"{phone} answers no OPTIONS, so that its node may hold it for unreachable" if unreachable else ""


def message_lamps(events: Sequence[Event], limits: Limits) -> Lit:
    """Hold what phones were told of their mailboxes against what those hold, in every look."""
    result, replay = Lit(), Replay(beginning(events))
    losses, lines, told = Losses(shadows(events, limits)), LogSince(MAILBOXES), _Told(replay)
    held: dict[str, Count] = {}
    words = [event for event in events if isinstance(event, Lamp | Watching)]
    looked_s = float("-inf")  # what a mailbox holds otherwise than in the look before may be so since then
    for event in events:
        replay.take(event)
        told.take(event)
        if isinstance(event, Line):
            lines.take(event)
        elif isinstance(event, Looked):
            for mailbox, kept in event.kept.items():
                if held.get(mailbox) != kept:
                    losses.said(mailbox, looked_s, replay.began.mailboxes.get(mailbox, ""))
            held |= event.kept
            looked_s = event.at_s
            for phone, counts in told.shown(event):
                soon = _told_soon(phone, event.at_s, words, limits.late_s)
                _compare(event, phone, counts, soon, told, losses, lines, result)
    return result


def _told_soon(phone: str, at_s: float, words: Sequence[Lamp | Watching], within_s: float) -> Count | None:
    """What a phone was told next of its mailbox, within so long of a look; None where it has asked for that anew."""
    soon = (word for word in words if word.phone == phone and 0 < word.at_s - at_s <= within_s)
    first = next(soon, None)
    return (first.new, first.old) if isinstance(first, Lamp) else None


def _compare(
    look: Looked,
    phone: str,
    shown: Sequence[Count],
    soon: Count | None,
    told: _Told,
    losses: Losses,
    lines: LogSince,
    result: Lit,
) -> None:
    """Judge one phone, where those that tell it are known to hear the one that keeps its mailbox. `soon`: what it is
    told next, soon after the look."""
    began = told.replay.began
    mailbox = began.lamps[phone]
    keeper = began.mailboxes.get(mailbox, "")
    nodes = tuple(sorted({*told.nodes(phone), keeper}))
    connected = groups(look, unanswered_rings(look, told.replay))
    kept = look.kept.get(mailbox)
    if kept is None or not any({*nodes} <= {*group} for group in connected) or (not shown and not any(kept)):
        return
    result.compared += 1
    if tuple(kept) in shown:
        losses.was_right(mailbox, look.at_s, nodes)
        lines.was_right((phone, nodes))
        return
    news = f"was told of {shown[0][0]} new and {shown[0][1]} old messages" if shown else "was never told of any message"
    held = f"mailbox {mailbox} on {keeper} holds {kept[0]} and {kept[1]}"
    others = {node: boxes[mailbox] for node, boxes in look.copies.items() if mailbox in boxes}
    copies = [f"{node} {count[0]} and {count[1]}" for node, count in others.items()]
    held += f" (its copy on {', on '.join(copies)})" if copies else ""
    text = f"+{look.at_s:.3f} s: {phone} {news}, but {held}"
    finding = Finding(text, look.at_s, nodes, lines.quotes((phone, nodes), nodes), f"*{mailbox}")
    finding = replace(finding, late=soon == tuple(kept))
    result.findings.append(finding.doubted(losses.reason(mailbox, look.at_s, nodes) or told.doubt(phone)))
