"""Several runs at once: what they came to, how often each check failed, what changed against the last time."""

from __future__ import annotations

import datetime
from dataclasses import replace

from labctl.checks.finding import Finding, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.report.overview import CheckChange, CheckCount, ShownRun, overview

NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


def run(minute: int, scenario: str = "mine", via: str = "corosync", **checks: Standing) -> ShownRun:
    """A run in which each check came to something."""
    judged = tuple(
        Judged(Verdict(check, "failed", (Finding(f"{check} is wrong", 1.0),)), standing)
        for check, standing in checks.items()
    )
    began = NOON + datetime.timedelta(minutes=minute)
    return ShownRun(Result(scenario, "Mine", "22", 9.0, judged), began, via, f"{scenario}-{minute}.html")


def no_lab(minute: int) -> ShownRun:
    """A run whose lab did not come up."""
    whole = run(minute)
    return replace(whole, result=replace(whole.result, lab_error="no space\n  on n1"))


def test_runs_of_a_scenario_stand_together_by_time_and_what_is_worst_comes_first() -> None:
    runs = [run(3, "b", calls="passed"), run(2, "a", calls="passed"), run(1, "b", calls="failed")]
    seen = overview([*runs, run(4, "c", calls="known")])
    assert [(of.scenario, [shown.page for shown in of.runs]) for of in seen.scenarios] == [
        ("c", ["c-4.html"]),
        ("a", ["a-2.html"]),
        ("b", ["b-1.html", "b-3.html"]),
    ]
    assert seen.sentence == "4 runs of 3 scenarios, by the last run of each: 1 known, 2 passed."
    assert overview(runs[:2]).sentence == "2 runs of 2 scenarios: 2 passed."
    assert overview([run(1, calls="failed")]).sentence == "1 run of 1 scenario: 1 failed."


def test_runs_by_another_carrier_are_apart() -> None:
    seen = overview([run(1, calls="passed"), run(2, via="pjsip-publish", calls="failed")])
    assert [(of.via, len(of.runs), of.changes) for of in seen.scenarios] == [
        ("pjsip-publish", 1, ()),
        ("corosync", 1, ()),
    ]
    assert not seen.compared


def test_what_changed_against_the_last_time_worse_first() -> None:
    before = run(1, calls="failed", truth="passed", agreement="known", lamps="nothing", course="passed")
    after = run(2, calls="passed", truth="failed", agreement="known", lamps="passed", course="passed")
    seen = overview([after, before])
    assert seen.scenarios[0].changes == (
        CheckChange("truth", "passed", "failed"),
        CheckChange("calls", "failed", "passed"),
        CheckChange("lamps", "nothing", "passed"),
    )
    assert [change.direction for change in seen.scenarios[0].changes] == ["worse", "better", "other"]
    assert seen.news == seen.scenarios
    assert overview([before, replace(before, began=NOON)]).news == ()


def test_that_something_had_nothing_to_judge_is_neither_better_nor_worse() -> None:
    changes = overview([run(1, calls="passed"), run(2, calls="nothing")]).scenarios[0].changes
    assert [(change.after, change.direction) for change in changes] == [("nothing", "other")]
    assert overview([run(1, calls="nothing"), run(2)]).scenarios[0].changes == ()


def test_a_lab_that_no_longer_comes_up_is_news() -> None:
    seen = overview([run(1, calls="passed"), no_lab(2)])
    assert seen.scenarios[0].changes[0] == CheckChange("lab", None, "error")
    assert seen.scenarios[0].changes[0].direction == "worse"
    assert seen.scenarios[0].last.finding == "no space: on n1"
    again = overview([no_lab(1), run(2, calls="passed")]).scenarios[0].changes
    assert again[0] == CheckChange("lab", "error", None)
    assert again[0].direction == "better"


def test_an_earlier_run_that_is_not_shown_is_the_last_time() -> None:
    earlier = [run(1, calls="passed"), run(2, calls="failed"), run(9, calls="passed"), run(2, "other", calls="known")]
    (scenario,) = overview([run(3, calls="passed")], earlier).scenarios
    assert scenario.before == earlier[1]
    assert len(scenario.runs) == 1
    assert overview([run(3, calls="passed"), run(4, calls="passed")], earlier).news == ()


def test_how_often_each_check_failed() -> None:
    standings: list[Standing] = ["failed", "failed", "known", "unknown", "fixed", "passed", "nothing"]
    runs = [run(number, calls=standing, truth="passed") for number, standing in enumerate(standings)]
    seen = overview([*runs, no_lab(9)])
    assert seen.checks == (
        CheckCount("calls", 6, failed=2, known=1, unknown=1, fixed=1),
        CheckCount("lab", 1, failed=1, known=0, unknown=0, fixed=0),
        CheckCount("truth", 7, failed=0, known=0, unknown=0, fixed=0),
    )
    assert [count.check for count in seen.scenarios[0].counts] == ["calls", "lab"]
