"""What a kernel can do for faults, asked from within a container."""

from __future__ import annotations

from labctl.paths import images_folder


def probe_script() -> str:
    """The script that asks, for a container of a node's image with NET_ADMIN and no network but loopback."""
    return (images_folder() / "doctor/probe").read_text("utf-8")


def parse_abilities(text: str) -> frozenset[str]:
    """The names of what this kernel can do, by what the script prints."""
    pairs = (line.partition("=") for line in text.splitlines())
    return frozenset(name for name, _, answer in pairs if answer == "yes")
