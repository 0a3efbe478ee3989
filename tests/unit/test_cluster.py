"""When each node learned a state, from what the nodes told and when."""

from __future__ import annotations

from labctl.cluster.connections import learned
from labctl.cluster.views import Learned

HISTORY = [
    ("n2", 10.000, "Ringing"),
    ("n1", 10.002, "Ringing"),
    ("n2", 10.100, "InUse"),
    ("n3", 10.101, "Ringing"),
    ("n1", 10.103, "InUse"),
    ("n3", 10.104, "InUse"),
]


def test_a_state_is_learned_after_the_first_to_tell_of_it() -> None:
    assert learned(HISTORY) == (
        Learned("Ringing", "n2", 0.0, 1),
        Learned("Ringing", "n1", 2.0, 1),
        Learned("Ringing", "n3", 101.0, 1),
        Learned("InUse", "n2", 0.0, 2),
        Learned("InUse", "n1", 3.0, 2),
        Learned("InUse", "n3", 4.0, 2),
    )


def test_a_state_that_comes_again_is_another() -> None:
    again = [("n1", 1.0, "Idle"), ("n1", 2.0, "InUse"), ("n1", 3.0, "Idle"), ("n2", 3.5, "Idle")]
    assert [each.after_ms for each in learned(again) if each.state == "Idle"] == [0.0, 2500.0, 0.0]


def test_a_node_that_missed_a_state_is_compared_by_those_that_it_has_said() -> None:
    history = [
        ("n2", 1.0, "Ringing"),
        ("n2", 2.0, "InUse"),
        ("n1", 2.004, "InUse"),
        ("n2", 3.0, "Idle"),
        ("n1", 3.1, "Idle"),
    ]
    assert [(change.state, change.node, change.after_ms) for change in learned(history)] == [
        ("Ringing", "n2", 0.0),
        ("InUse", "n2", 0.0),
        ("InUse", "n1", 4.0),
        ("Idle", "n2", 0.0),
        ("Idle", "n1", 100.0),
    ]


def test_a_node_that_learned_of_a_state_before_late_is_compared_by_what_fits() -> None:
    """As where the callee's registration crosses when the call has begun: n1 says Idle twice, n2 once."""
    history = [
        ("n1", 1.0, "Idle"),
        *(("n2", 2.0, "Ringing"), ("n1", 2.002, "Ringing")),
        *(("n1", 3.0, "Idle"), ("n2", 3.001, "Idle")),
    ]
    assert [(change.turn, change.state, change.node, change.after_ms) for change in learned(history)] == [
        (1, "Idle", "n1", 0.0),
        (2, "Ringing", "n2", 0.0),
        (2, "Ringing", "n1", 2.0),
        (3, "Idle", "n1", 0.0),
        (3, "Idle", "n2", 1.0),
    ]


def test_where_nobody_said_anything_nothing_was_learned() -> None:
    assert learned([]) == ()
