"""The steps that phones do: register, call, answer, hold, hang up, watch, leave a message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from labctl.errors import LabError, UsageError
from labctl.history.events import Called, Ended, Heard, Watching
from labctl.history.events import Load as LoadEvent
from labctl.scenario.recorded_step import Ground, a_step
from labctl.sip.load import Load
from labctl.sip.phones import Phones
from labctl.sip.user_agent import UserAgent
from labctl.timing import Deadline

ANSWER_S = 10.0
"""How long a phone may take to see what another did; it takes milliseconds."""

GIVE_UP_S = 3.0
"""How long a caller who gives up waits for its node to agree: two retransmissions."""

NEVER_MS = 600_000
LOAD_QUIET_S = 0.2
PACKETS_A_SECOND = 50
"""G.711 in packets of 20 ms (RFC 3551, section 4.2)."""


@dataclass
class Conversation:
    """A call in this run: who calls whom, the agents at both ends, and the nodes it goes through."""

    name: str
    caller: str
    callee: str
    calling: UserAgent
    called: UserAgent | None
    nodes: tuple[str, ...]

    def agent(self, phone: str) -> UserAgent:
        """The agent at a phone's end. Raises UsageError."""
        agent = self.calling if phone == self.caller else self.called
        if agent is None:
            raise UsageError(f"{phone} is not in the call {self.name}", "register it before it is called")
        return agent


