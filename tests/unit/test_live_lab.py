"""A live lab: its steps are methods held to the same as YAML's, what is done is written down, and it waits."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest

from labctl.cluster.views import UNKNOWN
from labctl.errors import HostError, LabError, NotReady, UsageError
from labctl.history.events import Line, Looked, Over, Said, Seen
from labctl.history.process_events import Measured
from labctl.scenario import live_lab
from labctl.scenario.step_registry import describe
from labctl.timing import PATIENCE, Deadline
from tests.unit.live_labs import STEPS, Rig

PUBLISH = "name: lab\nshare: {via: pjsip-publish}\n"
HINTS = "101@lab : PJSIP/alice State:Idle Presence:not_set Watchers 0\n- 1 hints registered\n"
MEMBERS = (
    "Membership information\n----------\n    Nodeid      Votes    Qdevice Name\n         1          1         NR n1\n"
)
NO_MODULE = "Group Name\t       PID\t   Node ID\n"
RUNS = "run: /etc/service/corosync: (pid 10) 33s\n"
ANSWERS = "@@\n".join([MEMBERS, NO_MODULE, HINTS, "Asterisk 22.10.1\n", "System uptime: 5 seconds\n", MEMBERS, RUNS])


@pytest.fixture(autouse=True)
def _soon_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab without nodes has nothing to say, and the machine, however busy, takes no part in these tests."""
    monkeypatch.setattr(live_lab, "QUIET_S", 0.05)
    monkeypatch.setattr(PATIENCE, "_factor", 1.0)


# Steps are methods


def test_every_step_is_a_method() -> None:
    live = Rig().live
    assert {verb for verb in STEPS if not callable(getattr(live, verb))} == set()
    assert set(STEPS) <= set(dir(live))


def test_a_step_has_its_name_its_arguments_and_what_it_says_of_itself() -> None:
    live = Rig().live
    assert live.hold.__name__ == "hold"
    said = inspect.getdoc(live.hold) or ""
    assert said.startswith(
        "Put the other end of a call on hold\n\nBy a=sendonly (RFC 6337, section 5.3).\n\nExample:\n"
    )
    assert inspect.getdoc(live.pause) == STEPS["pause"].about
    assert [*inspect.signature(live.cut).parameters] == ["sender", "receiver", "traffic", "name"]


def test_what_is_no_step_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no step `dance`"):
        Rig().live.dance()


@pytest.mark.parametrize(
    ("verb", "positional", "named", "message", "fix"),
    [
        ("call", ("alice", "zoe"), {}, "call: no phone `zoe`", "known here: alice, bob, carol"),
        ("call", ("alice",), {}, "call: `call.callee` is missing", "it takes: caller callee"),
        ("call", ("alice", "bob", "carol"), {}, "call: 3 arguments are too many", "it takes: caller callee"),
        ("call", ("alice",), {"caller": "bob", "callee": "carol"}, "call: `caller` is given twice", "it takes"),
        ("call", (), {"caller": "alice", "calee": "bob"}, "unknown key `call.calee`", "did you mean `callee`?"),
        ("register", (["alice", "zoe"],), {}, "no phone `zoe`", "known here"),
        ("register", ([],), {}, "register: `register.phones`: at least one is wanted", ""),
        ("kill", ("n9",), {}, "kill: no node `n9`", "n1"),
        ("kill", ("n1", "sshd"), {}, "kill: `kill.service`", ""),
        ("set_state", ("n1", "mystate", "BUSSY"), {}, "no such state", "NOT_INUSE"),
        ("set_state", ("n1", "yours", "BUSY"), {}, "no device `yours`", ""),
        ("clear_voicemail", (999,), {}, "no mailbox `999`", ""),
        ("partition", ([["n1"], ["n2"]],), {}, "in no group: n3", "every node is in one"),
        ("partition", ([["n1"], ["n1", "n9"]],), {}, "no node `n9`", ""),
        ("wait_for", (), {"extension": "101"}, "one thing to wait for is wanted", "extension and state"),
        ("wait_for", (), {"extension": "104", "state": "Idle"}, "no extension `104`", ""),
        ("talk", ("alice",), {"duration": -1}, "not a duration", "500ms"),
        ("talk", ("alice",), {"duration": float("nan")}, "not a duration", "500ms"),
        ("look_up", ("n1", "102"), {}, "this lab has no sites to be asked", "two-sites"),
        ("answer", (None,), {}, "`answer.phone` is missing", ""),
    ],
)
def test_arguments_are_held_to_the_same_as_in_yaml_before_anything_is_done(
    verb: str, positional: tuple[Any, ...], named: dict[str, Any], message: str, fix: str
) -> None:
    rig = Rig()
    with pytest.raises(UsageError) as refused:
        getattr(rig.live, verb)(*positional, **named)
    assert message in refused.value.message
    assert fix in refused.value.hint
    assert (rig.journal.events, rig.cluster.calls, rig.faults.calls, rig.engine.ran) == ([], [], [], [])


