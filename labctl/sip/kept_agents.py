"""User agents that go on after labctl has ended: how they are written down in the phones' container. Pure.

The container alone knows them, so that any labctl finds them again. Each has a folder of its own, named for its port;
scripts/keep-sipp.sh tells what lies in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from labctl.sip.sipp import Agent

LINE = "phone"
"""The activity of an agent that takes calls."""


@dataclass(frozen=True)
class KeptAgent:
    """An agent that was left on: whose phone it is, what it does, and what it began with.

    `running` is whether its process is still there, `log_bytes` how much it had said when it was looked for.
    """

    phone: str
    activity: str
    port: int
    token: str
    running: bool = True
    log_bytes: int = 0

    @property
    def is_line(self) -> bool:
        """Whether it takes calls, and has not just made one."""
        return self.activity == LINE


def describe(agent: Agent, activity: str) -> str:
    """What is written down of an agent, on one line."""
    return json.dumps({"phone": agent.name, "activity": activity, "port": agent.port, "token": agent.token})


def parse(listing: str) -> tuple[KeptAgent, ...]:
    """The agents that scripts/list-kept.sh lists, by port. Lines of another form are passed over."""
    agents = []
    for line in listing.splitlines():
        state, _, rest = line.partition(" ")
        size, _, description = rest.partition(" ")
        if state in ("on", "ended") and size.isdigit() and description.startswith("{"):
            agents.append(KeptAgent(**json.loads(description), running=state == "on", log_bytes=int(size)))
    return tuple(sorted(agents, key=lambda agent: agent.port))