class Switchboard(Ground):
    """The phones of the lab, by name. Only one run at a time has them."""

    def _open_phones(self) -> None:
        self._phones = Phones(self.engine, self.running, self._recorder.phone_said)
        self._phones.open()
        self._lines: dict[str, UserAgent] = {}
        self._watchers: dict[tuple[str, str], UserAgent] = {}
        self._calls: list[Conversation] = []
        self._placed = 0

    def _close_phones(self) -> None:
        self._phones.close()

    @a_step
    def register(self, phones: Sequence[str] | str) -> None:
        """Switch phones on: each is registered with its node, and rings until it answers."""
        for phone in _names(phones):
            self.known_phone(phone)
            if phone in self._lines:
                raise UsageError(f"{phone} is registered already", "unregister it first")
            self._lines[phone] = self._phones.switch_on(phone, NEVER_MS)

    @a_step
    def unregister(self, phones: Sequence[str] | str) -> None:
        """Switch phones off: each takes its registration back."""
        for phone in _names(phones):
            self._phones.switch_off(self._line(phone))
            del self._lines[phone]

    @a_step
    def watch(self, phone: str, extension: str) -> None:
        """Have a phone watch an extension's dialogs by SUBSCRIBE (RFC 4235), as the lamp of a key does."""
        self.known_phone(phone)
        self.journal.write(Watching(self.journal.now_s(), phone, extension))
        try:
            self._watchers[phone, extension] = self._phones.watch(phone, extension)
        except LabError:
            self.journal.write(Watching(self.journal.now_s(), phone, extension, ended=True))
            raise

    @a_step
    def unwatch(self, phone: str) -> None:
        """End all that a phone watches."""
        mine = [key for key in self._watchers if key[0] == phone]
        if not mine:
            raise UsageError(f"{phone} watches nothing", "watch comes first")
        for key in mine:
            watcher = self._watchers.pop(key)
            self.journal.write(Watching(self.journal.now_s(), *key, ended=True))
            watcher.nudge()
            watcher.finish(Deadline(ANSWER_S))

    @a_step
    def call(self, caller: str, callee: str) -> None:
        """Have a phone call another, or a number; return when it rings there, or the node has begun to work on it."""
        self.known_phone(caller)
        target = next((phone for phone in self.lab.phones if callee in (phone.name, phone.extension)), None)
        called = self._lines.get(target.name) if target else None
        nodes = dict.fromkeys([self.lab.phone(caller).node, *([target.node] if target else [])])
        rung = len(called.received("INVITE")) if called else 0
        self._placed += 1
        name = f"{caller}-{target.name if target else callee}-{self._placed}"
        self._called(name, caller, callee, tuple(nodes))
        try:
            calling = self._phones.call(caller, target.extension if target else callee, NEVER_MS)
        except LabError as error:
            self._ended(name, error.message)
            raise
        self._calls.append(Conversation(name, caller, target.name if target else callee, calling, called, tuple(nodes)))
        if called:
            call = self._calls[-1]
            with self._lost_otherwise(call):
                arrived = f"a call from {caller}"
                called.wait_for(lambda: len(called.received("INVITE")) > rung, arrived, Deadline(ANSWER_S))

    @a_step
    def answer(self, phone: str) -> None:
        """Have a phone answer the call that rings there; return when both ends know."""
        call = self._call_of(phone)
        with self._lost_otherwise(call):
            call.agent(phone).nudge_call()
            call.calling.wait_for(lambda: 200 in call.calling.answers("INVITE"), "an answer", Deadline(ANSWER_S))

    @a_step
    def reject(self, phone: str) -> None:
        """Have a phone refuse the call that rings there (486 Busy Here); return when the caller knows."""
        call = self._call_of(phone)
        call.agent(phone).reject_call()
        self._finish(call, wanted=False)

    @a_step
    def hang_up(self, phone: str) -> None:
        """Have either end of a call hang up, or the caller give up; return when both ends know."""
        call = self._call_of(phone)
        if phone == call.caller:
            call.calling.nudge()
        else:
            call.agent(phone).nudge_call()
        self._finish(call)

    @a_step
    def hold(self, phone: str) -> None:
        """Have either end of a call put the other on hold (a=sendonly, RFC 6337, 5.3)."""
        self._call_of(phone).agent(phone).hold()

    @a_step
    def resume(self, phone: str) -> None:
        """Take the other end off hold."""
        self._call_of(phone).agent(phone).resume()

    @a_step
    def talk(self, phones: Sequence[str] | str, duration: float = 1.0) -> None:
        """Return when each of the phones has heard its node speak for `duration` seconds more."""
        names = _names(phones)
        wanted = max(1, int(duration * PACKETS_A_SECOND))
        agents = {name: self._call_of(name).agent(name) for name in names}
        before = {name: self._heard(agent) for name, agent in agents.items()}
        deadline = Deadline(duration + ANSWER_S)
        try:
            for name, agent in agents.items():
                self._phones.await_heard(agent, before[name] + wanted, deadline)
        finally:
            for name, agent in agents.items():
                heard = min(self._heard(agent) - before[name], wanted)
                self.journal.write(Heard(self.journal.now_s(), self._call_of(name).name, name, heard, wanted))

    @a_step
    def leave_voicemail(self, caller: str, mailbox: str, duration: float = 1.0) -> None:
        """Have a phone leave a message of `duration` seconds in a mailbox."""
        self.known_phone(caller)
        keeper = next((each.node for each in self.lab.mailboxes if each.number == mailbox), None)
        if keeper is None:
            raise UsageError(f"no mailbox `{mailbox}` in this lab", "mailboxes: in the lab file")
        self._placed += 1
        name = f"{caller}-*{mailbox}-{self._placed}"
        self._called(name, caller, f"*{mailbox}", tuple(dict.fromkeys([self.lab.phone(caller).node, keeper])))
        try:
            ending = self._phones.call(caller, f"*{mailbox}", int(duration * 1000)).finish(
                Deadline(duration + ANSWER_S)
            )
        except LabError as error:
            self._ended(name, error.message)
            raise
        self._ended(name, str(ending) if ending.code else "")

    @a_step
    def storm(self, phone: str, rate: float, count: int) -> None:
        """Register a phone `count` times at `rate` a second; it is on or off after it as it was before."""
        self.known_phone(phone)
        began_s = self.journal.now_s()
        done = self._phones.storm(phone, rate, count)
        self._loaded(f"storm {phone}", done, began_s, [phone])

    @a_step
    def load(self, caller: str, callee: str, rate: float, count: int, duration: float = 0.1) -> None:
        """Have a phone call another, or a number, `count` times at `rate` a second, for `duration` seconds each.

        The other is switched on for it, answers at once and is switched off again; there is no audio. Raises
        UsageError where it is on already: one that a person answers cannot take so many.
        """
        self.known_phone(caller)
        target = next((phone for phone in self.lab.phones if callee in (phone.name, phone.extension)), None)
        if target and target.name in self._lines:
            raise UsageError(f"{target.name} is registered", "load switches it on itself: unregister it first")
        began_s = self.journal.now_s()
        called = self._phones.switch_on(target.name, audio=False) if target else None
        done = self._phones.calls(caller, target.extension if target else callee, rate, count, round(duration * 1000))
        if called:
            self._phones.switch_off(called)
        self._loaded(f"load {caller} -> {callee}", done, began_s, [caller, *([target.name] if target else [])])

    # How

    def _loaded(self, what: str, load: Load, began_s: float, phones: Sequence[str]) -> None:
        """Write down what came of a load, when nothing is said of it any more."""
        self._await_quiet(LOAD_QUIET_S, Deadline(ANSWER_S))
        whose = [self.lab.phone(name) for name in phones]
        self.journal.write(
            LoadEvent(
                at_s=self.journal.now_s(),
                what=what,
                asked=load.asked,
                done=load.done,
                failed=load.failed,
                rate_asked=load.rate_asked,
                rate=load.rate,
                saturated=load.saturated,
                nodes=tuple(dict.fromkeys(phone.node for phone in whose)),
                began_s=began_s,
                extensions=tuple(phone.extension for phone in whose),
            )
        )

    def _line(self, phone: str) -> UserAgent:
        self.known_phone(phone)
        if phone not in self._lines:
            raise UsageError(f"{phone} is not registered", "register it first")
        return self._lines[phone]

    def _call_of(self, phone: str) -> Conversation:
        """The call that a phone is in; of several the last."""
        self.known_phone(phone)
        mine = [call for call in self._calls if phone in (call.caller, call.callee)]
        if not mine:
            raise UsageError(f"{phone} is in no call", "call comes first")
        return mine[-1]

    @contextmanager
    def _lost_otherwise(self, call: Conversation) -> Iterator[None]:
        """What goes wrong within ends the call."""
        try:
            yield
        except LabError as error:
            self._calls.remove(call)
            self._give_up(call)
            self._ended(call.name, error.message)
            raise

    def _give_up(self, call: Conversation) -> None:
        """Have the caller cancel or hang up as a person would: a node that is not told goes on with the call. One that
        does not answer is gone, and with it the call."""
        call.calling.nudge()
        with suppress(LabError):
            call.calling.finish(Deadline(GIVE_UP_S))
        call.calling.kill()

    def _finish(self, call: Conversation, wanted: bool = True) -> None:
        """The call is over when the caller's agent has ended."""
        self._calls.remove(call)
        try:
            ending = call.calling.finish(Deadline(ANSWER_S))
        except LabError as error:
            call.calling.kill()
            self._ended(call.name, error.message)
            if not self._spared(call):
                raise
        else:
            self._ended(call.name, "" if not ending.code or not wanted else str(ending))

    def _spared(self, call: Conversation) -> bool:
        """Whether a node of the call is gone, so that no phone can end it in an orderly way."""
        return any(node in self.gone for node in call.nodes)

    def _lose_calls(self) -> None:
        """What still goes on when the run ends is cut off."""
        for call in list(self._calls):
            self._calls.remove(call)
            call.calling.nudge()
            self._ended(call.name, "it was still going on when the run ended")

    def _heard(self, agent: UserAgent) -> int:
        return self._phones.heard(agent)[agent.agent.node_address]

    def _called(self, name: str, caller: str, callee: str, nodes: tuple[str, ...]) -> None:
        self.journal.write(Called(self.journal.now_s(), name, caller, callee, nodes))

    def _ended(self, name: str, why: str) -> None:
        self.journal.write(Ended(self.journal.now_s(), name, not why, why))


def _names(phones: Sequence[str] | str) -> list[str]:
    return [phones] if isinstance(phones, str) else list(phones)
