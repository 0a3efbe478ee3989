"""What a phone is told of each state of a hint; and what is wrong of that, or merely late. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from labctl.checks.disturbance import Shadows
from labctl.checks.finding import Finding, Limits
from labctl.history.events import Seen

DIALOGS = {
    "Idle": {"terminated"},
    "Unavailable": {"terminated"},
    "Ringing": {"early"},
    "InUse": {"confirmed"},
    "Busy": {"confirmed"},
    "Hold": {"confirmed"},
    "InUse&Ringing": {"early", "confirmed"},
}
"""What each state of a hint is in a NOTIFY (state_notify_build_xml, channels/chan_sip.c of 1.8; and
ast_sip_presence_exten_state_to_str, res/res_pjsip/presence_xml.c of 22)."""

NEAR_BOUNDS = 3
"""A node that tells within so many bounds what its phone was told before surely told it late."""


def fits(dialog: str, state: str) -> bool:
    """Whether a phone may be told so of a state; of one that nobody knows it may be told anything."""
    return dialog in DIALOGS.get(state, {dialog})


@dataclass
class Had:
    """What a node has of an extension, "" where that is not known; and until when it had what a dialog tells of."""

    state: str = ""
    _until_s: dict[str, float] = field(default_factory=dict)

    def becomes(self, state: str, at_s: float) -> None:
        """From now on it has that."""
        self._until_s |= dict.fromkeys(DIALOGS.get(self.state, ()), at_s)
        self.state = state if state in DIALOGS else ""

    def is_like(self, state: str) -> bool:
        """Whether a phone may be told the same of what it has and of that state."""
        return bool(DIALOGS.get(self.state, set()) & DIALOGS.get(state, set()))

    def lately(self, dialog: str, at_s: float, within_s: float) -> bool:
        """Whether it had what the dialog tells of not long ago."""
        return at_s - self._until_s.get(dialog, float("-inf")) <= within_s


@dataclass(frozen=True)
class Due:
    """Since when a phone is told other than its node has, and what that is.

    `wrongly`: what it was told then; "" where it was its node that changed. `outdated`: its node had that not long ago.
    """

    since_s: float
    state: str
    wrongly: str = ""
    outdated: bool = False

    @property
    def may_be_told_late(self) -> bool:
        """Whether the right word is late where the phone is told it at last. What was never so is no matter of time."""
        return not self.wrongly or self.outdated


@dataclass
class LateWords:
    """What is wrong with a key, by its place among `findings`, as long as it may turn out to be no more than late."""

    findings: list[Finding]
    limits: Limits
    shadows: Shadows
    _open: dict[int, Due] = field(default_factory=dict)

    def add(self, finding: Finding, due: Due) -> None:
        """Something is wrong with the key."""
        self._open[len(self.findings)] = due
        self.findings.append(finding)

    def told(self, dialog: str, at_s: float) -> None:
        """The phone is told so: what it should have been told is late."""
        for place, due in [*self._open.items()]:
            if due.may_be_told_late and fits(dialog, due.state):
                self._is_late(place, f"it was told {dialog}", at_s)

    def seen(self, event: Seen, *, anew: bool) -> None:
        """The node tells what it has: what the phone was told before that is right, and whether it was late that its
        node told it is not a matter of lamps. Of what it comes to have `anew` the phone is told anew: that is no late
        word of what it had before."""
        for place, due in [*self._open.items()]:
            if due.wrongly and event.at_s > due.since_s + self.limits.late_s:
                del self._open[place]
            elif due.wrongly and fits(due.wrongly, event.state):
                self._is_late(place, f"{event.node} told {event.state}", event.at_s)
                if event.at_s <= due.since_s + NEAR_BOUNDS * self.limits.delay_ms / 1000:
                    self.findings[place] = self.findings[place].doubted("its node told that later than its phone")
            elif anew and DIALOGS[due.state] & DIALOGS[event.state]:
                del self._open[place]
        if anew:
            self.over(event.node, event.at_s, f"{event.node} told {event.state}")

    def over(self, node: str, at_s: float, what: str) -> None:
        """What its node had is over: where that was kept from its work, the phone need not have been told by then."""
        for place, due in [*self._open.items()]:
            if not due.wrongly and self.shadows.slowed(due.since_s, at_s, node, self.limits.delay_ms / 1000):
                self._is_late(place, what, at_s)

    def _is_late(self, place: int, text: str, at_s: float) -> None:
        finding, due = self.findings[place], self._open.pop(place)
        until_s = finding.at_s if finding.since_s is None else min(at_s, due.since_s + self.limits.late_s)
        text = f"{finding.text}; {text} at +{at_s:.3f} s"
        self.findings[place] = replace(finding, text=text, at_s=max(finding.at_s, until_s), late=True)
