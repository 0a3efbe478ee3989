"""The page that leads to several runs, and the command that writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from labctl.report.index_page import page_name
from tests.unit.commands import run
from tests.unit.pages import HOSTILE, Page, keep


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs of one scenario: it passed, then it failed."""
    keep(tmp_path / "runs" / "mine-1", standing="passed", utc="2026-11-26T12:00:00+00:00")
    keep(tmp_path / "runs" / "mine-2", standing="failed", utc="2026-11-26T14:00:00+02:00")
    keep(tmp_path / "runs" / "mine-3", standing="failed", utc="2026-11-26T13:00:00+00:00")
    (tmp_path / "runs" / "latest").symlink_to("mine-3")
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def words(file: Path) -> str:
    """What a page says."""
    return " ".join(re.sub(r"<[^>]+>", " ", file.read_text("utf-8").split("<body>")[1]).split())


def test_all_runs_of_a_folder_have_a_page_each_and_one_that_leads_there(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", "--all", str(runs)) == 0
    index = runs / "report" / "index.html"
    assert capsys.readouterr().out == f"{index}\n"
    assert {path.name for path in (runs / "report").iterdir()} == {
        *("index.html", "mine-1.html", "mine-2.html", "mine-3.html")
    }
    text = index.read_text("utf-8")
    parsed = Page(text)
    links = {has["href"] for has in parsed.all("a") if not has["href"].startswith("#")}
    assert links == {"mine-1.html", "mine-2.html", "mine-3.html"}
    assert "3 runs of 1 scenario, by the last run of each: 1 failed." in words(index)
    assert "agreement failed 2 of 3" in words(index)
    assert "nothing changed against the last time" in words(index)
    assert "default-src 'none'" in text
    assert [has["href"] for has in Page((runs / "report" / "mine-2.html").read_text()).all("a")][-1] == "index.html"
    assert run("report", "--all", str(runs)) == 0  # its own folder is no run


def test_runs_that_are_named_are_compared_with_what_lies_beside_them(runs: Path, tmp_path: Path) -> None:
    assert run("report", str(runs / "mine-3"), str(runs / "mine-3"), "-o", str(tmp_path / "one")) == 0
    assert "Changed" not in words(tmp_path / "one" / "index.html")
    keep(runs / "mine-0", standing="passed", utc="2026-11-26T12:59:00+00:00")
    place = str(tmp_path / "out" / "deep")
    assert run("report", str(runs / "mine-3"), str(runs / "mine-3"), "-o", place) == 0
    said = words(tmp_path / "out" / "deep" / "index.html")
    assert "Changed against the last time" in said
    assert "agreement passed → failed worse" in said


def test_what_cannot_be_read_is_left_out_and_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "mine-2" / "history.jsonl").write_text("nonsense\n")
    assert run("report", "--all", str(runs)) == 0
    assert "left out" in capsys.readouterr().err
    said = words(runs / "report" / "index.html")
    assert "2 runs of 1 scenario" in said
    assert "Left out mine-2: " in said
    assert "history.jsonl" in said
    assert run("report", str(runs / "mine-1"), str(runs / "mine-2"), "-o", str(runs / "none")) == 2
    assert not (runs / "none").exists()


def test_what_is_no_folder_of_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = keep(tmp_path / "runs" / "mine")
    other = keep(tmp_path / "runs" / "other")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments in (
        (),
        ("--all", str(tmp_path / "nowhere")),
        ("--all", str(tmp_path / "file")),
        ("--all", str(tmp_path / "empty")),
        (str(mine), str(tmp_path / "empty")),
        (str(mine), str(other), "-o", str(tmp_path / "file")),
    ):
        assert run("report", *arguments) == 2
        told = capsys.readouterr().err
        assert told.startswith("labctl: ")
        assert "Traceback" not in told
    for broken in (mine, other):
        (broken / "history.jsonl").write_text("nonsense\n")
    assert run("report", "--all", str(tmp_path / "runs")) == 2


def test_a_hostile_run_gets_no_script_in_and_writes_nothing_elsewhere(runs: Path, tmp_path: Path) -> None:
    hostile = keep(runs / '"><img src=x onerror=a()> é', HOSTILE, "known")
    elsewhere = tmp_path / "elsewhere"
    (runs / "report").mkdir()
    (runs / "report" / "index.html").symlink_to(elsewhere)
    os.mkfifo(runs / "report" / "mine-1.html")
    assert run("report", "--all", str(runs)) == 0
    assert not elsewhere.exists()
    text = (runs / "report" / "index.html").read_text("utf-8")
    parsed = Page(text)
    assert len(parsed.all("script")) == 1
    assert not parsed.all("img")
    assert not [name for _, has in parsed.elements for name in has if name.startswith("on")]
    links = {unquote(has["href"]) for has in parsed.all("a") if not has["href"].startswith("#")}
    assert links == {path.name for path in (runs / "report").iterdir()} - {"index.html"}
    assert hostile.is_dir()


def test_a_folder_for_pages_that_is_a_link_is_not_followed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (runs / "report").symlink_to(elsewhere)
    both = [str(runs / "mine-1"), str(runs / "mine-2")]
    for arguments in (["--all", str(runs)], both):
        assert run("report", *arguments) == 2
        assert "it is a link\n  -o names another place" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []
    assert run("report", *both, "-o", str(runs / "report")) == 0  # the user's own word
    assert (elsewhere / "index.html").is_file()


def test_a_page_has_a_name_of_its_own() -> None:
    taken = {"index.html"}
    names = [page_name(name, taken) for name in ("mine", "mine", "Mine", "index", "..", "a/../b", "x" * 300, "-é")]
    assert names[:7] == ["mine.html", "mine-2.html", "Mine-3.html", "index-2.html", "run.html", "a-..-b.html", names[6]]
    assert len(names[6]) == 105
    assert names[7] == "é.html"
