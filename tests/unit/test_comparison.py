"""What a run comes to in one cell of a table, and the figures beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.bench import comparison
from labctl.bench.comparison import Cell, Plan, Variant, outcome
from labctl.checks.finding import Outcome, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.cluster.node_tools import numbered
from labctl.engine.client import Engine
from labctl.errors import NotReady
from labctl.progress import Silent
from labctl.report import junit
from labctl.report.acceptance import Acceptance
from labctl.scenario import runner
from labctl.scenario.reader import Scenario
from labctl.scenario.runner import RunOptions
from labctl.timing import percentile


def result(*checks: tuple[str, Outcome, Standing, str]) -> Result:
    """A run that came to these checks."""
    judged = tuple(Judged(Verdict(check, found), standing, reason) for check, found, standing, reason in checks)
    return Result("s", "t", "22", 1.0, judged)


@pytest.mark.parametrize(
    ("checks", "cell"),
    [
        ([("truth", "passed", "passed", ""), ("calls", "nothing", "nothing", "")], Cell("holds")),
        ([("truth", "failed", "known", "why")], Cell("truth", "why")),
        ([("truth", "failed", "known", "why"), ("lamps", "failed", "known", "why")], Cell("truth, lamps", "why")),
        ([("truth", "failed", "failed", "")], Cell("truth !")),
        ([("truth", "passed", "fixed", "why")], Cell("holds !")),
        ([("calls", "unknown", "unknown", "")], Cell("calls !")),
    ],
)
def test_a_cell_names_what_did_not_hold_and_marks_what_nobody_expected(
    checks: list[tuple[str, Outcome, Standing, str]], cell: Cell
) -> None:
    assert outcome(result(*checks)) == cell


def test_a_variant_that_cannot_be_measured_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(_engine: Engine, variant: Variant, *_: object) -> Iterator[tuple[str, Cell]]:
        if variant.via == "corosync":
            raise NotReady("a change did not arrive within 10 s\n  n2: did not tell of change 3", {})
        yield "delay p50", Cell("1.0 ms")

    monkeypatch.setattr(comparison, "_measured", measured)
    monkeypatch.setattr(runner, "run_many", lambda *_: iter(()))
    plan = Plan((Variant("22", "corosync"), Variant("22", "pjsip-publish")), (), lambda *_: cast(Scenario, None))
    table = comparison.compare(cast(Engine, None), plan, RunOptions(Path(), 1.0), Silent(), lambda _: None)
    assert table.rows["delay p50"] == {
        "22 corosync": Cell("-", "a change did not arrive within 10 s"),
        "22 pjsip-publish": Cell("1.0 ms"),
    }
    assert [(result.scenario, result.standing) for result in table.results] == [("changes (22 corosync)", "error")]
    assert Acceptance().exit_code(table.results) == 1
    assert 'errors="1"' in junit.render(table.results)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 99))
def test_a_percentile_lies_among_the_values_with_about_that_part_of_them_below(
    values: list[float], percent: int
) -> None:
    value = percentile(values, percent)
    slack = 1e-9 * max(values)  # of the interpolation
    assert min(values) - slack <= value <= max(values) + slack
    assert sum(other < value - slack for other in values) <= percent / 100 * (len(values) - 1) + 1


def test_known_percentiles() -> None:
    values = [float(number) for number in range(101)]
    assert [percentile(values, percent) for percent in (1, 50, 99)] == [1.0, 50.0, 99.0]
    assert percentile([7.5], 99) == 7.5
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_members_are_called_by_the_labs_own_numbers_where_it_has_them() -> None:
    assert numbered(["0xb1012c6", "2", "99"], {185602758: 1, 2: 2}) == ("1", "2", "99")
