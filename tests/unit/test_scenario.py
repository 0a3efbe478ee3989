"""A scenario file becomes steps with every default filled in, or is refused with every mistake, and runs nothing."""

from __future__ import annotations

import copy
import io
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labctl import cli
from labctl.checks.known import Known
from labctl.errors import InvalidFile, UsageError
from labctl.faults import registry
from labctl.lab import Overrides
from labctl.labfile.loader import shipped_labs
from labctl.paths import SCENARIOS
from labctl.scenario import reader
from labctl.scenario.entries import CHECKS, MAX_STEPS
from labctl.scenario.loader import find_scenario, shipped_scenarios
from labctl.scenario.reader import Scenario
from labctl.scenario.step_parsing import understand_call
from labctl.scenario.step_registry import Step
from labctl.scenario.steps import STEPS
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, parse
from labctl.yamlfile.source import shipped_path
from tests import quick_yaml
from tests.faults import examples
from tests.unit.labs import DATA, stack
from tests.unit.test_bad_files import check, expected
from tests.unit.test_labfile import STRUCTURES

BAD = sorted((DATA / "bad-scenarios").iterdir())
SCHEMA = jsonschema.Draft202012Validator(json.loads(reader.schema()))

FAULTS = examples()
"""Of each kind, beside what is said here by hand."""

EVERYTHING = """
title: Everything that can be said
about: |
  More about it
lab:
  nodes: 3
  phones:
    - {name: alice, node: n1, extension: 101}
    - {name: bob, node: n2, also: [n3], extension: 102}
    - {name: carol, node: n3, extension: 103}
limits: {delay: 500ms}
requires: [netem, iptables]
steps:
  - register: [alice, carol]
  - register: {phones: bob}
  - watch: {phone: carol, extension: 102}
  - watch: {phone: carol, extension: mystate}
  - call: {caller: alice, callee: bob}
  - reject: bob
  - call: {caller: alice, callee: 102}
  - answer: bob
  - hold: {phone: bob}
  - resume: bob
  - talk: [alice, bob]
  - talk: {phones: [alice, bob], duration: 2s}
  - forward: {phone: bob, to: carol}
  - forward: {phone: bob, to: 999, peer: alice}
  - transfer: {phone: alice, to: "700"}
  - transfer: {phone: alice, to: carol, peer: 102, attended: yes}
  - dtmf: {phone: alice, digits: "12#"}
  - dtmf: {phone: bob, digits: "4", by: info, peer: alice}
  - hold: {phone: bob, peer: alice}
  - answer: {phone: bob, peer: carol}
  - hang_up: alice
  - leave_voicemail: {caller: alice, mailbox: 103}
  - clear_voicemail: 103
  - leave_voicemail: {caller: bob, mailbox: 103, node: n1}
  - clear_voicemail: {mailbox: 103, node: n1}
  - watch_mailbox: carol
  - call: {caller: alice, callee: "*103"}
  - set_state: {node: n1, device: mystate, state: busy}
  - wait: 40s
  - at: 1m
  - cli: {node: n1, command: core show version}
  - cli: {node: n1, command: queue show, expect: "^support .* ([0-9]+) calls", within: 2s, capture: calls}
  - cli: {node: n1, command: queue show, absent: nobody}
  - ami: {node: n1, action: QueueStatus, headers: {Queue: support}, expect: "Calls: ${calls}", must: yes}
  - exec: {node: n2, command: cat /etc/hostname}
  - expect_sip: {phone: alice, message: NOTIFY, header: {Event: dialog}, body: {regex: early}, count: 1, within: 2s}
  - expect_sip: {node: n2, message: INVITE 4xx, direction: received, since: start, capture: status, must: yes}
  - expect_sip: {phone: bob, message: 486, body: v=0, absent: yes, within: 3s}
  - configure: {node: n2, file: asterisk/queues.conf, text: "[general]", reload: app_queue}
  - configure: {node: n2, file: asterisk/queues.conf, text: "[general]", whole: yes}
  - configure: {node: n2, file: corosync/corosync.conf, keys: {totem: {token: 9, crypto_hash: null}}, reload: corosync}
  - wait_for: {extension: "102", state: INUSE&ringing}
  - wait_for: {extension: mystate, state: Busy, nodes: [n1, n2], timeout: 1.5m}
  - wait_for: {phone: carol, dialog: early}
  - wait_for: {phone: carol, lamp: 0}
  - wait_for: {nodes: n1, members: 3}
  - kill: n3
  - start: n3
  - kill: {node: n3, service: asterisk}
  - stop: n3
  - start: n3
  - pause: n2
  - start: {node: n2}
  - upgrade: {node: n2, stack: "22"}
  - restart: {node: n1, service: corosync}
  - partition: [[n1, n2], [n2, n3]]
  - heal
  - partition: {groups: [[n1, n2], [n3]], traffic: totem, name: split}
  - cut: {sender: n1, receiver: n2, traffic: sip, name: deaf}
  - heal: split
  - partition: {groups: [[n1], [n2], [n3]], name: split}
  - iface_down: n3
  - impair: {node: n1, delay: 50ms, jitter: 5ms, duplicate: 1, rate: 1000}
  - impair: {node: n2, loss: 2.5, traffic: totem}
  - host_pause: two
  - host_cut: {host: two, traffic: sip, name: line}
  - heal: all
  # and a fault of every kind
  - storm: {phone: alice, rate: 100, count: 1000}
  - load: {caller: alice, callee: bob, rate: 500, count: 20000}
  - unwatch: carol
  - unregister: [bob]
  - register: {phones: bob, node: n2, expires: 60s, answers_options: no, behind_nat: yes}
  - vanish: bob
  - register: {phones: bob, failover: yes}
  - settle:
  - settle: 5
  - settle
expect: [agreement, truth]
known:
  - {stack: 22, check: agreement, reason: What is said while a ring merges is lost, always: false}
  - {stack: "1.8", check: truth, reason: It is in the code, source: read}
""".replace(
    "  # and a fault of every kind\n", "".join(f"  - {json.dumps({kind: FAULTS[kind]})}\n  - heal\n" for kind in FAULTS)
)


