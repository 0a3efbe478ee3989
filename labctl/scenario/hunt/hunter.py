"""Hunts on real labs: draws case after case, runs them, follows up what is wrong, and keeps count of all of it."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.checks.handling import DAEMONS
from labctl.checks.judgement import Result
from labctl.engine.client import Engine
from labctl.errors import HostError, UsageError
from labctl.history.events import beginning
from labctl.lab import Overrides
from labctl.progress import Silent
from labctl.scenario import run_folder, run_record, runner
from labctl.scenario.conclusion import terms_of
from labctl.scenario.findings.reader import find_finding, shipped_findings
from labctl.scenario.hunt import cases, drafts
from labctl.scenario.hunt.cases import Case
from labctl.scenario.hunt.ledger import HUNT, Ledger, Pursued, Tried, Wrong
from labctl.scenario.hunt.recognition import Caught, KnownFinding, caught
from labctl.scenario.loader import read_scenario
from labctl.scenario.reader import Scenario
from labctl.scenario.run_record import RunRecord
from labctl.scenario.runner import RunOptions
from labctl.scenario.shrink import search
from labctl.scenario.shrink.search import Failing, Found, SearchOptions
from labctl.scenario.shrink.target import TargetFailure
from labctl.timing import Deadline

AGAIN = 2
"""So many times at most a case is run again: what never comes again is told, and not made smaller."""

AT_MOST = 5
"""So often a case is run again for those: a machine that is starved lets many a run come to no verdict."""

FAILING_LABS = 5
"""So many labs one after the other that the engine could not make end a hunt; a single one is a case less."""

LEAST_MINUTES = 1.0
"""So long what came last may be made smaller, though the time is over."""

OPTIONS = "options.json"
SCENARIOS, FINDINGS = "scenarios", "findings"


@dataclass(frozen=True)
class HuntOptions:
    """`how`: runs, and in whose folder the hunt has its own. `overrides`: stack and carrier, where they are not left to
    chance. `faults`: whether there are any. `known`: what is known is made smaller too, the first time that it is
    seen. `shrink_minutes`: for how long one failure is made smaller. `image`: a node's that was built elsewhere."""

    how: RunOptions
    seed: int
    hours: float
    overrides: Overrides
    faults: bool = True
    known: bool = False
    jobs: int = 2
    shrink_minutes: float = 10.0
    image: str | None = None

    @property
    def folder(self) -> Path:
        """Where all of it is kept."""
        return self.how.folder / f"hunt-{self.seed}{'' if self.faults else '-no-faults'}"

    @property
    def drawn_by(self) -> dict[str, object]:
        """What decides which cases there are: a hunt goes on only with the same."""
        return {"stack": self.overrides.stack, "via": self.overrides.via, "faults": self.faults}


