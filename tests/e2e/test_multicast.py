"""A ring that forms by multicast, on a network that lets that pass and nothing out."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator

import pytest

from labctl.cluster import lifecycle
from labctl.engine import client as engines
from labctl.engine.client import Engine
from labctl.names import container_name
from labctl.progress import Silent
from tests.integration.conftest import labctl

pytestmark = pytest.mark.docker

LAB = "totem: {transport: udp}\n"
CONNECT = "socat -u OPEN:/dev/null TCP4:{address}:{port},connect-timeout=3 && echo reached"


@pytest.fixture
def engine() -> Engine:
    """The engine that the lab runs on."""
    return engines.connect()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """The name of a lab of the test's own, taken away when the test is over."""
    own = f"e2e-multicast-{os.getpid()}"
    yield own
    lifecycle.down(engine, own, Silent())


@pytest.fixture
def listener(engine: Engine) -> Iterator[tuple[str, int]]:
    """The address and port of a server of this machine, on the bridge that is no lab's."""
    config = engine._api.inspect_network("bridge")["IPAM"]["Config"][0]
    address = str(ipaddress.ip_network(config["Subnet"])[1])
    with socket.create_server((address, 0)) as server:
        yield address, server.getsockname()[1]


def test_a_ring_forms_by_multicast_and_nothing_leaves_the_lab(
    name: str, engine: Engine, listener: tuple[str, int]
) -> None:
    up = labctl("up", "-n", name, "-f", "-", "-o", "json", text=LAB)
    assert (up.code, len(up.data["crossings"])) == (0, 6), up.err
    assert {tuple(node["ring"]["members"]) for node in up.data["nodes"]} == {(1, 2, 3)}
    address, port = listener
    outside = labctl("sh", "n1", "-n", name, "--", "sh", "-c", CONNECT.format(address=address, port=port))
    assert "reached" not in outside.out
    assert "No route to host" in outside.err + outside.out or "timed out" in outside.err + outside.out
    # The server is there for whoever is not in a lab: the same socat, of the same image, on Docker's own bridge.
    node = engine._api.inspect_container(container_name(name, "n1"))["Image"]
    control = engine._api.create_container(node, ["sh", "-c", CONNECT.format(address=address, port=port)])["Id"]
    try:
        engine._api.start(control)
        assert engine._api.wait(control)["StatusCode"] == 0
    finally:
        engine._api.remove_container(control, force=True)
    again = labctl("up", "-n", name, "-o", "json")
    assert (again.code, again.data["changed"]) == (0, []), again.err
