"""Steps: the SIP that phones and nodes send and receive is held to what is expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from labctl.cluster import capturing
from labctl.errors import LabError
from labctl.faults.fault import HostName
from labctl.history.events import Expected
from labctl.scenario import expectation
from labctl.scenario.argument_types import Arguments, Pattern, PhoneName, Variable
from labctl.scenario.sip_messages import MESSAGE, Direction, Passed, SipPattern, once
from labctl.scenario.step_registry import step
from labctl.sip_message import SipMessage
from labctl.timing import PATIENCE, Deadline
from labctl.yamlfile.document import Form, Given, wrong
from labctl.yamlfile.duration import Duration

if TYPE_CHECKING:
    from labctl.scenario.live_lab import LiveLab

PHONES_HELD_S = 0.5
"""In so many seconds labctl hears what a phone did, also on a busy machine."""

SHOWN = 40
"""How many messages are kept of what was there in place of what is expected, the last ones."""


class SipForm(Arguments):
    """What must hold among the arguments of a step that expects a message."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = {key for key, value in self if value is not None and value is not False}
        if len({"phone", "node"} & given) != 1:
            raise wrong("a phone or a node is wanted", fix="`phone: alice`, or `node: n1`: what is on the wire there")
        if {"count", "absent"} <= given:
            raise wrong("`count` and `absent` are one too many", fix="`absent: yes` means that there is none")
        if {"capture", "absent"} <= given:
            raise wrong("nothing is there to be captured", fix="leave `absent` or `capture` out")
        return self


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name in headers:
        if not re.fullmatch(r"[A-Za-z][\w-]{0,60}", name):
            raise wrong("not the name of a header", fix="such as `Event`, with a regular expression for its value")
    return headers


def _body(value: Any) -> Any:
    """The pattern of `{regex: …}`."""
    if isinstance(value, dict) and value.keys() != {"regex"}:
        raise wrong("a regular expression is wanted", fix="`body: {regex: …}`, or the expression alone")
    return value["regex"] if isinstance(value, dict) else value


def _count(value: Any) -> Any:
    if value in (0, "0"):
        raise wrong("none is no count", fix="`absent: yes` means that there is none")
    return value


_REGEX = {"type": "object", "properties": {"regex": {"type": "string"}}, "additionalProperties": False}
_BodySchema = WithJsonSchema({"anyOf": [{"type": "string"}, _REGEX | {"required": ["regex"]}, {"type": "null"}]})
_Message = Form(
    "SIP message",
    MESSAGE,
    "`NOTIFY`, `486`, `4xx`, or `INVITE 486` for what an INVITE is answered",
    types=("string", "integer"),
)


_Phone = Annotated[PhoneName | None, Field(description="What that phone sent and received")]
_Node = Annotated[HostName | None, Field(description="What was on the wire from and to that node or service")]
_Header = Annotated[
    dict[str, Pattern], AfterValidator(_headers), Field(description="By name, a regular expression for its value")
]
_Body = Annotated[
    Pattern | None, Given, BeforeValidator(_body), _BodySchema, Field(description="A regular expression for the body")
]
_Direction = Annotated[Direction | None, Field(description="Of the phone or node; either by default")]
_Count = Annotated[
    int | None,
    Field(ge=1, le=10000, description="Exactly so many; one at least by default"),
    BeforeValidator(_count),
]
_Absent = Annotated[bool, Field(description="There is none")]
_Within = Annotated[Duration, Field(description="From when this step begins")]
_Since = Annotated[Literal["step", "start"], Field(description="The step before, or the run")]
_Capture = Annotated[Variable | None, Field(description="Keeps the first group of the body's match, or a header's")]
_Must = Annotated[bool, Field(description="The run ends where it is not as expected")]