def find_lab(name: str) -> Document:
    if name not in shipped_labs():
        raise UsageError(f"no lab `{name}`")
    return parse("nodes: 3\n", f"{name}.yaml")


def read(text: str, source: str = "my.yaml", overrides: Overrides | None = None) -> Scenario:
    return reader.read(text, source, find_lab, find_stack, overrides)


def steps(*lines: str) -> tuple[Step, ...]:
    return read("title: T\nsteps:\n" + "".join(f"  - {line}\n" for line in lines)).steps


def check_refusal(text: str) -> None:
    """Read a text; if it is refused, then with lines that it has."""
    refused = None
    try:
        read(text)
    except InvalidFile as error:
        refused = error
    if refused:
        assert [problem for problem in refused.problems if not 1 <= problem.line <= text.count("\n") + 1] == []


# What is refused


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_scenario_is_refused_with_every_mistake(path: Path) -> None:
    with pytest.raises(InvalidFile) as refused:
        find_scenario(str(path), Overrides())
    check(refused.value.message.splitlines(), path)
    assert [problem.line for problem in refused.value.problems] == [line for line, _ in expected(path)]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_the_schema_refuses_what_can_be_seen_without_a_lab(path: Path) -> None:
    text = path.read_text("utf-8")
    with suppress(yaml.YAMLError):
        assert SCHEMA.is_valid(quick_yaml.load(text)) == text.startswith("# schema: accepts\n")


@pytest.mark.long
def test_so_many_steps_are_enough() -> None:
    text = "title: T\nsteps:\n" + "  - settle\n" * (MAX_STEPS + 1)
    with pytest.raises(InvalidFile, match=f"2: {MAX_STEPS + 1} steps") as refused:
        read(text + "expect: [x]\n")
    assert len(refused.value.problems) == 2
    assert not SCHEMA.is_valid({"title": "T", "steps": ["settle"] * (MAX_STEPS + 1)})


