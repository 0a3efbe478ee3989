"""What was seen: frozen data that parsers return and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field

UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Ring:
    """Corosync's membership as one node sees it; `members` are node ids."""

    quorate: bool = False
    members: tuple[int, ...] = ()
    ring_id: str = field(default="", compare=False)


@dataclass(frozen=True)
class Container:
    """A container of a lab, as Docker tells it. `spec` is the lab and its stack as JSON, on the phones' alone."""

    id: str
    name: str
    lab: str
    role: str
    node: str
    state: str
    config_hash: str
    address: str = ""
    spec: str = ""
    image: str = ""


@dataclass(frozen=True)
class Network:
    """A lab's network. `seed` is what the lab's secrets are made from."""

    id: str
    name: str
    lab: str
    subnet: str
    seed: str


@dataclass(frozen=True)
class Observation:
    """Everything of one lab that Docker holds."""

    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of the lab is there."""
        return not self.networks and not self.containers


@dataclass(frozen=True)
class NodeView:
    """One row of `labctl ps`. `cluster` holds the ids that the module sees in its CPG or CLM group, `faults` what is
    wrong with the node because somebody made it so."""

    node: str
    container: str
    address: str = ""
    ring: Ring = field(default_factory=Ring)
    cluster: tuple[str, ...] = ()
    asterisk: str = ""
    uptime_s: int | None = None
    faults: tuple[str, ...] = ()


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
    """One state change made on `origin` and seen on `observer`, `delay_ms` after it was sent."""

    origin: str
    observer: str
    delay_ms: float


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
    """A state of an extension, and when a node learned it: `after_ms` after the node that said it first."""

    state: str
    node: str
    after_ms: float


@dataclass(frozen=True)
class Call:
    """A call that was placed: how many RTP packets each side heard from its node, and who saw what."""

    caller: str
    callee: str
    extension: str
    caller_heard: int
    callee_heard: int
    learned: tuple[Learned, ...]
