"""A lab from Python: as a container, and as pytest's fixture `lab`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.progress import Silent
from labctl.testcontainers import AsteriskCluster, BrokenCheck

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.docker

NAME = "e2e-python"


@pytest.fixture(scope="module")
def cluster() -> Iterator[AsteriskCluster]:
    """A cluster that the tests of this file share."""
    with AsteriskCluster(nodes=2, name=NAME) as cluster:
        yield cluster


def test_steps_are_methods_of_the_cluster_and_what_they_did_is_judged(cluster: AsteriskCluster) -> None:
    cluster.register(["alice", "bob"])
    cluster.call("alice", "bob")
    cluster.answer("bob")
    cluster.wait_for(extension="102", state="InUse")
    cluster.talk(["alice", "bob"], duration=0.3)
    cluster.hang_up("alice")
    cluster.settle()
    cluster.must_hold()
    assert {each.outcome for each in cluster.verdicts("agreement", "calls", "views")} == {"passed"}


def test_broken_check_is_an_assertion_error_that_tells_the_story(cluster: AsteriskCluster) -> None:
    cluster.reset()
    cluster.partition([["n1"], ["n2"]])
    cluster.settle()
    cluster.set_state("n1", "mystate", "BUSY")
    cluster.heal()
    cluster.settle()
    with pytest.raises(AssertionError) as caught:
        cluster.must_hold("agreement")
    assert isinstance(caught.value, BrokenCheck)
    assert "mystate" in str(caught.value)
    assert "partition n1 | n2" in str(caught.value)


def test_command_and_logs_as_testcontainers_has_them(cluster: AsteriskCluster) -> None:
    assert cluster.exec("n1", ["asterisk", "-rx", "core show version"]).exit_code == 0
    assert cluster.exec("n2", "exit 3").exit_code == 3
    assert b"Asterisk Ready" in cluster.get_logs("n1")[0]


def test_cluster_that_was_stopped_leaves_nothing() -> None:
    cluster = AsteriskCluster(nodes=1, name="e2e-python-gone").start()
    cluster.stop()
    assert engines.connect().observe("e2e-python-gone").empty


TESTS = """
import pytest

def test_state_crosses(lab):
    lab.set_state("n1", "mystate", "INUSE")
    lab.wait_for(extension="mystate", state="InUse")

def test_each_begins_idle(lab):
    lab.wait_for(extension="mystate", state="Idle")

@pytest.mark.lab(nodes=1)
def test_one_node(lab):
    assert len(lab.lab.nodes) == 1

def test_that_fails(lab):
    lab.set_state("n2", "mystate", "BUSY")
    lab.wait_for(extension="mystate", state="Busy")
    assert not "as it should"
"""


def test_fixture_is_parametrised_and_tells_the_story_of_a_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("--lab-nodes", "2", "-v", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*test_state_crosses?2nodes? PASSED*"])
    result.stdout.fnmatch_lines(["*labctl: what happened*", "*set_state n2 mystate BUSY*", "*n1 says mystate Busy*"])
    assert engines.connect().observe("pytest-2nodes").empty


def test_lab_stays_up_where_it_is_to_be_kept(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(lab):\n    pass\n")
    engine = engines.connect()
    try:
        pytester.runpytest_subprocess("--lab-nodes", "1", "--keep-lab").assert_outcomes(passed=1)
        assert not engine.observe("pytest-1nodes").empty
    finally:
        verbs.down(engine, "pytest-1nodes", Silent())