def test_mistakes_of_a_scenario_and_of_its_lab_file_come_together(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("nodes: 0\nstack: ./mine.yaml\n")
    (tmp_path / "run.yaml").write_text("title: T\nlab: lab.yaml\nsteps: [setle]\n")
    with pytest.raises(InvalidFile) as refused:
        find_scenario(str(tmp_path / "run.yaml"), Overrides())
    lines = refused.value.message.splitlines()
    assert lines[0].startswith(f"{tmp_path}/run.yaml:3: no step `setle`")
    assert lines[1].startswith(f"{tmp_path}/lab.yaml:1: `nodes`")
    assert lines[2].startswith(f"{tmp_path}/lab.yaml:2: no stack `./mine.yaml` for a scenario")


def test_mistakes_of_an_inline_lab_and_of_a_flags_stack_come_together(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    (tmp_path / "run.yaml").write_text("title: T\nlab:\n  nodes: 0\nsteps: [setle]\n")
    with pytest.raises(InvalidFile) as refused:
        find_scenario(str(tmp_path / "run.yaml"), Overrides(stack=str(tmp_path / "mine.yaml")))
    lines = refused.value.message.splitlines()
    assert lines[0].startswith(f"{tmp_path}/run.yaml:3: `nodes`")
    assert lines[1].startswith(f"{tmp_path}/run.yaml:4: no step `setle`")
    assert lines[2].startswith(f"{tmp_path}/mine.yaml:1: ")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (Overrides(stack="23"), "no stack `23`"),
        (Overrides(name="My Lab"), "--name: not a name"),
        (Overrides(nodes=2), "no node `n3`"),
        (Overrides(nodes=65), "a count from 1 to 64"),
    ],
)
def test_a_wrong_flag_is_refused(flags: Overrides, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        read(EVERYTHING, overrides=flags)


@pytest.mark.parametrize("name", ["no-such-scenario", "none.yaml", "/", "a/\0.yaml", "a" * 300])
def test_what_is_no_scenario_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        find_scenario(name, Overrides())


@pytest.mark.parametrize("name", ["-", "''", "/", "labs", '"a\\0b"', "~/lab.yaml", "three-nodes", "."])
def test_what_is_no_lab_is_refused_on_its_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"title: T\nlab: {name if name != '-' else repr(name)}\nsteps: [settle]\n")
    with pytest.raises(InvalidFile) as refused:
        find_scenario(str(tmp_path / "run.yaml"), Overrides())
    assert [problem.line for problem in refused.value.problems] == [2]


def test_a_step_of_a_scenario_is_one_that_a_program_may_call() -> None:
    """As the runner does, with every default filled in."""
    everything = read(EVERYTHING)
    for step in everything.steps:
        assert understand_call(STEPS[step.verb], (), step.arguments, everything.lab) == step.arguments


def test_numbers_among_the_keys_of_a_program_are_as_in_yaml() -> None:
    lab = read(EVERYTHING).lab
    named = {"node": "n1", "file": "asterisk/rtp.conf", "keys": {"general": {"rtpstart": 12000, "strictrtp": True}}}
    keys = understand_call(STEPS["configure"], (), named, lab)["keys"]
    assert keys == {"general": {"rtpstart": "12000", "strictrtp": "yes"}}


def test_a_step_upgrade_is_held_to_the_labs_own_stack_wherever_that_came_from() -> None:
    text = "title: T\nlab: {stack: theirs}\nsteps: [{upgrade: {node: n2, stack: '22'}}]\n"

    def find(name: str) -> Stack:
        return find_stack("22").model_copy(update={"name": name}) if name == "theirs" else find_stack(name)

    scenario = reader.read(text, "their.yaml", find_lab, find)
    assert scenario.steps[0].verb == "upgrade"


# What is read


@pytest.mark.parametrize("name", shipped_scenarios())
def test_shipped_scenarios_are_right(name: str) -> None:
    made = find_scenario(name, Overrides())
    text = shipped_path(SCENARIOS, name).read_text("utf-8")
    SCHEMA.validate(quick_yaml.load(text))
    assert (made.name, made.lab.name) == (name, f"run-{name}"[:31])


@pytest.mark.long
def test_what_is_known_of_stacks_that_no_run_has_seen_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        cli.main(["scenarios"])
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert (
        "agreement on 22 by corosync; healthy on 22 by corosync; agreement on 1.6, 1.8 by corosync (measured by hand)"
    ) in lines["corosync-crash"]
    assert lines["partition-heal"].rstrip().endswith("agreement on 22 by corosync")


