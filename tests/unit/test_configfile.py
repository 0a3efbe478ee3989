"""Sections and keys of configuration files replaced, added and taken out; all else stays as it is."""

from __future__ import annotations

import pytest

from labctl.configfile import asterisk, corosync

PJSIP = """\
[phone](!)
type = endpoint
allow = ulaw ; the only one

[alice](phone)
auth = alice

[alice]
type = auth
username = alice

[alice]
type = aor
max_contacts = 1
remove_existing=yes

; of bob
[bob](phone)
"""

COROSYNC = """\
totem {
    version: 2
    # a comment
    token: 1000
    interface {
        linknumber: 0
        knet_pong_count: 1
    }
}
nodelist {
    node {
        name: n1
        nodeid: 1
    }
    node {
        name: n2
        nodeid: 2
    }
}
"""


def test_a_key_is_replaced_where_it_stands() -> None:
    edited = asterisk.edit(PJSIP, {"alice": {"max_contacts": "2", "remove_existing": None}})
    assert edited.misses == ()
    assert edited.text == PJSIP.replace("max_contacts = 1\nremove_existing=yes\n", "max_contacts = 2\n")


def test_a_key_is_added_behind_the_last_line_of_the_section_that_is_meant() -> None:
    edited = asterisk.edit(PJSIP, {"alice(type=aor)": {"qualify_frequency": "5"}, "bob": {"allow": ["alaw", "g722"]}})
    assert edited.misses == ()
    wanted = PJSIP.replace("remove_existing=yes\n", "remove_existing=yes\nqualify_frequency = 5\n")
    assert edited.text == f"{wanted}allow = alaw\nallow = g722\n"


def test_a_section_of_several_is_told_by_what_its_template_says() -> None:
    edited = asterisk.edit(PJSIP, {"alice(type=endpoint)": {"context": "other"}})
    assert edited.text == PJSIP.replace("auth = alice\n\n", "auth = alice\ncontext = other\n\n", 1)


def test_sections_are_taken_out_and_replaced() -> None:
    edited = asterisk.edit(PJSIP, {"alice": None, "phone": "type = endpoint\nallow = g722\n"})
    assert edited.text == "[phone](!)\ntype = endpoint\nallow = g722\n\n[bob](phone)\n"


def test_the_sign_between_key_and_value_stays_and_the_key_is_known_in_any_case() -> None:
    text = "[support]\nmember => PJSIP/alice\nmember => PJSIP/bob\nStrategy=ringall\n"
    edited = asterisk.edit(text, {"support": {"member": ["PJSIP/carol"], "strategy": "random"}})
    assert edited.text == "[support]\nmember => PJSIP/carol\nstrategy = random\n"


def test_lines_are_added_to_those_of_a_key_and_one_value_takes_the_place_of_one() -> None:
    text = "[modules]\nload = a.so\nload = b.so\nnoload = c.so\n"
    edited = asterisk.edit(text, {"modules": {"load+": ["d.so", "e.so"], "require+": "f.so"}})
    assert (
        edited.text == "[modules]\nload = a.so\nload = b.so\nload = d.so\nload = e.so\nnoload = c.so\nrequire = f.so\n"
    )
    one = asterisk.edit(text, {"modules": {"load": "d.so"}})
    assert one.text == text
    assert (one.misses[0].what, "`load+` adds" in one.misses[0].fix) == ("`load` stands 2 times in `modules`", True)
    assert asterisk.edit(text, {"modules": {"load": ["d.so"]}}).text == "[modules]\nload = d.so\nnoload = c.so\n"


def test_a_file_that_is_not_there_is_written() -> None:
    edited = asterisk.edit("", {"general": {}, "support": {"strategy": "ringall", "member": ["a", "b"]}})
    assert edited.text == "[general]\n[support]\nstrategy = ringall\nmember = a\nmember = b\n"


@pytest.mark.parametrize(
    ("edits", "where", "what", "fix"),
    [
        ({"alcie": {"allow": "g722"}}, ("alcie",), "no section `alcie`", "did you mean `alice`?"),
        ({"alice": {"qualify_frequency": "5"}}, ("alice", "qualify_frequency"), "3 sections", "alice(type=aor)"),
        ({"alice": {"type": "auth"}}, ("alice", "type"), "2 sections", "alice(type=auth), alice(type=aor)"),
        ({"alice(type=trunk)": None}, ("alice(type=trunk)",), "no section", "alice(type=endpoint)"),
        ({"alice": {"max_contact": None}}, ("alice", "max_contact"), "no key `max_contact`", "max_contacts"),
        ({"bob": {"allow": None}}, ("bob", "allow"), "no key `allow`", "in a template: phone"),
        ({"alice": "type = endpoint"}, ("alice",), "3 sections", "alice(type=auth)"),
        ({"carol": None}, ("carol",), "no section `carol`", "a new one is added as text"),
    ],
)
def test_what_finds_nothing_or_several_changes_nothing(
    edits: dict[str, object], where: tuple[str, ...], what: str, fix: str
) -> None:
    edited = asterisk.edit(PJSIP, edits)
    assert edited.text == PJSIP
    [miss] = edited.misses
    assert miss.where == where
    assert what in miss.what
    assert fix in miss.fix


def test_corosync_keys_are_edited_within_their_braces() -> None:
    edits = {
        "totem": {"token": "2000", "config_version": "2", "interface": {"knet_pong_count": None, "mcastport": "5405"}},
        "nodelist": {"node(name=n2)": {"ring0_addr": "198.18.0.12"}},
        "quorum": {"provider": "corosync_votequorum"},
    }
    edited = corosync.edit(COROSYNC, edits)
    assert edited.misses == ()
    assert edited.text == (
        COROSYNC.replace("    token: 1000\n", "    token: 2000\n    config_version: 2\n")
        .replace("        knet_pong_count: 1\n", "        mcastport: 5405\n")
        .replace("        nodeid: 2\n", "        nodeid: 2\n        ring0_addr: 198.18.0.12\n")
        + "quorum {\n    provider: corosync_votequorum\n}\n"
    )


def test_corosync_sections_are_taken_out_and_replaced() -> None:
    edited = corosync.edit(COROSYNC, {"nodelist": {"node(nodeid=1)": None}, "totem": "version: 2"})
    first = COROSYNC.index("    node {")
    nodes = COROSYNC[COROSYNC.index("nodelist") : first] + COROSYNC[COROSYNC.index("    node {", first + 1) :]
    assert edited.text == "totem {\n    version: 2\n}\n" + nodes


@pytest.mark.parametrize(
    ("edits", "what", "fix"),
    [
        ({"nodelist": {"node": {"nodeid": "3"}}}, "`node` are 2 sections", "node(name=n1), node(name=n2)"),
        ({"totem": {"tokn": None}}, "no `tokn` in `totem`", "that is there"),
        ({"nodelist": {"node(name=n9)": {"nodeid": "3"}}}, "no section", ""),
        ({"quorum": "provider: x"}, "no section of this file's", "added as text"),
    ],
)
def test_corosync_edits_that_miss_change_nothing(edits: dict[str, object], what: str, fix: str) -> None:
    edited = corosync.edit(COROSYNC, edits)
    assert edited.text == COROSYNC
    [miss] = edited.misses
    assert what in miss.what
    assert fix in miss.fix
