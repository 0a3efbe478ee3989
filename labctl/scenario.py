"""The scenario file: steps as data in, a Scenario with every default filled in (or every mistake) out. Pure.

A scenario holds no code, so a stranger's is safe to run, and its lab has a name that no lab of the user's own has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SkipValidation

from labctl import verbs
from labctl.document import ANY, Document, Form, Path, Strict, Text, json_schema, parse, shown, suggestion, wrong
from labctl.errors import InvalidFile, UsageError
from labctl.labfile import resolve
from labctl.labfile.entries import LabFile, StackName
from labctl.review import Review
from labctl.spec import Carrier, Lab, Overrides
from labctl.stack import Stack
from labctl.verbs import EVERY, VERBS, Duration, long_form

Step = verbs.Step
DEFAULT_LAB = "three-node"
MAX_STEPS = 1000

Check = Literal[
    "agreement",
    "truth",
    "no_ghosts",
    "bounded_delay",
    "no_flapping",
    "lamps",
    "calls",
    "routes",
    "remote_state",
    "views",
    "course",
]
CHECKS: tuple[Check, ...] = get_args(Check)
"""What a run is judged by."""

Source = Literal["run", "measured", "read"]
"""Where it is known from that something fails: from runs of labctl; measured by hand on real nodes; or read in the
source code, so that nobody has seen it yet."""

_NAMED = {
    "phone": ("phone", "phones *", "caller"),
    "node": ("node", "nodes *", "sender", "receiver", "groups * *"),
    "extension": ("extension",),
    "mailbox": ("mailbox",),
    "device": ("device",),
    "number": ("number",),
}
"""Kinds of things in a lab, and the arguments that name them."""


_DIALED = r"\*?[0-9]{1,32}"


def _check_lab(value: object) -> object:
    if not isinstance(value, str | dict):
        raise wrong("a lab's name, its path, or a mapping is wanted")
    return value


_Line = Annotated[Text, Form("line of text", r"^\S(.{0,198}\S)?$", "some text, 200 characters at most")]


class LimitsEntry(Strict):
    """Bounds that checks hold a run to."""

    delay: Duration = Field(default=1.0, description="The time in which a state must reach every node")


class KnownEntry(Strict):
    """What is known to fail."""

    stack: StackName = Field(description="The stack with which it fails")
    check: Check
    reason: _Line
    via: Literal[Carrier, "any"] = Field(default="corosync", description="What carries the state where it fails")
    always: bool = Field(default=True, description="false: it fails sometimes")
    source: Source = Field(
        default="run", description="How it is known: seen in runs, measured by hand, or read in the code (unproven)"
    )


class ScenarioFile(Strict):
    """A labctl scenario: what is done to a lab, step by step, and what must hold meanwhile."""

    title: _Line
    about: Text = Field(default="", description="More about it, for people")
    lab: Annotated[SkipValidation[str | LabFile], BeforeValidator(_check_lab)] = Field(
        default=DEFAULT_LAB,
        description="A shipped lab, the path of a lab file from here, or what such a file holds, but for the name",
    )
    limits: LimitsEntry = Field(default_factory=LimitsEntry)
    proof: bool = Field(
        default=True, description="false: the lab is broken on purpose, so that state need not cross in it at first"
    )
    requires: tuple[Literal["netem", "statistic", "tbf", "iptables"], ...] = Field(
        default=(), description="What the kernel must be able to do"
    )
    steps: list[Any] = Field(
        min_length=1, description="What is done, in order", json_schema_extra={"maxItems": MAX_STEPS}
    )
    expect: tuple[Check, ...] = Field(default=CHECKS, min_length=1, description="The checks that must hold")
    known: tuple[KnownEntry, ...] = Field(default=(), description="What is known to fail, and why")


@dataclass(frozen=True)
class Limits:
    """Bounds that checks hold a run to."""

    delay_ms: float


@dataclass(frozen=True)
class Known:
    """A check that is known to fail with a stack: always, or sometimes. What was only `read` is not proven."""

    stack: str
    check: str
    reason: str
    always: bool
    source: Source = "run"
    via: str = "corosync"


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. `name` is its file's stem."""

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


@dataclass(frozen=True)
class _Draft:
    """A step as far as it was understood: the verb is empty or the arguments are None where these are in doubt."""

    path: Path
    verb: str
    arguments: dict[str, Any] | None


def read(
    text: str,
    source: str,
    find_lab: Callable[[str], Document],
    find_stack: Callable[[str], Stack],
    overrides: Overrides | None = None,
) -> Scenario:
    """Read a scenario file. `find_lab` finds the lab file of a name or path, `find_stack` the stack of a name.

    Raises InvalidFile with every mistake in the file and in those it names, UsageError for one in the flags.
    """
    review = Review(_written_out(parse(text, source, "title: My scenario")))
    name = "scenario" if source == "-" else PurePosixPath(source).stem
    flags = overrides or Overrides()
    flags = replace(flags, name=flags.name or _lab_name(name))
    entry = review.fit(ScenarioFile)
    found, refused = _find_lab(review, find_lab, find_stack, flags)
    drafts = _draft(review, found[0] if found else None)
    _check(review, drafts, found[0] if found else None)
    _check_known(review, entry.known if entry else ())
    review.settle(refused)
    if refused:
        raise refused
    assert entry
    assert found
    steps = [Step(draft.verb, draft.arguments or {}, review.document.line(draft.path)) for draft in drafts]
    return _fill(entry, name, found, tuple(steps))


