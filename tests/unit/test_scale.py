"""How figures grow with a lab: the fit, the words for it, the sizes, and the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.bench import curve, scale
from labctl.bench.scale import Row, Size, Sizes
from labctl.cli.scale import Counts
from labctl.engine.client import Engine
from labctl.errors import HostError, UsageError
from labctl.images.builder import Options
from labctl.progress import Silent
from labctl.report import scale_page
from tests.unit.commands import run
from tests.unit.pages import Page

SIZES = (3, 6, 12, 24, 48)
POSITIVE = st.floats(0.01, 1000)


@given(POSITIVE, st.floats(-2, 4))
def test_a_power_is_found_again(factor: float, exponent: float) -> None:
    fit = curve.power([(size, factor * size**exponent) for size in SIZES])
    assert fit
    assert fit.exponent == pytest.approx(exponent, abs=1e-6)
    assert fit.factor == pytest.approx(factor, rel=1e-6)
    assert fit.fits == pytest.approx(1.0) or abs(exponent) < 1e-4


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((5, 5, 5, 5, 5), "hardly grows"),
        ((9, 4.5, 2.25, 1.1, 0.6), "falls"),
        ((3.1, 5.9, 12.4, 23, 49), "grows linearly"),
        ((9, 37, 140, 580, 2300), "grows quadratically"),
        ((27, 216, 1728, 13824, 110592), "grows with the third power"),
        ((1, 400, 2, 900, 300), "grows along no curve"),
    ],
)
def test_a_curve_has_a_word(values: tuple[float, ...], word: str) -> None:
    fit = curve.power(list(zip(SIZES, values, strict=True)))
    assert fit
    assert fit.word == word


@pytest.mark.parametrize("points", [[], [(3, 1.0)], [(3, 1.0), (3, 2.0)], [(3, 1.0), (6, 0.0)]])
def test_too_few_sizes_have_no_curve(points: list[tuple[float, float]]) -> None:
    assert curve.power(points) is None


def test_series_are_told_apart_and_begin_with_the_smallest() -> None:
    assert scale.sizes((6, 3, 6), (4, 2)) == ((Size(3), Size(6)), (Size(6, 2), Size(12, 4)))
    assert scale.sizes((), (2,)) == ((Size(6, 2),),)


@pytest.mark.parametrize(("nodes", "sites"), [((1,), ()), ((65,), ()), ((), (1,)), ((), (22,))])
def test_a_size_that_no_lab_can_have_is_refused(nodes: tuple[int, ...], sites: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"--nodes|--sites"):
        scale.sizes(nodes, sites)


def test_counts_are_read_as_they_are_written() -> None:
    assert Counts()("3,6,12") == (3, 6, 12)
    assert Counts()("") == ()


def row(nodes: int, **values: float) -> Row:
    return Row(Size(nodes), **values)  # type: ignore[arg-type]


ROWS = [
    row(3, proven_s=2.0, packets_s=90.0, p50_ms=1.0),
    row(6, proven_s=4.1, packets_s=360.0, p50_ms=1.1),
    row(12, proven_s=7.9, packets_s=1440.0, p50_ms=1.0),
    Row(Size(24), remark="not ready after <60> s"),
]


def test_it_is_said_how_figures_grow_and_where_the_machine_ended() -> None:
    (sentence,) = scale.sentences(ROWS)
    assert "time to proven grows linearly (n^1.0, R² 1.00)" in sentence
    assert "packets at rest grows quadratically (n^2.0, R² 1.00)" in sentence
    assert "this machine ended at 24 nodes (not ready after <60> s), and held 12 nodes" in sentence


def test_of_two_sizes_no_curve_is_said() -> None:
    (sentence,) = scale.sentences(ROWS[:2])
    assert sentence == "One cluster: this machine held the largest, 6 nodes."


def test_of_what_is_0_no_curve_is_said() -> None:
    rows = [row(nodes, packets_s=value) for nodes, value in ((3, 0.0), (6, 0.3), (12, 1.3))]
    assert scale.sentences(rows) == ["One cluster: this machine held the largest, 12 nodes."]


def test_what_bends_is_told_in_two_parts() -> None:
    """Packets at rest, measured: above 16 nodes labctl has them ping each other less often."""
    measured = ((3, 76.0), (6, 323.0), (12, 1302.0), (24, 1871.0), (48, 1900.0))
    (sentence,) = scale.sentences([row(nodes, packets_s=value) for nodes, value in measured])
    assert "packets at rest grows quadratically (n^2.0) up to 12 nodes and hardly grows (n^0.3) from there" in sentence


@given(POSITIVE, st.floats(-2, 4))
def test_a_power_does_not_bend(factor: float, exponent: float) -> None:
    assert curve.bend([(size, factor * size**exponent) for size in SIZES]) is None


def test_an_engine_that_is_gone_is_no_matter_of_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Row:
        raise HostError("no Docker Engine answers")

    monkeypatch.setattr(scale, "_measured", fail)
    plan = Sizes(((Size(3), Size(6)),), "22", "corosync", 100, 60)
    there = cast(Engine, SimpleNamespace(observe=lambda: None))
    assert [one.remark for one in scale.measure(there, plan, Options(), Silent(), lambda _line: None)] == [
        "no Docker Engine answers"
    ]
    gone = cast(Engine, SimpleNamespace(observe=fail))
    with pytest.raises(HostError):
        list(scale.measure(gone, plan, Options(), Silent(), lambda _line: None))


def test_a_report_that_is_there_stays_where_nothing_was_measured(tmp_path: Path) -> None:
    report = tmp_path / "scale.html"
    report.write_text("old", "utf-8")
    assert run("bench", "scale", "--report", str(report), "--stack", "nosuch") == 2
    assert report.read_text("utf-8") == "old"


def test_the_page_has_a_plot_of_each_figure_and_needs_nothing_else() -> None:
    text = scale_page.render(ROWS, Sizes((), "22", "corosync", 100, 60))
    assert text.count("<svg") == 3
    assert text.count("<circle") == 9
    assert text.count('class="fit') == 3
    assert "not ready after &lt;60&gt; s" in text
    assert "http" not in text.replace("http-equiv", "")
    assert [has["class"] for has in Page(text).all("circle")] == ["n0"] * 9


def test_a_page_of_nothing_but_what_did_not_come_up_is_one() -> None:
    text = scale_page.render(ROWS[3:], Sizes((), "22", "corosync", 100, 60))
    assert "<svg" not in text
    assert "ended at 24 nodes" in text
