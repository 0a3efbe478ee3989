"""tshark's words: the command that shows the RTP that comes in, and its lines as packets. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_FIELDS = ("frame.time_epoch", "ip.src", "udp.dstport", "rtp.p_type", "rtp.ssrc", "rtp.seq")


@dataclass(frozen=True)
class Packet:
    """An RTP packet that came in at `port`, at a time in seconds since 1970."""

    at_s: float
    source: str
    port: int
    payload_type: int


def command(address: str, ports: range) -> list[str]:
    """Show every RTP packet to these ports of the address, a line each, as they come in."""
    span = f"{ports.start}-{ports.stop - 1}"
    fields = [word for field in _FIELDS for word in ("-e", field)]
    capture = ["tshark", "-l", "-n", "-i", "eth0", "-f", f"udp and dst host {address} and dst portrange {span}"]
    return [*capture, "-d", f"udp.port=={span},rtp", "-Y", "rtp.version == 2", "-T", "fields", *fields]


def parse_packet(line: str) -> Packet | None:
    """A line of `command`, or None if it is no packet's."""
    values = line.split("\t")
    if len(values) != len(_FIELDS):
        return None
    return Packet(float(values[0]), values[1], int(values[2]), int(values[3]))
