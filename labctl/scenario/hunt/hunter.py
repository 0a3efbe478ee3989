"""Hunts on real labs: draws case after case, runs them, follows up what is wrong, and keeps count of all of it."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from labctl.scenario.runner import RunOptions
from labctl.scenario.shrink import search
from labctl.scenario.shrink.search import Failing, Found, SearchOptions
from labctl.scenario.shrink.target import TargetFailure
from labctl.timing import Deadline

AGAIN = 2
"""So many times a case is run again before what it came to is believed."""

DAEMONS = ("asterisk", "corosync")
"""Those whose versions a finding is about."""

OPTIONS = "options.json"
SCENARIOS, FINDINGS = "scenarios", "findings"


@dataclass(frozen=True)
class HuntOptions:
    """`how`: runs, and in whose folder the hunt has its own. `overrides`: stack and carrier, where they are not left to
    chance. `faults`: whether there are any. `known`: what is known is made smaller too, the first time that it is
    seen. `shrink_minutes`: for how long one failure is made smaller. `image`: a node's that was
    built elsewhere."""

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


def hunt(engine: Engine, options: HuntOptions, say: Callable[[str], None]) -> Ledger:
    """Run case after case until the time is over, from where the hunt of that seed was ended; all that it came to, also
    earlier. What is new, or with `known` what is seen for the first time, is run again, and made smaller.

    Raises HostError where the engine is gone; UsageError where the folder is another hunt's, or cannot be made.
    """
    ledger = _open(options)
    if ledger.tried:
        say(f"it goes on after case {ledger.tried[-1].number}: {options.folder}")
    deadline = Deadline(options.hours * 3600)
    findings = known_findings()
    while not deadline.passed and not options.how.stop.is_set():
        first = ledger.next_number
        batch = [_draw(options, number, findings) for number in range(first, first + options.jobs)]
        for case, result, wrong in _run(engine, batch, options, findings):
            ledger.add(_tried(case, result, wrong))
            say(_told(ledger.tried[-1]))
            for one in wrong:
                if (options.known or not one.known) and not ledger.is_pursued(one.kind):
                    ledger.add(_pursue(engine, case, one, Path(result.folder), options, findings, deadline, say))
            if not wrong:
                shutil.rmtree(result.folder, ignore_errors=True)
    return ledger


def known_findings() -> tuple[KnownFinding, ...]:
    """The shipped findings, by their signs."""
    return tuple(KnownFinding(name, find_finding(name).signs) for name in shipped_findings())


def _open(options: HuntOptions) -> Ledger:
    """The ledger of the hunt, in its folder, which is made where it is not there."""
    note = options.folder / OPTIONS
    try:
        for folder in (options.folder, options.folder / SCENARIOS, options.folder / FINDINGS):
            folder.mkdir(parents=True, exist_ok=True)
        if note.exists() and json.loads(note.read_text("utf-8")) != options.drawn_by:
            hint = "go on with the same options, or begin another by --seed or --folder"
            raise UsageError(f"{options.folder} is a hunt with other cases: {note.read_text('utf-8').strip()}", hint)
        note.write_text(json.dumps(options.drawn_by) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{options.folder}: {error}", "--folder names another place") from None
    return Ledger.read(options.folder / HUNT)


def _draw(options: HuntOptions, number: int, findings: Sequence[KnownFinding]) -> Case:
    case = cases.draw(options.seed, number, options.overrides, faults=options.faults)
    entries = tuple(entry for finding in findings for entry in finding.as_known())
    stack = case.scenario.stack.with_image(options.image)
    return replace(case, scenario=replace(case.scenario, known=entries, stack=stack))


def _run(
    engine: Engine, batch: Sequence[Case], options: HuntOptions, findings: Sequence[KnownFinding]
) -> list[tuple[Case, Result, tuple[Caught, ...]]]:
    """Run cases side by side; what each came to, in their order."""
    by_name = {case.scenario.name: case for case in batch}
    how = replace(options.how, folder=options.folder, owner="hunt", retries=0, keep_lab=False)
    results = runner.run_many(engine, [case.scenario for case in batch], how, options.jobs, lambda _: Silent())
    done = [
        (by_name[result.scenario], result, _caught(result, by_name[result.scenario], options, findings))
        for result in results
    ]
    return sorted(done, key=lambda one: one[0].number)


def _caught(result: Result, case: Case, options: HuntOptions, findings: Sequence[KnownFinding]) -> tuple[Caught, ...]:
    """What went wrong; nothing where the lab did not come up, since nothing was seen then."""
    if result.lab_error and result.exit_code == HostError.exit_code:
        raise HostError(result.lab_error_line, "the same command goes on from here")
    if not result.judged or result.lab_error:
        return ()
    events = run_folder.read_events(Path(result.folder))
    return caught(result, events, terms_of(case.scenario), findings, course=not options.faults)


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


def _pursue(
    engine: Engine,
    case: Case,
    one: Caught,
    folder: Path,
    options: HuntOptions,
    findings: Sequence[KnownFinding],
    deadline: Deadline,
    say: Callable[[str], None],
) -> Pursued:
    """Run a case again, and where it comes to the same, make it smaller, and write the draft of what is new."""
    again, of = 0, 0
    for _ in range(AGAIN):
        [(_, result, wrong)] = _run(engine, [case], options, findings)
        kinds = {other.kind for other in wrong}
        again += one.kind in kinds
        of += bool(kinds) or result.standing in ("passed", "known", "failed")
        shutil.rmtree(result.folder, ignore_errors=True)
        if again:
            break
    pursued = Pursued(one.kind, case.number, again, of)
    if not again:
        say(f"case {case.number}: it did not come again in {of} runs: {one.kind}")
        return pursued
    found = _shrink(engine, case, one, folder, options, deadline, say)
    if found.file is None:
        say(f"case {case.number}: it could not be made smaller: {one.kind}")
        return pursued
    shrunk = found.shrunk
    text = found.file.read_text("utf-8")
    smallest = read_scenario(text, str(found.file), Path(), Overrides(stack=options.overrides.stack))
    say(f"case {case.number}: {found.steps} steps came down to {len(smallest.steps)}: {one.kind}: {found.file}")
    draft = "" if one.known else str(_write_draft(one, found, smallest, folder, options, case.number))
    return replace(
        pursued, steps=len(smallest.steps), failed=shrunk.failed, runs=shrunk.runs, file=str(found.file), draft=draft
    )


def _shrink(
    engine: Engine,
    case: Case,
    one: Caught,
    folder: Path,
    options: HuntOptions,
    deadline: Deadline,
    say: Callable[[str], None],
) -> Found:
    """The smallest scenario that shows it, as far as there is time."""
    target = TargetFailure(one.check, one.finding, case.scenario.known)
    minutes = max(1.0, min(options.shrink_minutes, deadline.left_s / 60))
    file = options.folder / SCENARIOS / f"{one.known or one.check}-{case.number}.yaml"
    how = replace(options.how, folder=options.folder, owner="hunt")
    wanted = SearchOptions(how, jobs=options.jobs, minutes=minutes, file=file)
    failing = Failing(case.scenario, run_record.recall(folder))
    say(f"case {case.number}: {one.kind}: it came again, and is made smaller")
    return search.search(engine, failing, target, wanted, lambda _line: None)


def _write_draft(
    one: Caught, found: Found, smallest: Scenario, folder: Path, options: HuntOptions, number: int
) -> Path:
    assert found.file
    versions = beginning(run_record.recall(folder).events).versions
    evidence = drafts.FoundFailure(
        one.check,
        one.finding,
        found.target.sentence,
        smallest,
        found.shrunk.failed,
        found.shrunk.runs,
        datetime.datetime.now(datetime.UTC).date(),
        ", ".join(f"{name.title()} {versions[key]}" for name in DAEMONS if (key := f"node {name}") in versions)
        or "not known",
        options.seed,
        number,
    )
    path = options.folder / FINDINGS / found.file.name
    try:
        path.write_text(drafts.draft(evidence, found.file.stem), "utf-8")
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}", "is there room?") from None
    return path