def test_no_ring_is_waited_for_where_there_are_none() -> None:
    with pytest.raises(UsageError, match="no node of this lab is in a ring"):
        Rig(PUBLISH).live.wait_for(nodes="n1", members=3)


def test_a_value_may_be_what_python_has_for_it() -> None:
    rig = Rig()
    rig.live.wait_for(extension=102, state="inuse", nodes=("n1", "n2"), timeout=2)
    rig.live.set_state("n2", "mystate", "busy")
    assert rig.cluster.calls == ["await 102 InUse on n1,n2 for 2 s"]
    assert rig.cluster.sent == [("n2", "Setvar", {"Device": "Custom:mystate", "State": "BUSY"})]
    assert [(event.node, event.state) for event in rig.events(Said) if isinstance(event, Said)] == [("n2", "BUSY")]


def test_where_no_node_is_named_those_that_answer_and_know_the_extension_are_waited_for() -> None:
    rig = Rig()
    rig.faults.gone.add("n2")
    rig.live.wait_for(extension="101", state="Idle")
    assert rig.cluster.calls == ["await 101 Idle on n1,n3 for 10 s"]


def test_a_fault_is_put_in_force_as_its_class_says() -> None:
    rig = Rig()
    assert rig.live.cut("n1", "n2", traffic="sip", name="deaf") == "deaf"
    rig.live.start("n1")
    rig.live.heal("deaf")
    assert rig.faults.calls == [
        "Cut(sender='n1', receiver='n2', traffic='sip', name='deaf')",
        "start n1 node",
        "heal deaf",
    ]


def test_messages_are_deleted_where_they_are_kept() -> None:
    rig = Rig()
    rig.live.clear_voicemail(102)
    ((container, script),) = rig.engine.ran
    assert container == "labctl-lab-n1"
    assert "/default/102/INBOX/*" in script
    assert rig.cluster.sent == [("n1", "VoicemailRefresh", {"Context": "default", "Mailbox": "102"})]


# What is written down


@pytest.mark.parametrize(
    ("verb", "positional", "named", "text"),
    [
        ("settle", (), {}, "settle"),
        ("set_state", ("n1", "mystate", "BUSY"), {}, "set_state n1 mystate BUSY"),
        ("set_state", (), {"node": "n1", "state": "BUSY"}, "set_state node=n1 state=BUSY"),
        ("kill", ("n1",), {"service": "asterisk"}, "kill n1 service=asterisk"),
        ("cut", ("n1", "n2"), {"name": None, "traffic": "sip"}, "cut n1 n2 traffic=sip"),
        ("register", (["alice", "bob"],), {}, "register alice,bob"),
        ("talk", (), {"phones": ("alice", "bob"), "duration": 0.30}, "talk phones=alice,bob duration=0.3"),
        ("partition", ([["n1", "n2"], ["n3"]],), {}, "partition n1,n2 | n3"),
        ("partition", (), {"groups": (("n1",), ("n2", "n3"))}, "partition groups=n1 | n2,n3"),
        ("impair", ("n1",), {"loss": 20.0, "rate": 1000}, "impair n1 loss=20 rate=1000"),
        ("wait_for", (), {"phone": "alice", "lamp": 0, "dialog": ""}, "wait_for phone=alice lamp=0 dialog="),
    ],
)
def test_a_step_is_described_as_it_was_called(
    verb: str, positional: tuple[Any, ...], named: dict[str, Any], text: str
) -> None:
    assert describe(verb, positional, named) == text


