"""A lab from Python: as a container, and as pytest's fixture `lab`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy
from testcontainers.core.waiting_utils import wait_for_logs

from labctl.cluster import lifecycle as verbs
from labctl.engine import client as engines
from labctl.errors import LabError, UsageError
from labctl.names import ROLE_PHONES
from labctl.progress import Silent
from labctl.scenario import run_record
from labctl.testcontainers import AsteriskCluster, BrokenCheck, NotJudged
from labctl.timing import Deadline
from tests.integration.conftest import labctl

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.docker

TIMES = 5
"""How often a test does what the machine was too busy to judge."""

CALM_S = 300.0
"""By then a busy machine has left a node alone for the few seconds in which something is judged."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[AsteriskCluster]:
    """A cluster that the tests of this file share; alice and bob are on."""
    with AsteriskCluster(nodes=2) as cluster:
        cluster.register(["alice", "bob"])
        yield cluster


def test_steps_are_methods_of_the_cluster_and_what_they_did_is_judged() -> None:
    for _ in range(TIMES):
        with AsteriskCluster(nodes=2) as cluster, suppress(NotJudged):
            cluster.register(["alice", "bob"])
            cluster.call("alice", "bob")
            cluster.answer("bob")
            cluster.wait_for(extension="102", state="InUse")
            cluster.talk(["alice", "bob"], duration=0.3)
            cluster.hang_up("alice")
            cluster.settle()
            cluster.must_hold()
            cluster.must_hold("agreement", "calls", "views")
            return
    pytest.fail(f"it could not be judged {TIMES} times")


def test_broken_check_is_an_assertion_error_that_tells_the_story(cluster: AsteriskCluster) -> None:
    cluster.reset()
    cluster.partition([["n1"], ["n2"]])
    cluster.settle()
    cluster.heal()
    assert issubclass(BrokenCheck, AssertionError)
    story = _broken(cluster)
    assert "n1: core show version: not as expected" in story
    assert "partition n1 | n2" in story


def _broken(cluster: AsteriskCluster) -> str:
    """What a check says that does not hold."""
    deadline = Deadline(CALM_S)
    while not deadline.passed:
        cluster.cli("n1", "core show version", expect="Asterisk 0[.]", within=0.1)
        try:
            cluster.must_hold("expectations")
        except NotJudged:  # what the machine did lies on it, and on whatever is asked at once
            cluster.settle()
        except BrokenCheck as error:
            return str(error)
    return pytest.fail(f"it held, or could not be judged for {CALM_S:g} s")


def test_command_and_logs_as_testcontainers_has_them(cluster: AsteriskCluster) -> None:
    assert cluster.exec("n1", ["asterisk", "-rx", "core show version"]).exit_code == 0
    assert cluster.exec("n2", "exit 3").exit_code == 3
    assert b"Asterisk Ready" in cluster.get_logs("n1")[0]


def test_wrong_arguments_are_refused_before_anything_is_done(cluster: AsteriskCluster) -> None:
    before = len(cluster.journal.events)
    with pytest.raises(UsageError, match="no phone `zoe`"):
        cluster.call("alice", "zoe")
    assert not [event for event in cluster.journal.events[before:] if type(event).__name__ in ("Called", "Did")]


def test_refused_call_has_its_status_at_once(cluster: AsteriskCluster) -> None:
    cluster.call("alice", "999")
    with pytest.raises(LabError, match="alice calls 999: 404 Not Found"):
        cluster.talk("alice")
    assert [event.why for event in cluster.journal.events if type(event).__name__ == "Ended"][-1] == "404 Not Found"


def test_phone_that_holds_can_hang_up(cluster: AsteriskCluster) -> None:
    cluster.reset()
    cluster.call("alice", "bob")
    cluster.answer("bob")
    cluster.hold("alice")
    cluster.hang_up("alice")
    assert [event.why for event in cluster.journal.events if type(event).__name__ == "Ended"][-1] == ""


def test_node_can_be_stopped_and_started_by_the_words_of_both(cluster: AsteriskCluster) -> None:
    cluster.stop_node("n2")
    assert cluster.node("n2").status == "exited"
    cluster.start_node("n2")
    cluster.stop(node="n2", service="asterisk")
    cluster.start(node="n2", service="asterisk")
    cluster.settle()
    assert cluster.node("n2").status == "running"


def test_a_ring_that_changes_while_asterisk_is_away_is_heard_of(cluster: AsteriskCluster) -> None:
    cluster.reset()
    cluster.stop(node="n2", service="asterisk")
    cluster.partition([["n1"], ["n2"]])
    cluster.wait_for(nodes=["n1", "n2"], members=1)
    cluster.start(node="n2", service="asterisk")
    cluster.settle()
    cluster.heal()
    cluster.settle()


