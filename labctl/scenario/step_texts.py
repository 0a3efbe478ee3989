"""The texts of steps into which names are filled, such as `${n1.address}` and `${what_was_captured}`. Pure.

A name with a dot is of the lab, and must be one of it, as in `config:`. One without stays where nothing is captured as
that: Asterisk has variables of its own, and shells have theirs; but in a pattern it would match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labctl.lab import Lab
from labctl.labfile.config_form import check_names
from labctl.labfile.variables import OF_NODE, OF_SERVICE, OWN, VARIABLE, each_text
from labctl.scenario.inline_commands import COMMANDS
from labctl.scenario.step_form import Draft
from labctl.yamlfile.document import Path, nearest, shown
from labctl.yamlfile.pattern import unfilled
from labctl.yamlfile.review import Review

ASKING = (*COMMANDS, "expect_sip")
"""Steps whose arguments are plain texts and patterns."""

PLAIN, PATTERNS = ("command", "headers"), ("expect", "absent", "header", "body")


@dataclass(frozen=True)
class _Text:
    """A text of a step, and where it stands. `shell`: it is for the shell, whose names may be near ours."""

    path: Path
    text: str
    is_pattern: bool = False
    shell: bool = False

    @property
    def names(self) -> list[str]:
        """What is in each `${…}` of it without a dot."""
        found = unfilled(self.text) if self.is_pattern else re.findall(r"\$\{(\w+)\}", self.text)
        return sorted({name for name in found if not VARIABLE.fullmatch(f"${{{name}}}")})


def _texts(draft: Draft) -> Iterator[_Text]:
    arguments = (*PLAIN, *PATTERNS) if draft.verb in ASKING else ("text", "keys") if draft.verb == "configure" else ()
    for argument in arguments:
        for path, text in each_text(draft.values.get(argument), (*draft.path, draft.verb, argument)):
            yield _Text(path, text, argument in PATTERNS, (draft.verb, argument) == ("exec", "command"))


def named_in(lab: Lab) -> dict[str, tuple[str, ...]]:
    """What may be named in a text about a node of the lab, and what there is of each."""
    nodes = dict.fromkeys((OWN, *(node.name for node in lab.nodes)), OF_NODE)
    return {**nodes, **dict.fromkeys((service.name for service in lab.services), OF_SERVICE)}


def check_names_of_lab(review: Review, draft: Draft, lab: Lab) -> None:
    """Note each name with a dot that stands for nothing in what a step asks and expects."""
    named = named_in(lab)
    if draft.values.get("node") not in [node.name for node in lab.nodes]:
        named.pop(OWN)
    for one in _texts(draft) if draft.verb in ASKING else ():
        check_names(review, one.path, re.sub(r"\\.", "", one.text) if one.is_pattern else one.text, named)


def check_variables(review: Review, drafts: list[Draft]) -> None:
    """Note each `${name}` that no step before has captured, though one later has, or one of a name much like it, or
    that could match nothing. In doubt, where a step could not be read, any may be captured."""
    later = [str(name) for draft in drafts if (name := draft.values.get("capture"))]
    doubtful = any(draft.arguments is None for draft in drafts)
    captured: set[str] = set()
    for draft in drafts:
        loops = draft.loops if draft.verb in ASKING else ()  # a dialplan has names of its own
        for one in _texts(draft):
            for name in one.names:
                if name not in captured:
                    _check_name(review, one, name, later, loops, doubtful=doubtful)
        captured.add(str(draft.values.get("capture")))


def _check_name(
    review: Review, one: _Text, name: str, later: list[str], loops: tuple[str, ...], *, doubtful: bool
) -> None:
    said = f"`${{{shown(name)}}}`"
    near = [] if one.shell else nearest(name, later) or misspelt(name, loops)
    if name in later:
        review.say(one.path, f"{said} is not captured by now", f"`capture: {shown(name)}` in a step before")
    elif near:
        what = "captured as" if near[0] in later else "known as"
        review.say(one.path, f"nothing is {what} {said}", f"did you mean `{near[0]}`?")
    elif one.is_pattern and not doubtful:
        fix = f"`capture:` in a step before; the characters themselves are `\\$\\{{{shown(name)}\\}}`"
        review.say(one.path, f"nothing is known as {said}, and so it matches nothing", fix)


def misspelt(name: str, loops: tuple[str, ...]) -> list[str]:
    """The kind of thing that `for` goes through which a name is meant to be; Asterisk's own are no small letters."""
    return nearest(name, [*loops]) if name == name.lower() else []