def test_a_step_is_written_down_when_it_has_ended() -> None:
    rig = Rig()
    rig.live.set_state("n1", "mystate", "BUSY")
    rig.live.set_state(node="n2", device="mystate", state="INUSE")
    rig.live.heal()
    assert rig.did == [
        ("set_state n1 mystate BUSY", ""),
        ("set_state node=n2 device=mystate state=INUSE", ""),
        ("heal", ""),
    ]


def test_a_step_that_went_wrong_is_written_down_with_what_and_raised() -> None:
    rig = Rig()
    rig.faults.failing = LabError("n1: no such chain")
    with pytest.raises(LabError):
        rig.live.heal()
    assert rig.did == [("heal", "n1: no such chain")]


def test_nodes_that_are_gone_are_not_live() -> None:
    rig = Rig()
    rig.faults.gone.add("n2")
    assert rig.live.live == ("n1", "n3")


def test_container_of_what_is_no_node_is_refused() -> None:
    rig = Rig()
    with pytest.raises(UsageError, match="no node `n9` in the lab lab"):
        rig.live.container_of("n9")


# Looking


def looks(rig: Rig) -> list[Looked]:
    return [event for event in rig.journal.events if isinstance(event, Looked)]


def test_a_look_has_what_each_node_says() -> None:
    rig = Rig("name: lab\nnodes: 2\n")
    for node in ("n1", "n2"):
        rig.engine.texts[f"labctl-lab-{node}"] = [ANSWERS]
    rig.cluster.said = {"n2": "InUse"}
    rig.live.open()
    look = rig.live.look()
    assert looks(rig) == [look]
    assert look.states == {"n1": {"101": "Idle"}, "n2": {"101": "InUse"}}
    assert look.rings == {"n1": ("n1",), "n2": ("n1",)}
    assert look.hints == {"n1": {"101": "Idle"}, "n2": {"101": "Idle"}}
    assert look.kept == {"101": (1, 0), "102": (1, 0)}


def test_a_tool_that_prints_nothing_is_asked_again() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.engine.texts["labctl-lab-n1"] = ["", "@@\n" * 6, ANSWERS]
    rig.live.open()
    assert rig.live.look().rings == {"n1": ("n1",)}
    assert len(rig.engine.ran) == 3


def test_a_tool_that_never_answers_is_left_out_and_has_not_said_nothing() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.live.open()
    look = rig.live.look()
    assert (look.rings, look.members, look.hints) == ({}, {}, {})


def test_a_look_is_of_one_moment() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.engine.texts["labctl-lab-n1"] = [ANSWERS]
    rig.live.open()
    counts = iter([(), (1,)])
    rig.cluster.on_look = lambda: rig.cluster.rings.update(n1=next(counts, (1,)))
    rig.live.look()
    assert len(rig.engine.ran) == 3  # once each while the ring changed, and once more
    assert len(looks(rig)) == 1


def test_all_is_asked_again_where_a_node_tells_a_new_state_meanwhile() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.engine.texts["labctl-lab-n1"] = [ANSWERS]
    rig.live.open()
    news = iter([Seen(0.0, "n1", "101", "InUse")])

    def on_look() -> None:
        for event in itertools.islice(news, 1):
            rig.journal.write(event)

    rig.cluster.on_look = on_look
    look = rig.live.look()
    assert len(rig.engine.ran) == 2
    assert look.began_s is not None
    assert look.began_s <= look.at_s


