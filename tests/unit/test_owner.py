"""Who made a lab, and what that lets a verb do with it."""

from __future__ import annotations

import datetime
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from labctl.blueprint import owner
from labctl.blueprint.owner import Owner, OwnerKind, Process
from labctl.cluster import lifecycle as labs
from labctl.engine.actions import Step
from labctl.engine.client import Engine
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import HostError, UsageError
from labctl.names import ROLE_NODE
from labctl.progress import Silent

MACHINE = "this machine"
HERE = replace(Process.current(), machine=MACHINE)
ELSEWHERE = replace(HERE, host="elsewhere", boot="another")
REBOOTED = replace(HERE, boot="another")
SAME_NAME = replace(REBOOTED, machine="another")
OLDER = replace(REBOOTED, machine="")
"""Of a labctl that did not write which machine it was on."""
CONTAINED = replace(HERE, namespace="pid:[1]")
REUSED = replace(HERE, start="1")
"""A process of another start time has the number now."""


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an id."""
    monkeypatch.setattr(owner, "machine", lambda: MACHINE)


class Locks:
    """Locks that are free."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def take(self, name: str, process: str) -> str:
        return self.held.setdefault(name, process)

    def release(self, name: str) -> None:
        del self.held[name]


class Holding:
    """An engine that holds networks, each with a node on it, and notes what is done to them."""

    def __init__(self, *networks: Network) -> None:
        self.networks, self.done = networks, list[Step]()
        self.locks = Locks()

    def observe(self, name: str | None = None) -> Observation:
        wanted = tuple(network for network in self.networks if name in (None, network.lab))
        nodes = (
            Container(f"c-{network.lab}", f"labctl-{network.lab}-n1", network.lab, ROLE_NODE, "n1", "running", "")
            for network in wanted
        )
        return Observation(wanted, tuple(nodes))

    def apply(self, step: Step) -> None:
        self.done.append(step)


def network(lab: str, kind: str, process: Process | None = HERE, hours: float = 0) -> Network:
    created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    text = str(process) if process else ""
    return Network("id", f"labctl-{lab}", lab, "198.18.7.0/24", "seed", True, kind, text, created.isoformat())


def engine(*networks: Network) -> Engine:
    return cast(Engine, Holding(*networks))


@cache
def dead() -> Process:
    """A process that has ended."""
    script = "from labctl.blueprint.owner import Process; print(Process.current())"
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    process = Process.parse(text)
    assert process
    return process


@pytest.mark.parametrize(
    ("process", "alive"),
    [
        *((HERE, True), (REUSED, False), (REBOOTED, False), (replace(REBOOTED, namespace="pid:[1]"), False)),
        *((ELSEWHERE, None), (CONTAINED, None), (SAME_NAME, None), (OLDER, None), (replace(HERE, machine=""), True)),
    ],
)
def test_whether_a_process_runs_is_known_of_this_boot_of_this_host_alone(process: Process, alive: bool | None) -> None:
    assert process.alive is alive
    assert Process.parse(str(process)) == process


@pytest.mark.long
def test_a_process_that_has_ended_is_dead() -> None:
    assert dead().alive is False


def test_what_an_older_labctl_wrote_of_a_process_is_read() -> None:
    text = '{"pid": 42, "start": "7", "host": "build", "boot": "b", "namespace": "pid:[1]"}'
    assert Process.parse(text) == Process(42, "7", "build", "b", "pid:[1]")


@pytest.mark.parametrize("text", ["", "labctl", "{}", "[]", "3"])
def test_any_other_text_tells_of_no_process(text: str) -> None:
    assert Process.parse(text) is None


@pytest.mark.parametrize("kind", ["run", "soak", "compare", "bench", "test"])
@pytest.mark.parametrize(
    "maker", [("up", HERE), ("up", REUSED), ("", None), ("other", REUSED)], ids=["up", "old up", "labctl 0.1", "later"]
)
def test_no_verb_takes_away_a_lab_that_it_did_not_make(kind: OwnerKind, maker: tuple[str, Process | None]) -> None:
    holding = Holding(network("lab", *maker))
    with pytest.raises(UsageError, match=rf"labctl {kind} needs a fresh lab `lab`") as refusal:
        labs.clear_way(cast(Engine, holding), "lab", Owner.current(kind))
    assert "labctl down --name lab" in refusal.value.hint
    assert holding.done == []