def test_each_name_is_shipped_once_in_a_family() -> None:
    files = list(SCENARIOS.rglob("*.yaml"))
    assert sorted(path.stem for path in files) == shipped_scenarios()
    assert all(path.parent.parent == SCENARIOS for path in files)


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_is_known_of_stacks_that_were_built_by_hand_was_measured_on_these(name: str) -> None:
    known = find_scenario(name, Overrides()).known
    assert {expectation.source for expectation in known if expectation.stack in ("1.6", "1.8")} <= {"measured"}
    assert {expectation.source for expectation in known if expectation.stack == "22"} <= {"run"}


@pytest.mark.parametrize("name", ["corosync-crash", "corosync-restart"])
def test_where_a_module_is_to_find_a_new_corosync_asterisk_stays(name: str) -> None:
    assert not find_scenario(name, Overrides(stack="1.6")).lab.follows_corosync


def test_every_verb_can_be_said_in_every_way() -> None:
    made = read(EVERYTHING)
    SCHEMA.validate(quick_yaml.load(EVERYTHING))
    assert {step.verb for step in made.steps} == set(STEPS) - {"look_up", "ask_state"}
    assert (made.title, made.about) == ("Everything that can be said", "More about it\n")
    assert (made.limits.delay_ms, made.requires, made.expect) == (500, ("netem", "iptables"), ("agreement", "truth"))
    assert made.known == (
        Known("22", "agreement", "What is said while a ring merges is lost", always=False),
        Known("1.8", "truth", "It is in the code", always=True, source="read"),
    )
    assert [step.line for step in made.steps[:2]] == [14, 15]


def test_sites_can_be_asked_in_every_way() -> None:
    steps = "- look_up: {node: east1, number: '*103'}\n- look_up: {node: east1, number: 103, found: no}\n"
    steps += "- ask_state: {node: west2, extension: mystate, fresh: yes}\n"
    text = f"title: T\nlab: {{sites: {{east: 2, west: 2}}}}\nsteps:\n{steps}"
    SCHEMA.validate(quick_yaml.load(text))
    assert [step.verb for step in read(text).steps] == ["look_up", "look_up", "ask_state"]


def test_what_is_not_said_is_as_always() -> None:
    made = read("title: T\nsteps: [settle]\n")
    assert (made.about, made.limits.delay_ms, made.requires, made.known) == ("", 1000, (), ())
    assert made.expect == CHECKS
    assert (made.stack, len(made.lab.nodes)) == (stack(), 3)


AS_ALWAYS = {"failover": False, "answers_options": True, "behind_nat": False}


@pytest.mark.parametrize(
    ("line", "arguments", "said"),
    [
        ("register: bob", {"phones": ("bob",), **AS_ALWAYS}, "register bob"),
        ("register: [bob, carol]", {"phones": ("bob", "carol"), **AS_ALWAYS}, "register bob,carol"),
        ("watch: {phone: bob, extension: 0101}", None, ""),
        ("watch: {phone: bob, extension: 101}", {"phone": "bob", "extension": "101"}, "watch phone=bob extension=101"),
        ("call: {caller: alice, callee: bob}", {"caller": "alice", "callee": "bob"}, "call alice -> bob"),
        ("settle", {"timeout": 30.0}, "settle"),
        ("settle:", {"timeout": 30.0}, "settle"),
        ("settle: {}", {"timeout": 30.0}, "settle"),
        ("settle: 500ms", {"timeout": 0.5}, "settle 0.5s"),
        ("heal", {"fault": "all"}, "heal"),
        ("pause: {node: n1}", {"node": "n1"}, "pause n1"),
        ("kill: n1", {"node": "n1", "service": "node"}, "kill n1"),
        (
            "kill: {service: corosync, node: n1}",
            {"node": "n1", "service": "corosync"},
            "kill n1 service=corosync",
        ),
        (
            "set_state: {node: n1, device: mystate, state: BUSY}",
            {"node": "n1", "device": "mystate", "state": "BUSY"},
            "set_state node=n1 device=mystate state=BUSY",
        ),
        (
            "wait_for: {extension: 102, state: ringing, nodes: n3, timeout: 2}",
            {"extension": "102", "state": "Ringing", "nodes": ("n3",), "timeout": 2.0},
            "wait_for extension=102 state=Ringing nodes=n3 timeout=2s",
        ),
        (
            "partition: [[n1, n2], [n3]]",
            {"groups": (("n1", "n2"), ("n3",)), "traffic": "all"},
            "partition n1,n2 | n3",
        ),
        (
            "cut: {sender: n1, receiver: n2, traffic: totem}",
            {"sender": "n1", "receiver": "n2", "traffic": "totem"},
            "cut n1 -> n2 traffic=totem",
        ),
        (
            "impair: {node: n1, loss: 5, delay: 20ms}",
            {"node": "n1", "loss": 5.0, "delay": 0.02, "traffic": "all"},
            "impair node=n1 loss=5 delay=0.02s",
        ),
    ],
)
def test_a_step_has_its_defaults_and_is_shown_short(line: str, arguments: dict[str, Any] | None, said: str) -> None:
    if arguments is None:
        with pytest.raises(InvalidFile, match="no extension `0101`"):
            steps(line)
        return
    (made,) = steps(line)
    assert (made.arguments, str(made)) == (arguments, said)


