"""A run as one HTML page: whole in itself, readable without eyes or mouse, and harmless whatever a history holds."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from labctl.checks.finding import Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.history import lines as history
from labctl.history.events import Seen
from labctl.report import html, page
from labctl.scenario import run_folder
from labctl.scenario.run_record import RunRecord, recall
from tests.unit.commands import run
from tests.unit.pages import HOSTILE, Page, events, keep, record, result

ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """The page of a run in which all is harmless."""
    return page.render(record(tmp_path))


def test_the_first_screen_says_what_was_expected_and_what_was_seen_where_and_when(plain: str) -> None:
    first = re.sub(r"<[^>]+>|\s+", " ", plain.split('id="timeline"', maxsplit=1)[0].split("<body>")[1])
    words = " ".join(first.split())
    for text in (
        "word failed: agreement is not as expected.",
        "Expected When all is quiet, connected nodes say the same of every extension.",
        "Seen seen word",
        "and 29 more",
        "Where n1word, extension door",
        "When between 12.000 s and 13.000 s",
    ):
        assert text in words


def test_nothing_is_asked_of_a_network(plain: str) -> None:
    parsed = Page(plain)
    addresses = [value for _, has in parsed.elements for name, value in has.items() if name in ADDRESSES]
    assert {address[:1] for address in addresses} == {"#"}
    assert {address[1:] for address in addresses} <= {has["id"] for _, has in parsed.elements if "id" in has}
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|https?://|//[a-z]+\.", plain)
    (policy,) = parsed.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; ")


def test_only_its_own_script_may_run(plain: str) -> None:
    parsed = Page(plain)
    (policy,) = parsed.all("meta", **{"http-equiv": "Content-Security-Policy"})
    data, script = parsed.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy["content"]
    assert json.loads(data)["wrong_s"] == 12.0
    assert parsed.all("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not [name for _, has in parsed.elements for name in has if name.startswith("on")]


def test_light_dark_paper_and_narrow(plain: str) -> None:
    for words in ("prefers-color-scheme: dark", "@media print", "max-width: 600px"):
        assert words in plain
    assert Page(plain).all("meta", name="viewport")


def test_lanes_faults_steps_and_the_moment_of_failure_are_drawn(plain: str) -> None:
    parsed = Page(plain)
    lanes = [has["data-name"] for has in parsed.of_class("lane") if "data-name" in has]
    assert lanes[:4] == ["faults", "the machine", "steps", "logs"]
    assert {"n1word ring", "n1word door", "n2 door", "word word", "word calls"} <= {*lanes}
    assert len(parsed.of_class("fault")) == 3  # the shade over all lanes, the band that names it, the legend
    assert [has for tag, has in parsed.elements if tag == "line" and has["class"] == "wrong"]
    assert [has for has in parsed.of_class("band") if "bad" in has["class"].split()]
    assert len(parsed.all("circle")) == 1  # what n2 learned of n1 when nothing had been broken for long enough


def test_all_can_be_reached_by_key_and_heard(plain: str) -> None:
    parsed = Page(plain)
    for band in parsed.of_class("band"):
        assert band["aria-label"].strip()
        assert (band["role"], band["tabindex"]) == ("img", "-1")  # the arrow keys go there from its lane
    for lane in parsed.of_class("lane"):
        assert lane["class"] == "lane axis" or (lane["tabindex"] == "0" and lane["aria-label"])
    for has in (*parsed.all("pre"), *parsed.of_class("wide")):
        assert has["tabindex"] == "0"  # what scrolls
    assert all(has.get("aria-label") for has in parsed.all("input"))
    assert parsed.all("output", **{"aria-live": "polite"})
    assert parsed.all("html", lang="en")
    ids = [has["id"] for _, has in parsed.elements if "id" in has]
    assert len(ids) == len({*ids})
    assert {has["aria-labelledby"] for has in parsed.all("section") if "aria-labelledby" in has} <= {*ids}


def test_story_versions_files_and_the_way_to_run_it_again(tmp_path: Path) -> None:
    (tmp_path / run_folder.SCENARIO).write_text("title: <Mine>\n")
    text = page.render(record(tmp_path))
    assert "&gt; set_state word" in text
    assert "node word" in text
    assert "title: &lt;Mine&gt;" in text
    assert f"labctl run {tmp_path}/scenario.yaml --seed 7" in text


def test_a_hostile_history_makes_the_same_elements_as_a_harmless_one(tmp_path: Path) -> None:
    harmless, hostile = (Page(page.render(record(tmp_path, word))) for word in ("word", HOSTILE))
    # Lanes stand in the order of their names.
    names = [sorted((tag, sorted(has)) for tag, has in parsed.elements) for parsed in (harmless, hostile)]
    assert names[0] == names[1]
    assert json.loads(hostile.texts["script"][0])["wrong"] == f"seen {HOSTILE}"
    assert "49" not in "".join(hostile.texts["h1"])


def test_no_character_is_in_it_that_html_has_no_place_for(tmp_path: Path) -> None:
    text = page.render(record(tmp_path, HOSTILE + "\ud800\u202e"))
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e\ud800]", text)
    text.encode()


@pytest.mark.long
def test_huge_texts_and_endless_histories_stay_under_3_mb(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"n{number}.log").write_text("<&>" * 50_000)
    long, endless = (
        page.render(whole) for whole in (record(tmp_path, "<" * 50_000), record(tmp_path, "<", more=3_000))
    )
    for text in (long, endless):
        assert len(text.encode()) < 3_000_000
        assert "characters left out in the middle; all of it is in the folder of the run" in text
    assert "not drawn" in endless
    Page(endless)


def test_of_a_file_that_is_too_long_both_ends_are_kept() -> None:
    text, note = html.cut("begin" + "x" * 10_000 + "end", 1000)
    assert text.startswith("begin")
    assert text.endswith("end")
    assert note in text
    assert len(text) < 1000
    assert html.cut("short", 1000) == ("short", "")
    assert html.cut("<" * 400, 1000)[0].startswith("<<")


def test_of_a_huge_file_its_ends_alone_are_read(tmp_path: Path) -> None:
    with (tmp_path / "core").open("wb") as stream:
        stream.write(b"its begin")
        stream.truncate(1 << 40)  # a hole: it takes no room, but could not be read
        stream.seek(-7, 2)
        stream.write(b"its end")
    text = page.render(record(tmp_path))
    assert "its begin" in text
    assert "its end" in text
    assert f"{1 << 40} bytes; its begin and its end are shown" in text


def test_links_are_not_followed_and_binaries_are_shown_as_well_as_can_be(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "n2.log").symlink_to(secret)
    (folder / "core").write_bytes(b"\xff\xfe\x00\x01")
    (folder / "report.html").write_text("an old page")
    text = page.render(record(folder))
    assert "a secret" not in text
    assert "an old page" not in text
    assert "\ufffd" in text


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("passed", "Everything that was expected of mine holds."),
        ("known", "mine failed as it is known to: agreement and truth are not as expected."),
        ("fixed", "mine is known to fail, but did not: agreement and truth are as expected."),
        ("unknown", "mine could not be judged: agreement and truth are open."),
        ("nothing", "In mine nothing happened that could be judged."),
    ],
)
def test_the_verdict_in_a_sentence(standing: Standing, words: str) -> None:
    judged = tuple(Judged(Verdict(check, "passed"), standing) for check in ("agreement", "truth"))
    assert page.sentence(Result("mine", "Mine", "22", 1.0, judged)) == words


def test_a_lab_that_did_not_come_up_has_a_page_too(tmp_path: Path) -> None:
    failed = Result("mine", "Mine", "22", 1.0, (), lab_error="no space\n  on n1", folder=str(tmp_path))
    text = page.render(RunRecord(tmp_path, failed, ()))
    assert "mine had no lab from begin to end: no space: on n1" in text
    assert "Timeline" not in Page(text).texts.get("h2", [])


def test_report_writes_it_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    folder = keep(tmp_path / "run")
    assert run("report", str(folder)) == 0
    assert capsys.readouterr().out == f"{folder}/report.html\n"
    assert (folder / "report.html").read_text() == page.render(recall(folder))
    elsewhere = tmp_path / "elsewhere"
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(elsewhere)
    assert run("report", str(folder)) == 0
    assert not elsewhere.exists()
    (folder / "report.html").unlink()
    os.mkfifo(folder / "report.html")
    assert run("report", str(folder)) == 0
    assert (folder / "report.html").is_file()
    assert not list(folder.glob(".labctl-*"))
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    other = tmp_path / "other.html"
    assert run("report", str(folder), "-o", str(other), "--open") == 0
    assert opened == [str(other)]
    assert run("report", str(folder), "-o", str(tmp_path)) == 2
    assert "-o names another place" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_times_that_are_no_times_are_refused(number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [history.to_line(event) for event in events()]
    lines[5] = lines[5].replace('"at_s":1.1', f'"at_s":{number}')
    (tmp_path / "history.jsonl").write_text("\n".join(lines))
    run_folder.write_result(tmp_path, result())
    assert run("report", str(tmp_path)) == 2
    assert "history.jsonl:6: not an event: a time or a figure is not finite" in capsys.readouterr().err


def test_a_capture_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "capture.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" + b"INVITE sip:101" * 10)
    (tmp_path / "n2.asterisk.core.gz").write_bytes(b"\x1f\x8b" + b"\xff" * 100)
    text = page.render(record(tmp_path))
    assert "capture.pcapng" in text
    assert "144 bytes; a capture: Wireshark opens it" in text
    assert "102 bytes; a core, compressed" in text
    assert "\ufffd" not in text
    assert "INVITE sip:101" not in text


def test_where_lanes_are_many_those_in_which_nothing_changed_wait_to_be_asked_for(tmp_path: Path) -> None:
    still = tuple(Seen(1.15, "n2", f"{number}", "Idle") for number in range(100, 130))
    many = Page(page.render(RunRecord(tmp_path, result(), (*events()[:-1], *still, events()[-1]))))
    names = {has["data-name"] for has in many.of_class("still")}
    assert "n2 100" in names
    assert "n2 door" not in names
    assert many.all("button", id="all-lanes")
    few = Page(page.render(RunRecord(tmp_path, result(), events()[:3])))
    assert not few.all("button", id="all-lanes")


@pytest.mark.long
def test_a_hundred_thousand_events_of_hostile_texts_stay_a_page(tmp_path: Path) -> None:
    folder = keep(tmp_path / "run", HOSTILE, more=25_000)
    assert len((folder / run_folder.HISTORY).read_text("utf-8").splitlines()) > 100_000
    assert run("report", str(folder)) == 0
    text = (folder / "report.html").read_text("utf-8")
    assert len(text.encode()) < 3_000_000
    assert "<img" not in text
    Page(text)


def test_files_that_were_rendered_for_a_node_stand_together(tmp_path: Path) -> None:
    for node in ("n1", "n2"):
        (tmp_path / "nodes" / node / "etc" / "asterisk").mkdir(parents=True)
        (tmp_path / "nodes" / node / "etc" / "asterisk" / "pjsip.conf").write_text(f"[of-{node}]")
    (tmp_path / "nodes" / "n2" / "etc" / "shadow").symlink_to("/etc/shadow")
    (tmp_path / "elsewhere").symlink_to("/etc")
    text = page.render(record(tmp_path))
    assert "as rendered for n1: 1 files" in text
    assert "nodes/n2/etc/asterisk/pjsip.conf" in text
    assert "[of-n2]" in text
    assert "shadow" not in text
    assert "hostname" not in text
