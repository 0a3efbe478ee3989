"""Results as JUnit XML, for CI: a scenario is a test suite, each of its checks a test case. Pure.

What kept a lab from coming up is the error of a case named `lab`. A run that came to no verdict and was made again is a
skipped case: what counts is the run in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from labctl.checks.judgement import Judged, Result
from labctl.report.acceptance import Acceptance, Kind

AS_IT_IS = Acceptance()


@dataclass(frozen=True)
class _Case:
    """A test case: `kind` says whether it has a child of that name, with the message and the text."""

    name: str
    kind: Kind
    message: str = ""
    text: str = ""


def render(results: Sequence[Result], acceptance: Acceptance = AS_IT_IS) -> str:
    """The XML of every result so far; `acceptance` says what is a failure, as it does for the exit code."""
    root = ET.Element("testsuites", name="labctl")
    for result in results:
        root.append(_suite(result, acceptance))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(result: Result, acceptance: Acceptance) -> ET.Element:
    cases = [*_cases(result, acceptance)]
    kinds = [case.kind for case in cases]
    suite = ET.Element(
        "testsuite",
        name=_clean(result.scenario),
        tests=str(len(cases)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        time=f"{result.seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (("stack", result.stack), ("title", result.title), ("folder", result.folder)):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    # All checks judge the one history of the run: each has an equal part of the run's time.
    time = f"{result.seconds / len(cases):.3f}"
    for case in cases:
        element = ET.SubElement(
            suite, "testcase", classname=_clean(f"labctl.{result.scenario}"), name=case.name, time=time
        )
        if case.kind != "passed":
            ET.SubElement(element, case.kind, message=_clean(case.message)).text = _clean(case.text)
    if result.story and result.standing not in ("passed", "nothing"):
        ET.SubElement(suite, "system-out").text = _clean("\n".join(result.story))
    return suite


def _cases(result: Result, acceptance: Acceptance) -> Iterator[_Case]:
    for number, attempt in enumerate(result.earlier, 1):
        message = f"{attempt.standing}, and so run again: {attempt.why}"
        yield _Case(f"attempt {number}", "skipped", message, f"all of it is in {attempt.folder}")
    if result.lab_error:
        yield _Case("lab", "error", result.lab_error_line, result.lab_error)
    elif not result.judged:
        yield _Case("run", "error", "nothing was judged", result.error)
    for judged in result.judged:
        yield _case(judged, acceptance)


def _case(judged: Judged, acceptance: Acceptance) -> _Case:
    kind, message, details = acceptance.kind(judged.standing), "", ""
    findings = judged.verdict.findings
    if judged.standing not in ("passed", "fixed", "nothing"):
        details = "\n".join(line for finding in findings for line in (finding.text, *finding.quotes))
    match judged.standing:
        case "failed" | "unknown":
            without = "failed" if judged.standing == "failed" else "could not be judged"
            message = findings[0].text if findings else without
        case "fixed":
            message = f"known to fail, but it did not: {judged.reason}"
            details = "if it is mended, take it out of `known:` in the scenario"
        case "known":
            message = f"known: {judged.reason}"
        case "nothing":
            message = "nothing to judge"
        case _:
            pass
    return _Case(judged.verdict.check, kind, message, details)


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 has no place for (section 2.2)."""
    spans = (("\t", "\n"), (" ", "\ud7ff"), ("\ue000", "\ufffd"), ("\U00010000", "\U0010ffff"))
    return "".join(character for character in text if any(first <= character <= last for first, last in spans))
