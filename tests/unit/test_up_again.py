"""`labctl up` without a file on a lab that is there: what stays with it, and what flags change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl import cli
from labctl.blueprint import record
from labctl.blueprint.record import Request
from labctl.cluster import lifecycle
from labctl.cluster.lifecycle import UpPlan
from labctl.engine import client
from labctl.engine.host import Host
from labctl.engine.observation import Container, Observation
from labctl.images.builder import Options
from labctl.lab import Lab, Overrides
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.patch import Patch
from labctl.stack.model import Stack
from labctl.yamlfile.document import parse
from tests.unit.labs import draw, lab, stack

PATCH = Patch("fix.patch", b"--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1 +1 @@\n-a\n+b\n")
TEXT = "name: office\n"
REQUEST = Request(
    parse(TEXT, "-").data,
    Overrides(nodes=4),
    image="mine:1",
    mirror="http://mirror.example",
    insecure=True,
    patches=(PATCH,),
)


class Holding:
    """An engine that holds the lab `office`, with this record."""

    def __init__(self, text: str, on: tuple[Host, ...] = ()) -> None:
        self.on = on
        self._phones = Container("1", "labctl-office-phones", "office", ROLE_PHONES, "phones", "created", "", spec=text)

    def observe(self, name: str | None = None) -> Observation:
        return Observation(containers=(self._phones,) if name in (None, "office") else ())

    def hosts(self, name: str) -> tuple[Host, ...]:
        """As the labels of what is there say."""
        assert name == "office"
        return self.on


class Planned:
    """What `up --dry-run` was asked to plan."""

    def __init__(self) -> None:
        self.lab, self.stack, self.options, self.request = lab(TEXT), stack(), Options(), REQUEST

    def plan_up(self, _: Any, wanted: Lab, on: Stack, options: Options, request: Request) -> UpPlan:
        self.lab, self.stack, self.options, self.request = wanted, on, options, request
        return UpPlan((), draw(TEXT), ())


def plan(
    monkeypatch: pytest.MonkeyPatch, *flags: str, request: Request = REQUEST, on: tuple[Host, ...] = ()
) -> Planned:
    """What `labctl up` would make of the lab, which was made as `request` says."""
    made = lab(TEXT, overrides=Overrides(nodes=4))
    text = record.dump(made, stack().with_image(request.image), request)
    planned = Planned()
    monkeypatch.setattr(client, "connect", lambda **_: Holding(text, on))
    monkeypatch.setattr(lifecycle, "plan_up", planned.plan_up)
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", "-n", "office", "--dry-run", *flags])
    assert (ended.value.code or 0) == 0
    return planned


def test_all_that_it_was_made_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(monkeypatch)
    assert planned.lab == lab(TEXT, overrides=Overrides(nodes=4))
    assert planned.request == REQUEST
    assert planned.options == Options("http://mirror.example", False, (PATCH,), True)
    assert planned.stack.image == "mine:1"


def test_it_stays_beside_flags_that_change_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(monkeypatch, "--nodes", "2")
    assert planned.lab == lab(TEXT, overrides=Overrides(nodes=2))
    assert planned.request == replace(REQUEST, flags=Overrides(nodes=2))
    assert (planned.options.patches, planned.stack.image) == ((PATCH,), "mine:1")


def test_an_empty_patch_and_an_empty_image_take_them_away(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(monkeypatch, "--patch", "", "--image", "")
    assert (planned.options.patches, planned.request.patches) == ((), ())
    assert (planned.stack, planned.request.image) == (stack(), None)


def test_another_patch_takes_the_place_of_the_old_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "other.patch"
    file.write_bytes(PATCH.content)
    planned = plan(monkeypatch, "--patch", str(file))
    assert [patch.source for patch in planned.request.patches] == [str(file)]


def test_what_was_made_for_one_stack_does_not_go_along_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(monkeypatch, "--stack", "1.8")
    assert (planned.stack, planned.lab.stack, len(planned.lab.nodes)) == (stack("1.8"), "1.8", 4)
    assert (planned.request.image, planned.options.patches) == (None, ())
    assert planned.options.mirror == "http://mirror.example"


def test_a_file_says_it_all_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: 2\n")
    planned = plan(monkeypatch, "-f", str(file))
    assert planned.lab == lab("name: office\nnodes: 2\n")
    assert planned.request == Request({"nodes": "2"})
    assert (planned.options, planned.stack) == (Options(), stack())


def test_a_patch_that_could_not_be_kept_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = record.dump(lab(TEXT), stack(), REQUEST).replace('"content"', '"was"')
    monkeypatch.setattr(client, "connect", lambda: Holding(text))
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", "-n", "office", "--dry-run"])
    assert ended.value.code == 2
    assert "fix.patch" in capsys.readouterr().err


@pytest.mark.parametrize(("nodes", "code"), [(["n1", "n4"], 1), (["hq"], 1), (["n1", "n3"], 0), ([], 0)])
def test_a_lab_that_lost_its_record_is_not_made_into_the_shipped_one(
    nodes: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = (Container(name, f"labctl-office-{name}", "office", ROLE_NODE, name, "running", "") for name in nodes)
    observation = Observation(containers=tuple(containers))
    monkeypatch.setattr(client, "connect", lambda: SimpleNamespace(observe=lambda *_: observation))
    monkeypatch.setattr(lifecycle, "plan_up", Planned().plan_up)
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", "-n", "office", "--dry-run"])
    assert (ended.value.code or 0) == code
    assert ("--file FILE" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    "flags",
    [["--all", "--orphans"], ["--all", "--older-than", "2h"], ["--orphans", "-n", "office"], ["--all", "-n", "x"]],
)
def test_ways_to_say_which_labs_go_do_not_go_together(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "connect", lambda: Holding("{}"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["down", *flags])
    assert ended.value.code == 2


def test_a_lab_stays_over_the_hosts_that_its_labels_alone_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that `run` made with LABCTL_HOSTS."""
    on = (Host("one"), Host("two"))
    assert plan(monkeypatch, on=on).lab.docker_hosts == ("one", "two")
    assert plan(monkeypatch, "--hosts", "two", on=on).lab.docker_hosts == ("two",)
    assert plan(monkeypatch, "--hosts", "", on=on).lab.docker_hosts == ()