def test_a_node_that_does_not_answer_is_left_out() -> None:
    rig = Rig("name: lab\nnodes: 2\n")
    rig.cluster.said = {"n2": UNKNOWN}
    rig.live.open()
    assert rig.live.look().states == {"n1": {"101": "Idle"}}


def test_all_is_looked_at_again_where_a_connection_was_lost_meanwhile() -> None:
    rig = Rig("name: lab\nnodes: 2\n")
    rig.live.open()
    rig.cluster.said = {"n2": UNKNOWN}
    rig.crashes.restored = [True]

    def is_back() -> None:
        if "await restored" in rig.crashes.calls:
            rig.cluster.said.clear()

    rig.cluster.on_look = is_back
    assert set(rig.live.look().states) == {"n1", "n2"}
    assert len(looks(rig)) == 1


def test_a_look_that_fails_is_taken_again_only_where_a_connection_was_lost() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.live.open()
    failures = [LabError("n1: gone"), LabError("n1: gone")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    rig.cluster.on_look = fail_once
    rig.crashes.restored = [True]
    with pytest.raises(LabError):
        rig.live.look()
    failures[:] = [LabError("n1: gone")]
    rig.crashes.restored = [True]
    assert rig.live.look().states == {"n1": {"101": "Idle"}}
    failures[:] = [LabError("n1: gone")]
    with pytest.raises(LabError):
        rig.live.look()


def test_each_step_waits_until_nodes_that_were_lost_are_connected_to_again() -> None:
    rig = Rig()
    with rig.live:
        rig.live.set_state("n1", "mystate", "BUSY")
        assert rig.crashes.calls == ["begin", "await restored"]
    assert rig.crashes.calls[-1] == "end"


def test_where_there_are_no_rings_a_node_hears_whom_the_faults_leave_it() -> None:
    rig = Rig(f"{PUBLISH}nodes: 2\n")
    rig.faults.expected = {"n1": ("n1",), "n2": ("n2",)}
    rig.live.open()
    assert rig.live.look().rings == {"n1": ("n1",), "n2": ("n2",)}


# Waiting


def test_settle_waits_for_rings_and_quiet_and_looks() -> None:
    rig = Rig()
    rig.live.open()
    rig.cluster.rings["n3"] = (3,)

    def whole() -> None:
        rig.cluster.rings["n3"] = (1, 2, 3)
        rig.journal.write(Said(0.0, "n1", "Custom:mystate", "BUSY"))

    thread = rig.meanwhile(whole)
    rig.live.settle()
    thread.join()
    assert rig.faults.calls[:2] == ["await returned", "settled"]
    assert len(looks(rig)) == 1


def test_settle_says_which_ring_is_not_whole() -> None:
    rig = Rig()
    rig.live.open()
    rig.cluster.rings["n3"] = ()
    with pytest.raises(NotReady, match=r"the ring of n3 is empty, not n1,n2,n3, after 0\.01 s"):
        rig.live.settle("10ms")
    assert looks(rig) == []


def test_members_of_a_ring_have_no_order() -> None:
    rig = Rig()
    rig.cluster.rings["n2"] = (3, 1, 2)
    rig.faults.expected = {"n1": (), "n2": ("n2", "n3", "n1"), "n3": ()}
    assert rig.live.rings.amiss(["n1", "n2", "n3"]) == ""


def test_where_no_rule_says_what_rings_should_be_any_is_right() -> None:
    rig = Rig()
    rig.cluster.rings["n2"] = ()
    rig.faults.expected = None
    assert rig.live.rings.amiss(["n2"]) == ""


def test_quiet_is_not_told_in_less_time_than_it_takes() -> None:
    rig = Rig()
    rig.live.open()
    with pytest.raises(NotReady, match=r"quiet when nothing was said for 0\.05 s, and settle has 0\.01 s"):
        rig.live.settle("10ms")
    assert looks(rig) == []


def test_by_sip_quiet_takes_longer_after_a_fault() -> None:
    rig = Rig(PUBLISH)
    rig.live.open()
    rig.faults.disturbed = True
    with pytest.raises(NotReady, match=r"for 4\.5 s, and settle has 2 s"):
        rig.live.settle("2s")


def test_quiet_takes_its_time_and_is_not_told_where_too_little_is_left() -> None:
    rig = Rig()
    rig.live.open()
    assert rig.live.await_quiet(0.001, Deadline(1))
    assert not rig.live.await_quiet(0.2, Deadline(0.1))


def test_what_is_waited_for_is_looked_at_after_each_event() -> None:
    rig = Rig()
    rig.live.open()
    answers = ["n2 has 1", "n2 has 2", ""]

    def lacking() -> str:
        rig.meanwhile(lambda: rig.journal.write(Said(0.0, "n1", "x", "BUSY")))
        return answers.pop(0)

    rig.live.wait_until(lacking, Deadline(5))
    assert answers == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": ["n1", "n2"], "members": 2}, "not 2 members: n1 has 3, n2 has 3"),
        ({"phone": "carol", "dialog": "early"}, "carol was last told"),
        ({"phone": "carol", "lamp": 1}, "carol was told of no messages, not 1"),
    ],
)
def test_what_does_not_come_is_told(arguments: dict[str, Any], message: str) -> None:
    rig = Rig()
    rig.live.open()
    rig.live.register("carol")
    with pytest.raises(NotReady, match=message):
        rig.live.wait_for(**arguments, timeout=0.01)


