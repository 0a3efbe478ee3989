"""How long Corosync waits, by how many nodes a ring has. Pure."""

from __future__ import annotations

from dataclasses import dataclass

COEFFICIENT_MS = 650
"""corosync.conf(5), token_coefficient: Corosync 2.3.4 and later add so much to the token for each node beyond two."""

FORMING_COEFFICIENT_MS = 130
"""The same while a large ring forms for the first time: a fifth, so of 30 nodes 4.6 s in place of 19 s."""

CONSENSUS_FACTOR = 1.2
"""corosync.conf(5), consensus: so much more than the token, at least and by default."""

FEW_NODES = 16
"""A ring of so many takes what three take. From there on what goes over the wire just to keep the ring is held in
bounds: links are looked at, and joins repeated, less often, as each goes from every node to every other."""

PING_MS, MOST_PING_MS = 200, 3000
JOIN_MS, SEND_JOIN_MS = 50, 80
"""corosync.conf(5): `join` by default, and what `send_join` is good for from 32 nodes on."""

MANY_NODES = 32


@dataclass(frozen=True)
class Timers:
    """What a ring goes by, in ms. `token` is the time after which a silent node is lost, `consensus` that after which
    one that does not join is left out. `join` and `send_join` are None where they are as Corosync has them."""

    token: int
    consensus: int
    ping_interval: int
    ping_timeout: int
    join: int | None = None
    send_join: int | None = None


def is_large(nodes: int) -> bool:
    """Whether a ring of so many nodes wants more than what three take."""
    return nodes > FEW_NODES


def real_token_ms(token_ms: int, nodes: int, coefficient_ms: int = COEFFICIENT_MS) -> int:
    """The token's time-out of a ring of `nodes`, by what corosync.conf says (corosync.conf(5), token_coefficient)."""
    return token_ms + max(0, nodes - 2) * coefficient_ms


def timers(token_ms: int, nodes: int, coefficient_ms: int | None = None, consensus_ms: int | None = None) -> Timers:
    """What a ring of `nodes` goes by; `coefficient_ms` and `consensus_ms` where a user says them."""
    real_ms = real_token_ms(token_ms, nodes, COEFFICIENT_MS if coefficient_ms is None else coefficient_ms)
    consensus_ms = consensus_ms or round(real_ms * CONSENSUS_FACTOR)
    if not is_large(nodes):
        return Timers(real_ms, consensus_ms, PING_MS, max(2 * PING_MS, token_ms))
    # As many packets a second of all nodes together as FEW_NODES send.
    interval_ms = min(MOST_PING_MS, round(PING_MS * (nodes / FEW_NODES) ** 2))
    join_ms = min(round(JOIN_MS * (nodes / FEW_NODES) ** 2), consensus_ms)
    timeout_ms = max(token_ms, 4 * interval_ms)
    return Timers(real_ms, consensus_ms, interval_ms, timeout_ms, join_ms, SEND_JOIN_MS if nodes > MANY_NODES else None)
