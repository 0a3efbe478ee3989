"""The phones of a lab: real SIP user agents, as SIPp processes in the phones' container.

Every phone has SIP and media ports of its own on the container's one address, so what arrives is told apart
by port. Media goes through the nodes (`direct_media = no`): what a phone hears comes from its node's address.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType

from labctl import blueprint, load, sipp, tshark
from labctl.blueprint import ROLE_PHONES, Secrets
from labctl.engine import Engine, ExecStream
from labctl.errors import LabError
from labctl.facts import Observation
from labctl.load import Load
from labctl.lock import claimed
from labctl.sipp import Agent, Ending, Scenario, SipMessage, Transcript
from labctl.spec import Lab
from labctl.steps import File, StartContainer
from labctl.tshark import Packet
from labctl.wait import Deadline, Signal

FOLDER = "/tmp/labctl"  # noqa: S108 - in the phones' container, which has one user
TONE = f"{FOLDER}/tone.ulaw"

FIRST_SIP_PORT = 6000
FIRST_MEDIA_PORT = 20000
PORTS_A_PHONE = 100
AGENTS_A_PHONE = 10
MEDIA_PORTS_AN_AGENT = 10
"""Each phone has 100 SIP and 100 media ports; its agents, 10 at a time, have 1 and 10 of them each."""

ANSWER_TIMEOUT_S = 5.0
"""How long registering or subscribing may take; an answer takes milliseconds, a retransmission 0.5 s."""

LEAVE_TIMEOUT_S = 1.5
KILL_TIMEOUT_S = 2.0
LOAD_RING_MS = 10_000
LOAD_ENDS_S = 30.0
"""How long what a load began last may take to end, beyond the time its calls are held."""

EXPIRES_S = 3600
TALK_MS = 60_000
_LINE = "phone"
_REFUSED = 300
_UNAUTHORIZED = 401
_SHOWN = 6


MessageListener = Callable[[str, SipMessage], None]
"""Told the phone's name and what it sent or received."""


class Refused(LabError):
    """A node refused what a phone asked for; the message has the status line."""


