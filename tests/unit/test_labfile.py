"""A short lab file becomes a whole lab, and whatever is read can be written and read again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labctl.errors import InvalidFile, UsageError
from labctl.lab import Node, Overrides, Phone
from labctl.labfile import reader, writer
from labctl.labfile.loader import find_lab, shipped_labs
from labctl.stack.loader import find_stack
from labctl.yamlfile import document
from tests import quick_yaml
from tests.unit.labs import lab, lab_data, stack

KEYS = (
    "name stack nodes share phones node extension watches mailbox number mailboxes devices totem token transport "
    "encryption config all subnet n1 asterisk/rtp.conf sites dundi cache events via corosync pjsip-publish "
    "follows_corosync"
)
WORDS = st.sampled_from(KEYS.split())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
STRUCTURES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(WORDS | st.text(max_size=8), inner))
KEYED = st.dictionaries(WORDS, STRUCTURES, min_size=1)
YAMLISH = st.lists(st.sampled_from([*"-?:,[]{}&*!|>'\"%@`#\\ \n\t\r", "a", "name", "nodes", "\u2028", "\\U", "é"]))


SCHEMA = jsonschema.Draft202012Validator(json.loads(reader.schema()))


def check_refusal(text: str) -> None:
    """Read a text; if it is refused, then with lines that it has."""
    lines = text.count("\n") + 1
    refused = None
    with suppress(UsageError):
        try:
            reader.read(text, "lab.yaml", find_stack)
        except InvalidFile as error:
            refused = error
    if refused:
        assert all(line.startswith("lab.yaml:") for line in refused.message.splitlines())
        assert [problem for problem in refused.problems if not 1 <= problem.line <= lines] == []


def test_nothing_but_a_name_gives_three_nodes_with_a_phone_each() -> None:
    filled = lab("name: a\n")
    assert filled.nodes == (Node("n1", 1), Node("n2", 2), Node("n3", 3))
    assert filled.phones[0] == Phone("alice", "n1", "101", ("bob", "carol"), "101")
    assert [(phone.name, phone.node, phone.extension) for phone in filled.phones[1:]] == [
        ("bob", "n2", "102"),
        ("carol", "n3", "103"),
    ]
    assert {mailbox.node for mailbox in filled.mailboxes} == {"n1"}
    assert (filled.totem.transport, filled.totem.encryption, filled.totem.token_ms) == ("knet", True, 1000)


@pytest.mark.parametrize(
    ("source", "name"),
    [("labs/My-Lab.yaml", "my-lab"), ("-", "lab"), ("3.yaml", "lab"), ("a b.yaml", "lab"), ("big.lab.yaml", "lab")],
)
def test_a_lab_without_a_name_has_that_of_its_file_where_it_is_one(source: str, name: str) -> None:
    assert lab("nodes: 1\n", source).name == name


@pytest.mark.parametrize(
    "text",
    ["\ufeffname: a\n", "name: a\r\nnodes: 3\r\n", "---\nname: a\n", "name: a\n...\n", "# é\nname: a", "{name: a}"],
)
def test_however_it_was_saved_it_is_read(text: str) -> None:
    assert lab(text).name == "a"


def test_an_extension_stays_the_text_that_was_written() -> None:
    filled = lab("phones: [{name: ann, node: n1, extension: 0101}]\nmailboxes: [{number: 007, node: n2}]\n")
    assert (filled.phones[0].extension, filled.mailboxes[0].number, filled.phones[0].mailbox) == ("0101", "007", None)


def test_two_phones_may_have_one_mailbox() -> None:
    phones = "{name: ann, node: n1, extension: 101}, {name: ben, node: n2, extension: 102, mailbox: 101}"
    assert [phone.mailbox for phone in lab(f"phones: [{phones}]\n").phones] == ["101", "101"]


def test_a_lab_may_have_no_phones() -> None:
    assert lab("phones: 0\n") == lab("phones: []\n")
    assert lab("phones: 0\n").mailboxes == ()


def test_more_phones_than_nodes_go_round() -> None:
    filled = lab("nodes: 2\nphones: 64\n")
    assert [phone.node for phone in filled.phones[:3]] == ["n1", "n2", "n1"]
    assert len({phone.name for phone in filled.phones} | {phone.extension for phone in filled.phones}) == 128


def test_sites_have_nodes_with_numbers_of_their_own_and_look_after_themselves() -> None:
    filled = lab("name: a\nsites: {east: 2, west: [hq]}\n")
    assert filled.nodes == (Node("east1", 1, "east"), Node("east2", 2, "east"), Node("hq", 3, "west"))
    assert [(phone.name, phone.node, phone.watches) for phone in filled.phones] == [
        ("alice", "east1", ("bob",)),
        ("bob", "east2", ("alice",)),
        ("carol", "hq", ()),
    ]
    assert [mailbox.node for mailbox in filled.mailboxes] == ["east1", "east1", "hq"]
    assert filled.cache_s == 2


def test_no_lamp_is_lit_by_a_mailbox_of_another_site() -> None:
    phones = "[{name: ann, node: east1, extension: 101}, {name: ben, node: west1, extension: 102}]"
    boxes = "[{number: 101, node: west1}, {number: 102, node: west1}]"
    filled = lab(f"sites: {{east: 1, west: 1}}\nphones: {phones}\nmailboxes: {boxes}\n")
    assert [phone.mailbox for phone in filled.phones] == [None, "102"]
    assert lab(writer.to_yaml(filled)) == filled


def test_sites_need_a_stack_that_has_dundi() -> None:
    without = stack().model_copy(update={"dundi": None})
    with pytest.raises(InvalidFile, match=r"lab\.yaml:2: the stack 22 has no DUNDi"):
        reader.read("name: a\nsites: {east: 2, west: 2}\n", "lab.yaml", lambda _: without)


@pytest.mark.parametrize(("name", "follows"), [("22", False), ("1.6", True), ("1.8", True)])
def test_asterisk_follows_corosync_where_the_stack_needs_it_or_the_lab_says_so(name: str, follows: bool) -> None:
    assert lab(f"stack: {name}\n").follows_corosync == follows
    assert lab(f"stack: {name}\nfollows_corosync: {not follows}\n").follows_corosync != follows


def test_null_is_the_default_where_a_thing_is_optional() -> None:
    text = "phones:\nmailboxes:\nsubnet:\nsites:\nfollows_corosync:\ntotem: {transport: }\n"
    assert lab(text) == lab("nodes: 3\n")


def test_an_alias_stands_for_its_value() -> None:
    filled = lab("share: &few [mwi]\ndevices: &d [lamp]\nconfig: {n1: &c {asterisk/rtp.conf: x}, n2: *c}\n")
    assert [extra.scope for extra in filled.config] == ["n1", "n2"]


def test_flags_win_over_the_file() -> None:
    filled = lab("name: a\nnodes: [left]\n", overrides=Overrides(name="b", nodes=2))
    assert (filled.name, [node.name for node in filled.nodes]) == ("b", ["n1", "n2"])


def test_data_that_was_a_lab_is_that_lab_again() -> None:
    filled = lab("config: {all: {asterisk/rtp.conf: 'Grüße 😀'}}\n")
    data = json.loads(json.dumps(writer.to_data(filled)))
    assert reader.resolve(document.Document("Docker", data), find_stack)[0] == filled


@pytest.mark.parametrize("name", shipped_labs())
def test_shipped_labs_fit_the_schema(name: str) -> None:
    filled, _ = find_lab(name, Overrides())
    SCHEMA.validate(writer.to_data(filled))
    assert filled.name == name


@pytest.mark.long
@given(lab_data())
def test_a_lab_written_is_the_lab_that_is_read(data: dict[str, Any]) -> None:
    filled = lab(quick_yaml.dump(data))
    assert lab(writer.to_yaml(filled)) == filled


@given(lab_data())
def test_the_schema_accepts_what_is_read(data: dict[str, Any]) -> None:
    SCHEMA.validate(data)
    SCHEMA.validate(writer.to_data(lab(quick_yaml.dump(data))))


@given(st.text())
@example("\u2028: [")
@example('a: "\\UFFFFFFFF"')
def test_no_text_is_too_odd_to_be_refused(text: str) -> None:
    check_refusal(text)


@given(YAMLISH.map("".join))
def test_no_text_like_yaml_is_too_odd_to_be_refused(text: str) -> None:
    check_refusal(text)


@pytest.mark.long
@given(KEYED)
def test_no_structure_is_too_odd_to_be_refused(data: dict[str, Any]) -> None:
    check_refusal(quick_yaml.dump(data))


@given(lab_data(), st.data())
def test_one_wrong_value_in_a_good_lab_is_the_only_mistake(data: dict[str, Any], drawn: st.DataObject) -> None:
    always = ["name", "phones", "mailboxes", "devices", "totem", "share", "dundi", "follows_corosync", "subnet"]
    key = drawn.draw(st.sampled_from([*always, "sites" if "sites" in data else "nodes"]))
    with pytest.raises(InvalidFile) as refused:
        lab(quick_yaml.dump(data | {key: "Not This"}))
    assert [f"`{key}`" in problem.what for problem in refused.value.problems] == [True]
