"""Whether hosts are one Swarm, and what is said where they are not."""

from __future__ import annotations

import pytest

from labctl.engine.host import Host
from labctl.engine.swarm import SwarmState, review
from labctl.errors import HostError

ADDRESS = "192.0.2.1:2377"
ONE = SwarmState(Host("one"), active=True, node="a", manager=True, managers=(ADDRESS,))
TWO = SwarmState(Host("ssh://two.example"), active=True, node="b", managers=(ADDRESS,))
OF_ANOTHER = SwarmState(Host("stray"), active=True, node="z", managers=("192.0.2.99:2377",))
OUTSIDE = SwarmState(Host("tcp://three.example:2376"))


def test_members_of_one_swarm_with_a_manager_pass() -> None:
    review([ONE, TWO], {"a", "b", "c"})


@pytest.mark.parametrize(
    ("states", "what", "hint"),
    [
        (
            [OUTSIDE, SwarmState(Host("one"))],
            "no host is in a Swarm: tcp://three.example:2376, one",
            "docker --host tcp://three.example:2376 swarm init --advertise-addr ADDRESS",
        ),
        (
            [ONE, OUTSIDE],
            "not in the Swarm of one: tcp://three.example:2376",
            f"docker --host tcp://three.example:2376 swarm join --token TOKEN {ADDRESS}",
        ),
        (
            [OF_ANOTHER, ONE, OUTSIDE],
            "not in the Swarm of one: tcp://three.example:2376",
            f"docker --host tcp://three.example:2376 swarm join --token TOKEN {ADDRESS}",
        ),
        (
            [OF_ANOTHER, ONE],
            "in another Swarm than one: stray",
            f"docker --context stray swarm join --token TOKEN {ADDRESS}",
        ),
        ([TWO], "none of ssh://two.example is a manager of the Swarm", f"that at {ADDRESS}"),
        (
            [ONE, SwarmState(Host("four"), active=True, node="z", manager=True)],
            "in another Swarm than one: four",
            "docker --context four swarm leave --force",
        ),
    ],
)
def test_what_is_not_in_it_is_named_with_how_it_joins(states: list[SwarmState], what: str, hint: str) -> None:
    with pytest.raises(HostError) as refusal:
        review(states, {"a", "b"})
    assert what in refusal.value.message
    assert hint in refusal.value.hint


def test_an_engine_s_answer_is_read() -> None:
    told = {
        "LocalNodeState": "active",
        "NodeID": "a",
        "ControlAvailable": True,
        "RemoteManagers": [{"NodeID": "a", "Addr": ADDRESS}],
    }
    assert SwarmState.of(Host("one"), told) == ONE
    assert SwarmState.of(Host("one"), {"LocalNodeState": "inactive", "RemoteManagers": None}) == SwarmState(Host("one"))
