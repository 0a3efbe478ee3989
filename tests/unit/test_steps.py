"""The verbs of steps: what each takes, its short and its long form, and how people read it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from labctl.faults.registry import FAULTS
from labctl.scenario.step_form import long_form
from labctl.scenario.step_registry import Step
from labctl.scenario.steps import STEPS

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([*STEPS])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS | st.just("phones"), inner, max_size=2),
    max_leaves=5,
)


def step(verb: str, **arguments: Any) -> Step:
    """A step as the reader makes it: defaults filled in, and nothing that is not said."""
    return Step(verb, STEPS[verb].arguments.model_validate(arguments).model_dump(exclude_none=True))


@pytest.mark.parametrize("verb", [verb for verb in STEPS if verb not in FAULTS])
def test_what_a_step_takes_is_what_its_function_takes(verb: str) -> None:
    live, *parameters = inspect.signature(STEPS[verb].do).parameters.values()
    fields = STEPS[verb].arguments.model_fields
    assert live.name == "live"
    assert [parameter.name for parameter in parameters] == [*fields]
    wanted = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    assert wanted == {key for key, field in fields.items() if field.is_required()}


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_is_a_step(kind: str) -> None:
    assert (STEPS[kind].arguments, STEPS[kind].about) == (FAULTS[kind], FAULTS[kind].about)


@pytest.mark.parametrize("verb", STEPS)
def test_every_step_says_in_one_line_what_it_does(verb: str) -> None:
    assert STEPS[verb].about
    assert not STEPS[verb].about.endswith(".")


@pytest.mark.parametrize("verb", [verb for verb in STEPS if STEPS[verb].short])
def test_what_may_be_given_bare_is_an_argument_and_the_only_one_wanted(verb: str) -> None:
    required = {key for key, field in STEPS[verb].arguments.model_fields.items() if field.is_required()}
    assert STEPS[verb].short in STEPS[verb].arguments.model_fields
    assert required <= {STEPS[verb].short}


# How people read it


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (step("heal"), "heal"),
        (step("heal", fault="split"), "heal split"),
        (step("settle", timeout="2m"), "settle 120s"),
        (step("hang_up", phone="bob"), "hang_up bob"),
        (step("register", phones=["alice", "bob"]), "register alice,bob"),
        (step("talk", phones=["alice"], duration=1), "talk alice"),
        (step("talk", phones=["alice", "bob"], duration="1500ms"), "talk alice,bob duration=1.5s"),
        (step("call", caller="alice", callee="*600"), "call alice -> *600"),
        (step("leave_voicemail", caller="alice", mailbox="102"), "leave_voicemail caller=alice mailbox=102"),
        (step("clear_voicemail", mailbox="102"), "clear_voicemail 102"),
        (step("watch", phone="carol", extension="102"), "watch phone=carol extension=102"),
        (step("wait_for", phone="carol", lamp=0), "wait_for phone=carol lamp=0"),
        (step("wait_for", nodes=["n1", "n2"], members=2, timeout=90), "wait_for nodes=n1,n2 members=2 timeout=90s"),
        (step("restart", node="n1", service="corosync"), "restart node=n1 service=corosync"),
        (step("stop", node="n1", service="asterisk"), "stop n1 service=asterisk"),
        (
            step("partition", groups=[["n1"], ["n2", "n3"]], traffic="totem", name="split"),
            "partition n1 | n2,n3 traffic=totem name=split",
        ),
        (step("cut", sender="n1", receiver="n2", name="deaf"), "cut n1 -> n2 name=deaf"),
        (
            step("impair", node="n1", loss=2.5, delay="20ms", jitter="5ms", duplicate=1, rate=1000),
            "impair node=n1 loss=2.5 delay=0.02s jitter=0.005s duplicate=1 rate=1000",
        ),
        (step("storm", phone="alice", rate=100, count=1000), "storm phone=alice rate=100 count=1000"),
        (step("load", caller="alice", callee="bob", rate=5, count=20), "load alice -> bob rate=5 count=20"),
        (
            step("load", caller="alice", callee="bob", rate=5, count=20, duration="2s"),
            "load alice -> bob rate=5 count=20 duration=2s",
        ),
    ],
    ids=str,
)
def test_a_step_is_read_as_people_say_it(made: Step, text: str) -> None:
    assert str(made) == text


# Its long form


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("settle", {"settle": {}}),
        ("heal", {"heal": {}}),
        ("answer", {"answer": None}),
        ("sleep", {"sleep": None}),
        ({"settle": None}, {"settle": {}}),
        ({"settle": {}}, {"settle": {}}),
        ({"settle": "5s"}, {"settle": {"timeout": "5s"}}),
        ({"answer": None}, {"answer": None}),
        ({"answer": "bob"}, {"answer": {"phone": "bob"}}),
        ({"answer": {"phone": "bob"}}, {"answer": {"phone": "bob"}}),
        ({"register": "bob"}, {"register": {"phones": ["bob"]}}),
        ({"register": ["bob"]}, {"register": {"phones": ["bob"]}}),
        ({"talk": {"phones": "bob", "duration": 2}}, {"talk": {"phones": ["bob"], "duration": 2}}),
        ({"wait_for": {"nodes": "n1", "members": 1}}, {"wait_for": {"nodes": ["n1"], "members": 1}}),
        ({"partition": [["n1"], ["n2"]]}, {"partition": {"groups": [["n1"], ["n2"]]}}),
        ({"clear_voicemail": 102}, {"clear_voicemail": {"mailbox": 102}}),
        ({"call": "bob"}, {"call": "bob"}),
        ({"watch": ["bob", 102]}, {"watch": ["bob", 102]}),
    ],
    ids=str,
)
def test_a_step_has_its_arguments_by_name(short: Any, long: Any) -> None:
    assert long_form(short) == long


@pytest.mark.parametrize("thing", [None, 5, [], ["settle"], {}, {"settle": None, "heal": None}, {5: "x"}, {"sleep": 5}])
def test_what_is_no_step_stays_so(thing: Any) -> None:
    assert long_form(thing) == thing


@given(ANYTHING | st.dictionaries(st.sampled_from([*STEPS]), ANYTHING, min_size=1, max_size=1))
def test_a_long_form_is_its_own(thing: Any) -> None:
    long = long_form(thing)
    assert long_form(long) == long


# What is refused


@pytest.mark.parametrize(
    "text", ["0", "0s", "-1", "601", "10.1m", "1h", "1 s", "s", "1e2", "٣", ".5", "", "nan", None, True]
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError, match="not a duration"):
        step("settle", timeout=text)


@pytest.mark.parametrize(
    ("said", "state"), [("busy", "BUSY"), ("RingInUse", "RINGINUSE"), ("TALKING", None), (None, None), (1, None)]
)
def test_a_state_is_one_of_asterisks_in_any_case(said: Any, state: str | None) -> None:
    given: dict[str, Any] = {"node": "n1", "device": "mystate", "state": said}
    if state:
        assert step("set_state", **given).arguments["state"] == state
        return
    with pytest.raises(ValidationError, match="no such state"):
        step("set_state", **given)


@pytest.mark.parametrize(
    ("verb", "takes"),
    [("watch", "phone extension"), ("settle", "[timeout=30s]"), ("cut", "sender receiver [traffic=all] [name]")],
)
def test_a_step_says_what_it_takes(verb: str, takes: str) -> None:
    assert STEPS[verb].takes == takes
