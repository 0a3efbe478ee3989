"""DUNDi's answers, as Asterisk prints them."""

from __future__ import annotations

import pytest

from labctl.asterisk import device_state, dundi
from labctl.asterisk.dundi import Answer, parse_lookup
from labctl.asterisk.output import EXTENSION_STATES
from tests.unit.labs import DATA


def capture(name: str) -> str:
    """A capture without its first line."""
    return (DATA / "captures" / f"asterisk-22-dundi-lookup-{name}.txt").read_text("utf-8").partition("\n")[2]


def test_the_way_to_a_phone_comes_with_who_told_it_and_for_how_long_it_is_kept() -> None:
    assert parse_lookup(capture("route")) == (Answer("PJSIP/103@node-west1", "02:00:00:00:00:03", 2),)


def test_a_state_stands_where_a_dial_string_has_its_number() -> None:
    (answer,) = parse_lookup(capture("state"))
    assert (answer.word, dundi.STATES[answer.word]) == ("NOT_INUSE", "Idle")


def test_where_nobody_answers_there_is_no_answer() -> None:
    assert parse_lookup(capture("nothing")) == ()


def test_each_of_several_answers_is_read_and_one_that_matches_in_part_is_none() -> None:
    text = (
        "  1.     0 SIP/101@node-e1 (EXISTS|CANMATCH)\n     from 02:00:00:00:00:01, expires in 5 s\n"
        "  2.    10 SIP/ (CANMATCH)\n     from 02:00:00:00:00:02, expires in 5 s\n"
        "  3.   100 IAX2/dundi:secret@198.18.0.1/101 (EXISTS)\n     from 02:00:00:00:00:03, expires in 0 s\n"
    )
    assert [each.destination for each in parse_lookup(text)] == ["SIP/101@node-e1", "IAX2/dundi:secret@198.18.0.1/101"]


@pytest.mark.parametrize(
    ("fresh", "words"), [(True, "dundi lookup 103@route bypass"), (False, "dundi lookup 103@route")]
)
def test_what_was_answered_before_is_passed_by_where_it_is_to_be_fresh(fresh: bool, words: str) -> None:
    assert dundi.command("103", dundi.ROUTE, fresh=fresh) == words


def test_every_word_for_a_state_is_one_that_hints_have() -> None:
    assert set(dundi.STATES.values()) <= set(EXTENSION_STATES.values())
    assert set(device_state.HINTS.values()) <= set(dundi.STATES.values())