@pytest.mark.parametrize("process", [ELSEWHERE, CONTAINED, SAME_NAME])
def test_a_run_of_another_process_that_may_go_on_is_left_alone(process: Process) -> None:
    holding = Holding(network("lab", "run", process))
    with pytest.raises(UsageError, match=r"made by labctl run \(process"):
        labs.clear_way(cast(Engine, holding), "lab", Owner.current("run"))
    assert holding.done == []


@pytest.mark.parametrize("process", [HERE, REUSED, REBOOTED])
def test_what_an_earlier_run_left_makes_way(process: Process) -> None:
    holding = Holding(network("lab", "run", process))
    labs.clear_way(cast(Engine, holding), "lab", Owner.current("run"))
    assert [str(step) for step in holding.done] == ["remove labctl-lab-n1", "remove network labctl-lab"]
    assert holding.locks.held == {}


def test_a_lab_that_is_not_there_is_nobodys() -> None:
    labs.require_own(engine(), "lab", Owner.current("run"))


def test_orphans_are_labs_of_dead_processes_that_no_user_made() -> None:
    there = engine(
        network("a-dead-run", "run", REUSED),
        network("a-dead-test", "test", REBOOTED),
        network("a-live-run", "run", HERE),
        network("far-away", "run", ELSEWHERE, hours=3),
        network("of-same-name", "run", SAME_NAME, hours=1),
        network("a-users", "up", REUSED, hours=9),
        network("a-first", "", None, hours=9),
    )
    assert labs.orphans(there) == ["a-dead-run", "a-dead-test"]
    assert labs.orphans(there, older_than_s=2 * 3600) == ["far-away"]
    assert labs.orphans(there, older_than_s=0) == ["a-dead-run", "a-dead-test", "far-away", "of-same-name"]


@pytest.mark.parametrize("who", labs.USERS)
def test_what_another_process_uses_is_no_orphan_though_its_maker_is_dead(who: str) -> None:
    kept = f"kept-{uuid4().hex}"  # others run these tests on this host too
    there = engine(network(kept, "test", REUSED, hours=9), network("left", "test", REUSED, hours=9))
    with labs.in_use(kept, who):
        assert labs.orphans(there) == labs.orphans(there, older_than_s=60) == ["left"]
        with pytest.raises(UsageError, match="in use"), labs.in_use(kept, who):
            pytest.fail("two had it")
    assert labs.orphans(there) == [kept, "left"]


def test_an_orphan_that_another_run_has_made_anew_meanwhile_stays() -> None:
    there = Holding(network("a", "run", REUSED), network("b", "run", REUSED))

    class MadeAnew(Locks):
        def take(self, name: str, process: str) -> str:
            if name == "b":  # while `a` was taken away
                there.networks = (network("b", "run", HERE),)
            return super().take(name, process)

    there.locks = MadeAnew()
    labs.down_orphans(cast(Engine, there), None, Silent())
    assert there.done
    assert not [action for action in there.done if "labctl-b" in str(action)]


def test_one_orphan_that_does_not_go_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Holding(network("a", "run", REUSED), network("b", "run", REUSED))
    apply = there.apply

    def refuse(step: Step) -> None:
        if "labctl-a" in str(step):
            raise HostError("refused")
        apply(step)

    monkeypatch.setattr(there, "apply", refuse)
    with pytest.raises(HostError):
        labs.down_orphans(cast(Engine, there), None, Silent())
    assert any("labctl-b" in str(step) for step in there.done)


def test_a_process_that_proc_hides_is_taken_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = dead()
    monkeypatch.setattr(owner, "_start", lambda _: None)
    assert (HERE.alive, ended.alive) == (True, False)


@pytest.mark.parametrize("text", ["0123456789abcdef0123456789abcdef\n", "uninitialized\n", ""])
def test_a_machine_is_told_by_a_hash_of_its_id_where_it_has_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """machine-id(5): the id itself is confidential."""
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_bytes", lambda _: text.encode())
    told = owner.machine.__wrapped__()
    assert (len(told) == 32) is text.startswith("0123")
    assert text.strip() not in told or not told
