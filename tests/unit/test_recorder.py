"""What nodes and phones say, as events of a history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.corosync.membership import Membership
from labctl.errors import HostError
from labctl.history.events import Event, Lamp, Line, Notified, Said, Seen
from labctl.history.events import Ring as RingEvent
from labctl.history.journal import Journal
from labctl.history.phone_events import Unsure
from labctl.history.process_events import Complained
from labctl.scenario.recorder import Recorder
from labctl.sip_message import SipMessage, parse_message
from labctl.stack.model import UsualError
from tests.unit.labs import lab, stack
from tests.unit.test_sipp import read

LAB = lab("name: lab\nnodes: 3\nphones: 3\n")
AT_S = 1000.0
"""When things are heard, on the monotonic clock."""

REFUSED = "SIP/2.0 401 Unauthorized"
TRYING, RINGING, OK = "SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"
STATUS = {"Event": "ExtensionStatus", "Privilege": "call,all", "Exten": "101", "Context": "lab", "Hint": "PJSIP/alice"}


class Heard:
    """A recorder, and what it wrote."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.recorder = Recorder(self.journal, LAB, stack())

    @property
    def at_s(self) -> float:
        return self.journal.at_s(AT_S)

    def phone(self, name: str, *messages: SipMessage) -> None:
        for message in messages:
            self.recorder.phone_said(name, message)

    def told(self) -> list[Event]:
        """What was written, without when."""
        return [replace(event, at_s=0.0) for event in self.journal.events]