class UserAgent(Transcript):
    """A SIPp process: what it sent and received so far, and how it ended. Made by Phones."""

    def __init__(self, agent: Agent, what: str, signal: Signal, heard_before: int, on_message: MessageListener) -> None:
        super().__init__()
        self.agent = agent
        self.what = what
        self.heard_before = heard_before
        self.ending: Ending | None = None
        self._nudges = itertools.count(1)
        self._signal = signal
        self._on_message = on_message
        self._stream: ExecStream | None = None
        self._thread = threading.Thread(target=self._read, name=f"phone-{agent.name}", daemon=True)

    def __str__(self) -> str:
        return f"{self.agent.name} ({self.what})"

    def start(self, stream: ExecStream) -> None:
        """Follow the process that the stream leads to."""
        self._stream = stream
        self._thread.start()

    def _read(self) -> None:
        splitter = sipp.LogSplitter()
        if self._stream:
            for data in self._stream:
                for message in splitter.feed(data):
                    self.messages.append(message)
                    self._on_message(self.agent.name, message)
                self._signal.notify()
        self.ending = splitter.ending()
        self._signal.notify()

    def wait_for(self, ready: Callable[[], bool], what: str, deadline: Deadline) -> None:
        """Return when `ready` holds; looked at after each message. Raises LabError at the deadline or its end."""
        self._signal.wait_until(lambda: ready() or self.ending is not None, deadline)
        if not ready():
            raise LabError(f"{self}: {what}: not within {deadline.timeout_s:g} s{self._story()}")

    def _story(self) -> str:
        """The last messages and the ending, a line each, for an error."""
        lines = [f"{'sent' if each.sent else 'got '} {each.start}" for each in self.messages[-_SHOWN:]]
        if self.ending:
            lines += [str(self.ending), *self.ending.errors.strip().splitlines()[-2:]]
        return "".join(f"\n  {each}" for each in lines)

    # What it is told

    def nudge(self) -> None:
        """Have it go on: hang up or cancel its call, unsubscribe, unregister."""
        self._order(sipp.nudge(self.agent, self.agent.call_id, next(self._nudges)))

    def nudge_call(self, order: str = "") -> None:
        """Have it answer or hang up the call that came in last. Raises LabError if none did."""
        calls = self.received("INVITE")
        if not calls:
            raise LabError(f"{self}: no call came in")
        self._order(sipp.nudge(self.agent, calls[-1].header("Call-ID"), next(self._nudges), order))

    def reject_call(self) -> None:
        """Have it refuse the call that rings: 486 Busy Here. Raises LabError if none came in."""
        self.nudge_call(sipp.REJECT)

    def hold(self) -> None:
        """Have it put the other end of its call on hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.HOLD)

    def resume(self) -> None:
        """Have it take the other end off hold; its node has agreed when this returns. Raises LabError."""
        self._offer(sipp.RESUME)

    def _offer(self, direction: str) -> None:
        deadline = Deadline(ANSWER_TIMEOUT_S)
        self.wait_for(lambda: self.talking, f"{direction}: a call that goes on", deadline)
        before = len(self.answers("INVITE"))
        self._order(sipp.nudge(self.agent, self.call, next(self._nudges), direction))
        self.wait_for(lambda: len(self.answers("INVITE")) > before, f"{direction}: an answer", deadline)
        if self.answers("INVITE")[-1] >= _REFUSED:
            raise Refused(f"{self}: {direction}: {self.answer_line('INVITE')}")

    def drain(self) -> None:
        """Have it end as soon as its calls are over."""
        self._order("drain\n")

    def kill(self) -> None:
        """End it at once."""
        self._order("kill\n")

    def _order(self, text: str) -> None:
        if self._stream and self.ending is None:
            with suppress(OSError):  # it has ended just now
                self._stream.send(text.encode())

    def finish(self, deadline: Deadline) -> Ending:
        """How it ended. Raises LabError if it has not by the deadline."""
        self._signal.wait_until(lambda: self.ending is not None, deadline)
        if self.ending is None:
            raise LabError(f"{self}: goes on after {deadline.timeout_s:g} s{self._story()}")
        return self.ending

    def close(self) -> None:
        """Hang up the stream; what still runs at its other end is killed by that."""
        if self._stream:
            self._stream.close()
            self._thread.join(timeout=1)


class _Ear:
    """Hears all RTP that comes in at the phones' media ports, by a tshark that runs beside them."""

    def __init__(self, signal: Signal) -> None:
        self.packets: list[Packet] = []
        self.trouble = ""
        self._signal = signal
        self._stream: ExecStream | None = None
        self._thread = threading.Thread(target=self._read, name="phones-ear", daemon=True)

    def start(self, stream: ExecStream) -> None:
        """Follow the tshark that the stream leads to."""
        self._stream = stream
        self._thread.start()

    def _read(self) -> None:
        rest = ""
        for data in self._stream or ():
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            for line in lines:
                packet = tshark.parse_packet(line)
                if packet:
                    self.packets.append(packet)
                else:
                    self.trouble = line
            self._signal.notify()

    def close(self) -> None:
        """Hang up, which ends tshark."""
        if self._stream:
            self._stream.close()
            self._thread.join(timeout=1)


