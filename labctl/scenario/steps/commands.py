"""Steps: nodes are told something in Asterisk's words or the shell's; answers are held to what is expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from labctl.asterisk.ami import ActionRefused
from labctl.asterisk.output import Message
from labctl.errors import LabError
from labctl.faults.fault import HostName, NodeName
from labctl.scenario import inline_commands
from labctl.scenario.argument_types import Pattern, Variable
from labctl.scenario.expectation import AnswerForm, Expectation, filled_in, filled_pattern, hold, names_of_lab
from labctl.scenario.step_registry import step
from labctl.yamlfile.document import Form, Given, Text, wrong
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise wrong("one line is wanted", fix="such as `core show version`")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for key, value in headers.items():
        if not re.fullmatch(r"[A-Za-z][\w-]*", key) or "\n" in value:
            raise wrong("not a header of AMI", fix="`Name: value`, each in one line")
        if key.lower() in ("action", "actionid"):
            raise wrong("`Action` and `ActionID` are labctl's to say", fix="`action:` names the action")
    return headers


_Wanted = Annotated[Pattern | None, Field(min_length=1), Given]
_Expect = Annotated[_Wanted, Field(description="A regular expression that the answer must match")]
_Absent = Annotated[_Wanted, Field(description="A regular expression that it must not match")]
_Within = Annotated[Duration, Field(description="It is asked again for so long")]
_Capture = Annotated[Variable | None, Field(description="Keeps the first group of the match for later: `${name}`")]
_Must = Annotated[bool, Field(description="The run ends where it is not as expected")]
_Action = Form(
    "name of an action", r"^[A-Za-z]\w*$", "one word, such as `CoreStatus`; what goes with it are `headers:`"
)
_Line = Annotated[Text, AfterValidator(_one_line)]


@step(form=AnswerForm)
def cli(
    live: LiveLab,
    node: NodeName,
    command: Annotated[_Line, Field(description="Such as `queue show support`")],
    expect: _Expect = None,
    absent: _Absent = None,
    within: _Within = 5.0,
    capture: _Capture = None,
    must: _Must = False,
) -> str:
    """Have a node's Asterisk run a command of its CLI, and hold the answer to what is expected

    Returns the answer. One that is not as expected fails the check `expectations`, and goes on; with `must` the run
    ends. Raises LabError where Asterisk does not answer.

    Example:
        - cli: {node: n1, command: core show uptime, expect: "System uptime: .*"}
    """
    line = _told(live, node, command)
    wanted = _expectation(live, node, expect, absent, within, capture, must)

    def ask() -> str:
        try:
            return live.cluster.connection(node).command(line)
        except ActionRefused as error:
            return error.message

    return hold(live, (node,), f"{node}: {line}", ask, wanted)


@step(form=AnswerForm)
def ami(
    live: LiveLab,
    node: NodeName,
    action: Annotated[str, _Action, Field(description="Such as `QueueStatus`")],
    headers: Annotated[
        dict[str, Text], AfterValidator(_headers), Field(description="What goes with it, such as `Queue: support`")
    ] = {},  # noqa: B006 - pydantic copies it
    expect: _Expect = None,
    absent: _Absent = None,
    within: _Within = 5.0,
    capture: _Capture = None,
    must: _Must = False,
) -> str:
    """Send a node an action of the manager interface, and hold the answer to what is expected

    The answer is its headers, a line each, and those of the events that belong to it, an empty line between. The rest
    is as with `cli`.

    Example:
        - ami: {node: n1, action: CoreStatus, expect: "CoreCurrentCalls: 0"}
    """
    filled = {key: _told(live, node, value) for key, value in headers.items()}
    wanted = _expectation(live, node, expect, absent, within, capture, must)

    def ask() -> str:
        try:
            return "\n\n".join(map(_lines, live.cluster.connection(node).ask_list(action, **filled)))
        except ActionRefused as error:
            return error.message

    shown = " ".join([action, *(f"{key}={value}" for key, value in filled.items())])
    return hold(live, (node,), f"{node}: {shown}", ask, wanted)


@step(form=AnswerForm)
def exec(  # noqa: A001 - it is the word that users know from docker
    live: LiveLab,
    node: HostName,
    command: Annotated[Text, Field(min_length=1, description="For the shell in the node's container")],
    expect: _Expect = None,
    absent: _Absent = None,
    within: _Within = 5.0,
    capture: _Capture = None,
    must: _Must = False,
) -> str:
    """Run a command of the shell in a node's container, and hold what it prints to what is expected

    The rest is as with `cli`; `within` does not end a command that goes on. A scenario that has such a step wants
    --trust. Raises LabError where nothing is expected and the command fails.

    Example:
        - exec: {node: n1, command: cat /etc/hostname, expect: n1}
    """
    line = filled_in(command, {**names_of_lab(live, node), **live.variables})
    wanted = _expectation(live, node, expect, absent, within, capture, must)

    def ask() -> str:
        return live.run_on(node, ["sh", "-c", line], may_fail=bool(expect or absent))

    shown, *more = line.splitlines()
    return hold(live, (node,), f"{node}: {shown}{' …' if more else ''}", ask, wanted)


def _expectation(
    live: LiveLab, node: str, expect: str | None, absent: str | None, within: float, capture: str | None, must: bool
) -> Expectation:
    wanted, unwanted = (filled_pattern(live, pattern, node) for pattern in (expect, absent))
    return Expectation(wanted, unwanted, within, capture, must)


def _told(live: LiveLab, node: str, text: str) -> str:
    """A text for a node with what names stand for, and what was captured, in it. Raises LabError where it has the node
    run commands only with the latter: nobody could trust it before."""
    names = names_of_lab(live, node)
    filled = filled_in(text, {**names, **live.variables})
    if inline_commands.runs(filled) and not inline_commands.runs(filled_in(text, names)):
        raise LabError(f"`{filled}` may have a node run commands", "what was captured must not be a part of these")
    return filled


def _lines(message: Message) -> str:
    return "\n".join(f"{key}: {value}" for key, value in message.items() if key != "ActionID")