def message(
    start: str, cseq: str, *, sent: bool, call: str = "c1", headers: str = "", body: str = "", number: int = 1
) -> SipMessage:
    """A message as it goes over the wire."""
    first = [start, "Via: SIP/2.0/UDP 192.0.2.9:6000", f"Call-ID: {call}", f"CSeq: {number} {cseq}"]
    lines = [*first, *headers.splitlines()]
    return parse_message("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]), 0.0, sent)


def notify(
    event: str,
    body: str,
    sent: bool = False,
    start: str = "NOTIFY sip:carol@192.0.2.9:6200 SIP/2.0",
    number: int = 1,
) -> SipMessage:
    headers = f"From: <sip:102@192.0.2.1>;tag=a\nEvent: {event}"
    return message(start, "NOTIFY", sent=sent, headers=headers, body=body, number=number)


def dialogs(state: str) -> str:
    dialog = f'<dialog id="102"><state>{state}</state></dialog>'
    return f'<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0">{dialog}</dialog-info>'


SUMMARY = "Messages-Waiting: yes\r\nVoice-Message: 2/1 (0/0)\r\n"
REGISTRATION = (
    message("REGISTER sip:192.0.2.1 SIP/2.0", "REGISTER", sent=True, call="r", headers="Expires: 3600"),
    message(OK, "REGISTER", sent=False, call="r"),
)


# Nodes


@pytest.mark.parametrize(
    ("status", "state"),
    [("0", "Idle"), ("9", "InUse&Ringing"), ("4", "Unavailable"), ("-1", "NoHint"), ("99", "99")],
)
def test_a_node_is_seen_to_say_the_state_of_an_extension(status: str, state: str) -> None:
    heard = Heard()
    heard.recorder.node_said("n1", AT_S, STATUS | {"Status": status})
    assert heard.journal.events == [Seen(heard.at_s, "n1", "101", state)]


@pytest.mark.parametrize(
    "said",
    [
        STATUS | {"Status": "0", "Context": "proof"},
        STATUS | {"Status": "0", "Event": "PresenceStatus"},
        {"Event": "FullyBooted", "Privilege": "system,all", "Status": "Fully Booted"},
        {"Event": "Disconnected"},
    ],
)
def test_what_else_a_node_says_is_not_written(said: dict[str, str]) -> None:
    heard = Heard()
    heard.recorder.node_said("n1", AT_S, said)
    assert heard.journal.events == []


@pytest.mark.parametrize("word", stack().telling_lines)
def test_a_log_line_with_a_telling_word_is_written_as_it_is(word: str) -> None:
    heard = Heard()
    line = f"[2026-11-23 05:21:07] ERROR[7] res_corosync.c: before{word}after"
    heard.recorder.node_logged("n2", AT_S, line, None)
    assert heard.journal.events == [Line(heard.at_s, "n2", line)]


def test_a_log_line_that_tells_nothing_is_not_written() -> None:
    heard = Heard()
    heard.recorder.node_logged("n2", AT_S, "[2026-11-23 05:21:07] VERBOSE[7] pbx.c: Executing [101@lab:1]", None)
    assert heard.journal.events == []


def test_an_error_is_written_a_few_times_however_often_it_comes_and_not_where_it_is_usual() -> None:
    heard, usual = Heard(), UsualError(pattern="Broken pipe$", why="labctl hangs up")
    heard.recorder = Recorder(heard.journal, LAB, stack().model_copy(update={"usual_errors": (usual,)}))
    for number in range(9):
        heard.recorder.node_logged("n2", AT_S, f"[2026-11-23 05:21:07] ERROR[7]: x.c:1 f: lost {number}", None)
    heard.recorder.node_logged("n2", AT_S, "ERROR: utils.c:1 write: Broken pipe", None)
    heard.recorder.node_logged("n3", AT_S, "Nov 26 21:57:35.799 error   [TOTEM ] FAILED TO RECEIVE", None)
    assert heard.told() == [
        *(Complained(0.0, "n2", f"x.c:1 f: lost {number}") for number in range(3)),
        Complained(0.0, "n3", "[TOTEM ] FAILED TO RECEIVE"),
    ]


TRY_AGAIN = "ERROR[9]: res/res_corosync.c:945 dispatch_thread_handler: Failed to join cpg (6)"


BAD_MESSAGE = "Nov 27 09:14:50.101 error   [QB    ] request returned error (/dev/shm/qb-10-9-24-m/qb): Bad message (74)"


@pytest.mark.parametrize("line", ["[2026-11-27 07:23:51] " + TRY_AGAIN, BAD_MESSAGE])
def test_what_is_said_of_the_ring_as_a_lab_comes_up_is_an_error_later(line: str) -> None:
    heard = Heard()
    heard.recorder.node_had_logged("n2", f"{line}\n[2026-11-27 07:23:51] ERROR[1]: pbx_config.c:9 load: No such file\n")
    assert heard.told() == [Complained(0.0, "n2", "pbx_config.c:9 load: No such file")]
    heard.recorder.node_logged("n2", AT_S, f"{line} again", None)
    assert [type(event) for event in heard.told()] == [Complained, Complained]


def test_a_line_of_before_that_is_heard_late_is_of_before() -> None:
    heard, line = Heard(), f"[2026-11-27 07:23:51] {TRY_AGAIN}"
    heard.recorder.node_had_logged("n2", f"{line}\n")
    heard.recorder.node_logged("n2", AT_S, line, None)
    assert heard.told() == []
    heard.recorder.node_logged("n1", AT_S, line, None)
    assert [type(event) for event in heard.told()] == [Complained]


@pytest.mark.parametrize(("modules", "told"), [("used", 1), ("all", 0)])
def test_modules_for_which_there_is_no_configuration_may_complain(modules: str, told: int) -> None:
    heard = Heard()
    heard.recorder = Recorder(heard.journal, replace(LAB, modules=modules), stack())
    heard.recorder.node_had_logged(
        "n2", "[2026-11-27 07:23:51] ERROR[1]: res_config_ldap.c:1907 parse_config: No URL\n"
    )
    assert len(heard.told()) == told


def test_a_ring_has_the_names_of_its_members() -> None:
    heard = Heard()
    heard.recorder.node_logged("n1", AT_S, "[QUORUM] Members[2]: 1 3", Membership(True, (1, 3)))
    heard.recorder.node_logged("n1", AT_S, "[QUORUM] Members[0]:", Membership(False, ()))
    assert heard.journal.events == [
        RingEvent(heard.at_s, "n1", ("n1", "n3"), True),
        RingEvent(heard.at_s, "n1", (), False),
    ]


def test_a_member_that_the_lab_does_not_know_has_no_name() -> None:
    heard = Heard()
    heard.recorder.node_logged("n1", AT_S, "[QUORUM] Members[2]: 1 9", Membership(True, (9, 1)))
    assert heard.journal.events == [RingEvent(heard.at_s, "n1", ("n1",), True)]


def test_a_line_that_changes_the_ring_and_tells_something_is_both() -> None:
    heard = Heard()
    heard.recorder.node_logged("n1", AT_S, "[TOTEM ] A new membership (1.a) was formed", Membership(True, (1,)))
    assert heard.told() == [
        RingEvent(0.0, "n1", ("n1",), True),
        Line(0.0, "n1", "[TOTEM ] A new membership (1.a) was formed"),
    ]


# Phones


def test_a_phones_device_is_of_the_stacks_channel() -> None:
    assert Heard().recorder.device("alice") == "PJSIP/alice"
    other = stack().model_copy(update={"sip_channel": "SIP"})
    assert Recorder(Journal(), LAB, other).device("alice") == "SIP/alice"


def test_a_phone_says_each_new_state_of_its_device_on_its_node() -> None:
    heard = Heard()
    heard.phone("bob", *REGISTRATION, message(RINGING, "INVITE", sent=True), message(OK, "INVITE", sent=True))
    states = ["UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE"]
    assert heard.told() == [Said(0.0, "n2", "PJSIP/bob", state) for state in states]


def test_a_phone_whose_state_stays_says_nothing_more() -> None:
    heard = Heard()
    heard.phone("bob", *REGISTRATION)
    before = heard.told()
    heard.phone("bob", *REGISTRATION, message("OPTIONS sip:bob SIP/2.0", "OPTIONS", sent=False))
    assert heard.told() == before


def test_phones_have_states_of_their_own() -> None:
    heard = Heard()
    heard.phone("alice", *REGISTRATION)
    heard.phone("carol", *REGISTRATION)
    last = {event.device: event.state for event in heard.told() if isinstance(event, Said)}
    assert last == {"PJSIP/alice": "NOT_INUSE", "PJSIP/carol": "NOT_INUSE"}


def test_calls_are_lost_with_their_node_and_no_others() -> None:
    heard = Heard()
    for phone in ("alice", "bob"):
        heard.phone(phone, *REGISTRATION, message(OK, "INVITE", sent=True))
    before = len(heard.told())
    heard.recorder.node_lost_calls("n1")
    assert heard.told()[before:] == [Said(0.0, "n1", "PJSIP/alice", "NOT_INUSE")]


def test_by_chan_pjsip_a_hold_is_what_the_node_says_of_the_phone_that_is_held() -> None:
    one_node = lab("name: lab\nnodes: 1\nphones: 2\n")
    journal = Journal()
    recorder = Recorder(journal, one_node, stack())
    alice, bob = (phone.extension for phone in one_node.phones)
    caller = f"From: <sip:{alice}@192.0.2.1>;tag=a"
    recorder.phone_said("alice", message(f"INVITE sip:{bob}@n1 SIP/2.0", "INVITE", sent=True, call="a"))
    recorder.phone_said("bob", message("INVITE sip:bob@x SIP/2.0", "INVITE", sent=False, call="b", headers=caller))
    recorder.phone_said("bob", message(OK, "INVITE", sent=True, call="b"))
    recorder.phone_said("alice", message(OK, "INVITE", sent=False, call="a"))
    before = len(journal.events)
    hold = message(f"INVITE sip:{bob}@n1 SIP/2.0", "INVITE", sent=True, call="a", body="a=sendonly")
    recorder.phone_said("alice", hold)
    recorder.phone_said("alice", message(OK, "INVITE", sent=False, call="a"))
    events = [replace(event, at_s=0.0) for event in journal.events[before:]]
    assert events == [Said(0.0, "n1", "PJSIP/bob", "ONHOLD")]


def test_by_chan_sip_a_caller_that_is_not_registered_stays_unavailable() -> None:
    journal = Journal()
    recorder = Recorder(journal, LAB, stack("1.8"))
    recorder.phone_said("alice", message(RINGING, "INVITE", sent=False))
    recorder.phone_said("alice", message(OK, "INVITE", sent=False))
    assert [replace(event, at_s=0.0) for event in journal.events] == [Said(0.0, "n1", "SIP/alice", "UNAVAILABLE")]


def test_a_phone_that_was_never_on_says_nothing_when_its_node_is_lost() -> None:
    heard = Heard()
    heard.recorder.node_lost_calls("n1")
    assert heard.told() == []


def test_what_a_node_has_of_a_phone_whose_call_was_cut_off_is_known_when_it_has_lost_its_calls() -> None:
    """In a soak a call that never came through was killed; its node let it go in the end, and was held to have it."""
    heard = Heard()
    heard.phone("alice", *REGISTRATION)
    heard.recorder.cut_off("alice")
    heard.phone("alice", message("INVITE sip:102@192.0.2.1 SIP/2.0", "INVITE", sent=True))
    heard.phone("alice", message(OK, "INVITE", sent=False))
    heard.recorder.sure("alice")
    told = [event for event in heard.told() if isinstance(event, Said | Unsure)]
    assert isinstance(told[-1], Unsure)
    heard.recorder.node_lost_calls("n1")
    assert heard.told()[-1] == Said(0.0, "n1", "PJSIP/alice", "NOT_INUSE")


# What phones are told


@pytest.mark.parametrize("state", ["terminated", "early", "confirmed"])
def test_a_phone_is_told_of_the_dialogs_of_what_it_watches(state: str) -> None:
    heard = Heard()
    heard.phone("carol", notify("dialog", dialogs(state)), notify("dialog;id=1", dialogs(state), number=2))
    told = [event for event in heard.told() if not isinstance(event, Said)]
    assert told == [Notified(0.0, "carol", "102", state)] * 2


def test_a_phone_is_told_what_its_mailbox_holds() -> None:
    heard = Heard()
    heard.phone("carol", notify("message-summary", SUMMARY))
    assert Lamp(0.0, "carol", 2, 1) in heard.told()


@pytest.mark.parametrize(
    "said",
    [
        notify("dialog", ""),
        notify("presence", "<presence/>"),
        notify("message-summary", SUMMARY, sent=True),
        notify("message-summary", SUMMARY, start=OK),
        notify("dialog", dialogs("early"), start="INFO sip:carol@192.0.2.9:6200 SIP/2.0"),
    ],
    ids=["no body", "presence", "sent", "an answer", "no NOTIFY"],
)
def test_what_tells_of_neither_is_not_written(said: SipMessage) -> None:
    heard = Heard()
    heard.phone("carol", said)
    assert [event for event in heard.told() if not isinstance(event, Said)] == []


# Real ones


def test_a_watched_call_as_sipp_left_it() -> None:
    heard = Heard()
    heard.phone("carol", *read("watch")[0])
    told = [event for event in heard.told() if not isinstance(event, Said)]
    states = ["terminated", "early", "confirmed", "terminated"]
    assert told[:4] == [Notified(0.0, "carol", "102", state) for state in states]
    assert not [event for event in told if isinstance(event, Lamp)]


def test_a_mailbox_as_sipp_left_it() -> None:
    heard = Heard()
    heard.phone("carol", *read("mailbox")[0])
    lamps = [event for event in heard.told() if isinstance(event, Lamp)]
    assert (lamps[0], lamps[-1]) == (Lamp(0.0, "carol", 1, 0), Lamp(0.0, "carol", 2, 0))
    said = [event.state for event in heard.told() if isinstance(event, Said)]
    assert said[:2] == ["UNAVAILABLE", "NOT_INUSE"]


def test_what_a_phone_does_has_the_time_of_its_own_clock_however_late_it_is_heard_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard()
    times = iter([10.0, 12.5])
    monkeypatch.setattr(heard.journal, "now_s", lambda: next(times))
    rings = message("SIP/2.0 180 Ringing", "INVITE", sent=True)
    talks = message("SIP/2.0 200 OK", "INVITE", sent=True)
    heard.phone("alice", replace(rings, at_s=1000.0), replace(talks, at_s=1000.1))
    assert [event.at_s for event in heard.journal.events] == [10.0, 10.1]


def test_start_of_corosync_is_a_line_that_tells() -> None:
    heard = Heard()
    line = "Nov 26 16:26:35.208 notice  [MAIN  ] Corosync Cluster Engine 3.1.10 starting up"
    heard.recorder.node_logged("n1", AT_S, line, None)
    heard.recorder.node_logged("n1", AT_S, line.replace("starting up", "exiting normally"), None)
    assert heard.told() == [Line(0.0, "n1", line)]


DISCONNECTED = "Session already DISCONNECTED [reason=487 (Request Terminated)]"
GIVEN_UP = f"chan_pjsip.c:1497 update_connected_line_information: {DISCONNECTED}"
CANCELLED = f"chan_pjsip.c:696 answer: {DISCONNECTED}"
LOST = CANCELLED.replace("487 (Request Terminated)", "503 (Service Unavailable)")


def test_that_a_call_was_over_before_its_phone_was_told_who_calls_is_no_error() -> None:
    """Of 60 calls into a queue that their caller gave up as they rang one had failed `healthy` for it."""
    heard = Heard()
    for text in (GIVEN_UP, CANCELLED, LOST):
        heard.recorder.node_logged("n2", AT_S, f"[2026-11-28 10:00:00.000] ERROR[9][C-00000001]: {text}", None)
    assert heard.told() == [Complained(0.0, "n2", LOST)]


def test_of_what_phones_said_the_last_is_kept_and_that_there_was_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soak of two hours held 20,000 messages in the end, some 30 MB."""
    monkeypatch.setattr("labctl.scenario.recorder.MOST_MESSAGES", 3)
    heard = Heard()
    for number in range(4):
        heard.phone("carol", notify("dialog", dialogs("early"), number=number))
    with pytest.raises(HostError, match="the last 3 messages alone are kept"):
        heard.recorder.messages("carol", float("-inf"))
    since_s = heard.recorder._sip[0][1].at_s + heard.recorder._lag_s
    assert len(heard.recorder.messages("carol", since_s)) == 3
