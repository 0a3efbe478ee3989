"""What fails a run: the exit code and JUnit say the same in every mode."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.checks.finding import Finding, Outcome, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.report import junit
from labctl.report.acceptance import Acceptance

OUTCOMES: dict[Standing, Outcome] = {"known": "failed", "fixed": "passed"}
EVERY_STANDING: tuple[Standing, ...] = get_args(Standing)


def result(*standings: Standing, lab_error: str = "", exit_code: int = 0) -> Result:
    """A run whose checks stand like that."""
    judged = tuple(
        Judged(
            Verdict(f"check{number}", OUTCOMES.get(standing) or standing, (Finding("n1 differs", 1.0),)),  # type: ignore[arg-type]
            standing,
            "a race",
        )
        for number, standing in enumerate(standings)
    )
    return Result("call", "A call", "22", 12.0, judged, lab_error=lab_error, exit_code=exit_code)


def suites(results: list[Result], acceptance: Acceptance) -> ET.Element:
    """What a reader of JUnit XML sees."""
    applied = [acceptance.applied(result) for result in results]
    return ET.fromstring(junit.render(applied, acceptance).partition("\n")[2])  # noqa: S314 - our own


@given(
    st.lists(st.lists(st.sampled_from(EVERY_STANDING), max_size=3), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_junit_and_exit_code_agree(standings: list[list[Standing]], strict: bool, hopeful: bool) -> None:
    results = [result(*of_one) for of_one in standings]
    acceptance = Acceptance(strict, hopeful)
    root = suites(results, acceptance)
    failures, errors = (sum(int(suite.get(kind) or 0) for suite in root) for kind in ("failures", "errors"))
    applied = [acceptance.applied(result) for result in results]
    assert acceptance.exit_code(applied) == acceptance.exit_code(results) == (1 if failures else 5 if errors else 0)
    assert failures == len(root.findall(".//failure"))
    assert errors == len(root.findall(".//error"))


@pytest.mark.parametrize(
    ("standing", "acceptance", "code"),
    [
        ("known", Acceptance(), 0),
        ("known", Acceptance(strict=True), 1),
        ("fixed", Acceptance(), 1),
        ("fixed", Acceptance(hopeful=True), 0),
        ("unknown", Acceptance(strict=True, hopeful=True), 5),
        ("nothing", Acceptance(), 0),
    ],
)
def test_each_mode_has_its_exit_code(standing: Standing, acceptance: Acceptance, code: int) -> None:
    assert acceptance.exit_code([result("passed", standing)]) == code


def test_a_failure_goes_before_a_lab_that_did_not_come_up() -> None:
    assert Acceptance().exit_code([result("failed"), result(lab_error="no image", exit_code=4)]) == 1
    assert Acceptance().exit_code([result("unknown"), result(lab_error="no image", exit_code=4)]) == 4


def test_a_run_that_judged_nothing_at_all_is_unknown() -> None:
    assert Acceptance().exit_code([result()]) == 5


def test_what_is_known_is_told_as_a_failure_where_it_counts_as_one() -> None:
    strict = Acceptance(strict=True).applied(result("known", "passed"))
    assert (strict.standing, strict.judged[0].standing) == ("failed", "failed")
    assert strict.judged[0].reason == "known to fail, no excuse under --strict: a race"


def test_a_known_failure_counts_where_it_does_also_beside_what_could_not_be_judged() -> None:
    verdict = Verdict("check0", "failed", (Finding("n1 differs", 1.0),))
    beside = replace(result("unknown"), judged=(Judged(verdict, "unknown", "what failed is known: a race"),))
    assert [Acceptance(strict).exit_code([beside]) for strict in (False, True)] == [5, 1]
    assert Acceptance(strict=True).applied(beside).standing == "failed"


def test_test_cases_share_the_time_of_their_run() -> None:
    (suite,) = suites([result("passed", "failed", "known")], Acceptance())
    assert [case.get("time") for case in suite.iter("testcase")] == ["4.000"] * 3
