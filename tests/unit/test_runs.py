"""What was run is told again, and what would be run is told before: nothing is started, and no engine is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.engine import client
from labctl.errors import HostError
from labctl.history import lines as history
from labctl.history.events import Began, Did, Event, Looked, Over, Seen
from labctl.lab import Overrides
from labctl.scenario import conclusion, run_folder
from labctl.scenario.loader import find_scenario
from tests.unit.commands import run
from tests.unit.labs import DATA

NODES = ("n1", "n2")


def agreed(states: tuple[str, ...] = ("Idle", "Idle"), seen: int = 100) -> tuple[Event, ...]:
    """A run of two nodes that ends with these states, after so many events."""
    return (
        Began(0.0, "mine", "lab", "22", NODES, {"mystate": "Custom:mystate"}, seed=7, versions={"node asterisk": "22"}),
        *(Seen(0.1 + number / 1000, "n1", "mystate", "Idle") for number in range(seen)),
        Looked(
            1.0,
            {node: {"mystate": state} for node, state in zip(NODES, states, strict=True)},
            dict.fromkeys(NODES, NODES),
        ),
        Did(1.0, 1, "settle", 0.5),
        Over(2.0),
    )


def keep(folder: Path, events: tuple[Event, ...]) -> Path:
    """The folder of a run with this history, judged."""
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_text("".join(history.to_line(event) + "\n" for event in events))
    run_folder.write_terms(folder, conclusion.terms_of(find_scenario("late-join", Overrides())))
    run_folder.write_result(folder, conclusion.check(folder))
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, on a machine without Docker."""

    def connect(**_: object) -> None:
        raise HostError("no Docker Engine answers")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "connect", connect)
    return tmp_path


def test_the_whole_story_of_a_run_that_passed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(here / "one", agreed())
    assert run("show", "one") == 0
    shown = capsys.readouterr().out
    assert "lines before" not in shown
    assert shown.count("n1 says mystate Idle") == 100
    assert "> settle" in shown
    assert "seed 7, stack 22; asterisk 22" in shown
    assert "agreement      passed" in shown


