"""What is known of a running lab: frozen data that this package returns and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.corosync.membership import Membership

UNKNOWN = "Unknown"

HOST_LOST = "host lost"
"""What is shown as the state of a container on a Docker host that does not answer."""

NOT_STARTED = "not started"
"""What is shown as the state of a node's container that was made, and never started."""


@dataclass(frozen=True)
class NodeView:
    """One row of `labctl ps`. `ring` is what Corosync has, `cluster` the ids that the module sees in its CPG or CLM
    group; None where the node runs and the tool that tells of it did not answer. `faults` is what is wrong with it
    because somebody made it so, `remarks` what the other fields cannot say: a tool that does not answer, a daemon that
    restarts in a loop, a membership that may be out of date. `service`: it is a server beside the nodes, of which there
    is no more than its container. `host` is the Docker host that it is on, where the lab is over several."""

    node: str
    container: str
    address: str = ""
    ring: Membership | None = field(default_factory=Membership)
    cluster: tuple[str, ...] | None = ()
    asterisk: str = ""
    uptime_s: int | None = None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    service: bool = False
    host: str = ""


@dataclass(frozen=True)
class StateRow:
    """One extension, and what each node says of it (node -> state; UNKNOWN where it did not answer)."""

    extension: str
    device: str
    states: dict[str, str]

    @property
    def agreed(self) -> bool:
        """Whether all nodes that answered say the same."""
        return len({state for state in self.states.values() if state != UNKNOWN}) <= 1


@dataclass(frozen=True)
class Crossing:
    """One state change made on `origin` and seen on `observer`, `delay_ms` after it was sent.

    `round` is the round of the proof in which it was: from 1 on; the rounds before it failed between some nodes.
    """

    origin: str
    observer: str
    delay_ms: float
    round: int = 1


@dataclass(frozen=True)
class Route:
    """A way to a number of another site's, found by DUNDi within `took_ms`."""

    asker: str
    number: str
    destination: str
    took_ms: float


@dataclass(frozen=True)
class SiteState:
    """An extension, and what each site says of it: its own by its hints, another by what that answers by DUNDi.

    `states`: the site that asks -> the state, UNKNOWN where nobody answers. `by`: the site that asks -> who answered.
    """

    extension: str
    device: str
    home: str
    states: dict[str, str]
    by: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Learned:
    """A state of an extension, and when a node learned it: `after_ms` after the first node to report it.

    `turn` numbers the changes of the extension: what the nodes learned of one change has one number.
    """

    state: str
    node: str
    after_ms: float
    turn: int = 0


@dataclass(frozen=True)
class Call:
    """A call that was placed: how many RTP packets each side heard from its node, and who saw what."""

    caller: str
    callee: str
    extension: str
    caller_heard: int
    callee_heard: int
    learned: tuple[Learned, ...]
