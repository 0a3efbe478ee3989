"""What GitHub Actions is told of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.checks.finding import Finding, Outcome, Verdict
from labctl.checks.judgement import Judged, Result, Standing
from labctl.cli import scenarios
from labctl.report.acceptance import Acceptance
from labctl.report.github import annotate, summary


def result(standing: Standing, text: str = "", lab_error: str = "") -> Result:
    """A run with one check."""
    findings = (Finding(text, 1.0),) if text else ()
    outcomes: dict[Standing, Outcome] = {"failed": "failed", "known": "failed", "unknown": "unknown"}
    verdict = Verdict("agreement", outcomes.get(standing, "passed"), findings)
    judged = Judged(verdict, standing, "why it is known" if standing == "known" else "")
    return Result("mine", "Mine", "22", 9.0, (judged,), folder="labctl-runs/mine", lab_error=lab_error)


@pytest.mark.parametrize(
    ("standing", "level"),
    [("failed", "::error "), ("unknown", "::warning "), ("fixed", "::error "), ("known", ""), ("passed", "")],
)
def test_what_fails_is_an_error_and_what_could_not_be_judged_a_warning(standing: Standing, level: str) -> None:
    lines = [*annotate(result(standing, "n1 says Busy"), Acceptance())]
    assert [line.partition("title")[0] for line in lines] == ([level] if level else [])


def test_a_patch_that_mends_is_none_and_what_is_known_is_one_where_that_is_no_excuse() -> None:
    assert not [*annotate(result("fixed"), Acceptance(hopeful=True))]
    strict = Acceptance(strict=True)
    (line,) = annotate(strict.applied(result("known", "n1 says Busy")), strict)
    assert line == "::error title=mine%3A agreement::n1 says Busy"


def test_no_finding_is_another_command() -> None:
    (line,) = annotate(result("failed", "100%\r\n::set-output name=a::b"), Acceptance())
    assert line == "::error title=mine%3A agreement::100%25%0D%0A::set-output name=a::b"


def test_a_lab_that_did_not_come_up() -> None:
    failed = result("passed", lab_error="not ready after 60 s\n  n2: its ring has 2 of 3 members")
    (line,) = annotate(failed, Acceptance())
    assert line == "::error title=mine%3A lab::not ready after 60 s: n2: its ring has 2 of 3 members"
    assert "| lab | ❌ error | not ready after 60 s: n2: its ring has 2 of 3 members |" in summary(failed)


def test_the_summary_is_a_table_whatever_a_finding_says() -> None:
    text = summary(result("failed", "a | b\n<script>alert(1)</script> **bold** @someone ![x](http://x)"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [4, 4, 4]
    assert not {*"<*@["} & {*rows[2]}
    assert text.startswith("### ❌ mine: failed\n")


def test_a_run_appends_to_the_summary_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    scenarios._tell_github(result("failed", "wrong"), Acceptance())
    assert capsys.readouterr() == ("", "")
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    standings: tuple[Standing, ...] = ("failed", "passed")
    for standing in standings:
        scenarios._tell_github(result(standing), Acceptance())
    assert file.read_text().startswith("before\n### ❌ mine: failed\n")
    assert file.read_text().count("| agreement |") == 2
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "::error title=mine%3A agreement::failed\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    scenarios._tell_github(result("passed"), Acceptance())
    assert "no summary for GitHub" in capsys.readouterr().err