# Beginning and end


def test_what_cannot_be_opened_is_closed() -> None:
    rig = Rig()
    rig.phones.failing = LabError("the phones of lab are in use by another labctl")
    with pytest.raises(LabError):
        rig.live.open()
    assert rig.cluster.calls[-1] == "close"


def test_the_end_heals_and_closes_everything() -> None:
    rig = Rig()
    with rig.live:
        rig.faults.faults["x"] = None  # type: ignore[assignment]
    assert rig.faults.calls == ["heal all", "close"]
    assert rig.phones.calls == ["open", "close"]
    assert rig.cluster.calls[-1] == "close"
    assert isinstance(rig.journal.events[-1], Over)
    assert rig.journal.events[-1].error == ""


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (LabError("n1: left in force"), "n1: left in force"),
        (HostError("no Docker Engine answers"), "unknown: no Docker Engine answers"),
    ],
)
def test_the_end_goes_on_after_an_error_and_raises_it(error: LabError | HostError, ending: str) -> None:
    rig = Rig()
    rig.live.open()
    rig.faults.faults["x"] = None  # type: ignore[assignment]
    rig.faults.failing = error
    with pytest.raises(type(error)):
        rig.live.close()
    assert rig.phones.calls == ["open", "close"]
    assert rig.cluster.calls[-1] == "close"
    assert [event.error for event in rig.journal.events if isinstance(event, Over)] == [ending]


def test_reset_makes_devices_idle_and_mailboxes_empty_and_settles() -> None:
    rig = Rig("name: lab\nnodes: 1\n")
    rig.live.open()
    rig.live.reset()
    assert [what for what, _ in rig.did] == [
        "set_state n1 mystate NOT_INUSE",
        "clear_voicemail 101",
        "settle",
        "reset",
    ]


def test_what_labctl_measures_by_itself_breaks_no_quiet() -> None:
    rig = Rig()
    heard = rig.live.heard
    rig.live._said(Measured("asterisk", 11, 9.0, 1.0, 0.3, 57000, 19, 42, at_s=1.0, node="n1"))
    assert rig.live.heard == heard
    rig.live._said(Line(1.0, "n1", "lost"))
    assert rig.live.heard == heard + 1
