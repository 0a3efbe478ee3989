"""The scenario file: steps as data in, a Scenario with every default filled in (or every mistake) out. Pure.

No code of a scenario runs on the host. What of its `config:` would have a node run commands or write files, such as
`System()` in a dialplan, is named and refused unless it is trusted. Its lab has a name that no lab of the user's has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from labctl.blueprint import config_review
from labctl.checks.finding import Limits
from labctl.checks.known import Known
from labctl.errors import InvalidFile, Problem, UsageError
from labctl.lab import Lab, Overrides
from labctl.labfile.consistency import check_without
from labctl.labfile.loader import DEFAULT_LAB
from labctl.labfile.node_versions import WAY_OUT, mismatch
from labctl.labfile.patch_files import of_data
from labctl.scenario import inline_commands, step_form
from labctl.scenario.entries import HEALTHY, KnownEntry, ScenarioFile
from labctl.scenario.expansion import expand
from labctl.scenario.file_changes import file_changes
from labctl.scenario.step_form import long_form
from labctl.scenario.step_order import rehearse
from labctl.scenario.step_parsing import understand
from labctl.scenario.step_registry import Step
from labctl.scenario.steps import STEPS
from labctl.stack.model import Stack
from labctl.yamlfile.document import ANY, Document, Path, json_schema, parse, shown
from labctl.yamlfile.review import Review


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. `name` is its file's stem. `explicit`: whether the file itself says what it expects.

    `commands` names what of its lab's configuration or its steps has a node run commands, as `file:line: …`; so do
    `warnings` what it takes and had better not say.
    `keep_going`: a step that fails does not end the run. `healthy`: how the daemons fare is judged, whatever else is
    expected.
    """

    name: str
    title: str
    about: str
    lab: Lab
    stack: Stack
    limits: Limits
    proof: bool
    requires: tuple[str, ...]
    steps: tuple[Step, ...]
    expect: tuple[str, ...]
    known: tuple[Known, ...]
    explicit: bool = False
    commands: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
    keep_going: bool = False
    healthy: bool = True


def read(
    text: str,
    source: str,
    find_lab: Callable[[str], Document],
    find_stack: Callable[[str], Stack],
    overrides: Overrides | None = None,
    with_patches: Callable[[Document], Document] = lambda document: document,
) -> Scenario:
    """Read a scenario file. `find_lab` finds the lab file of a name or path, `find_stack` the stack of a name;
    `with_patches` puts in what the patches hold that it names.

    Raises InvalidFile with every mistake in the file and in those it names, UsageError for one in the flags.
    """
    review = Review(with_patches(parse(text, source, "title: My scenario")))
    name = "scenario" if source == "-" else PurePosixPath(source).stem
    flags = overrides or Overrides()
    flags = replace(flags, name=_lab_name(name) if flags.name is None else flags.name)
    entry = review.fit(ScenarioFile)
    document, lab_and_stack, refused = _find_lab(review, find_lab, find_stack, flags)
    lab_and_stack = _without(review, lab_and_stack)
    planned = _steps(review, *(lab_and_stack or (None, None)))
    _check_judging(review, entry.known if entry else (), healthy=entry.healthy if entry else True)
    if lab_and_stack and entry:
        _check_known(review, entry.known, lab_and_stack[0], planned)
        _check_upgrades(review, planned, *lab_and_stack, find_stack)
    review.settle(refused)
    assert entry
    assert lab_and_stack
    assert document
    scenario = _fill(entry, name, *lab_and_stack, planned)
    changes = file_changes(scenario.lab, scenario.stack, planned)
    commands = (
        *inline_commands.in_lab(document, scenario.lab, changes),
        *inline_commands.in_services(document),
        *inline_commands.in_versions(document, scenario.lab),
        *inline_commands.in_steps(planned, source, scenario.lab, changes),
    )
    return replace(scenario, commands=commands, warnings=tuple(_of_any_failure(review, scenario.known)))


def _without(review: Review, lab_and_stack: tuple[Lab, Stack] | None) -> tuple[Lab, Stack] | None:
    """The lab with those nodes not started that the scenario says, beside what its lab says."""
    if lab_and_stack is None:
        return None
    lab, stack = lab_and_stack
    check_without(review, [node.name for node in lab.nodes])
    named = [name for _, name in review.values("without", ANY)]
    return replace(lab, without=tuple(dict.fromkeys((*lab.without, *named)))), stack


def _steps(review: Review, lab: Lab | None, stack: Stack | None) -> tuple[Step, ...]:
    """The steps, with blocks of them written out; mistakes are noted."""
    expanded, around = expand(review, lab)
    steps_review = Review(_written_out(expanded))
    understood = understand(steps_review, lab, [one.loops for one in around])
    drafts = [replace(draft, branch=one.branch) for draft, one in zip(understood, around, strict=bool(understood))]
    rehearse(steps_review, drafts, lab, stack)
    review.problems = [*dict.fromkeys([*review.problems, *steps_review.problems])]
    line = steps_review.document.line
    return tuple(Step(draft.verb, draft.values, line(draft.path), draft.branch) for draft in drafts)


def _check_upgrades(
    review: Review, steps: tuple[Step, ...], lab: Lab, stack: Stack, find_stack: Callable[[str], Stack]
) -> None:
    """Note each step that gives a node a stack with which it cannot be in one ring with the others, or patches that are
    none of what is compiled of it."""
    for step in steps:
        if step.verb == "upgrade" and step.arguments.get("patch"):
            named = step.arguments.get("stack")
            wanted = find_stack(named) if named else stack
            if what := config_review.no_patches(wanted, of_data(step.arguments["patch"])):
                review.problems.append(Problem(step.line, what))
        if step.verb == "upgrade" and step.arguments.get("stack") and lab.rings:
            node, wanted = step.arguments["node"], find_stack(step.arguments["stack"])
            others = [other for other in lab.cluster_of(node) if other.name != node]
            reasons = ((other.name, mismatch(wanted, other.version.of(stack))) for other in others)
            if clash := next((f"{other} cannot be in one ring: {why}" for other, why in reasons if why), ""):
                review.problems.append(Problem(step.line, f"{node} and {clash}", WAY_OUT))


