"""What of a run's verdicts fails it: the one rule behind exit codes and JUnit's failures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from labctl.checks.judgement import Judged, Result, RunStanding

EXIT_FAILED = 1
EXIT_UNKNOWN = 5
BISECT_SKIP = 125

Kind = Literal["passed", "failure", "error", "skipped"]
"""What a standing is to CI, in the words of JUnit."""


@dataclass(frozen=True)
class Acceptance:
    """`strict`: what is known to fail is a failure too. `hopeful`: what is known to fail and did not is none, for that
    is what a patch is tried for."""

    strict: bool = False
    hopeful: bool = False

    def applied(self, result: Result) -> Result:
        """The result as it is to be told: under `strict` nothing is merely known."""
        return replace(result, judged=tuple(map(self._strictly, result.judged))) if self.strict else result

    def _strictly(self, judged: Judged) -> Judged:
        beside = judged.standing == "unknown" and judged.verdict.outcome == "failed"  # something else is not judged
        if judged.standing != "known" and not beside:
            return judged
        return replace(judged, standing="failed", reason=f"known to fail, no excuse under --strict: {judged.reason}")

    def kind(self, standing: RunStanding) -> Kind:
        """What a standing is to CI."""
        match standing:
            case "failed":
                return "failure"
            case "fixed":
                return "passed" if self.hopeful else "failure"
            case "unknown" | "error":
                return "error"
            case "known":
                return "failure" if self.strict else "skipped"
            case "nothing":
                return "skipped"
            case _:
                return "passed"

    def exit_code(self, results: Sequence[Result]) -> int:
        """1 where a check failed or a lab did not come up; else the code of what kept a lab from being made (4 for
        Docker or the machine, 2 for bad input); else 5 where something could not be judged; else 0."""
        return self.code([one for result in results for one in standings(self.applied(result))], results)

    def code(self, told: Iterable[RunStanding], results: Sequence[Result]) -> int:
        """The exit code of what is told of some runs, whatever that is of: their checks, or what these show."""
        kinds = {*map(self.kind, told)}
        if "failure" in kinds:
            return EXIT_FAILED
        lab_errors = [result.exit_code for result in results if result.lab_error]
        if lab_errors:
            return min(lab_errors)
        return EXIT_UNKNOWN if "error" in kinds else 0

    def bisect_code(self, results: Sequence[Result]) -> int:
        """The exit code for `git bisect run` (git-bisect(1)): 1 where a check failed, 0 where all is as expected,
        BISECT_SKIP where that could not be judged."""
        code = self.exit_code(results)
        return code if code in (0, EXIT_FAILED) and not any(result.lab_error for result in results) else BISECT_SKIP


def standings(result: Result) -> Iterable[RunStanding]:
    """How everything stands that a run tells of: its lab, each of its checks; unknown where there is none of that."""
    if result.lab_error:
        yield "error"
    elif not result.judged:
        yield "unknown"
    for judged in result.judged:
        yield judged.standing