def _lab_name(scenario: str) -> str:
    return ("run-" + re.sub("[^a-z0-9-]", "-", scenario.lower()))[:31]


def _written_out(document: Document) -> Document:
    """The document with every step in its long form; the lines of the lists in them go along."""
    steps = document.data.get("steps")
    if not isinstance(steps, list):
        return document

    def moved(path: Path) -> Path:
        if path[:1] == ("steps",) and len(path) > 3 and isinstance(path[3], int) and path[2] in VERBS:
            return (*path[:3], VERBS[str(path[2])].short, *path[3:])
        return path

    return replace(
        document,
        data=document.data | {"steps": [long_form(step) for step in steps]},
        lines={moved(path): line for path, line in document.lines.items()},
        doubtful=tuple(moved(path) for path in document.doubtful),
    )


def _find_lab(
    review: Review, find_lab: Callable[[str], Document], find_stack: Callable[[str], Stack], flags: Overrides
) -> tuple[tuple[Lab, Stack] | None, UsageError | None]:
    """The lab and its stack, or None where either has mistakes; and what another file or a flag has to say of it."""
    of_stack: list[InvalidFile] = []

    def noting(name: str) -> Stack:
        try:
            return find_stack(name)
        except InvalidFile as error:
            of_stack.append(error)
            raise

    try:
        document = _lab_document(review, find_lab)
        return resolve(document, noting, flags) if document else None, None
    except InvalidFile as error:
        if error.source != review.document.source:
            return None, error
        review.problems += [each for each in error.problems if each not in review.problems]
        return None, next(iter(of_stack), None)
    except UsageError as error:
        return None, error


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


# The steps, one by one


def _draft(review: Review, lab: Lab | None) -> list[_Draft]:
    """Every step, with the mistakes noted that it shows by itself."""
    steps = review.document.data.get("steps")
    if not isinstance(steps, list):
        return []
    if len(steps) > MAX_STEPS:
        review.refuse(("steps",), f"{len(steps)} steps", f"1 to {MAX_STEPS} can be")
        return []
    fitted = [_fit(review, ("steps", index), step) for index, step in enumerate(steps)]
    if lab:
        _check_names(review, lab)
    return [replace(draft, arguments=None) if review.doubts(*draft.path) else draft for draft in fitted]


def _fit(review: Review, path: Path, step: Any) -> _Draft:
    if not isinstance(step, dict) or len(step) != 1:
        if not review.doubts(*path):
            fix = "`- verb: {argument: value}`; lines of arguments are indented below their verb"
            review.refuse(path, "a step is one verb with its arguments", fix)
        return _Draft(path, "", None)
    verb = str(next(iter(step)))
    if verb not in VERBS:
        review.refuse(path, f"no step `{shown(verb)}`", suggestion(verb, VERBS))
        return _Draft(path, "", None)
    arguments = review.fit(VERBS[verb].arguments, (*path, verb))
    return _Draft(path, verb, arguments.model_dump(exclude_none=True) if arguments else None)


def _check_names(review: Review, lab: Lab) -> None:
    """Whatever a step names is in the lab."""
    phones = [phone.name for phone in lab.phones]
    known = {
        "phone": phones,
        "node": [node.name for node in lab.nodes],
        "extension": [*(phone.extension for phone in lab.phones), *lab.devices],
        "mailbox": [mailbox.number for mailbox in lab.mailboxes],
        "device": lab.devices,
        "number": [*(phone.extension for phone in lab.phones), *(f"*{mailbox.number}" for mailbox in lab.mailboxes)],
    }
    for kind, arguments in _NAMED.items():
        for argument in arguments:
            review.known(kind, review.values("steps", ANY, ANY, *argument.split()), known[kind])
    called = review.values("steps", ANY, ANY, "callee")
    review.known("phone", [each for each in called if not re.fullmatch(_DIALED, each[1])], phones)


# What no single step shows


def _check(review: Review, drafts: list[_Draft], lab: Lab | None) -> None:
    review.each_once("requires", ANY)
    review.each_once("expect", ANY)
    _check_phones(review, drafts)
    _check_watches(review, drafts)
    _check_faults(review, drafts)
    _check_starts(review, drafts)
    if lab:
        _check_groups(review, drafts, {node.name for node in lab.nodes})
        _check_fit(review, drafts, lab)


def _check_known(review: Review, known: tuple[KnownEntry, ...]) -> None:
    wanted = review.all("expect", ANY) if "expect" in review.document.data else None
    review.known("expected check", review.values("known", ANY, "check"), wanted)
    pairs = [(each.check, each.stack, each.via) for each in known]
    for index, (check, of_stack, via) in enumerate(pairs):
        if (check, of_stack, via) in pairs[:index]:
            review.say(("known", index), f"`{check}` with stack `{shown(of_stack)}` is here twice", "each once")


