"""Multicast passes on no internal Docker network: who needs it gets another one, which nothing leaves either."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.blueprint import compose, plan
from labctl.engine.actions import NO_ROUTER, CreateNetwork, flatten
from labctl.engine.observation import Network, Observation
from labctl.names import network_name
from tests import quick_yaml
from tests.unit.labs import SUBNET, draw

UDP = "name: lab\ntotem: {transport: udp}\n"


@pytest.mark.parametrize(
    ("text", "stack", "internal"),
    [
        ("name: lab\n", "22", True),
        ("name: lab\ntotem: {transport: udpu}\n", "22", True),
        (UDP, "22", False),
        ("name: lab\nshare: {via: pjsip-publish}\ntotem: {transport: udp}\n", "22", True),
        ("name: lab\n", "1.6", False),
        ("name: lab\n", "1.8", True),
        (UDP, "1.8", False),
    ],
)
def test_a_network_is_internal_unless_the_ring_needs_multicast(text: str, stack: str, internal: bool) -> None:
    assert draw(text, name=stack).internal is internal


@pytest.mark.parametrize(("text", "internal"), [("name: lab\n", True), (UDP, False)])
def test_a_network_that_does_not_pass_what_the_lab_needs_is_replaced(text: str, internal: bool) -> None:
    wanted = draw(text)
    other = Network("id", network_name("lab"), "lab", SUBNET, "seed", internal=not internal)
    steps = flatten(plan.up(wanted, Observation((other,))))
    assert CreateNetwork(wanted.network, SUBNET, wanted.labels, internal) in steps
    assert f"remove network {wanted.network}" in [str(step) for step in steps]
    as_wanted = Observation((replace(other, internal=internal),))
    assert not [step for step in flatten(plan.up(wanted, as_wanted)) if isinstance(step, CreateNetwork)]


def test_a_compose_file_has_the_same_network() -> None:
    networks = [quick_yaml.load(compose.render(draw(text), {}))["networks"]["lab"] for text in ("name: lab\n", UDP)]
    assert networks[0]["internal"] is True
    assert "internal" not in networks[1]
    assert networks[1]["driver_opts"] == NO_ROUTER