def _lab_name(scenario: str) -> str:
    return ("run-" + re.sub("[^a-z0-9-]", "-", scenario.lower()))[:31]


def _written_out(document: Document) -> Document:
    """The document with every step in its long form; the lines of the lists in them go along."""
    steps = document.data.get("steps")
    if not isinstance(steps, list):
        return document

    def moved(path: Path) -> Path:
        if path[:1] == ("steps",) and len(path) > 3 and isinstance(path[3], int) and path[2] in STEPS:
            return (*path[:3], STEPS[str(path[2])].short, *path[3:])
        return path

    return replace(
        document,
        data=document.data | {"steps": [long_form(step) for step in steps]},
        lines={moved(path): line for path, line in document.lines.items()},
        doubtful=tuple(moved(path) for path in document.doubtful),
    )


def _find_lab(
    review: Review, find_lab: Callable[[str], Document], find_stack: Callable[[str], Stack], flags: Overrides
) -> tuple[Document | None, tuple[Lab, Stack] | None, UsageError | None]:
    """What the lab was read from; the lab and its stack, or None where either has mistakes; and what another file or a
    flag has to say of it."""
    of_stack: list[InvalidFile] = []
    document: Document | None = None

    def noting(name: str) -> Stack:
        try:
            return find_stack(name)
        except InvalidFile as error:
            of_stack.append(error)
            raise

    try:
        document = _lab_document(review, find_lab)
        return document, config_review.resolve(document, noting, flags) if document else None, None
    except InvalidFile as error:
        if error.source != review.document.source:
            return document, None, error
        review.problems += [problem for problem in error.problems if problem not in review.problems]
        return document, None, next(iter(of_stack), None)
    except UsageError as error:
        return document, None, error


def _lab_document(review: Review, find_lab: Callable[[str], Document]) -> Document | None:
    word = review.document.data.get("lab", DEFAULT_LAB)
    if isinstance(word, dict):
        return review.document.within("lab")
    if not isinstance(word, str) or review.doubts("lab"):
        return None
    try:
        return find_lab(word)
    except UsageError as error:
        if isinstance(error, InvalidFile):
            raise
        review.refuse(("lab",), error.message, error.hint)
        return None


def _check_judging(review: Review, known: tuple[KnownEntry, ...], *, healthy: bool) -> None:
    """What a run is judged by is said once, and what is known to fail is judged."""
    review.each_once("requires", ANY)
    review.each_once("expect", ANY)
    named = review.all("expect", ANY) if "expect" in review.document.data else None
    wanted = [*named, *([HEALTHY] if healthy else [])] if named else None
    review.known("expected check", review.values("known", ANY, "check"), wanted)
    keys = [
        (entry.check, entry.stack, entry.via, entry.extension, entry.nodes, entry.step, entry.finding)
        for entry in known
    ]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            review.say(("known", index), f"`{key[0]}` with stack `{shown(key[1])}` is here twice", "each once")


def _check_known(review: Review, known: tuple[KnownEntry, ...], lab: Lab, steps: Sequence[Step]) -> None:
    """What is known to fail is of the lab and of the steps: what names nothing would match nothing, and say nothing."""
    review.known("node", review.values("known", ANY, "nodes", ANY), [node.name for node in lab.nodes])
    extensions = dict.fromkeys(extension for node in lab.nodes for extension in lab.extensions_of(node.name))
    mailboxes = (f"*{number}" for number in lab.mailbox_numbers)
    dialed = (str(step.arguments[key]) for step in steps for key in ("callee", "number") if key in step.arguments)
    review.known("extension", review.values("known", ANY, "extension"), [*extensions, *mailboxes, *dialed])
    for index, entry in enumerate(known):
        if steps and entry.step > len(steps):  # none where they could not be read
            review.say(("known", index, "step"), f"no step {entry.step}", f"there are {len(steps)}")


def _of_any_failure(review: Review, known: Sequence[Known]) -> Iterator[str]:
    """The entries that name no failure, as none of labctl 0.1 could: they mean what they meant, and hide others."""
    for index, entry in enumerate(known):
        if not entry.names_what_fails:
            place = f"{review.document.source}:{review.document.line(('known', index))}"
            what = f"what is known of `{entry.check}` names no failure: any other of that check is taken for known, too"
            yield f"{place}: {what} (say which by `extension`, `nodes`, `step` or `finding`)"


def _fill(entry: ScenarioFile, name: str, lab: Lab, stack: Stack, steps: tuple[Step, ...]) -> Scenario:
    return Scenario(
        name=name,
        title=entry.title,
        about=entry.about,
        lab=lab,
        stack=stack,
        limits=Limits(entry.limits.delay * 1000),
        proof=entry.proof,
        requires=entry.requires,
        steps=steps,
        expect=entry.expect,
        known=tuple(Known(**dict(failure)) for failure in entry.known),
        explicit="expect" in entry.model_fields_set,
        keep_going=entry.keep_going,
        healthy=entry.healthy,
    )


def schema() -> str:
    """The JSON Schema of the scenario file, for editors."""
    document = ScenarioFile.model_json_schema()
    document["properties"]["steps"]["items"] = {"$ref": "#/$defs/step"}
    document.setdefault("$defs", {})["step"] = step_form.schema("#/$defs/step")
    return json_schema(document)