def test_two_clusters_of_one_process_are_two() -> None:
    with AsteriskCluster(nodes=1) as one, AsteriskCluster(nodes=1) as other:
        assert one.lab.name != other.lab.name
        one.set_state("n1", "mystate", "BUSY")
        other.wait_for(extension="mystate", state="Idle")


OPTIONS = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="options">
  <send retrans="500"><![CDATA[
    OPTIONS sip:101@[remote_ip] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:alice@[remote_ip]>;tag=[call_number]
    To: <sip:101@[remote_ip]>
    Call-ID: [call_id]
    CSeq: 1 OPTIONS
    Contact: <sip:alice@[local_ip]:[local_port]>
    Max-Forwards: 70
    Content-Length: 0

  ]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
    OPTIONS sip:101@[remote_ip] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:alice@[remote_ip]>;tag=[call_number]
    To: <sip:101@[remote_ip]>
    Call-ID: [call_id]
    CSeq: 2 OPTIONS
    Contact: <sip:alice@[local_ip]:[local_port]>
    [authentication username=alice password=PASSWORD]
    Max-Forwards: 70
    Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
"""
"""What a client asks that is none of labctl's: as alice, with her password, whether 101 can be called."""


def test_container_of_testcontainers_talks_sip_to_a_node(
    cluster: AsteriskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # its image is on a registry
    scenario = OPTIONS.replace("PASSWORD", cluster.sip_password("alice"))
    with _client(cluster).with_network(cluster.network) as client:
        client.exec(["sh", "-c", f"cat > /options.xml <<'END'\n{scenario}END"])
        node = cluster.node("n1").get_container_host_ip()
        asked = client.exec(["sipp", f"{node}:5060", "-sf", "/options.xml", "-m", "1", "-timeout", "10"])
        assert asked.exit_code == 0, asked.output.decode()


def test_nodes_join_a_network_of_testcontainers_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # its image is on a registry
    with Network() as network, AsteriskCluster(nodes=1).with_network(network) as cluster:
        joined = cluster.get_wrapped_container("n1").attrs["NetworkSettings"]["Networks"][network.name]
        with _client(cluster).with_network(network) as client:
            named = client.exec(["getent", "hosts", "n1"])
            assert named.output.decode().split()[0] == joined["IPAddress"]


def _client(cluster: AsteriskCluster) -> DockerContainer:
    """A container of testcontainers with SIPp in it, which the lab knows nothing of."""
    image = next(
        container.image for container in cluster.running.observation.containers if container.role == ROLE_PHONES
    )
    return DockerContainer(image).with_command(["sleep", "infinity"])


def test_waiting_utilities_of_testcontainers_take_a_node(cluster: AsteriskCluster) -> None:
    assert wait_for_logs(cluster.node("n1"), LogMessageWaitStrategy("Asterisk Ready"), timeout=120) >= 0
    assert cluster.get_wrapped_container("n1").name == cluster.container_of("n1")


def test_cluster_that_was_stopped_leaves_nothing() -> None:
    cluster = AsteriskCluster(nodes=1).start()
    cluster.stop()
    assert engines.connect().observe(cluster.lab.name).empty


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


def test_each_test_has_a_run_folder_that_its_failure_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(
        *("--lab-nodes", "2", "--lab-runs", "runs", "-p", "no:cacheprovider", "--junit-xml", "report.xml")
    )
    result.assert_outcomes(passed=3, failed=1)
    assert len(kept(pytester)) == 4
    (failed,) = [folder for folder in kept(pytester) if folder.name.startswith("test_that_fails-2nodes-")]
    result.stdout.fnmatch_lines(["*labctl: the run*", f"*{failed}", f"labctl report {failed} --open"])
    assert str(failed) in (pytester.path / "report.xml").read_text("utf-8")
    for folder in kept(pytester):
        record = run_record.recall(folder)
        assert {"history.jsonl", "lab.yaml", "n1.log", "terms.json", "verdict.json"} <= {*record.files}
        assert (folder / "capture.pcapng").stat().st_size > 0
        texts = [finding.text for judged in record.result.judged for finding in judged.verdict.findings]
        assert any("AssertionError: assert not 'as it should'" in text for text in texts) == (folder == failed)
        assert labctl("report", str(folder)).code == 0
    assert run_record.recall(failed).result.standing == "failed"
    scenario = labctl("validate", str(failed / "scenario.yaml"))
    assert scenario.code == 0, scenario.err
    assert "set_state" in (failed / "scenario.yaml").read_text("utf-8")


def kept(pytester: pytest.Pytester) -> list[Path]:
    """The run folders of the tests."""
    return run_record.find_all(pytester.path / "runs")
