"""Hints of one's own: on every node, and judged by no more than what is known of them."""

from __future__ import annotations

from labctl.asterisk import output
from labctl.checks import registry
from labctl.checks.finding import Limits, Verdict
from labctl.checks.reading import as_read
from labctl.history.events import Began, Event, Gone, Looked, Notified, Over, Said, Seen, Watching
from tests.unit.labs import files, lab
from tests.unit.live_labs import Rig

TEXT = """\
nodes: 2
phones: 1
hints: {600: "Queue:support", 650: "PJSIP/alice"}
"""
NODES = ("n1", "n2")
RINGS: dict[str, tuple[str, ...]] = dict.fromkeys(NODES, NODES)


def test_a_code_that_has_a_hint_is_no_mailbox() -> None:
    """What a dialplan of one's own does with it may be over as soon as it is done."""
    of_codes = lab("nodes: 2\nphones: 1\nhints: {'*280': 'Custom:x'}\n")
    assert [of_codes.is_mailbox(dialed) for dialed in ("*280", "*101", "*600", "101")] == [False, True, True, False]


def began() -> Began:
    return Began(
        0.0,
        "s",
        "lab",
        "22",
        NODES,
        {"101": "PJSIP/alice"},
        {"PJSIP/alice": "n1"},
        hints={"600": "Queue:support", "650": "PJSIP/alice"},
    )


def look(at_s: float, first: str, second: str, extension: str = "600") -> Looked:
    return Looked(at_s, {"n1": {extension: first}, "n2": {extension: second}}, RINGS)


def judged(check: str, *events: Event) -> Verdict:
    history = as_read([began(), *events, Over(99.0)])
    return registry.CHECKS[check].judge(history, Limits())


def test_every_node_has_them_and_the_lab_knows_them() -> None:
    for node in NODES:
        assert (
            "exten = 600,hint,Queue:support\nexten = 650,hint,PJSIP/alice\n"
            in files(TEXT, node)["asterisk/extensions.conf"]
        )
        assert lab(TEXT).extensions_of(node) == ("101", "mystate", "600", "650")
    assert lab(TEXT).extensions == ("101", "mystate", "600", "650")


def test_before_anything_was_told_of_a_queue_idle_and_unavailable_are_alike() -> None:
    assert judged("agreement", look(1.0, "Idle", "Unavailable")).outcome == "nothing"
    assert judged("agreement", look(1.0, "InUse", "Unavailable")).outcome == "failed"


def test_once_a_node_has_told_a_change_of_it_all_are_to_say_the_same() -> None:
    seen = Seen(1.0, "n1", "600", "Ringing")
    verdict = judged("agreement", seen, look(2.0, "Idle", "Unavailable"))
    assert verdict.outcome == "failed"
    assert "600 (Queue:support) is Idle on n1, Unavailable on n2" in verdict.findings[0].text
    assert judged("agreement", seen, look(2.0, "Ringing", "Ringing")).outcome == "passed"
    gone = Gone(1.5, "n1", "kill")
    assert judged("agreement", seen, gone, look(2.0, "Idle", "Unavailable")).outcome == "nothing"


def test_what_is_right_of_a_queue_nobody_can_say() -> None:
    events = (Seen(1.0, "n1", "600", "Ringing"), look(2.0, "InUse", "InUse"))
    for check in ("truth", "no_ghosts"):
        assert judged(check, *events).outcome == "nothing"


def test_of_a_device_that_is_known_what_is_right_is_known_too() -> None:
    said = Said(1.0, "n1", "PJSIP/alice", "INUSE")
    assert judged("truth", said, look(2.0, "InUse", "InUse", "650")).outcome == "passed"
    assert judged("truth", said, look(2.0, "Idle", "Idle", "650")).outcome == "failed"


NAMES = """\
nodes: 2
phones: 1
devices: [DAYNIGHT0, dnd_101]
hints: {"*280": "Custom:DAYNIGHT0", "DND*7_x": "Custom:dnd_101"}
"""


def test_devices_and_hints_have_the_names_that_people_give_them() -> None:
    for node in NODES:
        text = files(NAMES, node=node)["asterisk/extensions.conf"]
        for line in ("DAYNIGHT0,hint,Custom:DAYNIGHT0", "*280,hint,Custom:DAYNIGHT0", "DND*7_x,hint,Custom:dnd_101"):
            assert f"exten = {line}\n" in text
    assert lab(NAMES).extensions == ("101", "DAYNIGHT0", "dnd_101", "*280", "DND*7_x")


def test_asterisk_lists_them_as_they_are() -> None:
    row = "{}@lab : Custom:{}  State:InUse  Presence:not_set  Watchers  1\n"
    listed = output.parse_hints(row.format("*280", "DAYNIGHT0") + row.format("DND*7_x", "dnd_101"))
    assert [(hint.extension, hint.device) for hint in listed] == [
        ("*280", "Custom:DAYNIGHT0"),
        ("DND*7_x", "Custom:dnd_101"),
    ]


def test_a_hint_that_begins_like_a_mailbox_is_watched_as_a_key() -> None:
    """It was taken for the mailbox of that number, of which no check knew anything."""
    began = Began(
        0.0, "s", "lab", "22", NODES, {"101": "PJSIP/alice"}, {"PJSIP/alice": "n1"}, hints={"*280": "Custom:x"}
    )
    states = {node: {"*280": "Idle"} for node in NODES}
    told = Notified(2.0, "alice", "*280", "confirmed")
    events: list[Event] = [began, Watching(1.0, "alice", "*280"), told, Looked(60.0, states, RINGS), Over(90.0)]
    found = registry.CHECKS["lamps"].judge(as_read(events), Limits()).findings
    assert ["alice, which watches *280, was last told confirmed" in finding.text for finding in found] == [True]


def test_what_a_phone_is_told_of_such_a_hint_is_no_mailbox_of_its_own() -> None:
    rig = Rig(NAMES)
    rig.live.open()
    rig.live.watch("alice", "*280")
    assert rig.switchboard.watchers.lamps() == {}
    assert rig.switchboard.watchers.dialog_missing("alice", "confirmed") == "alice was last told [[]], not confirmed"
