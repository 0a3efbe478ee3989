"""A call by hand: one phone of a lab calls another, or a number, and what each hears and each node learns is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster, learned
from labctl.cluster.views import Call
from labctl.engine.client import Engine
from labctl.errors import LabError, NotReady, UsageError
from labctl.lab import Lab, Phone
from labctl.pressure import look_at_machine
from labctl.progress import Progress, step
from labctl.sip.phone_control import UNTIL_ANSWERED_MS
from labctl.sip.phones import TALK_MS, Phones
from labctl.sip.rtp_listener import PACKETS_A_SECOND
from labctl.sip.user_agent import Refused, UserAgent
from labctl.timing import PATIENCE, Deadline, pass_time
from labctl.yamlfile.document import suggestion

BOOTED_S = 2.0
"""How long a node that is not of the call may take to answer; one that is up does in milliseconds."""

HOME_BOOTED_S = 20.0
"""The same for the nodes of the two phones, which may just have been started."""

LEARN_S = 2.0
"""How long a node may take to learn a state; it takes milliseconds, and one that is cut off never does. More on a busy
machine."""

WARNED_S = 1.0
"""How long after a call was refused its node may take to log why, if it does at all; it takes milliseconds."""

LOOK_AGAIN_S = 0.1
"""How soon a log in which nothing stands yet is looked at again."""

SILENCE_S = 1.0
"""How much longer than the talk a number is listened to: listening takes a moment to begin."""

RINGING = "Ringing"
"""The word of it in a state of Asterisk's, also in `InUse&Ringing`."""

_NUMBER = re.compile(r"[*#+]?[0-9][0-9*#]*")
_WARNINGS = re.compile(r"\b(WARNING|ERROR|NOTICE)\[")
_MOST_WARNINGS = 5


@dataclass(frozen=True)
class CallRequest:
    """Which phone is to call whom, and for how long they talk; without `audio` there is signalling alone for that long.

    `callee` is a phone's name, or any number. A phone is switched on for the call, if it is not on.
    """

    caller: str
    callee: str
    talk_s: float
    audio: bool = True


@dataclass(frozen=True)
class _Parties:
    """The two ends of a call. `callee` is None where the number is no phone's; `followed` is the extension whose
    states are shown: the callee's, else the caller's."""

    caller: Phone
    callee: Phone | None
    number: str

    @property
    def followed(self) -> str:
        return (self.callee or self.caller).extension

    @property
    def home(self) -> str:
        """The node that says those states first."""
        return (self.callee or self.caller).node


class Told:
    """What the nodes have told of an extension since this was made, and the wait for what is to come.

    Waiting ends when its home has told it and each of the others says the same, or has had its time. Who let that pass
    once is not waited for again: a node that is cut off tells nothing. What was told stands in `changes`: node,
    monotonic seconds, state.
    """

    def __init__(self, cluster: Cluster, extension: str, home: str, nodes: Collection[str], before: str) -> None:
        self.changes = cluster.follow(extension)
        self._cluster = cluster
        self._home = home
        self._awaited = {home, *(node for node in nodes if extension in cluster.lab.extensions_of(node))}
        self._before = before

    def await_ringing(self) -> None:
        """Return when they say that it rings, or is further already, as where a phone answers by itself."""
        self._await(lambda state: state != self._before)

    def await_answered(self) -> None:
        """Return when they say that it was answered."""
        self._await(lambda state: RINGING not in state)

    def await_as_before(self) -> None:
        """Return when they say what was so before the call."""
        self._await(lambda state: state == self._before)

    def _await(self, reached: Callable[[str], bool]) -> None:
        def late() -> set[str]:
            last = {node: state for node, _, state in list(self.changes)}
            home = last.get(self._home, "")
            if not home or not reached(home):
                return set(self._awaited)
            return {node for node in self._awaited if last.get(node) != home}

        if self._home in self._awaited:
            self._cluster.await_event(lambda: not late(), PATIENCE.deadline(LEARN_S))
            self._awaited -= late()


def call(engine: Engine, running: Running, request: CallRequest, timeout_s: float, progress: Progress) -> Call:
    """Have one phone of the lab call another, or a number, and hang up.

    Between two phones audio must arrive both ways. Nodes that do not answer are left out of what is shown. Returns what
    each side heard, and when each node learned the states of the callee's extension, or of the caller's where no phone
    has the number. Raises UsageError for a name that is no phone, LabError for a call that fails, with what the
    caller's node logged, or for a side that hears nothing.
    """
    deadline = Deadline(timeout_s)
    look_at_machine()
    parties = _parties(request, running.lab)
    with Cluster(engine, running) as cluster, Phones(engine, running) as phones:
        cluster.open()
        nodes = _answering_nodes(cluster, parties)
        called = _switched_on(phones, parties.callee, request.audio, progress)
        if called:
            _await_learned(cluster, parties.followed, "Idle", parties.home, nodes)
        told = Told(cluster, parties.followed, parties.home, nodes, _state(cluster, parties))
        try:
            ends = _talk(phones, parties, request, called, told, deadline, progress)
        except Refused as refusal:
            raise _with_warnings(refusal, engine, running, parties.caller.node, deadline) from None
        told.await_as_before()
        heard = [phones.heard_of_nodes(agent, call) for agent, call in ends]
        by_caller, by_callee = (*heard, 0)[:2]
        return Call(parties.caller.name, request.callee, parties.followed, by_caller, by_callee, learned(told.changes))


