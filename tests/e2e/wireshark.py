"""What tshark says of a capture: that of the phones' image, so that this machine needs none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from labctl.engine.client import Engine

PORTS = ("-d", "udp.port==6000-6999,sip")
"""The phones' SIP ports (labctl.sip.phones), which tshark would not take for SIP."""


def fields(engine: Engine, container: str, capture: Path, shown: str, *names: str) -> list[tuple[str, ...]]:
    """Fields of each packet that a display filter shows, as tshark prints them, in a container that runs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(capture, "read.pcapng")
    engine._api.put_archive(container, "/root", buffer.getvalue())
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", "/root/read.pcapng", "-n", *PORTS, "-Y", shown, "-T", "fields", *wanted]
    output = engine.run(container, ["sh", "-c", '"$@" 2> /dev/null', "tshark", *command])
    assert output.code == 0, output.text
    return [tuple(line.split("\t")) for line in output.text.splitlines()]