@pytest.mark.parametrize("text", ["1", "1s", "1000ms", "1.0", "0.5", "2m", "10m", "0.1h"])
def test_durations_are_seconds(text: str) -> None:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()  # type: ignore[union-attr]
    assert steps(f"settle: {text}")[0].arguments["timeout"] == pytest.approx(float(number) * units.get(unit, 1.0))


@pytest.mark.parametrize(
    ("source", "name", "lab"),
    [
        ("labs/My Run.yaml", "My Run", "run-my-run"),
        ("-", "scenario", "run-scenario"),
        ("x" * 40 + ".yaml", "x" * 40, "run-" + "x" * 27),
        ("é.yaml", "é", "run--"),
    ],
)
def test_its_lab_never_meets_a_users_own(source: str, name: str, lab: str) -> None:
    made = read("title: T\nlab: {name: office}\nsteps: [settle]\n", source)
    assert (made.name, made.lab.name) == (name, lab)


def test_flags_win_over_its_lab() -> None:
    made = read("title: T\nlab: {nodes: [left, right]}\nsteps: [kill: n1]\n", overrides=Overrides("mine", "22", 1))
    assert (made.lab.name, made.stack, [node.name for node in made.lab.nodes]) == ("mine", stack(), ["n1"])


def test_a_lab_is_looked_for_beside_its_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "two.yaml").write_text("nodes: 2\n")
    (tmp_path / "run.yaml").write_text("title: T\nlab: labs/two.yaml\nsteps: [settle]\n")
    assert len(find_scenario(str(tmp_path / "run.yaml"), Overrides()).lab.nodes) == 2
    monkeypatch.chdir(tmp_path / "labs")
    assert len(find_scenario("../run.yaml", Overrides()).lab.nodes) == 2


def test_a_scenario_may_come_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"title: T\r\nsteps: [settle]\r\n")))
    assert find_scenario("-", Overrides()).steps == (Step("settle", {"timeout": 30.0}, 2),)


def test_a_stack_of_the_users_own_comes_by_a_flag_alone(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(quick_yaml.dump(stack().model_dump(exclude_none=True) | {"name": "mine"}))
    flags = Overrides(stack=str(own))
    assert find_scenario("call-seen-from-third-node", flags).stack.name == "mine"


# By chance

PHONES = st.sampled_from(["alice", "bob", "carol"])
NODES = st.sampled_from(["n1", "n2", "n3"])
TIMES = st.sampled_from([1, 0.5, "500ms", "2s", "1.5m", "10m"])
ARGUMENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    **{kind: {key: st.just(value) for key, value in given.items()} for kind, given in FAULTS.items()},
    "register": {"phones": PHONES | st.lists(PHONES, min_size=1, unique=True)},
    "watch": {"phone": PHONES, "extension": st.sampled_from([101, "102", "mystate"])},
    "call": {"caller": PHONES, "callee": PHONES | st.sampled_from([102, "*103", "*600"])},
    "hang_up": {"phone": PHONES},
    "talk": {"phones": st.lists(PHONES, min_size=1), "duration": TIMES},
    "settle": {"timeout": TIMES},
    "kill": {"node": NODES, "service": st.sampled_from(["node", "corosync", "asterisk"])},
    "pause": {"node": NODES},
    "partition": {"groups": st.permutations(["n1", "n2", "n3"]).map(lambda names: [names[:1], names[1:]])},
    "impair": {"node": NODES, "loss": st.integers(1, 100)},
    "heal": {"fault": st.just("all")},
    "storm": {"phone": PHONES, "rate": st.integers(1, 500), "count": st.integers(1, 20000)},
}
OPTIONAL = {("talk", "duration"), ("settle", "timeout"), ("kill", "service"), ("heal", "fault")}