def test_the_latest_run_and_one_by_its_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(here / "labctl-runs" / "first", agreed())
    keep(here / "labctl-runs" / "second", agreed(("Idle", "Busy")))
    (here / "labctl-runs" / "latest").symlink_to("second")
    for name, standing in (("latest", "failed"), ("first", "passed"), ("second", "failed")):
        assert run("show", name, "-o", "json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["standing"], told["seed"], told["versions"]) == (standing, 7, {"node asterisk": "22"})
        assert told["files"] == ["history.jsonl", "terms.json", "verdict.json"]
        assert told["folder"] == f"labctl-runs/{name.replace('latest', 'second')}"
    assert run("check", "latest") == 1


def test_what_labctl_wrote_before_it_had_verdicts_in_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep(here / "old", agreed())
    (folder / "verdict.json").unlink()
    assert run("show", "old") == 0
    assert "passed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["history.jsonl", "terms.json", "verdict.json"])
def test_what_is_no_regular_file_is_not_waited_for(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep(here / "piped", agreed())
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert {run(verb, "piped") for verb in ("show", "report")} <= {0, 2}
    assert run("check", "piped") == (0 if name == "verdict.json" else 2)
    assert f"{name}: not a regular file" in capsys.readouterr().err


def test_a_run_whose_lab_did_not_come_up_says_why(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = keep(here / "none", agreed())
    terms = conclusion.terms_of(find_scenario("late-join", Overrides()))
    run_folder.write_result(folder, conclusion.conclude((), terms, 1.0, folder, HostError("no space left")))
    (folder / "history.jsonl").unlink()
    assert run("show", "none") == 0
    assert "no space left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("latest", "no run lies in labctl-runs"),
        ("nothing", "no run `nothing`"),
        ("empty", "not the folder of a run"),
        ("\0", "no run `"),
        ("a" * 5000, "no run"),
        ("damaged", "no verdict of a run"),
        ("wrong", "history.jsonl:1: not an event"),
    ],
)
def test_what_is_no_run_exits_2_with_the_way_out(
    word: str, why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (keep(here / "damaged", agreed()) / "verdict.json").write_text("[" * 100_000)
    (keep(here / "wrong", agreed()) / "history.jsonl").write_text("{}\n{}\n")
    assert run("show", word) == 2
    error = capsys.readouterr().err
    assert why in error
    assert "\n  " in error or "(" in error


def test_every_file_that_is_well_says_what_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yaml").write_text("title: Mine\nlab: {nodes: 2}\nsteps: [settle]\n")
    (here / "lab.yaml").write_text("nodes: 2\n")
    assert run("validate", "mine.yaml", "lab.yaml", "partition-heal", "two-sites") == 0
    assert capsys.readouterr().out.splitlines() == [
        "mine.yaml: a scenario: 1 steps on 2 nodes of stack 22",
        "lab.yaml: a lab: 2 nodes and 2 phones of stack 22",
        "partition-heal: a scenario: 11 steps on 3 nodes of stack 22",
        "two-sites: a lab: 4 nodes and 4 phones of stack 22",
    ]


def test_every_mistake_of_every_file_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yaml").write_text("title: Mine\nlab: bad.yaml\nsteps: [setle, {answer: bob}]\n")
    (here / "bad.yaml").write_text("nodes: 0\nphones: many\n")
    (here / "broken.yaml").write_text("title: [\n")
    words = ("mine.yaml", "bad.yaml", "broken.yaml", "missing.yaml", "nothing", "partition-heal")
    assert run("validate", *words) == 2
    output = capsys.readouterr()
    assert output.out.startswith("partition-heal: ")
    for place in ("mine.yaml:3: ", "bad.yaml:1: ", "bad.yaml:2: ", "broken.yaml:", "missing.yaml: No such file"):
        assert place in output.err
    assert "no scenario or lab file `nothing`" in output.err
    assert run("validate", *words, "-o", "json") == 2
    told = json.loads(capsys.readouterr().out)
    assert [file["valid"] for file in told] == [False] * 5 + [True]
    assert [file["kind"] for file in told] == ["scenario", "lab", "", "", "", "scenario"]
    assert {key: told[0]["mistakes"][0][key] for key in ("file", "line")} == {"file": "mine.yaml", "line": 3}


OF_ANY_FAILURE = """\
title: Mine
steps: [settle]
known:
  - {stack: "22", check: truth, extension: mystate, reason: It was so}
  - {stack: "22", check: agreement, reason: It is so}
"""
WARNING = (
    "mine.yaml:5: what is known of `agreement` names no failure: any other of that check is taken for known, too "
    "(say which by `extension`, `nodes`, `step` or `finding`)"
)


@pytest.mark.parametrize("words", [("validate",), ("run", "--dry-run")])
def test_what_is_known_and_names_no_failure_is_taken_and_warned_of(
    words: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.yaml").write_text(OF_ANY_FAILURE)
    assert run(*words, "mine.yaml") == 0
    assert capsys.readouterr().err.splitlines()[0] == WARNING
    assert run(*words, "partition-heal") == 0
    assert "names no failure" not in capsys.readouterr().err
    assert run("validate", "mine.yaml", "-o", "json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["valid"], told["mistakes"], told["warnings"]) == (True, [], [WARNING])


@pytest.mark.long
@pytest.mark.parametrize("folder", ["bad-scenarios", "bad-labs"])
def test_what_run_and_up_refuse_is_refused(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    for file in sorted((DATA / folder).iterdir()):
        assert run("validate", str(file)) == 2, file
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        assert not output.out


def test_a_dry_run_says_what_would_be_done(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert run("run", "partition-heal", "late-join", "--dry-run", "-o", "json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["scenario"], first["lab"], first["nodes"]) == (
        "partition-heal",
        "run-partition-heal",
        ["n1", "n2", "n3"],
    )
    assert first["steps"][4] == "partition n1,n2 | n3 name=split"
    assert {image["standing"] for image in first["images"]} == {"not known: no engine answers"}
    assert second["scenario"] == "late-join"
    assert [*here.iterdir()] == []


def test_a_dry_run_says_which_images_are_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"mine:1": "sha256:1"}
    engine = SimpleNamespace(images=lambda: there, image_id=lambda name: there.get(name, ""))
    monkeypatch.setattr(client, "connect", lambda: engine)
    assert run("run", "partition-heal", "--dry-run", "--image", "mine:1") == 0
    shown = capsys.readouterr().out
    assert "image mine:1: here" in shown
    assert shown.count("would be built") == 1
