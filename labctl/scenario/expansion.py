"""Blocks of steps written out: `repeat`, `for` each of several, and `parallel`. Pure.

    - repeat: {times: 3, steps: [{call: {caller: alice, callee: bob}}, {answer: bob}, {hang_up: bob}]}
    - for: {node: all, steps: [{cli: {node: "${node}", command: core show uptime}}]}
    - parallel: [[{kill: n1}, {start: n1}], [{storm: {phone: alice, rate: 10, count: 50}}]]

What comes of them is a flat list of steps, each still with its line in the file; those of `parallel` know their branch.
Whether one makes sense after another is gone through in the order of the file, also from branch to branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from labctl.lab import Lab
from labctl.scenario.argument_types import Kind, NameOf
from labctl.scenario.entries import MAX_STEPS
from labctl.yamlfile.document import Document, Path, Strict, Text, wrong
from labctl.yamlfile.review import Review

ALL = "all"

Branch = tuple[int, int]
"""The number of a block that goes side by side, and that of the branch in it."""

_Steps = Annotated[list[Any], Field(min_length=1, max_length=MAX_STEPS)]


class RepeatEntry(Strict):
    """Some steps again and again."""

    times: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    steps: _Steps


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Names = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]


class ForEntry(Strict):
    """Some steps for each of several things, whose name is `${node}` and so on in them; `all`: every one of the lab."""

    node: _Names | None = None
    phone: _Names | None = None
    extension: _Names | None = None
    mailbox: _Names | None = None
    device: _Names | None = None
    service: _Names | None = None
    steps: _Steps

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.kinds) != 1:
            raise wrong("one kind of thing is wanted", fix=", ".join(KINDS))
        return self

    @property
    def kinds(self) -> list[Kind]:
        """What there are steps for."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]


KINDS: tuple[Kind, ...] = ("node", "phone", "extension", "mailbox", "device", "service")

BLOCKS: Mapping[str, str] = {
    "repeat": "Do some steps again and again",
    "for": "Do some steps for each node, phone, extension, mailbox, device or service",
    "parallel": "Do several lists of steps side by side",
}
"""Every kind of block, with what it does."""

EXAMPLES: Mapping[str, str] = {
    "repeat": "- repeat: {times: 3, steps: [{register: alice}, {unregister: alice}]}",
    "for": """\
- for:
    node: all
    steps:
      - cli: {node: "${node}", command: core show uptime, expect: "System uptime: "}""",
    "parallel": """\
- parallel:
    - - storm: {phone: alice, rate: 10, count: 20}
    - - set_state: {node: n1, device: door, state: BUSY}
      - set_state: {node: n1, device: door, state: INUSE}""",
}

TAKES: Mapping[str, str] = {
    "repeat": "times steps",
    "for": f"{'|'.join(KINDS)} steps",
    "parallel": "steps | steps …",
}


@dataclass(frozen=True)
class Around:
    """What a step stands within: its branch, and the kinds of things that `for` goes through there."""

    branch: Branch | None = None
    loops: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Item:
    """A step as it is in the file, at `origin`; None where nobody knows what it is."""

    value: Any
    origin: Path
    around: Around


def expand(review: Review, lab: Lab | None) -> tuple[Document, tuple[Around, ...]]:
    """The document with its blocks of steps written out, and what is around each step; mistakes are noted."""
    document = review.document
    steps = document.data.get("steps")
    if not isinstance(steps, list) or not any(_block(step) for step in steps):
        return document, (Around(),) * (len(steps) if isinstance(steps, list) else 0)
    expansion = _Expansion(review, lab)
    items: list[_Item] = []
    for item in expansion.steps(steps, ("steps",), {}, None):
        items.append(item)
        if len(items) > MAX_STEPS:
            review.refuse(("steps",), f"more than {MAX_STEPS} steps, with the blocks written out", "fewer times")
            return replace(document, data=document.data | {"steps": []}), ()
    values = [item.value for item in items]
    lines, doubtful = _moved(document.lines, items), [("steps", index) for index in range(len(items))]
    unknown = tuple(path for path, item in zip(doubtful, items, strict=True) if item.value is None)
    moved = tuple(_moved(dict.fromkeys(document.doubtful, 1), items))
    expanded = replace(
        document, data=document.data | {"steps": values}, lines=lines, problems=(), doubtful=(*moved, *unknown)
    )
    return expanded, tuple(item.around for item in items)


def _block(step: Any) -> str:
    """The kind of a block; "" for a plain step."""
    name = str(next(iter(step))) if isinstance(step, dict) and len(step) == 1 else ""
    return name if name in BLOCKS else ""


