"""Names of labs that nobody gave: no two clusters, workers or sessions have the same."""

from __future__ import annotations

import re
from types import SimpleNamespace
from uuid import uuid4

import pytest

from labctl import testcontainers
from labctl.blueprint.running_lab import Running
from labctl.cluster import lifecycle as labs
from labctl.engine import client as engines
from labctl.engine.observation import Observation
from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.labfile.loader import find_lab
from labctl.pytest_plugin import LabNames, LabRequest
from labctl.stack.loader import find_stack
from labctl.testcontainers import AsteriskCluster
from labctl.yamlfile.document import NAME

WANTED = LabRequest("labs/A very long name of a file.yaml", "22", 3)


def test_two_clusters_of_one_process_have_names_of_their_own() -> None:
    names = {AsteriskCluster()._overrides.name for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(NAME, str(name)) for name in names)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("worker", ["", "gw0"])
@pytest.mark.parametrize("wanted", [LabRequest(), LabRequest(nodes=2), WANTED])
def test_a_session_has_one_lab_for_what_tests_share(wanted: LabRequest, worker: str, keep: bool) -> None:
    names = LabNames(worker, keep)
    assert names.of(wanted) == names.of(wanted)
    assert names.used == {names.of(wanted)}
    assert re.fullmatch(NAME, names.of(wanted))


def test_two_sessions_share_no_lab() -> None:
    assert LabNames("", keep=False).of(WANTED) != LabNames("", keep=False).of(WANTED)


def test_two_workers_share_no_lab_even_if_it_is_kept() -> None:
    assert LabNames("gw0", keep=True).of(WANTED) != LabNames("gw1", keep=True).of(WANTED)


def test_what_is_kept_is_found_by_the_next_session() -> None:
    assert LabNames("", keep=True).of(LabRequest(nodes=2)) == "pytest-2nodes"


def test_what_is_asked_of_a_cluster_that_is_not_up_is_refused() -> None:
    cluster = AsteriskCluster()
    with pytest.raises(AttributeError, match=r"`register` is there from start\(\) on"):
        cluster.register("alice")
    with pytest.raises(UsageError, match="the cluster is not up"):
        cluster.start("n1")
    cluster.stop()


@pytest.mark.parametrize("keep", [False, True])
def test_a_name_that_was_given_is_one_clusters_at_a_time(monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    taken_away: list[str] = []
    lab, _ = find_lab(None, Overrides())
    live = SimpleNamespace(
        open=lambda _: None, close=lambda *_: None, journal=SimpleNamespace(close=lambda: None), engine=None, lab=lab
    )
    monkeypatch.setattr(engines, "connect", lambda: None)
    for verb in ("require_own", "up"):
        monkeypatch.setattr(labs, verb, lambda *_, **__: None)
    monkeypatch.setattr(labs, "load", lambda *_: Running(lab, find_stack("22"), Observation()))
    monkeypatch.setattr(labs, "names", lambda _: [])
    monkeypatch.setattr(labs, "down", lambda _, name, *__: taken_away.append(name))
    monkeypatch.setattr(testcontainers, "live_lab", lambda *_: live)
    name = f"x{uuid4().hex[:12]}"
    with AsteriskCluster(name=name, keep=keep):
        with pytest.raises(UsageError, match="in use"):
            AsteriskCluster(name=name).start()
        assert taken_away == []
    assert len(taken_away) == (0 if keep else 1)
    with AsteriskCluster(name=name, keep=keep):
        pass