class Phones:
    """The phones of a lab that runs. Use it as a context manager: leaving it switches every phone off."""

    def __init__(
        self, engine: Engine, lab: Lab, seen: Observation, on_message: MessageListener = lambda _name, _message: None
    ) -> None:
        containers = [each for each in seen.containers if each.role == ROLE_PHONES]
        if not containers or not seen.networks:
            raise LabError(f"the phones' container of {lab.name} is gone", "labctl up mends it")
        self._engine = engine
        self._lab = lab
        self._network = seen.networks[0]
        self._secrets = Secrets(self._network.seed)
        self._container = containers[0].id
        self._address = blueprint.phones_address(self._network.subnet)
        self._signal = Signal()
        self._agents: list[UserAgent] = []
        self._begun: dict[str, int] = {}
        self._on_message = on_message
        self._ear = _Ear(self._signal)
        self._claim = ExitStack()

    def __enter__(self) -> Phones:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Put the tone in place and begin to listen on every phone's media ports, which takes about 0.6 s;
        it goes on meanwhile, and only `await_heard` waits for it.

        Raises LabError if somebody else on this machine has them: two would use the same ports.
        """
        with ExitStack() as mine:
            if not mine.enter_context(claimed(f"phones-{self._lab.name}")):
                hint = "wait until that has ended, or bring up a lab of another name (-n)"
                raise LabError(f"the phones of {self._lab.name} are in use by another labctl", hint)
            self._begin()
            self._claim = mine.pop_all()

    def _begin(self) -> None:
        self._engine.apply(StartContainer(self._container))  # nobody needed it until now
        self._engine.put_files(self._container, (File(TONE, sipp.tone()),))
        ports = range(FIRST_MEDIA_PORT, FIRST_MEDIA_PORT + PORTS_A_PHONE * len(self._lab.phones))
        shell = ["sh", "-c", tshark.RUNNER, "capture", *tshark.command(self._address, ports)]
        self._ear.start(self._engine.open_stream(self._container, shell))

    def close(self) -> None:
        """Hang up, unsubscribe and unregister what still runs, within LEAVE_TIMEOUT_S; then kill what is left."""
        running = [each for each in self._agents if each.ending is None]
        for agent in running:
            agent.drain()
            agent.nudge()
        deadline = Deadline(LEAVE_TIMEOUT_S)
        self._signal.wait_until(lambda: all(each.ending for each in running), deadline)
        for agent in running:
            agent.kill()
        self._signal.wait_until(lambda: all(each.ending for each in running), Deadline(KILL_TIMEOUT_S))
        for agent in self._agents:
            agent.close()
        self._ear.close()
        self._claim.close()

    # What a phone does

    def switch_on(self, name: str, ring_ms: int = 0, password: str | None = None, audio: bool = True) -> UserAgent:
        """Start a phone that takes calls after `ring_ms`; it is registered when this returns.

        It takes as many calls at once as its media ports are for, and any number without `audio`. Raises LabError
        if its node refuses it (as with a wrong `password`) or does not answer.
        """
        phone = self._start(name, _LINE, password)
        agent = phone.agent if audio else replace(phone.agent, audio="")
        self._run(phone, (sipp.register(agent, EXPIRES_S), sipp.line(agent, ring_ms)), once=False)
        self._accepted(phone, "REGISTER", "registered")
        return phone

    def switch_off(self, phone: UserAgent, timeout_s: float = ANSWER_TIMEOUT_S) -> Ending:
        """Take the registration back and end the phone, once its calls are over. Raises LabError."""
        phone.drain()
        phone.nudge()
        return phone.finish(Deadline(timeout_s))

    def call(self, name: str, extension: str, talk_ms: int = TALK_MS, audio: bool = True) -> UserAgent:
        """Have a phone call an extension; its node has answered the signed INVITE, if only with 100, when this returns.

        It says nothing without `audio`. It hangs up after `talk_ms` of talk, or a nudge; `finish` waits for its end.
        """
        caller = self._start(name, f"calls {extension}")
        agent = caller.agent if audio else replace(caller.agent, audio="")
        self._run(caller, (sipp.call(agent, extension, talk_ms),), once=True)
        caller.wait_for(lambda: len(caller.responses("INVITE")) > 1, "an answer", Deadline(ANSWER_TIMEOUT_S))
        return caller

    def watch(self, name: str, extension: str) -> UserAgent:
        """Have a phone watch an extension's dialogs until a nudge; it has its first NOTIFY when this returns."""
        watcher = self._start(name, f"watches {extension}")
        self._run(watcher, (sipp.watch(watcher.agent, extension, EXPIRES_S),), once=True)
        self._accepted(watcher, "SUBSCRIBE", "subscribed")
        watcher.wait_for(lambda: bool(watcher.dialog_states), "a first NOTIFY", Deadline(ANSWER_TIMEOUT_S))
        return watcher

    # What phones do many times

    def storm(self, name: str, rate: float, count: int) -> Load:
        """Register a phone `count` times at `rate` a second; it is on or off after it as it was before.

        Raises UsageError beyond the bounds of `labctl.load`, LabError if SIPp does not do it.
        """
        load.check(rate, count)
        on = next(
            (each for each in self._agents if (each.agent.name, each.what, each.ending) == (name, _LINE, None)), None
        )
        made = self._start(name, f"registers {count} times")
        port = (on or made).agent.port
        result = self._load(made, sipp.storm(made.agent, EXPIRES_S, port), rate, count)
        if not on:
            self._load(self._start(name, "unregisters"), sipp.storm(made.agent, 0, port), rate, 1)
        return result

    def calls(self, caller: str, extension: str, rate: float, count: int, hold_ms: int) -> Load:
        """Have a phone call an extension `count` times at `rate` a second, for `hold_ms` each and without audio.

        Who takes so many calls at once is switched on without audio, too. Raises as `storm` does.
        """
        load.check(rate, count, hold_ms)
        made = self._start(caller, f"calls {extension} {count} times")
        scenario = sipp.call(replace(made.agent, audio=""), extension, hold_ms, LOAD_RING_MS)
        return self._load(made, scenario, rate, count, hold_ms / 1000)

    def _load(self, agent: UserAgent, scenario: Scenario, rate: float, count: int, hold_s: float = 0.0) -> Load:
        (path,) = self._put(agent, scenario)
        self._follow(agent, sipp.load_command(agent.agent, path, rate, count))
        try:
            ending = agent.finish(Deadline(count / rate + hold_s + LOAD_ENDS_S))
            return load.read(ending.said, count, rate)
        except ValueError as error:
            raise LabError(f"{agent}: {error}: {ending}\n{ending.errors}") from None
        finally:
            agent.kill()

    # What phones heard

    def heard(self, agent: UserAgent) -> Counter[str]:
        """How many RTP packets came in at the agent's media ports so far, by the address they came from."""
        since = self._ear.packets[agent.heard_before :]
        packets = [each for each in since if each.port in agent.agent.media]
        return Counter(each.source for each in packets)

    def await_heard(self, agent: UserAgent, packets: int, deadline: Deadline) -> None:
        """Return when the agent has heard that many packets from its node. Raises LabError at the deadline."""
        node = agent.agent.node_address
        if not self._signal.wait_until(lambda: self.heard(agent)[node] >= packets, deadline):
            heard = dict(self.heard(agent)) or "nothing"
            hint = f"tshark said: {self._ear.trouble}"
            raise LabError(f"{agent}: heard {heard} in {deadline.timeout_s:g} s, not {packets} from {node}", hint)

    # How

    def _start(self, name: str, what: str, password: str | None = None) -> UserAgent:
        """An agent of the phone with ports that no other has now. Raises LabError if there are none left."""
        phone = self._lab.phone(name)
        first = PORTS_A_PHONE * self._lab.phones.index(phone)
        used = {each.agent.port for each in self._agents if each.ending is None}
        begun = self._begun.get(name, 0)
        slots = [(begun + each) % AGENTS_A_PHONE for each in range(AGENTS_A_PHONE)]
        slot = next((each for each in slots if FIRST_SIP_PORT + first + each not in used), None)
        if slot is None:
            raise LabError(f"{name}: {AGENTS_A_PHONE} agents at a time are all that a phone has ports for")
        self._begun[name] = slot + 1
        media = FIRST_MEDIA_PORT + first + MEDIA_PORTS_AN_AGENT * slot
        agent = Agent(
            name=name,
            password=self._secrets.sip(name) if password is None else password,
            node_address=blueprint.address(self._network.subnet, self._lab.node(phone.node).nodeid),
            address=self._address,
            port=FIRST_SIP_PORT + first + slot,
            media=range(media, media + MEDIA_PORTS_AN_AGENT),
            audio=TONE,
        )
        made = UserAgent(agent, what, self._signal, len(self._ear.packets), self._on_message)
        self._agents.append(made)
        return made

    def _run(self, agent: UserAgent, scenarios: tuple[Scenario, ...], once: bool) -> None:
        self._follow(agent, sipp.command(agent.agent, self._put(agent, *scenarios), once))

    def _put(self, agent: UserAgent, *scenarios: Scenario) -> tuple[str, ...]:
        files = tuple(File(f"{FOLDER}/{agent.agent.port}-{each.name}.xml", each.text) for each in scenarios)
        self._engine.put_files(self._container, files)
        return tuple(each.path for each in files)

    def _follow(self, agent: UserAgent, command: list[str]) -> None:
        shell = ["bash", "-c", sipp.RUNNER, "phone", *command]
        agent.start(self._engine.open_stream(self._container, shell))

    def _accepted(self, agent: UserAgent, method: str, done: str) -> None:
        """Return when the node has accepted the agent's signed request of that method."""

        def answered() -> bool:
            answers = agent.answers(method)
            return bool(answers) and (answers[-1] != _UNAUTHORIZED or len(answers) > 1)

        try:
            agent.wait_for(answered, f"{done} with {agent.agent.node_address}", Deadline(ANSWER_TIMEOUT_S))
            status = agent.answers(method)[-1]
            if status >= _REFUSED:
                hint = "the node does not know this password" if status == _UNAUTHORIZED else ""
                raise Refused(f"{agent}: not {done}: {agent.answer_line(method)}", hint)
        except LabError:
            agent.kill()
            raise