@dataclass
class _Expansion:
    """Writes blocks out. `parallels`: how many of these there were."""

    review: Review
    lab: Lab | None
    parallels: int = field(default=0)

    def steps(
        self, steps: Sequence[Any], path: Path, names: Mapping[str, str], branch: Branch | None
    ) -> Iterator[_Item]:
        """Each step of a list, with names filled in."""
        for index, step in enumerate(steps):
            here = (*path, index)
            match _block(step):
                case "repeat":
                    yield from self._repeat((*here, "repeat"), names, branch)
                case "for":
                    yield from self._for(step["for"], (*here, "for"), names, branch)
                case "parallel":
                    yield from self._parallel(step["parallel"], (*here, "parallel"), names, branch)
                case _:
                    yield _Item(_filled(step, names), here, Around(branch, tuple(names)))

    def _repeat(self, path: Path, names: Mapping[str, str], branch: Branch | None) -> Iterator[_Item]:
        entry = self.review.fit(RepeatEntry, path)
        if entry is None:
            yield _Item(None, path, Around(branch))
            return
        for _ in range(entry.times):
            yield from self.steps(entry.steps, (*path, "steps"), names, branch)

    def _for(self, value: Any, path: Path, names: Mapping[str, str], branch: Branch | None) -> Iterator[_Item]:
        entry = self.review.fit(ForEntry, path)
        if entry is None:
            yield _Item(None, path, Around(branch))
            return
        kind = entry.kinds[0]
        wanted: list[str] = getattr(entry, kind)
        if self.lab is None:
            yield _Item(None, path, Around(branch))
            return
        known = NameOf(kind).known(self.lab)
        if wanted != [ALL]:
            given = value[kind]
            at = [(*path, kind)] if isinstance(given, str) else [(*path, kind, index) for index in range(len(given))]
            self.review.known(kind, zip(at, wanted, strict=True), known)
        names_here = known if wanted == [ALL] else [name for name in wanted if name in known]
        if wanted == [ALL] and not known:
            self.review.refuse(
                (*path, kind), f"this lab has no {kind}", "name another kind of thing, or a lab with some"
            )
        if not names_here:  # something all the same, so that no number of rounds round it has no end
            yield _Item(None, path, Around(branch))
        for name in names_here:
            yield from self.steps(entry.steps, (*path, "steps"), {**names, kind: name}, branch)

    def _parallel(self, value: Any, path: Path, names: Mapping[str, str], branch: Branch | None) -> Iterator[_Item]:
        if branch is not None:
            self.review.refuse(path, "`parallel` within `parallel`", "put its branches beside the others")
        elif not _are_lists(value):
            fix = "`- parallel: [[step, step], [step]]`: two lists of steps or more"
            self.review.refuse(path, "what goes side by side is lists of steps", fix)
        else:
            self.parallels += 1
            block = self.parallels
            for number, steps in enumerate(value):
                yield from self.steps(steps, (*path, number), names, (block, number))
            return
        yield _Item(None, path, Around(branch))


def _are_lists(value: Any) -> bool:
    """Whether it is two lists of steps or more, none of them empty."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(steps, list) and steps for steps in value)


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    """A step with the names that `for` goes through in place of `${node}` and so on."""
    if not names:
        return value
    if isinstance(value, str):
        for kind, name in names.items():
            value = value.replace(f"${{{kind}}}", name)
        return value
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    if isinstance(value, dict):
        return {_filled(key, names): _filled(item, names) for key, item in value.items()}
    return value


def _moved(lines: Mapping[Path, int], items: Sequence[_Item]) -> dict[Path, int]:
    """The lines of a document whose steps are these, each with the lines of where it stands."""
    places: dict[Path, list[int]] = {}
    for index, item in enumerate(items):
        places.setdefault(item.origin, []).append(index)
    moved: dict[Path, int] = {}
    for path, line in lines.items():
        if path[:1] != ("steps",):
            moved[path] = line
            continue
        for end in range(1, len(path) + 1):
            for index in places.get(path[:end], ()):
                moved["steps", index, *path[end:]] = line
    return moved


def nested(steps: Sequence[Any], branches: Sequence[Branch | None]) -> list[Any]:
    """Steps as a file has them: those of one block side by side in `parallel` again."""
    result: list[Any] = []
    current: Branch | None = None
    for step, branch in zip(steps, branches, strict=True):
        if branch is None:
            result.append(step)
        elif current is None or branch[0] != current[0]:
            result.append({"parallel": [[step]]})
        elif branch != current:
            result[-1]["parallel"].append([step])
        else:
            result[-1]["parallel"][-1].append(step)
        current = branch
    return result
