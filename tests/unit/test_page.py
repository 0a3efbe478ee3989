"""A run as one HTML page: whole in itself, readable without eyes or mouse, and harmless whatever a history holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from labctl import cli
from labctl.checks.finding import Finding, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.history import events as history
from labctl.history.events import (
    Asked,
    Began,
    Called,
    Did,
    Disturbed,
    Ended,
    Event,
    FaultBegan,
    Healed,
    Line,
    Looked,
    Notified,
    Over,
    Ring,
    Said,
    Seen,
)
from labctl.report import page
from labctl.scenario import run_folder
from labctl.scenario.run_record import RunRecord, recall

EMPTY = {"meta", "input", "br", "link", "img"}
ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}
HOSTILE = '</script><script>alert("1")</script><!--<img src=x onerror=a()>" onload="a()\' {{ 7 * 7 }} \x00\x1b]]>'


class Page(HTMLParser):
    """The elements of a page, each with its attributes; whether all that is open is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """The attributes of each element of a kind."""
        return [has for name, has in self.elements if name == tag and wanted.items() <= has.items()]

    def of_class(self, name: str) -> list[dict[str, str]]:
        """The attributes of each element of a class."""
        return [has for _, has in self.elements if name in has.get("class", "").split()]


def events(word: str = "word", more: int = 0) -> tuple[Event, ...]:
    """A run of everything that a page shows, each text of it with a word in it."""
    nodes = (f"n1{word}", "n2")
    return (
        Began(
            *(0.0, word, word, word, nodes, {"door": "Custom:door", word: word}),
            seed=7,
            utc=word,
            via=word,
            versions={f"node {word}": word},
        ),
        Did(1.0, 1, f"set_state {word}", 0.5, word),
        FaultBegan(1.0, "split", f"partition {word}", nodes),
        Said(1.0, nodes[0], "Custom:door", "BUSY"),
        *(
            Seen(1.001 + number / 1e4, node, "door", state)
            for number in range(more)
            for node in nodes
            for state in "ab"
        ),
        *(Seen(1.1, node, extension, word) for node in nodes for extension in ("door", word)),
        Notified(1.2, word, word, word),
        Ring(1.3, nodes[0], (word,), quorate=False),
        Line(1.4, nodes[0], word),
        Disturbed(1.5, 1.6, nodes[0], word, word),
        Called(1.6, word, word, word, nodes),
        Ended(1.7, word, ok=False, why=word),
        Asked(1.8, nodes[0], "route", word, (word,), (word,)),
        Healed(1.9, "split"),
        Said(12.0, nodes[0], "Custom:door", "INUSE"),
        *(Seen(12.01, node, "door", "InUse") for node in nodes),
        Looked(13.0, {node: {"door": word} for node in nodes}, {nodes[0]: (word,)}),
        Over(14.0, word),
    )


def result(word: str = "word", standing: Standing = "failed") -> Result:
    """A run that failed, each text of it with a word in it."""
    finding = Finding(f"seen {word}", 13.0, (f"n1{word}",), (word,), "door", since_s=12.0)
    judged = Judged(Verdict("agreement", "failed", (finding,) * 30, {word: 1.0}, word), standing, word)
    return Result(word, word, word, 9.0, (judged, Judged(Verdict("truth", "passed"), "passed")), word, lab_error="")


def record(folder: Path, word: str = "word", more: int = 0) -> RunRecord:
    """A run in a folder, with a log."""
    (folder / "n1.log").write_text(f"{word}\n", "utf-8", errors="replace")
    return RunRecord(folder, result(word), events(word, more))


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
    assert addresses == ["#timeline"]
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
    text, note = page.cut("begin" + "x" * 10_000 + "end", 1000)
    assert text.startswith("begin")
    assert text.endswith("end")
    assert note in text
    assert len(text) < 1000
    assert page.cut("short", 1000) == ("short", "")
    assert page.cut("<" * 400, 1000)[0].startswith("<<")


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


def command(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


def test_report_writes_it_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "history.jsonl").write_text("".join(history.to_line(event) + "\n" for event in events()))
    run_folder.write_result(folder, result())
    assert command("report", str(folder)) == 0
    assert capsys.readouterr().out == f"{folder}/report.html\n"
    assert (folder / "report.html").read_text() == page.render(recall(folder))
    elsewhere = tmp_path / "elsewhere"
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(elsewhere)
    assert command("report", str(folder)) == 0
    assert not elsewhere.exists()
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    other = tmp_path / "other.html"
    assert command("report", str(folder), "-o", str(other), "--open") == 0
    assert opened == [str(other)]
    assert command("report", str(folder), "-o", str(tmp_path)) == 2
    assert "-o names another place" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_times_that_are_no_times_are_refused(number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [history.to_line(event) for event in events()]
    lines[5] = lines[5].replace('"at_s":1.1', f'"at_s":{number}')
    (tmp_path / "history.jsonl").write_text("\n".join(lines))
    run_folder.write_result(tmp_path, result())
    assert command("report", str(tmp_path)) == 2
    assert "history.jsonl:6: not an event: a time or a figure is not finite" in capsys.readouterr().err
