"""The page of a run in a real Chromium: it shows all, says nothing on its console, and asks no network for anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.report import page
from labctl.scenario import run_record
from tests.browser import Page, browser, program
from tests.integration.conftest import labctl
from tests.unit.labs import DATA
from tests.unit.pages import HOSTILE, keep, record

WIDTHS = (1280, 400)
SCHEMES = ("light", "dark")

CONTRAST = (Path(__file__).parent / "contrast.js").read_text("utf-8")
"""Gives the texts of a page that do not stand out from what is behind them as WCAG 2.2 AA has it (1.4.3)."""


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """A tab of a browser that all tests here share."""
    if not program():
        pytest.skip("no Chromium is installed")
    with browser() as chromium:
        yield Page(chromium)


@pytest.fixture
def run_page(tab: Page, tmp_path: Path) -> Page:
    """The page of a run that has something of everything."""
    show(tab, page.render(record(tmp_path)), tmp_path)
    return tab


def show(tab: Page, text: str, folder: Path) -> None:
    """Open a page, and see that it has nothing to complain of."""
    file = folder / "report.html"
    file.write_text(text, "utf-8")
    tab.open(file)
    assert tab.complaints == []
    assert tab.requests == [file.resolve().as_uri()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_can_be_read(tab: Page, tmp_path: Path, width: int, scheme: str) -> None:
    tab.show(width, scheme)
    show(tab, page.render(record(tmp_path)), tmp_path)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CONTRAST) == []


def test_no_script_of_a_history_runs(tab: Page, tmp_path: Path) -> None:
    tab.send("Page.setBypassCSP", enabled=True)  # it is the page that is harmless, not its policy alone
    show(tab, page.render(record(tmp_path, HOSTILE)), tmp_path)
    tab.send("Page.setBypassCSP", enabled=False)
    assert tab.evaluate("document.scripts.length") == 2
    assert tab.evaluate("document.querySelectorAll('img, iframe, object, embed, link').length") == 0


def test_every_lane_and_every_state_is_reached_by_key_and_told(run_page: Page) -> None:
    lanes = run_page.evaluate("document.querySelectorAll('.lane[tabindex]').length")
    run_page.evaluate("document.getElementById('chart').focus()")
    reached = []
    for _ in range(lanes):
        run_page.press("Tab")
        reached.append(run_page.evaluate("document.activeElement.dataset.name"))
    assert reached == run_page.evaluate("[...document.querySelectorAll('.lane[tabindex]')].map(e => e.dataset.name)")
    for number, lane in enumerate(reached):
        of_lane = f"document.querySelectorAll('.lane[tabindex]')[{number}]"
        run_page.evaluate(f"{of_lane}.focus()")
        for label in run_page.evaluate(f"[...{of_lane}.querySelectorAll('.band')].map(e => e.ariaLabel)"):
            run_page.press("ArrowRight")
            assert run_page.evaluate("details.textContent") == f"{lane}: {label}"


def test_what_can_be_focused_has_a_role_and_a_name(run_page: Page) -> None:
    run_page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    nodes = [node for node in run_page.send("Accessibility.getFullAXTree")["nodes"] if focusable(node)]
    assert [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")] == []
    assert {"button", "searchbox", "group", "image"} <= {node["role"]["value"] for node in nodes}


def focusable(node: dict[str, Any]) -> bool:
    """Whether something of the accessibility tree can have the focus."""
    return any(has["name"] == "focusable" and has["value"]["value"] for has in node.get("properties", ()))


def test_a_filter_shows_the_lanes_it_names(run_page: Page) -> None:
    run_page.evaluate("document.getElementById('filter').focus()")
    run_page.write("door")
    shown = run_page.evaluate(
        "[...document.querySelectorAll('.lane[data-name]:not([hidden])')].map(e => e.dataset.name)"
    )
    assert shown
    assert all("door" in name for name in shown)


def test_the_moment_of_failure_is_brought_into_sight(run_page: Page) -> None:
    run_page.click("#to-wrong")
    place, chart = (
        run_page.evaluate(f"(() => {{ const b = {what}.getBoundingClientRect(); return [b.left, b.right]; }})()")
        for what in ("document.querySelector('line.wrong')", "document.getElementById('chart')")
    )
    assert chart[0] < place[0] < chart[1]
    assert run_page.evaluate("document.getElementById('inner').style.getPropertyValue('--zoom')") == "8"
    assert "seen word" in run_page.evaluate("details.textContent")


def test_it_can_be_printed_whole(run_page: Page) -> None:
    run_page.show(media="print")
    for gone in (".tools", "nav"):
        assert run_page.evaluate(f"getComputedStyle(document.querySelector('{gone}')).display") == "none"
    assert run_page.evaluate("[...document.querySelectorAll('pre')].every(e => e.scrollHeight <= e.clientHeight + 1)")
    assert run_page.print().startswith(b"%PDF")
    run_page.show()


@pytest.fixture
def story_page(tab: Page, tmp_path: Path) -> Page:
    """The page of a real run with calls, and what was on the wire."""
    folder = Path(shutil.copytree(DATA / "captures-wire" / "story", tmp_path / "story"))
    tab.show()
    show(tab, page.render(run_record.recall(folder)), tmp_path)
    return tab


def test_a_click_on_a_message_shows_it(story_page: Page) -> None:
    assert story_page.evaluate("document.querySelectorAll('.call[open]').length") == 1
    message = "document.querySelector('.message')"
    assert not story_page.evaluate(f"{message}.querySelector('pre').checkVisibility()")
    story_page.click(".message > summary")
    assert story_page.evaluate(f"{message}.querySelector('pre').checkVisibility()")
    assert "INVITE sip:102@" in story_page.evaluate(f"{message}.querySelector('pre').innerText")
    story_page.click(".message > summary")
    assert not story_page.evaluate(f"{message}.querySelector('pre').checkVisibility()")


def test_the_keyboard_reaches_every_call_and_every_message(story_page: Page) -> None:
    story_page.evaluate("document.querySelector('.others').open = true")
    for number in range(story_page.evaluate("document.querySelectorAll('.call').length")):
        call = f"document.querySelectorAll('.call')[{number}]"
        story_page.evaluate(f"{call}.open = false")
        story_page.evaluate(f"{call}.querySelector('summary').focus()")
        story_page.press("Enter")
        assert story_page.evaluate(f"{call}.open")
        story_page.press("Tab")  # the ladder, which may be wider than the page
        for message in range(story_page.evaluate(f"{call}.querySelectorAll('.message').length")):
            story_page.press("ArrowDown" if message else "Tab")
            summary = f"{call}.querySelectorAll('.message > summary')[{message}]"
            assert story_page.evaluate(f"document.activeElement === {summary}")
            story_page.press("Enter")
            assert story_page.evaluate(f"{summary}.nextElementSibling.checkVisibility()")
            story_page.press("Enter")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_with_every_ladder_open_fits_and_can_be_read(story_page: Page, width: int, scheme: str) -> None:
    story_page.show(width, scheme)
    story_page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert story_page.evaluate("document.documentElement.scrollWidth") <= width
    assert story_page.evaluate(CONTRAST) == []
    nodes = [node for node in story_page.send("Accessibility.getFullAXTree")["nodes"] if focusable(node)]
    assert [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")] == []


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that leads to three runs of two scenarios, one of a name that could be code."""
    folder = tmp_path_factory.mktemp("runs")
    keep(folder / "mine-1", standing="passed", utc="2026-11-26T12:00:00+00:00")
    keep(folder / "mine-2", standing="failed", utc="2026-11-26T13:00:00+00:00")
    keep(folder / "other", HOSTILE, "known")
    done = labctl("report", "--all", str(folder))
    assert done.code == 0, done.err
    return Path(done.out.strip())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_index_fits_and_can_be_read(tab: Page, index: Path, width: int, scheme: str) -> None:
    tab.show(width, scheme)
    tab.open(index)
    assert (tab.complaints, tab.requests) == ([], [index.resolve().as_uri()])
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CONTRAST) == []


def test_the_index_leads_to_the_page_of_each_run_and_that_back(tab: Page, index: Path) -> None:
    tab.show()
    tab.open(index)
    for number in range(3):
        with tab.loading():
            tab.click("a.run", number)
        assert "All runs" in tab.evaluate("document.querySelector('nav').textContent")
        with tab.loading():
            tab.click("nav a", tab.evaluate("document.querySelectorAll('nav a').length") - 1)
        assert tab.evaluate("document.title") == "3 runs of labctl"


def test_the_index_shows_the_scenarios_that_are_asked_for(tab: Page, index: Path) -> None:
    tab.open(index)
    tab.evaluate("document.getElementById('filter').focus()")
    tab.write("failed")
    assert tab.evaluate("document.querySelectorAll('#rows tbody tr:not([hidden])').length") == 1
    nodes = [node for node in tab.send("Accessibility.getFullAXTree")["nodes"] if focusable(node)]
    assert [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")] == []
