"""What replays come to: as in the report, with another failure, not reproduced, or not judged; and what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.bundle import differences, packing, reading
from labctl.bundle.differences import changed_files
from labctl.bundle.outcome import Outcome, Report, conclude, plain
from labctl.checks.finding import Finding, Verdict
from labctl.checks.judgement import Result, Terms, judge
from labctl.scenario.entries import CHECKS
from labctl.scenario.made_with import ImageFacts
from tests.unit.bundles import MACHINE, NODE_IMAGE, keep_run

TERMS = Terms("mine", "Mine", "22", 1000.0, CHECKS)
STALE = Finding(
    *("+9.000 s: mystate (Custom:mystate) is Busy on n1, Idle on n3; right is Busy", 9.0, ("n1", "n3")),
    extension="mystate",
    step=8,
    wrong=("n3",),
)
LOST = Finding("+3.0 s: the call alice to bob through n1 failed: 480", 3.0, ("n1",), extension="bob", since_s=1.0)


def result(*verdicts: Verdict, lab_error: str = "", exit_code: int = 0) -> Result:
    judged = judge(verdicts, TERMS)
    return Result("mine", "Mine", "22", 1.0, judged, lab_error=lab_error, exit_code=exit_code)


PASSED = result(Verdict("agreement", "passed"))
BROKEN = result(Verdict("agreement", "failed", (STALE,)))
OTHERWISE = result(Verdict("agreement", "failed", (replace(STALE, extension="101"),)))
BOTH = result(Verdict("agreement", "failed", (STALE,)), Verdict("calls", "failed", (LOST,)))
UNKNOWN = result(Verdict("agreement", "unknown", (replace(STALE, doubt="starved"),)))
NO_DOCKER = result(lab_error="no Docker Engine answers", exit_code=4)
NOT_UP = result(lab_error="not ready after 60 s: n3", exit_code=1)

OUTCOMES: dict[str, tuple[Result, tuple[Result, ...], int, str]] = {
    "every time": (BROKEN, (BROKEN,) * 5, 0, "reproduced in 5 of 5: agreement is broken as in the report"),
    "sometimes": (
        *(BROKEN, (BROKEN, PASSED, UNKNOWN, OTHERWISE), 0),
        "reproduced in 1 of 4: agreement is broken as in the report; "
        f"1 failed otherwise: agreement: {STALE.text}, 1 passed, 1 could not be judged",
    ),
    "in part": (
        *(BOTH, (BROKEN,), 0),
        "reproduced in 1 of 1: agreement is broken as in the report, but calls was not",
    ),
    "both": (BOTH, (BOTH,), 0, "reproduced in 1 of 1: agreement and calls are broken as in the report"),
    "passed as in the report": (PASSED, (PASSED,) * 2, 0, "reproduced in 2 of 2: passed as in the report"),
    "a lab that does not come up": (
        *(NOT_UP, (NOT_UP,), 0),
        "reproduced in 1 of 1: the lab did not come up as in the report",
    ),
    "never": (
        *(BROKEN, (PASSED, PASSED), 1),
        f"not reproduced: 2 of 2 passed; in the report agreement is broken: {STALE.text}; these differ: labctl 1, 2",
    ),
    "never, and not always judged": (
        *(BROKEN, (PASSED, UNKNOWN), 1),
        "not reproduced: 1 of 2 passed, 1 could not be judged; "
        f"in the report agreement is broken: {STALE.text}; these differ: labctl 1, 2",
    ),
    "otherwise": (
        *(BROKEN, (OTHERWISE, PASSED), 1),
        f"another failure in 1 of 2: agreement: {STALE.text}; "
        f"in the report agreement is broken: {STALE.text}; these differ: labctl 1, 2",
    ),
    "a failure of what passed": (
        *(PASSED, (BROKEN,), 1),
        f"another failure in 1 of 1: agreement: {STALE.text}; in the report it passed; these differ: labctl 1, 2",
    ),
    "not judged": (BROKEN, (UNKNOWN,) * 2, 5, "could not be judged, 2 of 2"),
    "no engine": (BROKEN, (NO_DOCKER,), 4, "could not be judged, 1 of 1: no Docker Engine answers"),
    "a report of no verdict": (
        *(UNKNOWN, (PASSED, PASSED), 5),
        "not to be compared: the reported run came to no verdict; here 2 passed",
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_replays_come_to(name: str) -> None:
    reported, results, exit_code, sentence = OUTCOMES[name]
    outcome: Outcome = conclude(Report.of(reported, TERMS), results, ["labctl 1, 2"])
    assert (outcome.exit_code, outcome.sentence) == (exit_code, sentence)
    assert outcome.reproduced == outcome.comparisons.count("reproduced")


def test_a_replay_is_made_again_only_where_it_is_not_judged_and_may_be() -> None:
    report = Report.of(BROKEN, TERMS)
    assert [report.is_not_met_by(one) for one in (UNKNOWN, NO_DOCKER)] == [True, True]
    assert [report.is_not_met_by(one) for one in (BROKEN, OTHERWISE, PASSED)] == [False] * 3
    assert not Report.of(NOT_UP, TERMS).is_not_met_by(NOT_UP)
    assert not Report.of(UNKNOWN, TERMS).is_not_met_by(PASSED)


def test_without_differences_that_is_said() -> None:
    outcome = conclude(Report.of(BROKEN, TERMS), [PASSED], [])
    assert outcome.sentence.endswith("; no version differs from the reporter's")


def test_what_a_stranger_wrote_is_one_line_that_no_terminal_obeys() -> None:
    assert plain("a\x1b[2J\nb\u202e") == "a [2J b "
    assert len(plain("a" * 5000)) == 240


# What differs


@pytest.fixture
def sent(tmp_path: Path) -> reading.Bundle:
    """A bundle that was made elsewhere."""
    packing.pack(keep_run(tmp_path / "one"), tmp_path / "bug.labz")
    return reading.read(tmp_path / "bug.labz")


def test_nothing_differs_where_it_was_made(sent: reading.Bundle) -> None:
    assert differences.differences(sent, MACHINE, {"node": NODE_IMAGE}) == ()
    assert changed_files(sent) == ()


def test_packages_and_the_machine_are_told_where_they_differ(sent: reading.Bundle) -> None:
    here = ImageFacts("t", "i", {"asterisk": "22.11", "socat": "1.8"})
    machine = replace(MACHINE, kernel="6.1", engine="", cpus=8)
    assert differences.differences(sent, machine, {"node": here}) == (
        "asterisk 22.10.1 there, 22.11 here",
        "corosync 3.1.10 there, missing here",
        "socat missing there, 1.8 here",
        "kernel 6.12.9 there, 6.1 here",
        "CPUs 2 there, 8 here",
    )


def test_a_file_that_is_rendered_otherwise_here_is_named(sent: reading.Bundle) -> None:
    path = "nodes/n2/etc/corosync/corosync.conf"
    assert changed_files(replace(sent, files={**sent.files, path: "token: 1"})) == (path,)
    assert changed_files(replace(sent, manifest=replace(sent.manifest, subnet="10.0.0.0/8"))) == ()


def test_another_stack_of_the_same_name_is_told(sent: reading.Bundle) -> None:
    assert sent.stack
    other = replace(sent, stack=sent.stack.model_copy(update={"title": "another"}))
    assert differences.differences(other, MACHINE, {"node": NODE_IMAGE}) == ("the stack 22 says something else there",)
