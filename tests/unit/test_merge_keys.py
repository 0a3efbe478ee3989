"""YAML's merge keys: what a mapping takes over from others, with the line of each value and every mistake."""

from __future__ import annotations

import pytest

from labctl.errors import InvalidFile
from labctl.yamlfile.document import parse
from tests.unit.labs import lab


def test_what_stands_in_the_mapping_itself_goes_before_what_is_merged() -> None:
    text = "first: &a {one: 1, two: 2}\nsecond:\n  two: own\n  <<: *a\n"
    document = parse(text, "x.yaml")
    assert document.data["second"] == {"one": "1", "two": "own"}
    assert (document.line(("second", "two")), document.line(("second", "one"))) == (3, 1)


def test_of_several_mappings_the_first_goes_before() -> None:
    text = "- &a {one: a}\n- &b {one: b, two: b}\n"
    document = parse(f"list:\n{text}merged: {{<<: [*a, *b], three: own}}\n", "x.yaml")
    assert document.data["merged"] == {"one": "a", "two": "b", "three": "own"}


def test_merges_go_on_through_what_is_merged() -> None:
    text = "a: &a {one: 1}\nb: &b {<<: *a, two: 2}\nc: {<<: *b}\n"
    assert parse(text, "x.yaml").data["c"] == {"one": "1", "two": "2"}


def test_a_quoted_key_is_a_key() -> None:
    assert parse("a: {'<<': 1}\n", "x.yaml").data == {"a": {"<<": "1"}}


def test_phones_of_a_lab_file_take_over_from_each_other() -> None:
    text = (
        "name: lab\nphones:\n"
        "- &alice {name: alice, node: n2, extension: 201, watches: []}\n- {<<: *alice, name: bob, extension: 202}\n"
    )
    assert [(phone.name, phone.node, phone.watches) for phone in lab(text).phones] == [
        ("alice", "n2", ()),
        ("bob", "n2", ()),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: lab\ntotem: {<<: 7}\n", "x.yaml:2: `<<` takes a mapping, or a list of them"),
        ("name: lab\ntotem: {<<: [7]}\n", "x.yaml:2: `<<` takes a mapping, or a list of them"),
        ("name: lab\ntotem: &t\n  <<: *t\n", "a value that contains itself"),
        (
            "name: lab\nphones:\n- &a {name: x, node: n9, extension: 101}\n- {<<: *a, name: y}\n",
            "x.yaml:3: no node `n9`",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, message: str) -> None:
    with pytest.raises(InvalidFile) as refusal:
        lab(text, "x.yaml")
    assert message in str(refusal.value)


@pytest.mark.long
def test_merges_that_grow_without_end_are_refused() -> None:
    levels = "".join(f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 9)}]}}\n" for at in range(1, 9))
    with pytest.raises(InvalidFile, match="far too large"):
        parse(f"a0: &a0 {{x: y}}\n{levels}", "x.yaml")
