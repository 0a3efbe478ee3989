"""Puts a live lab together from its parts."""

from __future__ import annotations

import functools
from pathlib import Path

from labctl.blueprint.running_lab import Running
from labctl.cluster.connections import Cluster
from labctl.engine.client import Engine
from labctl.history.journal import Journal
from labctl.progress import Progress
from labctl.scenario import steps
from labctl.scenario.crash_watch import CrashWatch
from labctl.scenario.fault_control import FaultControl
from labctl.scenario.health_watch import HealthWatch
from labctl.scenario.live_lab import LiveLab
from labctl.scenario.recorder import Recorder
from labctl.scenario.recording import Recording
from labctl.scenario.starvation import StarvationWatch
from labctl.scenario.switchboard import Switchboard
from labctl.scenario.versions import versions
from labctl.sip.phones import Phones

STEPS = steps.STEPS
"""What a live lab can be asked to do."""


def live_lab(
    engine: Engine,
    running: Running,
    journal: Journal,
    progress: Progress,
    capture: Path | None = None,
    *,
    fresh: bool = False,
) -> LiveLab:
    """A live lab over one that runs; what crosses its network goes to the file `capture`, if there is to be one. Of one
    that is `fresh` what its nodes logged before belongs to the run.

    Nothing is connected to before it is opened.
    """
    recorder = Recorder(journal, running.lab, running.stack, running.stack_of)
    cluster = Cluster(engine, running)
    faults = FaultControl(engine, running, cluster, journal, recorder.node_lost_calls)
    connect = functools.partial(Phones, engine, running)
    told = (recorder.phone_said, recorder.nodes_of, recorder.cut_off)
    phones = Switchboard(running.lab, journal, faults.gone, connect, *told)
    crashes = CrashWatch(engine, running, cluster, faults, journal)
    asked, machine = functools.partial(versions, engine, running), StarvationWatch()
    recording = Recording(engine, running, journal, capture) if capture else None
    health = HealthWatch(engine, running, cluster, lambda: faults.gone, journal)
    return LiveLab(
        *(engine, running, cluster, phones, faults, recorder, journal, progress),
        *(machine, crashes, asked, recording, health, fresh),
    )
