"""Tables as people see them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labctl.cli import terminal
from labctl.cluster.views import UNKNOWN, NodeView, StateRow
from labctl.corosync.membership import Membership
from labctl.lab import Carrier, Lab, Node
from labctl.report import formats, tables
from tests.unit import labs


def text(table: Table, width: int = 200) -> list[str]:
    """The lines of a table, without what fills them up."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table, crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_node_that_does_not_answer_is_a_dash() -> None:
    row = StateRow("101", "PJSIP/alice", {"n1": "Idle", "n2": UNKNOWN})
    assert text(tables.state([row], ["n1", "n2"]))[1].split() == ["101", "PJSIP/alice", "Idle", "-"]


def lab(*names: str, via: Carrier = "corosync") -> Lab:
    """A lab of these nodes."""
    return replace(labs.lab(), nodes=tuple(Node(name, nodeid) for nodeid, name in enumerate(names, 1)), via=via)


def test_of_a_node_that_does_not_run_nothing_else_is_said() -> None:
    views = [NodeView("n1", "running", "198.18.0.11", Membership(False, (1,))), NodeView("n2", "exited")]
    lines = text(tables.ps(views, lab("n1", "n2")))
    assert lines[1].split() == ["n1", "running", "198.18.0.11", "not", "quorate", "1", "-", "-", "-"]
    assert lines[2].split() == ["n2", "exited", *"------"]


def test_what_a_tool_did_not_answer_is_unknown_and_never_nobody() -> None:
    view = NodeView("n1", "running", "198.18.0.11", None, None, "22.10.1", 1)
    shown = text(tables.ps([view], lab("n1", "n2")))[1].split()
    assert shown == ["n1", "running", "198.18.0.11", "Unknown", "Unknown", "Unknown", "22.10.1", "1s"]
    assert [json.loads(formats.as_json(view))[key] for key in ("ring", "cluster")] == [None, None]


def test_where_there_is_no_ring_nothing_is_said_of_one() -> None:
    view = NodeView("n1", "running", "198.18.0.11", asterisk="22.10.1", uptime_s=1)
    shown = text(tables.ps([view], lab("n1", "n2", via="pjsip-publish")))[1]
    assert shown.split() == ["n1", "running", "198.18.0.11", "-", "-", "-", "22.10.1", "1s"]


@pytest.mark.parametrize("width", [200, 80, 40, 20])
def test_no_terminal_is_so_narrow_that_a_word_is_cut(width: int) -> None:
    view = NodeView(
        "branch", "running", "198.18.225.11", Membership(True, (1, 2, 3)), ("1", "2", "3"), "22.10.1+dfsg", 3601
    )
    shown = " ".join(text(tables.ps([view], lab("branch")), width)).split()
    assert set(shown) >= {"branch", "running", "198.18.225.11", "quorate", "1,2,3", "22.10.1"}


@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_where_no_colour_is_wanted_nothing_is_bold_or_dim(
    no_color: str, styled: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal.show(tables.table("", ("BOLD",), [(Text("dim", "dim"),)]))
    assert ("\x1b[" in capsys.readouterr().out) == styled


# State of many nodes

TWELVE = tuple(f"n{number}" for number in range(1, 13))


def state_rows() -> list[StateRow]:
    """What twelve nodes say of three extensions: all the same, one another thing, one nothing."""
    ringing = dict.fromkeys(TWELVE, "InUse&Ringing")
    return [
        StateRow("101", "PJSIP/alice", ringing),
        StateRow("102", "PJSIP/bob", ringing | {"n7": "Idle"}),
        StateRow("mystate", "Custom:mystate", ringing | {"n12": UNKNOWN}),
    ]


def test_state_of_twelve_nodes_is_whole_in_80_columns() -> None:
    lines = text(tables.state(state_rows(), TWELVE, 80), 80)
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).replace(",", "").split()
    assert words.count("InUse&Ringing") == 3
    assert [word for word in words if word in TWELVE].count("n7") == 2  # who says Idle, and of the third extension
    assert [line for line in lines if "differ" in line] == [lines[2]]


def test_state_of_nodes_that_agree_is_one_word() -> None:
    assert text(tables.state(state_rows()[:1], TWELVE, 80), 80)[1].split() == ["101", "PJSIP/alice", "InUse&Ringing"]


@pytest.mark.parametrize("width", [None, 300])
def test_where_there_is_room_each_node_has_its_column(width: int | None) -> None:
    assert text(tables.state(state_rows(), TWELVE, width), 300)[0].split() == ["EXTENSION", "DEVICE", *TWELVE]
