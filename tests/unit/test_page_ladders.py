"""The ladders of a run on its page: each call, each message with its text, as far as there is room."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.report import page, page_ladders
from labctl.report.ladder import Arrow, Ladder
from labctl.report.ladders import Ladders, of_run
from labctl.report.page_ladders import draw, ladders_of
from labctl.scenario.run_record import RunRecord, recall
from tests.unit.labs import DATA
from tests.unit.pages import HOSTILE, Page, record


@pytest.fixture
def story(tmp_path: Path) -> RunRecord:
    """A real run with calls of every kind, and what was on the wire."""
    return recall(Path(shutil.copytree(DATA / "captures-wire" / "story", tmp_path / "story")))


def test_every_call_has_its_ladder_and_every_message_its_text(story: RunRecord) -> None:
    ladders = of_run(story)
    shown = ladders_of(story)[1]
    calls = [ladder for ladder in ladders.ladders if ladder.kind == "INVITE"]
    assert [call.title for call in shown.calls] == [ladder.title for ladder in calls]
    for call, ladder in zip((*shown.calls, *shown.others), _in_order(ladders), strict=True):
        arrows = [row for row in call.rows if row.arrow]
        assert [arrow.text for arrow in arrows] == [arrow.text for arrow in ladder.arrows]
        assert len(arrows) == call.messages
        assert call.left_out == 0
        assert call.columns == ladder.columns
    assert [(span.text, span.begin_s) for span in shown.spans] == [(call.title, call.begin_s) for call in shown.calls]


def _in_order(ladders: Ladders) -> list[Ladder]:
    return sorted(ladders.ladders, key=lambda ladder: ladder.kind != "INVITE")


def test_an_arrow_goes_from_who_sends_to_who_gets_it(story: RunRecord) -> None:
    call = ladders_of(story)[1].calls[0]
    arrows = [row for row in call.rows if row.arrow]
    assert call.columns == ("alice", "n1", "n2", "bob")
    first, challenge = arrows[:2]
    assert (first.ends, first.left, first.right, first.backwards) == ("alice to n1", 12.5, 37.5, False)
    assert (challenge.ends, challenge.left, challenge.right, challenge.backwards) == ("n1 to alice", 12.5, 37.5, True)
    assert (first.colour, challenge.colour) == ("request", "provisional")
    assert {"success", "provisional", "request"} <= {arrow.colour for arrow in arrows}
    assert {row.colour for row in call.rows if not row.arrow} >= {"state", "step"}


def test_the_page_has_them(story: RunRecord) -> None:
    text = page.render(story)
    parsed = Page(text)
    ladders = of_run(story)
    assert len(parsed.of_class("call")) == len(parsed.of_class("ladder")) == len(ladders.ladders)
    assert len(parsed.of_class("message")) == sum(len(ladder.arrows) for ladder in ladders.ladders)
    assert "SIP calls" in {has.get("data-name") for has in parsed.of_class("lane")}
    assert "INVITE sip:102@" in text
    assert "\r" not in text
    assert "SIP/2.0\ufffd" not in text  # lines of SIP end with CR and LF
    assert len(text.encode()) < 3_000_000


@pytest.mark.long
def test_where_calls_are_many_the_others_are_folded(story: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LISTED_CALLS", 1)
    text = page.render(story)
    calls = len(ladders_of(story)[1].calls)
    assert f"<summary>{calls - 1} more calls</summary>" in text
    assert len(Page(text).of_class("call")) == len(of_run(story).ladders)


def test_there_is_an_end_to_what_is_drawn(story: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    ladders = of_run(story)
    monkeypatch.setattr(page_ladders, "ROWS", 20)
    monkeypatch.setattr(page_ladders, "TEXT_SIZE", 3000)
    shown = draw(ladders)
    drawn = [row for call in (*shown.calls, *shown.others) for row in call.rows]
    assert len(drawn) == 20
    assert 0 < sum(bool(row.text) for row in drawn) < 10
    assert shown.calls[0].left_out == len(_first_call(ladders).rows) - 20
    assert len(shown.calls) + len(shown.others) == len(ladders.ladders)
    monkeypatch.setattr(page_ladders, "of_run", lambda _: ladders)
    assert "there was no room for its text" in page.render(story)


def _first_call(ladders: Ladders) -> Ladder:
    return next(ladder for ladder in ladders.ladders if ladder.kind == "INVITE")


def test_a_run_without_a_capture_has_a_page_without_ladders(tmp_path: Path) -> None:
    parsed = Page(page.render(record(tmp_path)))
    assert not parsed.of_class("call")
    assert not parsed.all("h2", id="calls")


def test_a_capture_that_is_none_is_told_and_one_that_breaks_off_too(story: RunRecord) -> None:
    whole = (story.folder / "capture.pcapng").read_bytes()
    (story.folder / "capture.pcapng").write_bytes(whole[: len(whole) // 2 + 1])
    assert "it breaks off" in ladders_of(story)[1].note
    assert ladders_of(story)[1].calls
    (story.folder / "capture.pcapng").write_bytes(HOSTILE.encode() * 10)
    assert ladders_of(story)[1].note.startswith("The capture cannot be read: ")
    parsed = Page(page.render(story))
    assert parsed.all("h2", id="calls")
    assert not parsed.all("img")


def _spoilt(arrow: Arrow, word: str) -> Arrow:
    return replace(arrow, about=word, text=word, notes=(word,))


@pytest.mark.long
def test_a_hostile_capture_gets_no_script_in(story: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = of_run(story)

    def spoilt(ladders: Ladders, word: str) -> Ladders:
        return replace(
            ladders,
            ladders=tuple(
                replace(
                    ladder,
                    caller=word,
                    columns=tuple(word for _ in ladder.columns),
                    rows=tuple(_spoilt(row, word) for row in ladder.arrows),
                )
                for ladder in ladders.ladders
            ),
        )

    pages = []
    for word in ("word", HOSTILE):
        ladders = spoilt(harmless, word)
        monkeypatch.setattr(page_ladders, "of_run", lambda _, ladders=ladders: ladders)
        pages.append(Page(page.render(story)))
    assert [tag for tag, _ in pages[0].elements] == [tag for tag, _ in pages[1].elements]