def _course(drafts: list[_Draft], changing: tuple[str, ...], using: tuple[str, ...] = ()) -> Iterator[_Draft]:
    """The steps that change something and those that use it, as far as it is known what the former came to."""
    for draft in drafts:
        if draft.arguments is not None and draft.verb in (*changing, *using):
            yield draft
        elif draft.arguments is None and draft.verb in ("", *changing):
            return


def _given(draft: _Draft) -> dict[str, Any]:
    return draft.arguments or {}


def _check_phones(review: Review, drafts: list[_Draft]) -> None:
    on: set[str] = set()
    using = ("unregister", "answer", "reject", "hang_up", "hold", "resume", "talk")
    for draft in _course(drafts, ("register", "call"), using):
        given = _given(draft)
        phones = given.get("phones") or [given.get("phone") or given["caller"]]
        for phone in sorted({*phones} - on if draft.verb in using else ()):
            review.say(draft.path, f"{shown(phone)} is not registered by now, nor has it called", "`register` it first")
        on.update(phones)


def _check_watches(review: Review, drafts: list[_Draft]) -> None:
    watching: set[str] = set()
    for draft in _course(drafts, ("watch", "unwatch")):
        phone = _given(draft)["phone"]
        if draft.verb == "watch":
            watching.add(phone)
        elif phone not in watching:
            review.say(draft.path, f"{shown(phone)} watches nothing by now", "`watch` comes first")
        else:
            watching.remove(phone)


def _check_faults(review: Review, drafts: list[_Draft]) -> None:
    since: dict[str, int] = {}
    for draft in _course(drafts, ("partition", "cut", "iface_down", "impair", "heal")):
        healed, name = _given(draft).get("fault"), _given(draft).get("name")
        if name in since:
            fix = f"since line {since[name]}: heal that first, or choose another name"
            review.say(draft.path, f"the fault `{name}` is in force already", fix)
        elif name:
            since[name] = review.document.line(draft.path)
        elif healed == EVERY:
            since.clear()
        elif healed and not since.pop(healed, None):
            review.say(
                draft.path, f"no fault `{shown(healed)}` is in force by now", suggestion(healed, [EVERY, *since])
            )


def _check_starts(review: Review, drafts: list[_Draft]) -> None:
    ended: set[tuple[str, str]] = set()
    for draft in _course(drafts, ("kill", "stop", "pause", "start", "heal")):
        given = _given(draft)
        what = (given.get("node", ""), given.get("service", "node"))
        if draft.verb == "heal":
            ended = set() if given["fault"] == EVERY else ended
        elif draft.verb != "start":
            ended.add(what)
        elif what not in ended:
            thing = what[0] if what[1] == "node" else f"{what[1]} on {what[0]}"
            review.say(draft.path, f"{shown(thing)} is not killed, stopped or paused by now", "`start` undoes these")
        else:
            ended.remove(what)


def _check_fit(review: Review, drafts: list[_Draft], lab: Lab) -> None:
    """What a step asks for is there in this lab at all."""
    for draft in drafts:
        if draft.verb in ("look_up", "ask_state") and not lab.sites:
            review.say(draft.path, "this lab has no sites to be asked", "a lab with `sites:`, such as two-sites")
        elif not lab.rings and needs_ring(draft.arguments or {}):
            review.say(draft.path, "no node of this lab is in a ring", "`share.via: corosync`, or another step")


def needs_ring(arguments: Mapping[str, Any]) -> bool:
    """Whether a step with these arguments makes sense only where nodes are members of a ring."""
    return arguments.get("service") == "corosync" or arguments.get("traffic") == "totem" or "members" in arguments


def _check_groups(review: Review, drafts: list[_Draft], nodes: set[str]) -> None:
    for draft in _course(drafts, (), ("partition",)):
        groups = _given(draft)["groups"]
        left_out = sorted(nodes.difference(*groups))
        if left_out:
            review.say(draft.path, f"in no group: {', '.join(left_out)}", "every node is in one at least")
        if any(nodes <= {*group} for group in groups):
            review.say(draft.path, "this cuts nothing: some group holds every node", "take one out of it")


def _fill(entry: ScenarioFile, name: str, found: tuple[Lab, Stack], steps: tuple[Step, ...]) -> Scenario:
    return Scenario(
        name=name,
        title=entry.title,
        about=entry.about,
        lab=found[0],
        stack=found[1],
        limits=Limits(entry.limits.delay * 1000),
        proof=entry.proof,
        requires=entry.requires,
        steps=steps,
        expect=entry.expect,
        known=tuple(_known(each) for each in entry.known),
    )


def _known(entry: KnownEntry) -> Known:
    return Known(entry.stack, entry.check, entry.reason, entry.always, entry.source, entry.via)


def schema() -> str:
    """The JSON Schema of the scenario file, for editors."""
    document = ScenarioFile.model_json_schema()
    document["properties"]["steps"]["items"] = verbs.schema()
    return json_schema(document)
