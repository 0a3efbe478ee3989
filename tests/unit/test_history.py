"""A history comes back from its lines as it was, whole or cut off; what is no history is refused by its lines."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, cast, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.asterisk.device_state import ORDER
from labctl.errors import InvalidFile
from labctl.history import events as history
from labctl.history.events import Back, Began, Event, Gone, Over, Said, beginning
from labctl.history.lines import KINDS, parse, to_line
from labctl.history.phone_events import Unsure

BEGAN = Began(0.0, "call", "lab", "22", ("n1", "n2"), {"101": "PJSIP/alice"})
BEGINNING = to_line(BEGAN) + "\n"
FLOATS = st.floats(-1e12, 1e12)
"""JSON has no others."""


def events_of(kind: type[Any]) -> st.SearchStrategy[Event]:
    """Events of a kind with anything in all that it holds, also in what may be left out."""
    hints = get_type_hints(kind)
    types = {field.name: hints[field.name] for field in fields(kind)}
    bounded = {float: FLOATS, float | None: st.none() | FLOATS}
    values = {name: bounded[hint] if hint in bounded else st.from_type(hint) for name, hint in types.items()}
    if kind is Said:
        values["state"] = st.sampled_from(ORDER)
    if kind is Unsure:
        values["may"] = st.lists(st.sampled_from(ORDER)).map(tuple)
    return cast("st.SearchStrategy[Event]", st.builds(kind, **values))


EVENTS_OF = {name: events_of(kind) for name, kind in KINDS.items()}
EVENTS = st.one_of([*EVENTS_OF.values()])


def problems(text: str) -> list[tuple[int, str]]:
    """Line and words of every mistake that a history is refused for."""
    with pytest.raises(InvalidFile) as refused:
        parse(text, "history.jsonl")
    return [(problem.line, problem.what) for problem in refused.value.problems]


def test_every_event_has_a_kind() -> None:
    assert set(KINDS.values()) == set(get_args(Event))
    assert "fault" in KINDS  # as labctl 0.1 wrote it


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=st.data())
def test_an_event_of_any_kind_comes_back_from_its_line(kind: str, drawn: st.DataObject) -> None:
    event = drawn.draw(EVENTS_OF[kind])
    line = to_line(event)
    assert "\n" not in line
    assert line.startswith(f'{{"kind":"{kind}",')
    assert parse(f"{BEGINNING}{line}\n", "") == (BEGAN, event)


@given(st.lists(EVENTS, max_size=5))
def test_events_come_back_in_their_order(events: list[Event]) -> None:
    lines = [to_line(event) for event in (BEGAN, *events)]
    assert parse("\n".join(lines) + "\n", "") == (BEGAN, *events)


@given(EVENTS, st.data())
def test_a_last_line_that_was_cut_off_is_left_out(event: Event, drawn: st.DataObject) -> None:
    line = to_line(event)
    cut = line[: drawn.draw(st.integers(0, len(line) - 1))]
    assert parse(BEGINNING + cut, "") == (BEGAN,)


def test_a_last_line_that_lacks_its_end_alone_is_an_event() -> None:
    assert parse(BEGINNING + to_line(Over(2.0)), "") == (BEGAN, Over(2.0))


def test_a_last_line_that_has_its_end_was_not_cut_off() -> None:
    assert [line for line, _ in problems(BEGINNING + '{"kind":"over","at\n')] == [2]


def test_what_may_be_left_out_is_as_always() -> None:
    text = '{"kind":"began","at_s":0,"scenario":"s","lab":"l","stack":"22","nodes":[],"extensions":{}}\n'
    assert parse(text, "") == (Began(0.0, "s", "l", "22", (), {}),)


def test_blank_lines_are_no_events() -> None:
    assert parse(f"\n{BEGINNING}  \n\r\n{to_line(Back(1.0, 'n1'))}\n\n", "") == (BEGAN, Back(1.0, "n1"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not an event: Expecting property name"),
        ("hello", "not an event: Expecting value"),
        ("5", "not an event: 'int' object is not iterable"),
        ("[" * 100_000, "not an event: "),
        ("null", "not an event: 'NoneType' object is not iterable"),
        ('{"at_s":1}', "not an event: 'kind'"),
        ('{"kind":"nothing","at_s":1}', "not an event: no kind `nothing`"),
        ('{"kind":["back"],"at_s":1}', "not an event: no kind `['back']`"),
        ('{"kind":"Back","at_s":1,"node":"n1"}', "not an event: no kind `Back`"),
        ('{"kind":"back","at_s":"soon","node":"n1"}', "not an event: at_s: Input should be a valid number"),
        ('{"kind":"said","at_s":1,"node":"n1","device":"d","state":"GONE"}', "not an event: no device state `GONE`"),
        (
            '{"kind":"unsure","at_s":1,"node":"n1","device":"d","may":["IDLE"],"why":""}',
            "not an event: no device state `IDLE`",
        ),
        ('{"kind":"back","at_s":1}', "not an event: node: Field required"),
        ('{"kind":"looked","at_s":1,"states":{},"rings":{"n1":[1]}}', "not an event: rings.n1.0: Input should be"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, why: str) -> None:
    ((number, said),) = problems(f"{BEGINNING}\n{line}\n{to_line(Back(1.0, 'n1'))}\n")
    assert number == 3
    assert said.startswith(why)


def test_a_lab_larger_than_any_is_refused() -> None:
    """Checks compare every node with every other: a file of a few kilobytes kept them at work for minutes."""
    many = replace(BEGAN, nodes=tuple(f"n{number}" for number in range(65)))
    ((number, said), *_) = problems(f"{to_line(many)}\n")
    assert (number, said) == (1, "not an event: a lab of 65 nodes, and none has more than 64")


def test_every_bad_line_is_named() -> None:
    good = to_line(Gone(1.0, "n1", "kill"))
    assert [line for line, _ in problems(f"{BEGINNING}x\n{good}\ny\n{good}\nz\n")] == [2, 4, 6]


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", BEGINNING[:-9], to_line(Over(1.0)) + "\n", f"{to_line(Back(0.0, 'n1'))}\n{BEGINNING}"],
    ids=["empty", "blank", "cut off", "of another kind", "late"],
)
def test_a_history_without_a_beginning_is_refused(text: str) -> None:
    assert problems(text) == [(1, "the history has no beginning")]


def test_a_bad_first_line_is_said_alone() -> None:
    assert [line for line, _ in problems(f"x\n{to_line(Over(1.0))}\n")] == [1]


def test_a_history_begins_with_its_first_event() -> None:
    assert beginning([BEGAN, Over(1.0)]) == BEGAN
    wrong: list[list[Event]] = [[], [Over(1.0)], [Over(1.0), BEGAN]]
    for events in wrong:
        with pytest.raises(ValueError, match="begins with"):
            beginning(events)


def test_a_line_is_json_that_others_can_read() -> None:
    text = to_line(history.Line(1.5, "n1", "é\u2028\r\n\x1b"))
    assert text.isascii()
    assert json.loads(text) == {"kind": "line", "at_s": 1.5, "node": "n1", "text": "é\u2028\r\n\x1b"}
