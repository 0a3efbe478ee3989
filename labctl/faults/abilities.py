"""What a kernel can do for faults, asked from within a container. Pure."""

from __future__ import annotations

PROBE = """
can() { "$@" > /dev/null 2>&1 && echo yes || echo no; }
echo iptables=$(can iptables -A INPUT -p udp --dport 5405 -j DROP)
echo statistic=$(can iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP)
echo netem=$(can tc qdisc add dev lo root netem delay 1ms)
echo tbf=$(can tc qdisc replace dev lo root tbf rate 1mbit burst 10kb latency 50ms)
"""
"""Run in a container of a node's image, with NET_ADMIN and only loopback: nothing of the host is touched."""


def parse_abilities(text: str) -> frozenset[str]:
    """The names of what this kernel can do, by what PROBE prints."""
    pairs = (line.partition("=") for line in text.splitlines())
    return frozenset(name for name, _, answer in pairs if answer == "yes")