@step(form=SipForm, looks_back=True)
def expect_sip(
    live: LiveLab,
    message: Annotated[str, _Message],
    phone: _Phone = None,
    node: _Node = None,
    header: _Header = {},  # noqa: B006 - pydantic copies it
    body: _Body = None,
    direction: _Direction = None,
    count: _Count = None,
    absent: _Absent = False,
    within: _Within = 5.0,
    since: _Since = "step",
    capture: _Capture = None,
    must: _Must = False,
) -> list[SipMessage]:
    """Hold the SIP messages at a phone, or on the wire at a node, to what is expected

    It counts from when the step before it began, so that nothing is missed that this caused; others of its own kind
    between do not matter, and several may look at the same message. `since: start` counts from when the run began. It
    is over as soon as one is there; with `count` and `absent` when the time is over, or there are too many. What was
    sent again counts once. Returns the messages. Those of a node or service are of the run's capture, at the lab's
    bridge: what a fault then keeps from a node is there. Raises HostError where packets are not captured.

    Example:
        - register: bob
        - call: {caller: alice, callee: bob}
        - expect_sip: {phone: bob, message: INVITE, header: {From: alice}, count: 1, within: 500ms}
        - reject: bob
        - expect_sip: {phone: alice, message: INVITE 486}
    """
    patterns = {name: expectation.filled_pattern(live, pattern, node) or "" for name, pattern in header.items()}
    wanted = SipPattern(message, patterns, expectation.filled_pattern(live, body, node), direction)
    place = _Place(live, phone, node, live.since_s if since == "step" else 0.0)
    fitting = _hold(live, place, wanted, 0 if absent else count, within, must)
    if capture and fitting:
        live.variables[capture] = wanted.captured(fitting[0].sip)
    return [one.sip for one in fitting]


@dataclass(frozen=True)
class _Place:
    """Where it is looked, and since when."""

    live: LiveLab
    phone: str | None
    node: str | None
    since_s: float

    def __str__(self) -> str:
        return self.node or self.phone or ""

    @property
    def its_node(self) -> str:
        return self.node or self.live.node_of(self.phone or "")

    @property
    def held_s(self) -> float:
        """How long after a moment all of it has come in."""
        return PATIENCE.stretch(capturing.HELD_S if self.node else PHONES_HELD_S)

    def look(self) -> list[Passed]:
        """All that was there so far."""
        if self.node:
            return self.live.node_messages(self.node, self.since_s)
        return self.live.phone_messages(self.phone or "", self.since_s)


def _hold(
    live: LiveLab, place: _Place, wanted: SipPattern, number: int | None, within_s: float, must: bool
) -> list[Passed]:
    """The messages that fit, when it is decided; whether they are as expected is written down. `number`: exactly so
    many, one at least where it is None. Raises LabError where it must be so and is not."""
    began_s = live.journal.now_s()
    passed, fitting = _watched(live, place, wanted, number, within_s)
    met = len(fitting) == number if number is not None else bool(fitting)
    words = {None: "one at least", 0: "none"}.get(number, f"exactly {number}") + f", within {within_s:g} s"
    what = f"{place}: {wanted}"
    answer = expectation.ends("\n".join(_told(passed, fitting, place.since_s)))
    too_few = number is None or len(fitting) < number
    at_s, nodes = live.journal.now_s(), (place.its_node,)
    live.journal.write(Expected(at_s, began_s, what, words, met, answer, nodes, waited=too_few))
    if must and not met:
        raise LabError(f"{what}: not as expected: {words}", "the history has what was there")
    return fitting


def _watched(
    live: LiveLab, place: _Place, wanted: SipPattern, most: int | None, within_s: float
) -> tuple[list[Passed], list[Passed]]:
    """All messages until it is decided, and those that fit. One that came in time may be heard of a little later."""
    until_s, deadline = live.journal.now_s() + within_s, Deadline(within_s + place.held_s)
    while True:
        news, over = live.heard, deadline.passed
        passed = [message for message in once(place.look()) if message.at_s <= until_s]
        fitting = [message for message in passed if wanted.fits(message)]
        if over or (len(fitting) > most if most is not None else fitting):
            return passed, fitting
        live.await_news(news, min(expectation.ASK_AGAIN_S, deadline.left_s))


def _told(passed: list[Passed], fitting: list[Passed], since_s: float) -> list[str]:
    """What was there, a line each: those that fit before the others."""
    known = {id(message) for message in fitting}
    others = [message for message in passed if id(message) not in known]
    lines = [f"{len(fitting)} of {len(passed)} messages since +{since_s:.3f} s are such"]
    lines += [f"  {message}" for message in fitting[-SHOWN:]]
    return [*lines, *(["others:"] if others else []), *(f"  {message}" for message in others[-SHOWN:])]
