"""The phones of a lab: real SIP user agents, as SIPp processes in a container, or in one on each Docker host.

Most end with the Phones that began them. One that is kept goes on in the container until it is switched off; whoever
opens the phones later finds it there, and can go on with it.

Every phone has SIP and media ports of its own, whichever container it is in, so that what arrives is told apart by
port. Media goes through the nodes (`direct_media = no`): what a phone hears comes from its node's address.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType

from labctl.blueprint.addresses import FIRST_SIP_PORT, PORTS_A_PHONE, virtual_address
from labctl.blueprint.running_lab import Running
from labctl.blueprint.secrets import Secrets
from labctl.engine.actions import File
from labctl.engine.client import Engine
from labctl.errors import LabError
from labctl.lab import VIRTUAL
from labctl.lock import claimed
from labctl.sip import kept_agents, load, sipp, tshark
from labctl.sip.container_files import FOLDER, KEPT, RUN_SCRIPT, TONE, run_script, script
from labctl.sip.kept_agents import LINE, KeptAgent
from labctl.sip.load import LoadResult
from labctl.sip.manner import AS_ALWAYS, EXPIRES_S, HIDDEN_ADDRESS, Manner
from labctl.sip.phone_containers import PhoneContainers
from labctl.sip.rtp_listener import RtpListener
from labctl.sip.sipp import Agent, SippScenario
from labctl.sip.transcript import Ending
from labctl.sip.user_agent import ANSWER_TIMEOUT_S, MessageListener, UserAgent
from labctl.timing import PATIENCE, Deadline, Signal

FIRST_MEDIA_PORT = 20000
AGENTS_A_PHONE = 10
MEDIA_PORTS_AN_AGENT = 10
"""Each phone has 100 SIP and 100 media ports; its agents, 10 at a time, have 1 and 10 of them each. Beside them it has
agents without media, for what it watches."""

WITH_MEDIA = range(AGENTS_A_PHONE)
WITHOUT_MEDIA = range(AGENTS_A_PHONE, PORTS_A_PHONE)

LOG_S = 20.0
"""How long a phone that was left on may take to hand out what it has said: where the engine is busy, a command that
reads that begins late."""

LEAVE_TIMEOUT_S = 1.5
KILL_TIMEOUT_S = 2.0
LOAD_RING_MS = 10_000
LOAD_ENDS_S = 30.0
"""How long what a load began last may take to end, beyond the time its calls are held."""

TALK_MS = 60_000
LATE_PACKETS_S = 1.0
"""How long packets of a call that is over may take to be seen: tshark hands them out in batches."""


class Phones:
    """The phones of a lab that runs. Use it as a context manager: leaving it switches off every phone it switched on,
    but those that are kept."""

    def __init__(
        self, engine: Engine, running: Running, on_message: MessageListener = lambda _name, _message: None
    ) -> None:
        lab, observation = running.lab, running.observation
        self._containers = PhoneContainers(engine, running)
        self._lab = lab
        network = observation.networks[0]
        self._registrars = running.addresses | running.service_addresses | {VIRTUAL: virtual_address(network.subnet)}
        self._nodes = frozenset(running.addresses.values())
        self._secrets = Secrets(network.seed)
        self._signal = Signal()
        self._agents: list[UserAgent] = []
        self._ports = threading.Lock()
        self._kept: tuple[KeptAgent, ...] = ()
        self._begun: dict[tuple[str, range], int] = {}
        self._manners: dict[str, Manner] = {}
        self._on_message = on_message
        self._rtp = RtpListener(self._signal)
        self._claim = ExitStack()

    def __enter__(self) -> Phones:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, audio: bool = True) -> None:
        """Put the tone in place, look for phones that were left on, and begin to listen on every media port.

        Listening takes about 0.6 s to begin; that goes on meanwhile, and only `await_heard` waits for it. Without
        `audio` nothing is listened to. Raises LabError if somebody else on this machine has the phones: two would use
        the same ports.
        """
        with ExitStack() as stack:
            if not stack.enter_context(claimed(f"phones-{self._lab.name}")):
                hint = "wait until that has ended, or bring up a lab of another name (-n)"
                raise LabError(f"the phones of {self._lab.name} are in use by another labctl", hint)
            self._begin(audio)
            self._claim = stack.pop_all()

    def _begin(self, audio: bool) -> None:
        files = (File(TONE, sipp.tone()), File(RUN_SCRIPT, script("run-sipp")))
        ports = range(FIRST_MEDIA_PORT, FIRST_MEDIA_PORT + PORTS_A_PHONE * len(self._lab.phones))
        self._containers.open(files)
        self._kept = self.kept()
        for container in self._containers.all if audio else ():
            command = tshark.command(container.address, ports)
            self._rtp.start(self._containers.stream(container, "capture", *command))

    def close(self) -> None:
        """Hang up, unsubscribe and unregister what still runs, within LEAVE_TIMEOUT_S; then kill what is left.

        Agents that are kept go on. Whatever fails, the rest is closed all the same.
        """
        with ExitStack() as stack:
            stack.callback(self._claim.close)
            stack.callback(self._rtp.close)
            for agent in self._agents:
                stack.callback(agent.close)
            self.end([agent for agent in self._agents if not agent.kept])

    def end(self, agents: list[UserAgent]) -> None:
        """Hang up, unsubscribe and unregister agents, within LEAVE_TIMEOUT_S; then kill what is left of them."""
        running = [agent for agent in agents if agent.runs]
        for agent in running:
            agent.drain()
            agent.nudge()
        self._signal.wait_until(lambda: all(agent.ending for agent in running), PATIENCE.deadline(LEAVE_TIMEOUT_S))
        for agent in running:
            agent.kill()
        self._signal.wait_until(lambda: all(agent.ending for agent in running), PATIENCE.deadline(KILL_TIMEOUT_S))

    # What a phone does

    def switch_on(
        self,
        name: str,
        ring_ms: int = 0,
        password: str | None = None,
        audio: bool = True,
        kept: bool = False,
        manner: Manner = AS_ALWAYS,
    ) -> UserAgent:
        """Start a phone that takes calls after `ring_ms`; it is registered when this returns.

        It takes as many calls at once as its media ports are for, and any number without `audio`. One that is `kept`
        stays on. What it does after that is by the same `manner`. Raises LabError if it is on already, if its node
        refuses it (as with a wrong `password`) or does not answer.
        """
        if self.line(name):
            raise LabError(f"{name} is on already", f"labctl phone off {name}")
        self._manners[name] = manner
        phone = self._start(name, LINE, password, kept)
        agent = phone.agent if audio else replace(phone.agent, audio="")
        line = sipp.line(agent, ring_ms, manner.answers_options)
        self._run(phone, (sipp.register(agent, manner.expires_s), line), once=False)
        try:
            phone.await_accepted("REGISTER", "registered")
        except LabError:
            with suppress(LabError):  # it is killed: once it has ended its ports are free
                phone.finish(Deadline(KILL_TIMEOUT_S))
            raise
        return phone

    def switch_off(self, phone: UserAgent, timeout_s: float = ANSWER_TIMEOUT_S) -> Ending:
        """Take the registration back and end the phone, once its calls are over. Raises LabError."""
        phone.drain()
        phone.nudge()
        return phone.finish(PATIENCE.deadline(timeout_s))

    def call(
        self, name: str, extension: str, talk_ms: int = TALK_MS, audio: bool = True, kept: bool = False
    ) -> UserAgent:
        """Have a phone call an extension; its node has answered the signed INVITE, if only with 100, when this returns.

        It says nothing without `audio`. It hangs up after `talk_ms` of talk, or a nudge; `finish` waits for its end.
        """
        caller = self._start(name, f"calls {extension}", kept=kept)
        agent = caller.agent if audio else replace(caller.agent, audio="")
        self._run(caller, (sipp.call(agent, extension, talk_ms),), once=True)
        caller.wait_for(lambda: caller.is_worked_on("INVITE"), "an answer", PATIENCE.deadline(ANSWER_TIMEOUT_S))
        return caller

    def watch(self, name: str, extension: str = "", kept: bool = False) -> UserAgent:
        """Have a phone watch an extension's dialogs, or its mailbox, until a nudge; it has its first NOTIFY by then."""
        watcher = self._start(name, f"watches {extension or 'its mailbox'}", kept=kept, slots=WITHOUT_MEDIA)
        package = sipp.DIALOGS if extension else sipp.MESSAGES
        self._run(watcher, (sipp.watch(watcher.agent, extension or name, EXPIRES_S, package),), once=True)
        watcher.await_accepted("SUBSCRIBE", "subscribed")
        deadline = PATIENCE.deadline(ANSWER_TIMEOUT_S)
        watcher.wait_for(lambda: bool(watcher.dialog_states or watcher.mailbox), "a first NOTIFY", deadline)
        return watcher

    # Phones that were left on

    def kept(self) -> tuple[KeptAgent, ...]:
        """The agents that were left on; also those that have ended since, until another agent has the port."""
        return self._containers.kept()

    def attach(self, kept: KeptAgent) -> UserAgent:
        """Go on with an agent that was left on; all that it has said so far is read when this returns."""
        agent = UserAgent(
            self._agent(kept.phone, kept.port, token=kept.token),
            kept.activity,
            self._signal,
            self._rtp.counts,
            self._on_message,
            kept=True,
        )
        self._agents.append(agent)
        agent.start(self._containers.stream(self._containers.of(kept.phone), "attach-sipp", _folder(agent)))
        agent.wait_for(lambda: agent.bytes_read >= kept.log_bytes, "its log", PATIENCE.deadline(LOG_S))
        return agent

    def forget(self, name: str) -> None:
        """Take away what is written down of a phone's agents that were left on. They must have ended."""
        folders = [f"{KEPT}/{kept.port}" for kept in self.kept() if kept.phone == name]
        if folders:
            self._containers.run(name, ["rm", "-rf", *folders])
        self._kept = tuple(kept for kept in self._kept if kept.phone != name)

    def line(self, name: str) -> UserAgent | None:
        """The agent by which a phone takes calls: one that was switched on here or left on; None if it is off."""
        for agent in self._agents:
            if agent.agent.name == name and agent.is_line and agent.runs:
                return agent
        left_on = (kept for kept in self._kept if kept.running and kept.is_line and kept.phone == name)
        return next((self.attach(kept) for kept in left_on), None)

    # What phones do many times

    def storm(self, name: str, rate: float, count: int) -> LoadResult:
        """Register a phone `count` times at `rate` a second; it is on or off after it as it was before.

        Raises UsageError beyond the bounds of `sip/load.py`, LabError if SIPp does not do it.
        """
        load.check(rate, count)
        line = self.line(name)
        generator = self._start(name, f"registers {count} times")
        port = (line or generator).agent.port
        result = self._load(generator, sipp.storm(generator.agent, EXPIRES_S, port), rate, count)
        if not line:
            self._load(self._start(name, "unregisters"), sipp.storm(generator.agent, 0, port), rate, 1)
        return result

    def calls(self, caller: str, extension: str, rate: float, count: int, hold_ms: int) -> LoadResult:
        """Have a phone call an extension `count` times at `rate` a second, for `hold_ms` each and without audio.

        Who takes so many calls at once is switched on without audio, too. Raises as `storm` does.
        """
        load.check(rate, count, hold_ms)
        generator = self._start(caller, f"calls {extension} {count} times")
        scenario = sipp.call(replace(generator.agent, audio=""), extension, hold_ms, LOAD_RING_MS)
        return self._load(generator, scenario, rate, count, hold_ms / 1000)

    def _load(
        self, agent: UserAgent, scenario: SippScenario, rate: float, count: int, hold_s: float = 0.0
    ) -> LoadResult:
        (path,) = self._put(agent, scenario)
        self._follow(agent, sipp.load_command(agent.agent, path, rate, count))
        try:
            ending = agent.finish(Deadline(count / rate + hold_s + LOAD_ENDS_S))
            return load.read(ending.output, count, rate)
        except ValueError as error:
            raise LabError(f"{agent}: {error}: {ending}\n{ending.errors}") from None
        finally:
            agent.kill()

    # What phones heard

    def heard(self, agent: UserAgent, call: str = "") -> Counter[str]:
        """How many RTP packets the agent has heard, in all or at the port of one call, by the address they came from.

        In a call of which it has not said yet at which port it takes its audio, that is none.
        """
        ports = [agent.media_port(call)] if call else agent.agent.media
        heard = Counter[str]()
        for place, count in self._rtp.counts.items():
            port, source = place
            if port in ports:
                heard[source] += count - agent.heard_before.get(place, 0)
        return +heard

    def heard_of_nodes(self, agent: UserAgent, call: str = "") -> int:
        """How many of these are from its node; where a server is in front of that, from any node or service."""
        node = agent.agent.node_address
        speakers = {node} if node in self._nodes else {*self._registrars.values()}
        return sum(count for source, count in self.heard(agent, call).items() if source in speakers)

    def await_heard(self, agent: UserAgent, packets: int, deadline: Deadline, call: str = "") -> None:
        """Return when the agent has heard that many packets from its node, in a call of several or in all.

        Raises LabError at the deadline, or as soon as its call is over, or nothing listens any more.
        """
        node = agent.agent.node_address

        def enough() -> bool:
            return self.heard_of_nodes(agent, call) >= packets

        def end() -> str:
            return agent.end_of(call or agent.call)

        def hopeless() -> bool:
            return bool(agent.ending or end() or self._rtp.ended)

        self._signal.wait_until(lambda: enough() or hopeless(), deadline)
        if hopeless():
            self._signal.wait_until(enough, Deadline(min(LATE_PACKETS_S, deadline.left_s)))
        if enough():
            return
        heard = dict(self.heard(agent, call)) or "nothing"
        why = (
            f"; the call is over: {end() or agent.ending}" if end() or agent.ending else f" in {deadline.timeout_s:g} s"
        )
        raise LabError(f"{agent}: heard {heard}, not {packets} from {node}{why}", f"tshark said: {self._rtp.trouble}")

    # How

    def _start(
        self, name: str, activity: str, password: str | None = None, kept: bool = False, slots: range = WITH_MEDIA
    ) -> UserAgent:
        """An agent of the phone with ports that no other has now. Raises LabError if there are none left."""
        self._forget_ended()
        first = FIRST_SIP_PORT + PORTS_A_PHONE * self._index(name)
        with self._ports:
            used = {agent.agent.port for agent in list(self._agents) if agent.runs}
            used |= {left_on.port for left_on in self._kept if left_on.running}
            begun = self._begun.get((name, slots), 0)
            in_turn = [slots[(begun + offset) % len(slots)] for offset in range(len(slots))]
            slot = next((slot for slot in in_turn if first + slot not in used), None)
            if slot is None:
                raise LabError(f"{name}: {len(slots)} agents at a time are all that a phone has ports for")
            self._begun[name, slots] = slots.index(slot) + 1
            agent = self._agent(name, first + slot, password)
            user_agent = UserAgent(agent, activity, self._signal, self._rtp.counts, self._on_message, kept)
            self._agents.append(user_agent)
        return user_agent

    def _forget_ended(self) -> None:
        """Keep no agent that has ended, with all that it said: a run of hours has thousands. Who waits for its end has
        it himself."""
        for agent in [agent for agent in list(self._agents) if agent.ending]:
            with suppress(ValueError):  # another thread has
                self._agents.remove(agent)
            agent.close()

    def _agent(self, name: str, port: int, password: str | None = None, token: str = "") -> Agent:
        phone, manner = self._lab.phone(name), self._manners.get(name, AS_ALWAYS)
        slot = min(port - FIRST_SIP_PORT - PORTS_A_PHONE * self._index(name), WITH_MEDIA[-1])
        media = FIRST_MEDIA_PORT + PORTS_A_PHONE * self._index(name) + MEDIA_PORTS_AN_AGENT * slot
        agent = Agent(
            name=name,
            password=self._secrets.sip(name) if password is None else password,
            node_address=self._registrars[manner.place or phone.registrars[0]],
            address=self._containers.of(name).address,
            port=port,
            media=range(media, media + MEDIA_PORTS_AN_AGENT),
            audio=TONE,
        )
        agent = replace(agent, shown=HIDDEN_ADDRESS) if manner.hidden else agent
        return replace(agent, token=token) if token else agent

    def _index(self, name: str) -> int:
        return self._lab.phones.index(self._lab.phone(name))

    def _run(self, agent: UserAgent, scenarios: tuple[SippScenario, ...], once: bool) -> None:
        self._follow(agent, sipp.command(agent.agent, self._put(agent, *scenarios), once))

    def _put(self, agent: UserAgent, *scenarios: SippScenario) -> tuple[str, ...]:
        paths = tuple(f"{FOLDER}/{agent.agent.port}-{scenario.name}.xml" for scenario in scenarios)
        files = [File(path, scenario.text) for path, scenario in zip(paths, scenarios, strict=True)]
        if agent.kept:
            files.append(File(f"{_folder(agent)}/agent", kept_agents.describe(agent.agent, agent.activity)))
        self._containers.put_files(agent.agent.name, tuple(files))
        return paths

    def _follow(self, agent: UserAgent, command: list[str]) -> None:
        """Start SIPp, and follow what it says."""
        container = self._containers.of(agent.agent.name)
        if not agent.kept:
            agent.start(self._containers.stream(container, "run-sipp", *command))
            return
        folder = _folder(agent)
        output = self._containers.run(agent.agent.name, run_script("keep-sipp", folder, RUN_SCRIPT, *command))
        if output.code:
            raise LabError(f"{agent} cannot be left on: {output.text.strip()}")
        agent.start(self._containers.stream(container, "attach-sipp", folder))


def _folder(agent: UserAgent) -> str:
    """Where an agent that is kept has its files."""
    return f"{KEPT}/{agent.agent.port}"
