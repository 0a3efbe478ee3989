"""Results as JUnit XML, for CI: a scenario is a test suite, each of its checks a test case. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from labctl.checks.judgement import Judged, Result


def render(results: Sequence[Result]) -> str:
    """The XML of every result so far."""
    root = ET.Element("testsuites", name="labctl")
    for result in results:
        root.append(_suite(result))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(result: Result) -> ET.Element:
    count = [each.standing for each in result.judged]
    suite = ET.Element(
        "testsuite",
        name=_clean(result.scenario),
        tests=str(len(count)),
        failures=str(sum(each in ("failed", "fixed") for each in count)),
        errors=str(count.count("unknown")),
        skipped=str(sum(each in ("known", "nothing") for each in count)),
        time=f"{result.seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (("stack", result.stack), ("title", result.title), ("folder", result.folder)):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for each in result.judged:
        suite.append(_case(result, each))
    if result.story and result.standing not in ("passed", "nothing"):
        ET.SubElement(suite, "system-out").text = _clean("\n".join(result.story))
    return suite


def _case(result: Result, judged: Judged) -> ET.Element:
    case = ET.Element("testcase", classname=f"labctl.{result.scenario}", name=judged.verdict.check, time="0")
    findings = [finding.text for finding in judged.verdict.findings]
    details = "\n".join(line for finding in judged.verdict.findings for line in (finding.text, *finding.quotes))
    match judged.standing:
        case "failed":
            _child(case, "failure", findings[0] if findings else "failed", details)
        case "fixed":
            message = f"known to fail, but it did not: {judged.reason}"
            _child(case, "failure", message, "if it is mended, take it out of `known:` in the scenario")
        case "unknown":
            _child(case, "error", findings[0] if findings else "could not be judged", details)
        case "known":
            _child(case, "skipped", f"known: {judged.reason}", details)
        case "nothing":
            _child(case, "skipped", "nothing to judge", "")
        case _:
            pass
    return case


def _child(case: ET.Element, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, kind, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 has no place for (section 2.2)."""
    spans = (("\t", "\n"), (" ", "\ud7ff"), ("\ue000", "\ufffd"), ("\U00010000", "\U0010ffff"))
    return "".join(each for each in text if any(first <= each <= last for first, last in spans))