@st.composite
def a_step(draw: st.DrawFn) -> Any:
    """A step that is right once every phone is registered, in any form."""
    verb = draw(st.sampled_from([*ARGUMENTS]))
    kept = [key for key in ARGUMENTS[verb] if (verb, key) not in OPTIONAL or draw(st.booleans())]
    arguments = {key: draw(ARGUMENTS[verb][key]) for key in kept}
    if not arguments and draw(st.booleans()):
        return verb
    if [*arguments] == [STEPS[verb].short] and draw(st.booleans()):
        return {verb: arguments[STEPS[verb].short]}
    return {verb: arguments}


def in_order(step: Any) -> list[Any]:
    """The step where it may come at any time: phones that register are switched off before, and a fault is healed."""
    verb, value = next(iter(step.items())) if isinstance(step, dict) else (step, None)
    if verb == "register":
        return [{"unregister": value["phones"] if isinstance(value, dict) else value}, step]
    return [step, "heal"] if verb in registry.FAULTS else [step]


@given(st.lists(a_step()))
def test_reader_and_schema_accept_what_is_right(some: list[Any]) -> None:
    steps = [{"register": ["alice", "bob", "carol"]}, *(part for step in some for part in in_order(step))]
    data = {"title": "T", "steps": steps}
    SCHEMA.validate(data)
    assert len(read(quick_yaml.dump(data)).steps) == len(steps)


@pytest.mark.long
@given(st.data())
def test_no_change_makes_it_too_odd_to_be_refused(drawn: st.DataObject) -> None:
    data = copy.deepcopy(quick_yaml.load(EVERYTHING))
    for _ in range(drawn.draw(st.integers(1, 4))):
        around, key = drawn.draw(st.sampled_from(_places(data)))
        match drawn.draw(st.sampled_from(["put", "drop", "rename", "copy"])):
            case "put":
                around[key] = drawn.draw(STRUCTURES | st.sampled_from([*STEPS, "all", "alice", "n1"]))
            case "drop":
                del around[key]
            case "rename" if isinstance(around, dict):
                around[drawn.draw(st.sampled_from([*STEPS, "phone", "phones", "x"]))] = around.pop(key)
            case _:
                around[key] = copy.deepcopy(drawn.draw(st.sampled_from(_places(data)))[0])
    check_refusal(quick_yaml.dump(data))


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every place in a structure: what is around it, and its key there."""
    found = [(data, key) for key in (data if isinstance(data, dict) else range(len(data)))]
    inner = [_places(around[key]) for around, key in found if isinstance(around[key], dict | list)]
    return [*found, *(place for places in inner for place in places)] or [({"": None}, "")]


@given(st.data())
def test_no_slip_of_the_pen_is_too_odd_to_be_refused(drawn: st.DataObject) -> None:
    text = EVERYTHING
    for _ in range(drawn.draw(st.integers(1, 4))):
        at = drawn.draw(st.integers(0, len(text)))
        put = drawn.draw(st.sampled_from([*"-?:,[]{}&*!|>'\"%@`# \n\t", "- ", ": ", "!!x ", "é", "\u2028", ""]))
        text = text[:at] + put + text[at + drawn.draw(st.integers(0, 30)) :]
    check_refusal(text)


def test_a_docker_host_that_a_step_names_is_one_of_the_labs_where_its_file_says_them() -> None:
    text = "title: T\nlab: {nodes: 3, hosts: [one, two]}\nsteps:\n- host_cut: two\n- heal\n- host_pause: tow\n"
    with pytest.raises(InvalidFile) as refused:
        read(text)
    assert refused.value.message == "my.yaml:6: no Docker host `tow` (did you mean `two`?)"
    assert read(text.replace("tow", "one")).steps[-1].arguments == {"host": "one"}
    left_open = read(text.replace(", hosts: [one, two]", ""))  # LABCTL_HOSTS may say them
    assert left_open.steps[-1].arguments == {"host": "tow"}