def _talk(
    phones: Phones,
    parties: _Parties,
    request: CallRequest,
    called: UserAgent | None,
    told: Told,
    deadline: Deadline,
    progress: Progress,
) -> list[tuple[UserAgent, str]]:
    """The call itself, from the first ring to the end: the agents at its ends, and its Call-ID at each.

    It goes on when the nodes have told of where it is: what follows too soon on a state they may pass over, as Asterisk
    does with one that is no longer so when its turn comes.
    """
    caller, number = parties.caller, parties.number
    with step(progress, f"{caller.name} calls {number} from {caller.node}"):
        calls_before = called.calls if called else ()
        talk_ms = TALK_MS if request.audio else round(request.talk_s * 1000)
        calling = phones.call(caller.name, number, talk_ms, request.audio)
        ends = [(calling, calling.agent.call_id)]
        if called:
            ends.append((called, called.await_call(calls_before, deadline, calling, caller.shown_as)))
            told.await_ringing()
            called.answer(deadline, ends[-1][1])
        calling.wait_for(lambda: 200 in calling.answers("INVITE") or bool(calling.call_end), "an answer", deadline)
        if 200 not in calling.answers("INVITE"):
            raise Refused(f"{caller.name} calls {number}: {calling.call_end}")
        told.await_answered()
    if request.audio:
        who = "both hear" if called else f"{caller.name} listens for"
        with step(progress, f"{who} {request.talk_s:g} s of audio"):
            _listen(phones, ends, request.talk_s, deadline)
        calling.nudge()
    with step(progress, f"{caller.name} hangs up"):
        ending = calling.finish(deadline)
        if ending.code:
            raise LabError(f"{caller.name} calls {number}: {ending}")
    return ends


def _listen(phones: Phones, ends: list[tuple[UserAgent, str]], talk_s: float, deadline: Deadline) -> None:
    """Return when each end has heard that much. Raises LabError; not of one end alone, for what answers a number need
    not speak, and may hang up."""
    packets = max(1, int(talk_s * PACKETS_A_SECOND))
    if len(ends) == 1:
        with suppress(LabError):
            phones.await_heard(ends[0][0], packets, Deadline(talk_s + SILENCE_S))
        return
    for agent, call in ends:
        phones.await_heard(agent, packets, deadline, call)


def _switched_on(phones: Phones, callee: Phone | None, audio: bool, progress: Progress) -> UserAgent | None:
    """The agent that takes the call: one that was left on, or a new one; None where no phone has the number."""
    if callee is None:
        return None
    with step(progress, f"{callee.name} registers with {callee.node}"):
        return phones.line(callee.name) or phones.switch_on(callee.name, UNTIL_ANSWERED_MS, audio=audio)


def _answering_nodes(cluster: Cluster, parties: _Parties) -> list[str]:
    """The nodes that answer. Raises LabError where one of the two that the call needs does not."""

    def booted() -> list[str]:
        return [node for node in cluster.connected if cluster.connection(node).booted]

    homes = {parties.caller.node, parties.home}
    cluster.await_booted(PATIENCE.deadline(BOOTED_S))
    if homes <= {*cluster.connected} and not homes <= {*booted()}:
        cluster.await_booted(PATIENCE.deadline(HOME_BOOTED_S - BOOTED_S))
    silent = sorted(homes - {*booted()})
    if silent:
        hint = "labctl ps shows what is wrong with it; labctl heal undoes faults, labctl up mends the rest"
        raise LabError(f"{' and '.join(silent)}, which the call needs, does not answer", hint)
    return booted()


def _await_learned(cluster: Cluster, extension: str, state: str, home: str, nodes: list[str]) -> None:
    """Return when all nodes say a state, or at least its home does and the others have had their time."""
    lab = cluster.lab
    others = [node for node in nodes if extension in lab.extensions_of(node)]
    with suppress(NotReady):  # one that is cut off does not learn of it: that is what is to be seen
        cluster.await_state(extension, state, PATIENCE.deadline(LEARN_S), others or [home])


def _state(cluster: Cluster, parties: _Parties) -> str:
    """What the home of the followed extension says of it now."""
    rows = [row for row in cluster.states([parties.home]) if row.extension == parties.followed]
    return next((row.states[parties.home] for row in rows if parties.home in row.states), "")


def _with_warnings(refusal: Refused, engine: Engine, running: Running, node: str, deadline: Deadline) -> Refused:
    """The refusal, with what the caller's node warned of meanwhile: Asterisk logs from a thread of its own, so that may
    come after the refusal."""
    asked_ago_s = deadline.timeout_s - deadline.left_s
    patience = PATIENCE.deadline(WARNED_S)
    warnings: list[str] = []
    while not warnings and not patience.passed:
        ago_s = asked_ago_s + patience.timeout_s - patience.left_s
        lines = engine.logs(running.container(node).id, ago_s=ago_s).splitlines()
        warnings = [line for line in lines if _WARNINGS.search(line)][-_MOST_WARNINGS:]
        if not warnings:
            pass_time(LOOK_AGAIN_S)
    return Refused("\n".join([refusal.message, *(f"  {node} | {line}" for line in warnings)]), refusal.hint)


def _parties(request: CallRequest, lab: Lab) -> _Parties:
    """Who calls whom. Raises UsageError for a name that is neither a phone nor a number."""
    names = [phone.name for phone in lab.phones]
    if request.caller not in names:
        raise UsageError(f"no phone `{request.caller}` in the lab {lab.name}", suggestion(request.caller, names))
    callee = lab.phone_at(request.callee)
    if callee is None and request.callee not in lab.devices and not _NUMBER.fullmatch(request.callee):
        hint = f"{suggestion(request.callee, names)}; or any number, such as *600"
        raise UsageError(f"no phone `{request.callee}` in the lab {lab.name}", hint)
    caller = lab.phone(request.caller)
    if callee == caller:
        raise UsageError(f"{request.caller} cannot call {request.callee}: it is one phone", "name two")
    return _Parties(caller, callee, callee.extension if callee else request.callee)