class Hunt:
    """A hunt of one seed, in its folder. Raises UsageError where that is another hunt's, or cannot be made."""

    def __init__(self, engine: Engine, options: HuntOptions, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._options = options
        self._say = say
        self._how = replace(options.how, folder=options.folder, owner="hunt", retries=0, keep_lab=False)
        self._findings = known_findings()
        self.ledger = _open(options)
        self._deadline = Deadline(options.hours * 3600)
        self._failing = 0

    def go_on(self) -> None:
        """Run case after case until the time is over, from where the hunt was ended. What is new, and with `known` what
        is seen for the first time, is run again, and made smaller. Raises HostError where the engine is gone."""
        ledger = self.ledger
        if ledger.tried:
            self._say(f"it goes on after case {ledger.tried[-1].number}: {self._options.folder}")
        while not self._deadline.passed and not self._how.stop.is_set():
            first = ledger.next_number
            batch = [self._draw(number) for number in range(first, first + self._options.jobs)]
            for case, result, wrong in self._run(batch):
                ledger.add(_tried(case, result, wrong))
                self._say(_told(ledger.tried[-1]))
                for one in wrong:
                    if (self._options.known or not one.known) and not ledger.is_pursued(one.kind):
                        ledger.add(self._pursue(case, one, Path(result.folder)))
                if not wrong:
                    shutil.rmtree(result.folder, ignore_errors=True)

    def _draw(self, number: int) -> Case:
        """A case, of which what is of a known finding is known to fail."""
        options = self._options
        case = cases.draw(options.seed, number, options.overrides, faults=options.faults)
        entries = tuple(entry for finding in self._findings for entry in finding.known)
        stack = case.scenario.stack.with_image(options.image)
        return replace(case, scenario=replace(case.scenario, known=entries, stack=stack))

    def _run(self, batch: Sequence[Case]) -> list[tuple[Case, Result, tuple[Caught, ...]]]:
        """Run cases side by side; what each came to, in their order."""
        by_name = {case.scenario.name: case for case in batch}
        scenarios = [case.scenario for case in batch]
        results = runner.run_many(self._engine, scenarios, self._how, self._options.jobs, lambda _: Silent())
        done = [(by_name[result.scenario], result) for result in results]
        return [(case, result, self._caught(case, result)) for case, result in sorted(done, key=_number)]

    def _caught(self, case: Case, result: Result) -> tuple[Caught, ...]:
        """What went wrong; nothing where the lab did not come up, since nothing was seen then. Raises HostError where
        the engine is gone, or has made no lab several times."""
        failed = bool(result.lab_error) and result.exit_code == HostError.exit_code
        self._failing = self._failing + 1 if failed else 0
        if failed:
            self._engine.observe()
            self._say(f"case {case.number}: {result.lab_error_line}")
        if self._failing >= FAILING_LABS:
            raise HostError(result.lab_error_line, "the same command goes on from here")
        if not result.judged or result.lab_error:
            return ()
        events = run_folder.read_events(Path(result.folder))
        return caught(result, events, terms_of(case.scenario), self._findings, course=not self._options.faults)

    def _pursue(self, case: Case, one: Caught, folder: Path) -> Pursued:
        """Run a case again, and where it comes to the same, make it smaller, and write the draft of what is new."""
        pursued = self._again(case, one)
        if not pursued.again:
            how = "did not come again in" if pursued.whole else "could not be judged again, but for"
            self._say(f"case {case.number}: it {how} {pursued.of} runs: {one.kind}")
            return pursued
        self._say(f"case {case.number}: {one.kind}: it came again, and is made smaller")
        record = run_record.recall(folder)
        try:
            found = self._shrink(case, one, record)
        except HostError as error:
            self._engine.observe()  # raises what is the matter, if the engine is gone
            self._say(f"case {case.number}: it was not made smaller: {error.message}")
            return replace(pursued, whole=False)
        if found.file is None:
            self._say(f"case {case.number}: it could not be made smaller: {one.kind}")
            return pursued
        flags = Overrides(stack=self._options.overrides.stack)
        smallest = read_scenario(run_folder.read_file(found.file), str(found.file), Path(), flags)
        came_to = f"{found.steps} steps came down to {len(smallest.steps)}"
        self._say(f"case {case.number}: {came_to}: {one.kind}: {found.file}")
        return replace(
            pursued,
            steps=len(smallest.steps),
            failed=found.shrunk.failed,
            runs=found.shrunk.runs,
            file=str(found.file),
            whole=found.shrunk.whole,
            draft="" if one.known else str(self._write_draft(case, one, found, smallest, record)),
        )

    def _again(self, case: Case, one: Caught) -> Pursued:
        """Whether a case comes to the same once more, in the runs that could judge it."""
        again, of, runs = 0, 0, 0
        while not again and of < AGAIN and runs < AT_MOST:
            [(_, result, wrong)] = self._run([case])
            came = one.kind in {other.kind for other in wrong}
            again += came
            of += came or _could_judge(result, one.check)
            runs += 1
            shutil.rmtree(result.folder, ignore_errors=True)
        return Pursued(one.kind, case.number, again, of, whole=bool(again) or of >= AGAIN)

    def _shrink(self, case: Case, one: Caught, record: RunRecord) -> Found:
        """The smallest scenario that shows it, as far as there is time."""
        options = self._options
        target = TargetFailure(one.check, one.finding, case.scenario.known)
        minutes = max(LEAST_MINUTES, min(options.shrink_minutes, self._deadline.left_s / 60))
        file = options.folder / SCENARIOS / f"{one.known or one.check}-{self._file_number(case)}.yaml"
        wanted = SearchOptions(self._how, jobs=options.jobs, minutes=minutes, file=file)
        return search.search(self._engine, Failing(case.scenario, record), target, wanted, lambda _line: None)

    def _file_number(self, case: Case) -> str:
        """What tells its files from all others: the case, and how many of that case came before it."""
        others = sum(other.number == case.number for other in self.ledger.pursued)
        return f"{case.number}-{others + 1}" if others else f"{case.number}"

    def _write_draft(self, case: Case, one: Caught, found: Found, smallest: Scenario, record: RunRecord) -> Path:
        assert found.file
        versions = beginning(record.events).versions
        of_daemons = [f"{name.title()} {versions[f'node {name}']}" for name in DAEMONS if f"node {name}" in versions]
        evidence = drafts.FoundFailure(
            one.check,
            one.finding,
            found.target.sentence,
            smallest,
            found.shrunk.failed,
            found.shrunk.runs,
            datetime.datetime.now(datetime.UTC).date(),
            ", ".join(of_daemons) or "not known",
            self._options.seed,
            case.number,
        )
        path = self._options.folder / FINDINGS / found.file.name
        run_folder.write(path, drafts.draft(evidence, found.file.stem))
        return path


def _could_judge(result: Result, check: str) -> bool:
    """Whether a run's lab came up, and its check came to a verdict."""
    verdicts = [judged.verdict for judged in result.judged if judged.verdict.check == check]
    return not result.lab_error and any(verdict.outcome != "unknown" for verdict in verdicts)


def known_findings() -> tuple[KnownFinding, ...]:
    """The shipped findings, by their signs."""
    return tuple(KnownFinding(name, find_finding(name).signs) for name in shipped_findings())


def _number(done: tuple[Case, Result]) -> int:
    return done[0].number


def _open(options: HuntOptions) -> Ledger:
    """The ledger of the hunt, in its folder, which is made where it is not there."""
    note = options.folder / OPTIONS
    try:
        for folder in (options.folder, options.folder / SCENARIOS, options.folder / FINDINGS):
            folder.mkdir(parents=True, exist_ok=True)
        before = note.read_text("utf-8").strip() if note.exists() else ""
        if before and json.loads(before) != options.drawn_by:
            hint = "go on with the same options, or begin another by --seed or --folder"
            raise UsageError(f"{options.folder} is a hunt with other cases: {before}", hint)
        note.write_text(json.dumps(options.drawn_by) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{options.folder}: {error}", "--folder names another place") from None
    return Ledger.read(options.folder / HUNT)


def _tried(case: Case, result: Result, wrong: Sequence[Caught]) -> Tried:
    kinds = {one.kind: Wrong(one.kind, one.check, one.finding.text, one.known) for one in reversed(wrong)}
    lab = case.scenario.lab
    what = f"{len(lab.nodes)} nodes by {lab.via}, {len(case.scenario.steps)} steps"
    judged = bool(wrong) or result.standing in ("passed", "known", "failed", "nothing")
    folder = Path(result.folder).name if wrong else ""
    return Tried(
        case.number, what, judged, result.seconds, tuple(reversed(kinds.values())), tuple(sorted(case.pairs)), folder
    )


def _told(case: Tried) -> str:
    kinds = [f"known: {wrong.known}" if wrong.known else f"NEW: {wrong.check}: {wrong.text}" for wrong in case.wrong]
    came_to = "; ".join(kinds) or ("nothing wrong" if case.judged else "not judged")
    return f"case {case.number}: {case.what}, {case.seconds:.0f} s: {came_to}"
