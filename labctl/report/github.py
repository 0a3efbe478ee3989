"""Results as GitHub Actions shows them: a table in the summary of the job, and annotations. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.checks.judgement import Judged, Result, RunStanding
from labctl.report.acceptance import Acceptance

LONGEST = 500
"""Characters of a finding."""

MARKS = {"passed": "✅", "failed": "❌", "error": "❌", "known": "🟡", "fixed": "🟣", "unknown": "❔", "nothing": "⚪"}


SPECIAL = {letter: f"&#{ord(letter)};" for letter in "&<>\\`*_[]|~#@"}
"""What Markdown or HTML would take for something else than itself."""


def summary(result: Result) -> str:
    """What a run came to, as Markdown: a heading, a row for each check, and where it all lies."""
    rows: list[tuple[str, RunStanding, str]] = [
        (judged.verdict.check, judged.standing, _remark(judged)) for judged in result.judged
    ]
    if result.lab_error:
        rows.insert(0, ("lab", "error", result.lab_error_line))
    lines = [
        f"### {MARKS[result.standing]} {_cell(result.scenario)}: {result.standing}",
        "",
        f"{_cell(result.title)}; stack {_cell(result.stack)}, {result.seconds:.1f} s, in `{_plain(result.folder)}`",
        "",
        "| check | verdict | |",
        "| --- | --- | --- |",
        *(f"| {_cell(check)} | {MARKS[standing]} {standing} | {_cell(remark)} |" for check, standing, remark in rows),
        "",
    ]
    return "\n".join(lines) + "\n"


def annotate(result: Result, acceptance: Acceptance) -> Iterator[str]:
    """A workflow command for each finding that fails the run (`error`) or could not be judged (`warning`).

    The form and its escapes: github.com/actions/toolkit, packages/core/src/command.ts.
    """
    if result.lab_error:
        yield _command("error", f"{result.scenario}: lab", result.lab_error_line)
    for judged in result.judged:
        kind = acceptance.kind(judged.standing)
        title = f"{result.scenario}: {judged.verdict.check}"
        if judged.standing == "fixed" and kind == "failure":
            yield _command("error", title, f"known to fail, but it did not: {judged.reason}")
        elif kind in ("failure", "error"):
            level = "error" if kind == "failure" else "warning"
            texts = [finding.text for finding in judged.verdict.findings] or [judged.standing]
            yield from (_command(level, title, text) for text in texts[:10])


def _remark(judged: Judged) -> str:
    findings = judged.verdict.findings
    if not findings:
        return judged.verdict.remark
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return findings[0].text + more + (f"; known: {judged.reason}" if judged.reason else "")


def _command(level: str, title: str, message: str) -> str:
    name = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{_escaped(message[:LONGEST])}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _plain(text: str) -> str:
    """Text in one line, without what ends a code span."""
    return " ".join(text.split()).replace("`", "'")


def _cell(text: str) -> str:
    """Text as a cell of a table shows it, with nothing of it taken for Markdown or HTML."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text[:LONGEST].split()))
