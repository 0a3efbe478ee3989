"""What a fault is: one class with typed arguments. Its step, command, JSON Schema, record and history follow from it.

To add one, write a subclass of Fault under `@fault` in any file of this package: fields for the arguments, `kind`,
`about` and `short`, `describe`, the scripts, and whatever of the other methods has another answer than the default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

from labctl.errors import UsageError
from labctl.faults import records
from labctl.faults.model import EVERY, SIP, Pair, Pairs, PreparedFault, Record, Target
from labctl.yamlfile.document import Document, Form, Strict, Text
from labctl.yamlfile.review import Review

EVERY_FAULT = "all"
"""What `heal` undoes by default: no fault may have this name."""


@dataclass(frozen=True)
class Argument:
    """How an argument is given on the command line, where that is other than by `--NAME`.

    `option` is another name of its option; `words` that it is the rest of the line; `node` that it names a node. Nodes
    and words are given by position, without the name of an option. `service`: it may name a service, too.
    `docker_host`: it names a Docker host, and is given by position.
    """

    option: str = ""
    node: bool = False
    words: bool = False
    service: bool = False
    docker_host: bool = False


NodeName = Annotated[Text, Argument(node=True)]
"""The name of a node of the lab."""

HostName = Annotated[Text, Argument(node=True, service=True)]
"""The name of a node or of a service of the lab."""

FaultName = Annotated[
    str,
    Form(
        "name",
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$",
        "letters, digits, `.`, `_` and `-`, a letter or digit first, 41 at most",
        f"^{EVERY_FAULT}$",
    ),
    Argument(option="as"),
    Field(description="A name of the fault's own, for heal"),
]
"""A name that can stand in a path, a shell script and, up to a length, in the name of an iptables chain."""

Traffic = Annotated[
    Literal["all", "totem", "sip", "dundi"],
    Argument(option="only"),
    Field(description="The traffic that it is held to"),
]

RandomStep = tuple[str, dict[str, Any]]
"""A verb and its arguments."""


@dataclass(frozen=True)
class Choices:
    """What random steps may choose from: `live` are those of the `nodes` that answer, two at least."""

    random: Random
    nodes: tuple[str, ...]
    live: tuple[str, ...]
    rings: bool


class Fault(Strict):
    """Something that goes wrong in a lab. The fields of a subclass are its arguments.

    `kind` is the verb of its step, and with `-` for `_` that of its command; `about` says what it does, in one line;
    `short` is the argument that may be given as a bare value, as in `pause: n1`.
    """

    kind: ClassVar[str]
    about: ClassVar[str]
    short: ClassVar[str] = ""
    waits_for_return: ClassVar[bool] = False
    """Whether its step returns only when the nodes whose Asterisk went are back, and so is over by itself."""
    instead: ClassVar[str] = ""
    """What can be done to a service in place of it, where it is for nodes alone."""
    needs: ClassVar[Literal["", "hosts"]] = ""
    """What a lab must have for it: several Docker hosts. Such a fault is left out of what is drawn by chance."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """The fault with these arguments. Raises UsageError with all that is wrong with them."""
        review = Review(Document("", {cls.kind: dict(arguments)}))
        fault = review.fit(cls, (cls.kind,))
        if fault is None:
            fixes = dict.fromkeys(problem.fix for problem in review.problems if problem.fix)
            raise UsageError("\n".join(problem.what for problem in review.problems), "\n".join(fixes))
        return fault

    @classmethod
    def from_command_line(cls, arguments: Mapping[str, Any], _nodes: Sequence[str]) -> Self:
        """The fault by the arguments of a command, in a lab of these nodes. Raises UsageError."""
        return cls.of(arguments)

    @classmethod
    def random_steps(cls, choices: Choices) -> list[RandomStep]:
        """Steps of a soak run that put such a fault in force, on nodes that answer; none if it is never tried there.

        By default: nodes for the arguments that are wanted, where all of these are names of nodes.
        """
        wanted = [name for name, field in cls.model_fields.items() if field.is_required()]
        if not all(cls.argument(name).node for name in wanted) or len(wanted) > len(choices.live):
            return []
        nodes = choices.random.sample(choices.live, len(wanted))
        return [(cls.kind, dict(zip(wanted, nodes, strict=True)))]

    @classmethod
    def argument(cls, name: str) -> Argument:
        """How an argument is given on the command line."""
        return next((mark for mark in marks_of(cls.model_fields[name]) if isinstance(mark, Argument)), Argument())

    def named(self, in_force: Collection[str] = ()) -> str:
        """The name that it was given, or one that is free, by its kind."""
        name = getattr(self, "name", None)
        if isinstance(name, str):
            return name
        stem = self.kind.replace("_", "-")
        return next(free for number in count(1) if (free := f"{stem}.{number}") not in in_force)

    def prepare(self, name: str, target: Target) -> PreparedFault:
        """All that is to be done in a lab, and what follows from it.

        Raises UsageError for what the lab does not have, HostError for what its kernel cannot do.
        """
        for argument in type(self).model_fields:
            if self.argument(argument).node and isinstance(node := getattr(self, argument), str):
                target.check_node(node, service=self.argument(argument).service, instead=self.instead)
        touched = self.touched(target)
        record = Record(name, self.kind, self.describe(target), touched, self.holds(target))
        undo = self.undo_scripts(name, target)
        scripts = {
            node: records.recorded(record, script, undo[node]) if node in undo else script
            for node, script in self.scripts(name, target).items()
        }
        return PreparedFault(
            record=record,
            scripts=scripts,
            action=self.action,
            blocked=self.blocked(target),
            absent=self.absent(target),
            leaving=self.leaving(target),
            passes=self.passes,
            daemon=self.daemon,
            uncalled=self.uncalled(target),
            unheard=self.unheard(target),
            waits_for_return=self.waits_for_return,
        )

    # What a subclass says

    def describe(self, target: Target) -> str:
        """What goes wrong, in a few words: `cut n1 -> n2, sip only`."""
        raise NotImplementedError

    def touched(self, target: Target) -> tuple[str, ...]:
        """The nodes that it touches: by default those that its arguments name."""
        names = [name for name in type(self).model_fields if self.argument(name).node]
        return tuple(dict.fromkeys(str(getattr(self, name)) for name in names))

    def scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """Node -> the shell script that puts it in force there. `name` is its name in this lab."""
        return {}

    def undo_scripts(self, name: str, target: Target) -> Mapping[str, str]:
        """Node -> the shell script that undoes it there, for each of `scripts`, unless it needs no undoing.

        It may run twice, or after half of the other, and fails where the fault stays. The node keeps it.
        """
        return {}

    @property
    def action(self) -> str:
        """What is done to the containers of the nodes that it touches: kill, stop, pause, or "" for nothing."""
        return ""

    def blocked(self, target: Target) -> Mapping[str, Pairs]:
        """Kind of traffic (EVERY, TOTEM, SIP, DUNDI) -> the pairs, first who sends, between which it does not cross."""
        return {}

    def uncalled(self, target: Target) -> tuple[Pair, ...] | None:
        """The pairs between which a call may be lost by it: by default those between which SIP does not cross.

        None where any call through a node that it touches may be lost.
        """
        return self._kept_apart(SIP, target)

    def unheard(self, target: Target) -> tuple[Pair, ...] | None:
        """The pairs between which nothing crosses of what carries state: by default those between which its traffic
        does not.

        None where it is left to chance.
        """
        return self._kept_apart(target.carrier, target)

    def _kept_apart(self, traffic: str, target: Target) -> tuple[Pair, ...]:
        blocked = self.blocked(target)
        return tuple(sorted({*blocked.get(EVERY, ()), *blocked.get(traffic, ())}))

    def absent(self, target: Target) -> tuple[str, ...]:
        """The nodes whose Corosync is in no ring while it is in force."""
        return ()

    def leaving(self, target: Target) -> tuple[str, ...]:
        """The nodes whose Asterisk goes, for good or until its supervisor brings it back."""
        return ()

    def holds(self, target: Target) -> tuple[str, ...]:
        """What no second fault may touch while it is in force, such as `the interface of n1`."""
        return ()

    @property
    def passes(self) -> bool:
        """Whether a supervisor undoes it at once."""
        return False

    @property
    def daemon(self) -> str:
        """What of a node it ends or stills: NODE for all of it, COROSYNC, ASTERISK, or "" for nothing."""
        return ""


def marks_of(field: FieldInfo) -> list[Any]:
    """What an argument's type is marked with, by Annotated, also where it may be None."""
    inner = [mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ())]
    return [*field.metadata, *inner]


def description_of(field: FieldInfo) -> str:
    """What is said of an argument, by its field or its type."""
    inner = [mark.description for mark in marks_of(field) if isinstance(mark, FieldInfo)]
    return next((text for text in (field.description, *inner) if text), "")


FAULTS: dict[str, type[Fault]] = {}
"""Kind -> class. Read it by labctl.faults.registry, which has every file of this package in it."""

FaultClass = TypeVar("FaultClass", bound=type[Fault])


def fault(cls: FaultClass) -> FaultClass:
    """Adds a class of faults to those that labctl knows. Raises ValueError if another has its kind."""
    known = FAULTS.setdefault(cls.kind, cls)
    if known is not cls:
        raise ValueError(f"two faults of the kind `{cls.kind}`: {known.__name__} and {cls.__name__}")
    return cls
