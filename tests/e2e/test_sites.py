"""Two clusters that ask each other by DUNDi, as a user sees them. The scenarios `sites-*` judge the rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Result, labctl

pytestmark = pytest.mark.docker

NAME = "e2e-sites"


@pytest.fixture(scope="module")
def proven() -> Iterator[Result]:
    """What `up` said of a lab of two sites, which stays for the tests of this file."""
    yield labctl("up", "-f", "two-sites", "-n", NAME, "-q", "-o", "json")
    labctl("down", "-n", NAME)


def test_up_proves_that_each_site_has_its_ring_and_finds_the_other(proven: Result) -> None:
    assert proven.code == 0, proven.err
    assert [each["ring"]["members"] for each in proven.data["nodes"]] == [[1, 2], [1, 2], [3, 4], [3, 4]]
    pairs = {(each["origin"], each["observer"]) for each in proven.data["crossings"]}
    assert pairs == {("east1", "east2"), ("east2", "east1"), ("west1", "west2"), ("west2", "west1")}
    ways = {(each["asker"], each["destination"]) for each in proven.data["routes"]}
    assert ways == {("east1", "PJSIP/103@node-west1"), ("west1", "PJSIP/101@node-east1")}


def test_call_across_the_sites_is_heard_at_both_ends(proven: Result) -> None:
    done = labctl("call", "alice", "dave", "-n", NAME, "-q", "-o", "json", "--duration", "300ms")
    assert done.code == 0, done.err
    assert min(done.data["caller_heard"], done.data["callee_heard"]) >= 15
    assert {each["node"] for each in done.data["learned"]} == {"west1", "west2"}


def test_state_by_site_is_told_also_when_one_peer_is_down(proven: Result) -> None:
    assert labctl("cli", "west1", "devstate", "change", "Custom:mystate", "BUSY", "-n", NAME).code == 0
    assert labctl("fault", "kill", "west2", "-n", NAME).code == 0
    try:
        rows = {each["extension"]: each for each in labctl("state", "--site", "-n", NAME, "-o", "json").data}
    finally:
        labctl("heal", "-n", NAME)
    assert rows["mystate at west"]["states"] == {"west": "Busy", "east": "Busy"}
    assert rows["mystate at west"]["by"] == {"east": ["west1"]}
    assert rows["103"]["states"]["east"] == "Unavailable"


def test_lab_without_sites_has_none_to_ask() -> None:
    try:
        assert labctl("up", "-n", "e2e-no-sites", "--nodes", "1", "-q").code == 0
        done = labctl("state", "--site", "-n", "e2e-no-sites")
        assert (done.code, "has no sites" in done.err) == (2, True)
    finally:
        labctl("down", "-n", "e2e-no-sites")
