"""Random moves: the same seed tries the same things, and nothing is tried that no step can say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.faults.registry import FAULTS as KINDS
from labctl.lab import Lab
from labctl.scenario.random_steps import MESSAGE_S, Chaos, Move
from labctl.scenario.steps import STEPS
from tests.faults import nodes_of
from tests.unit.labs import lab

LAB = lab("name: lab\nnodes: 4\nphones: 5\ndevices: [one, two]\n")
NODES = [node.name for node in LAB.nodes]
IN_FORCE = ["partition.1", "kill-n1"]
FAULTS = {kind for kind, cls in KINDS.items() if not cls.needs}

SEEDS = st.integers(0, 2**32)
GONE = st.sets(st.sampled_from(NODES))
FAULT_NAMES = st.lists(st.sampled_from(["partition.1", "cut.1", "kill-n1", "stop-asterisk-n2"]), unique=True)


def moves(
    seed: int, count: int = 100, gone: Collection[str] = (), in_force: Sequence[str] = (), of: Lab = LAB
) -> list[Move]:
    """The first moves of a seed where the same is the case all the time."""
    chaos = Chaos(of, seed)
    return [chaos.next(gone, in_force) for _ in range(count)]


def steps(*values: Any, **named: Any) -> list[tuple[str, dict[str, Any]]]:
    """The steps of such moves, one after the other."""
    return [step for move in moves(*values, **named) for step in move.steps]


# By seed


@given(SEEDS, GONE, FAULT_NAMES)
def test_the_same_seed_makes_the_same_moves(seed: int, gone: set[str], in_force: list[str]) -> None:
    assert moves(seed, 30, gone, in_force) == moves(seed, 30, sorted(gone), tuple(in_force))


def test_another_seed_makes_other_moves() -> None:
    assert len({str(moves(seed, 30)) for seed in range(20)}) == 20


def test_whatever_has_happened_the_next_move_is_by_what_is_the_case() -> None:
    chaos = Chaos(LAB, 1)
    for _ in range(50):
        chaos.next([], IN_FORCE)
    assert {verb for _ in range(50) for verb, _ in chaos.next(NODES, []).steps} == {"settle"}


def test_in_time_every_kind_of_move_is_made() -> None:
    usual = {"set_state", "call", "answer", "talk", "hang_up", "leave_voicemail", "settle"}
    assert {verb for verb, _ in steps(1, 1000)} == usual | FAULTS
    assert {verb for verb, _ in steps(1, 1000, in_force=IN_FORCE)} == usual | {"heal"}


def test_nobody_hangs_up_in_voicemails_beep() -> None:
    """Its 0.44 s, and as much again on a busy machine: who does is in use for seconds more."""
    assert {given["duration"] for verb, given in steps(1, 1000) if verb == "leave_voicemail"} == {MESSAGE_S}
    assert MESSAGE_S > 2 * 0.44


# What steps can say


@given(SEEDS, GONE, FAULT_NAMES)
def test_every_step_is_a_verb_with_arguments_that_it_takes(seed: int, gone: set[str], in_force: list[str]) -> None:
    random_steps = steps(seed, gone=gone, in_force=in_force)
    for verb, arguments in random_steps:
        read_back = STEPS[verb].arguments.model_validate(arguments).model_dump(exclude_unset=True, mode="json")
        assert read_back == arguments


@given(SEEDS, GONE)
def test_every_name_is_one_of_the_lab(seed: int, gone: set[str]) -> None:
    known = {key: {phone.name for phone in LAB.phones} for key in ("caller", "callee", "phone")}
    known |= {"node": set(NODES)}
    known |= {"device": set(LAB.devices), "mailbox": {mailbox.number for mailbox in LAB.mailboxes}}
    for verb, arguments in steps(seed, gone=gone):
        assert verb not in FAULTS or nodes_of(verb, arguments) <= {*NODES}
        assert {key: arguments[key] for key in arguments if key in known and arguments[key] not in known[key]} == {}


@given(SEEDS)
def test_a_partition_has_every_node_in_one_group(seed: int) -> None:
    for verb, arguments in steps(seed):
        if verb == "partition":
            assert sorted(node for group in arguments["groups"] for node in group) == NODES


@given(SEEDS)
def test_a_call_is_answered_talked_in_and_hung_up_by_who_is_in_it(seed: int) -> None:
    calls = [move.steps for move in moves(seed) if move.steps[0][0] == "call"]
    for (_, call), (_, answer), (_, talk), (_, hang_up) in calls:
        ends = [call["caller"], call["callee"]]
        assert len({*ends}) == 2
        assert answer == {"phone": call["callee"]}
        assert talk["phones"] == ends
        assert hang_up["phone"] in ends


# What is the case


@given(SEEDS, GONE)
def test_no_fault_is_put_on_a_node_that_is_gone(seed: int, gone: set[str]) -> None:
    faults = [(verb, arguments) for verb, arguments in steps(seed, gone=gone) if verb in FAULTS]
    assert {node for verb, arguments in faults for node in nodes_of(verb, arguments)} <= {*NODES} - gone


@given(SEEDS, GONE)
def test_nothing_is_said_on_a_node_that_is_gone(seed: int, gone: set[str]) -> None:
    away = {phone.name for phone in LAB.phones if phone.node in gone}
    boxes = {mailbox.number for mailbox in LAB.mailboxes if mailbox.node in gone}
    said_on = [arguments for verb, arguments in steps(seed, gone=gone) if verb not in FAULTS]
    assert not {text for arguments in said_on for text in arguments.values() if isinstance(text, str)} & (
        away | boxes | gone
    )


@given(SEEDS, st.sampled_from(NODES))
def test_the_last_node_that_is_there_is_left_in_peace(seed: int, last: str) -> None:
    assert not {verb for verb, _ in steps(seed, gone={*NODES} - {last})} & FAULTS


@given(SEEDS)
def test_there_are_two_faults_at_a_time_at_most(seed: int) -> None:
    assert not {verb for verb, _ in steps(seed, in_force=IN_FORCE)} & FAULTS


@given(SEEDS, FAULT_NAMES)
def test_only_faults_in_force_are_healed_and_then_all_settles(seed: int, in_force: list[str]) -> None:
    for move in moves(seed, in_force=in_force):
        if move.steps[0][0] == "heal":
            (_, heal), *rest = move.steps
            assert heal["fault"] in in_force
            assert rest == [("settle", {})]


def test_every_fault_in_force_is_healed_in_time() -> None:
    healed = {arguments["fault"] for verb, arguments in steps(1, 200, in_force=IN_FORCE) if verb == "heal"}
    assert healed == set(IN_FORCE)


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("phones: 0\nmailboxes: []\n", {"call", "answer", "talk", "hang_up", "leave_voicemail"}),
        ("phones: 1\n", {"call", "answer", "talk", "hang_up"}),
        ("devices: []\n", {"set_state"}),
        ("nodes: 1\n", FAULTS),
    ],
)
def test_what_a_lab_has_not_is_not_tried(text: str, never: set[str]) -> None:
    verbs = {verb for verb, _ in steps(1, 300, of=lab(f"name: lab\n{text}"))}
    assert "settle" in verbs
    assert not verbs & never
