"""A trial call: one phone of a lab calls another, and what each hears and each node learns of it is told."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster, learned
from labctl.cluster.views import Call
from labctl.engine.client import Engine
from labctl.errors import LabError, UsageError
from labctl.lab import Lab
from labctl.progress import Progress, step
from labctl.sip.phones import TALK_MS, Phones
from labctl.timing import Deadline
from labctl.yamlfile.document import suggestion

PACKETS_A_SECOND = 50
"""G.711 in packets of 20 ms (RFC 3551, section 4.2)."""


@dataclass(frozen=True)
class Trial:
    """Who is to call whom, and for how long they talk; without `audio` there is signalling alone for that long."""

    caller: str
    callee: str
    talk_s: float
    audio: bool = True


def call(engine: Engine, running: Running, trial: Trial, timeout_s: float, progress: Progress) -> Call:
    """Have one phone of the lab call another, with audio both ways, and hang up.

    Returns what each side heard, and when each node learned the states of the callee's extension. Raises UsageError
    for a name that is no phone, LabError for a call that fails or a side that hears nothing.
    """
    lab, deadline = running.lab, Deadline(timeout_s)
    _check(trial, lab)
    caller, callee = lab.phone(trial.caller), lab.phone(trial.callee)
    extension = callee.extension
    with Cluster(engine, running) as cluster, Phones(engine, running) as phones:
        cluster.open()
        cluster.await_booted(deadline)
        with step(progress, f"{callee.name} registers with {callee.node}"):
            called = phones.switch_on(callee.name, audio=trial.audio)
        cluster.await_state(extension, "Idle", deadline)
        history = cluster.follow(extension)
        with step(progress, f"{caller.name} calls {extension} from {caller.node}"):
            talk_ms = TALK_MS if trial.audio else round(trial.talk_s * 1000)
            calling = phones.call(caller.name, extension, talk_ms, trial.audio)
        if trial.audio:
            with step(progress, f"both hear {trial.talk_s:g} s of audio from their nodes"):
                for agent in (calling, called):
                    phones.await_heard(agent, max(1, int(trial.talk_s * PACKETS_A_SECOND)), deadline)
            calling.nudge()
        with step(progress, f"{caller.name} hangs up"):
            ending = calling.finish(deadline)
            if ending.code:
                raise LabError(f"{caller.name} calls {extension}: {ending}")
            cluster.await_state(extension, "Idle", deadline)
        heard = [phones.heard(agent)[agent.agent.node_address] for agent in (calling, called)]
        return Call(caller.name, callee.name, extension, heard[0], heard[1], learned(history))


def _check(trial: Trial, lab: Lab) -> None:
    known = [phone.name for phone in lab.phones]
    for name in (trial.caller, trial.callee):
        if name not in known:
            dialed = name.removeprefix("*").isdigit()
            hint = "between two phones; in a scenario, `call` takes any number" if dialed else suggestion(name, known)
            raise UsageError(f"no phone `{name}` in the lab {lab.name}", hint)
    if trial.caller == trial.callee:
        raise UsageError(f"{trial.caller} cannot call {trial.callee}: it is one phone", "name two")
