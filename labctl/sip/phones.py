"""The phones of a lab: real SIP user agents, as SIPp processes in the phones' container.

Every phone has SIP and media ports of its own on the container's one address, so what arrives is told apart
by port. Media goes through the nodes (`direct_media = no`): what a phone hears comes from its node's address.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from labctl.blueprint import addresses
from labctl.blueprint.running_lab import Running
from labctl.blueprint.secrets import Secrets
from labctl.engine.actions import File, StartContainer
from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.lock import claimed
from labctl.names import ROLE_PHONES
from labctl.sip import load, sipp, tshark
from labctl.sip.load import Load
from labctl.sip.rtp_listener import Ear
from labctl.sip.sipp import Agent, Scenario
from labctl.sip.transcript import Ending
from labctl.sip.user_agent import ANSWER_TIMEOUT_S, MessageListener, UserAgent
from labctl.timing import Deadline, Signal

FOLDER = "/tmp/labctl"  # noqa: S108 - in the phones' container, which has one user
TONE = f"{FOLDER}/tone.ulaw"

FIRST_SIP_PORT = 6000
FIRST_MEDIA_PORT = 20000
PORTS_A_PHONE = 100
AGENTS_A_PHONE = 10
MEDIA_PORTS_AN_AGENT = 10
"""Each phone has 100 SIP and 100 media ports; its agents, 10 at a time, have 1 and 10 of them each."""

LEAVE_TIMEOUT_S = 1.5
KILL_TIMEOUT_S = 2.0
LOAD_RING_MS = 10_000
LOAD_ENDS_S = 30.0
"""How long what a load began last may take to end, beyond the time its calls are held."""

EXPIRES_S = 3600
TALK_MS = 60_000
_LINE = "phone"


class Phones:
    """The phones of a lab that runs. Use it as a context manager: leaving it switches every phone off."""

    def __init__(
        self, engine: Engine, running: Running, on_message: MessageListener = lambda _name, _message: None
    ) -> None:
        lab, seen = running.lab, running.seen
        containers = [each for each in seen.containers if each.role == ROLE_PHONES]
        if not containers or not seen.networks:
            raise LabError(f"the phones' container of {lab.name} is gone", f"labctl up --name {lab.name} mends it")
        self._engine = engine
        self._lab = lab
        self._network = seen.networks[0]
        self._secrets = Secrets(self._network.seed)
        self._container = containers[0].id
        self._address = addresses.phones_address(self._network.subnet)
        self._signal = Signal()
        self._agents: list[UserAgent] = []
        self._begun: dict[str, int] = {}
        self._on_message = on_message
        self._ear = Ear(self._signal)
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
        phone.await_accepted("REGISTER", "registered")
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
        watcher.await_accepted("SUBSCRIBE", "subscribed")
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
            node_address=addresses.address(self._network.subnet, self._lab.node(phone.node).nodeid),
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
