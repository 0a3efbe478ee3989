"""A mailbox that several nodes store: one counts, the others have copies; and lamps by SUBSCRIBE."""

from __future__ import annotations

import pytest

from labctl.checks.finding import Limits
from labctl.checks.reading import as_read
from labctl.checks.registry import CHECKS
from labctl.errors import UsageError
from labctl.history.events import Began, Event, Lamp, Looked, Over, Watching
from labctl.scenario.steps.states import keeper_of
from tests.unit.labs import files, lab

TEXT = """\
nodes: 3
phones: [{name: carol, node: n3, extension: 103}]
mailboxes: [{number: 103, node: n2}, {number: 103, node: n1}, {number: 104, node: n1}]
"""


def test_the_first_node_is_dialled_and_each_by_its_number() -> None:
    first, second, third = (files(TEXT, node)["asterisk/extensions.conf"] for node in ("n1", "n2", "n3"))
    assert "exten = *103,1,Dial(PJSIP/*103@node-n2,30)\n" in first
    assert "exten = *103*1,1,Answer()\n same = n,VoiceMail(103@default,s)\n" in first
    assert "exten = *103*2,1,Dial(PJSIP/*103*2@node-n2,30)\n" in first
    assert "exten = *103,1,Answer()\n same = n,VoiceMail(103@default,s)\n" in second
    assert "exten = *103*1,1,Dial(PJSIP/*103*1@node-n1,30)\n" in third
    assert "*104*" not in first
    assert [text.count("exten = *103,1") for text in (first, second, third)] == [1, 1, 1]


def test_each_of_them_stores_it() -> None:
    boxes = [files(TEXT, node)["asterisk/voicemail.conf"] for node in ("n1", "n2", "n3")]
    assert ["103 = " in text for text in boxes] == [True, True, False]


def test_a_phone_may_be_told_of_its_mailbox_unasked_or_subscribe_to_it() -> None:
    text = files(TEXT, "n3")["asterisk/pjsip.conf"]
    assert "mailboxes = 103@default\nmwi_subscribe_replaces_unsolicited = yes\n" in text
    assert "remove_existing = yes\nmailboxes = 103@default\n" in text


def test_who_is_meant_is_the_first_or_the_one_that_is_named() -> None:
    there = lab(TEXT)
    assert (keeper_of(there, "103", None), keeper_of(there, "103", "n1")) == ("n2", "n1")
    with pytest.raises(UsageError, match="n3 stores no mailbox 103"):
        keeper_of(there, "103", "n3")


NODES = ("n1", "n2", "n3")
BEGAN = Began(
    0.0, "s", "lab", "22", NODES, {"103": "PJSIP/carol"}, {"PJSIP/carol": "n3"}, {"103": "n2"}, {"carol": "103"}
)


def look(at_s: float, kept: int, copy: int, lamp: int) -> Looked:
    rings: dict[str, tuple[str, ...]] = dict.fromkeys(NODES, NODES)
    states: dict[str, dict[str, str]] = {node: {} for node in NODES}
    copies = {"n1": {"103": (copy, 0)}}
    return Looked(at_s, states, rings, kept={"103": (kept, 0)}, lamps={"carol": (lamp, 0)}, copies=copies)


def findings(*events: Event) -> list[str]:
    verdict = CHECKS["lamps"].judge(as_read([BEGAN, *events, Over(99.0)]), Limits())
    return [finding.text for finding in verdict.findings]


def test_a_lamp_is_held_to_the_one_that_counts_and_the_copy_is_named() -> None:
    assert findings(look(1.0, 1, 0, 1)) == []
    [text] = findings(look(1.0, 0, 1, 1))
    assert (
        "carol was told of 1 new and 0 old messages, but mailbox 103 on n2 holds 0 and 0 (its copy on n1 1 and 0)"
        in text
    )


def test_who_has_ended_a_subscription_is_told_no_more_until_it_is_told_again() -> None:
    subscribed, ended = Watching(1.0, "carol", "*103"), Watching(3.0, "carol", "*103", ended=True)
    assert len(findings(subscribed, look(2.0, 1, 0, 0))) == 1
    assert findings(subscribed, ended, look(4.0, 1, 0, 0)) == []
    assert len(findings(subscribed, ended, Lamp(5.0, "carol", 0, 0), look(6.0, 1, 0, 0))) == 1
