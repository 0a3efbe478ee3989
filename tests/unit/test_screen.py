"""The live screen: who said what first, who is gone, and all of it in 80 columns."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.style import Style

from labctl.cluster.views import UNKNOWN, StateRow
from labctl.report.tables import STATE_STYLES
from labctl.report.watch_screen import LAST_EVENTS, Screen


def screen(*states: str, nodes: tuple[str, ...] = ("n1", "n2")) -> Screen:
    """A screen of the extension 101, of which each node says a state."""
    display = Screen(nodes)
    display.begin([StateRow("101", "PJSIP/alice", dict(zip(nodes, states, strict=True)))])
    return display


def text(shown: Screen, width: int = 80) -> list[str]:
    """Its lines, without what fills them up; what does not fit is not cut off here."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown.render(), crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


def styles(shown: Screen) -> dict[str, Style]:
    """Each word on it, and how it looks."""
    segments = Console(width=80, force_terminal=True).render(shown.render())
    return {segment.text.strip(): segment.style or Style() for segment in segments}


# What is told


def test_others_are_told_with_their_distance_from_the_first() -> None:
    display = screen("Idle", "Idle")
    assert display.told("n2", "101", "InUse", 10.0) == "101 is InUse on n2"
    assert display.told("n1", "101", "InUse", 10.25) == "101 is InUse on n1, 250.0 ms after the first"
    assert text(display)[1].split() == ["101", "InUse", "+250.0", "InUse", "first"]


def test_a_new_state_has_a_first_of_its_own() -> None:
    display = screen("Idle", "Idle")
    display.told("n1", "101", "InUse", 10.0)
    assert display.told("n2", "101", "Idle", 11.0) == "101 is Idle on n2"
    assert text(display)[1].split() == ["101", "InUse", "Idle", "first", "<"]


def test_who_says_the_same_again_is_the_first_of_a_new_turn() -> None:
    display = screen("Idle", "Idle")
    display.told("n1", "101", "InUse", 10.0)
    assert display.told("n1", "101", "InUse", 20.0) == "101 is InUse on n1"
    assert display.told("n2", "101", "InUse", 20.5) == "101 is InUse on n2, 500.0 ms after the first"


def test_extensions_have_turns_of_their_own() -> None:
    display = screen("Idle", "Idle")
    display.told("n1", "101", "InUse", 10.0)
    assert display.told("n2", "102", "InUse", 10.5) == "102 is InUse on n2"


def test_what_was_told_before_the_first_look_came_is_newer() -> None:
    display = Screen(["n1", "n2"])
    display.told("n1", "101", "Busy", 10.0)
    display.begin([StateRow("101", "PJSIP/alice", {"n1": "Idle", "n2": "Hold"})])
    assert text(display)[1].split() == ["101", "Busy", "first", "Hold", "<"]


def test_a_node_that_said_nothing_yet_is_a_dash() -> None:
    display = Screen(["n1", "n2"])
    display.told("n2", "101", "Idle", 10.0)
    assert text(display)[1].split() == ["101", "-", "Idle", "first"]


# Who is gone


def test_of_a_node_that_is_gone_no_state_is_shown_until_it_is_there() -> None:
    display = screen("Idle", "InUse")
    assert display.came("n2", None) == "n2 is gone"
    assert text(display)[1].split() == ["101", "Idle", "-"]
    assert display.came("n2", {"101": "Busy"}) == "n2 is there"
    assert text(display)[1].split() == ["101", "Idle", "Busy", "<"]


def test_a_node_that_is_gone_is_struck_out() -> None:
    display = screen("Idle", "Idle")
    display.came("n2", None)
    shown = styles(display)
    assert (shown["n1"].strike, shown["n2"].strike) == (None, True)


def test_a_node_may_go_and_come_twice() -> None:
    display = screen("Idle", "Hold")
    changes: list[dict[str, str] | None] = [{}, None, None, {}]
    for says in changes:
        display.came("n2", says)
    assert text(display)[1].split() == ["101", "Idle", "Hold", "<"]


# How it looks


@pytest.mark.parametrize("state", STATE_STYLES)
def test_a_state_has_its_colour(state: str) -> None:
    assert styles(screen(state, "-"))[state] == Style.parse(STATE_STYLES[state])


def test_a_state_without_a_colour_is_plain() -> None:
    assert styles(screen("Weird", "-"))["Weird"] == Style()


@pytest.mark.parametrize(
    ("other", "gone", "marked"),
    [("Idle", False, False), ("Busy", False, True), ("Busy", True, False), (UNKNOWN, False, False)],
)
def test_an_extension_is_marked_where_nodes_that_are_there_differ(other: str, gone: bool, marked: bool) -> None:
    display = screen("Idle", other)
    display.came("n2", None if gone else {})
    assert styles(display)["101"] == (Style.parse("bold red") if marked else Style())


def test_the_last_events_stand_beneath_the_newest_last() -> None:
    display = screen("Idle", "Idle")
    lines = [display.told("n1", f"20{number}", "Idle", 1.0) for number in range(LAST_EVENTS)]
    lines += [display.came("n2", None)]
    assert text(display)[-LAST_EVENTS - 1 :] == ["", *lines[1:]]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16])
def test_on_80_columns_no_line_is_longer_and_none_is_wrapped(count: int) -> None:
    nodes = tuple(f"a-name-of-31-characters-is-it-{number:02}"[:31] for number in range(count))
    display = screen(*["InUse&Ringing"] * count, nodes=nodes)
    for number, node in enumerate(nodes):
        display.told(node, "25-letters-of-a-device-xx", "InUse&Ringing", 1.0 + 1000 * number)
    lines = text(display)
    assert len(lines) == 3 + 1 + min(count, LAST_EVENTS)
    assert max(map(len, lines)) <= 80


def test_where_nodes_have_no_place_side_by_side_it_is_who_says_what_and_none_is_cut_off() -> None:
    """Cut to three letters InUse, InUse&Ringing and InUse&Hold were one."""
    nodes = tuple(f"n{number}" for number in range(1, 13))
    states = ["InUse"] * 12
    states[6], states[7] = "InUse&Ringing", "InUse&Hold"
    display = screen(*states, nodes=nodes)
    display.came("n12", None)
    lines = text(display)
    assert lines[0].split() == ["EXTENSION", "STATE"]
    assert lines[1].endswith(" < differ")
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines[1:3]).replace("< differ", "").split())
    assert said == "101 InUse n1 n2 n3 n4 n5 n6 n9 n10 n11, InUse&Ringing n7, InUse&Hold n8, - n12"
    for number in range(1, 13):
        display.came(f"n{number}", {"101": "Idle"})
    assert text(display)[1].split() == ["101", "Idle"]


@pytest.mark.parametrize(("other", "marked"), [("Busy", True), ("Idle", False)])
def test_without_colours_too_it_is_seen_that_nodes_differ(other: str, marked: bool) -> None:
    assert (text(screen("Idle", other))[1].split()[-1] == "<") is marked


def test_a_lab_of_three_shows_every_word_in_80_columns() -> None:
    display = screen("InUse&Ringing", "InUse&Ringing", "InUse&Ringing", nodes=("n1", "n2", "n3"))
    for number in range(3):
        display.told(f"n{number + 1}", "101", "InUse&Ringing", 1.0 + number)
    lines = text(display)
    assert lines[0].split() == ["EXTENSION", "n1", "n2", "n3"]
    assert lines[1].split() == [
        "101",
        "InUse&Ringing",
        "first",
        *("InUse&Ringing", "+1000.0", "InUse&Ringing", "+2000.0"),
    ]
