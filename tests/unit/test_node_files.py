"""Files of nodes changed while a lab runs: read again, kept by the node, and undone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import cast

import pytest

from labctl.blueprint.running_lab import Running
from labctl.cluster import changed_files
from labctl.cluster.changed_files import KEPT, Before
from labctl.cluster.connections import Cluster
from labctl.configfile.edit import Edited, Miss
from labctl.engine.actions import File
from labctl.engine.client import Engine
from labctl.engine.commands import Output
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import LabError, UsageError
from labctl.history.events import Line
from labctl.history.journal import Journal
from labctl.names import ROLE_NODE
from labctl.scenario.node_files import NodeFiles
from tests.unit.labs import SUBNET, lab, stack

PJSIP, QUEUES = "/etc/asterisk/pjsip.conf", "/etc/asterisk/queues.conf"


@dataclass
class FakeNode:
    """One container: its files, what it was told to run, and what it answers and logs then."""

    files: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    logged: str = "before\n"
    logs_when_told: str = ""
    state: str = "running"

    def find_file(self, _container: str, path: str) -> str | None:
        return self.files.get(path)

    def put_files(self, _container: str, files: tuple[File, ...]) -> None:
        self.files |= {file.path: file.text for file in files}

    def run(self, _container: str, command: list[str]) -> Output:
        self.ran.append(command[-1])
        if command[0] == "rm":
            del self.files[command[-1]]
        self.logged += self.logs_when_told
        return Output(0, self.answers.get(command[-1], ""))

    def logs(self, _container: str) -> str:
        return self.logged

    def container_state(self, _node: str) -> str:
        return self.state

    def connection(self, _node: str) -> FakeNode:
        return self

    def command(self, line: str) -> str:
        return self.answers.get(line, "")


@pytest.fixture
def node() -> FakeNode:
    return FakeNode({PJSIP: "[alice]\nmax_contacts = 1\n", QUEUES: "; an example of the package's\n[general]\n"})


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def files(node: FakeNode, journal: Journal) -> NodeFiles:
    container = Container("id-n1", "labctl-lab-n1", "lab", ROLE_NODE, "n1", "running", "hash")
    network = Network("id", "labctl-lab", "lab", SUBNET, "seed")
    running = Running(lab("nodes: 1\n"), stack(), Observation((network,), (container,)))
    return NodeFiles(cast(Engine, node), running, cast(Cluster, node), journal)


def add(text: str) -> Edited:
    return Edited(f"{text}added = 1\n")


def test_a_file_of_the_labs_is_changed_as_it_is_and_another_is_new(files: NodeFiles, node: FakeNode) -> None:
    files.change("n1", "asterisk/pjsip.conf", add, "")
    files.change("n1", "asterisk/queues.conf", add, "")
    files.change("n1", "asterisk/queues.conf", add, "")
    assert node.files[PJSIP] == "[alice]\nmax_contacts = 1\nadded = 1\n"
    assert node.files[QUEUES] == "added = 1\nadded = 1\n"
    assert node.ran == []


def test_the_node_keeps_what_was_before_and_the_end_brings_that_back(files: NodeFiles, node: FakeNode) -> None:
    before = dict(node.files)
    files.change("n1", "asterisk/pjsip.conf", add, "res_pjsip")
    files.change("n1", "asterisk/new.conf", add, "")
    kept = changed_files.changed(cast(Engine, node), "id-n1")
    assert kept == {
        "asterisk/pjsip.conf": Before(before[PJSIP], "res_pjsip"),
        "asterisk/new.conf": Before(None),
    }
    node.ran.clear()
    files.undo()
    assert {path: text for path, text in node.files.items() if path != KEPT} == before
    assert changed_files.changed(cast(Engine, node), "id-n1") == {}
    assert node.ran == ["module reload res_pjsip.so", "/etc/asterisk/new.conf"]


def test_a_module_that_is_not_there_is_loaded(files: NodeFiles, node: FakeNode) -> None:
    node.answers["module reload app_queue.so"] = "No such module 'app_queue.so'\n"
    files.change("n1", "asterisk/queues.conf", add, "app_queue")
    assert node.ran == ["module reload app_queue.so", "module load app_queue.so"]


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ({"module reload x.so": "The module 'x.so' does not support reloads\n"}, "does not read its files again"),
        ({"module reload x.so": "Module 'x.so' reported a reload failure\n"}, "reported a reload failure"),
        (
            {"module reload x.so": "No such module 'x.so'\n", "module load x.so": "Unable to load module x.so\n"},
            "Unable to load module x.so",
        ),
    ],
)
def test_what_is_not_read_again_is_told(files: NodeFiles, node: FakeNode, answers: dict[str, str], what: str) -> None:
    node.answers |= answers
    with pytest.raises(LabError, match=what):
        files.change("n1", "asterisk/x.conf", add, "x")


def test_what_asterisk_complains_of_is_in_the_history(files: NodeFiles, node: FakeNode, journal: Journal) -> None:
    node.logged = "[x] WARNING[1]: app_queue.c:1 load: queues.conf was wrong long ago\n"
    node.logs_when_told = "[x] WARNING[1]: app_queue.c:9 load: Unknown strategy in queues.conf\n"
    [problem] = files.change("n1", "asterisk/queues.conf", add, "app_queue")
    assert str(problem) == "n1: asterisk/queues.conf: load: Unknown strategy in queues.conf"
    [line] = [event for event in journal.events if isinstance(event, Line)]
    assert (line.node, line.text) == ("n1", "asterisk/queues.conf: load: Unknown strategy in queues.conf")


def test_what_cannot_be_made_changes_nothing(files: NodeFiles, node: FakeNode) -> None:
    before = dict(node.files)

    def misses(text: str) -> Edited:
        return Edited(text, (Miss(("a",), "no section `a`", "did you mean `b`?"),))

    with pytest.raises(UsageError, match="no section `a`"):
        files.change("n1", "asterisk/pjsip.conf", misses, "")
    node.state = "created"
    with pytest.raises(UsageError, match="n1 does not run, and reads"):
        files.change("n1", "asterisk/pjsip.conf", add, "res_pjsip")
    assert node.files == before
    files.change("n1", "asterisk/pjsip.conf", add, "")
    assert node.files[PJSIP].endswith("added = 1\n")


def test_what_another_version_kept_is_a_change_too(node: FakeNode) -> None:
    node.files[KEPT] = json.dumps({"asterisk/a.conf": {"more": 1}})
    assert changed_files.changed(cast(Engine, node), "id-n1") == {"?": Before(None)}
