"""What labctl puts into the phones' container and runs there."""

from __future__ import annotations

from labctl.paths import SCRIPTS

FOLDER = "/tmp/labctl"  # noqa: S108 - in the phones' container, which has one user
TONE = f"{FOLDER}/tone.ulaw"
KEPT = f"{FOLDER}/kept"
RUN_SCRIPT = f"{FOLDER}/run-sipp.sh"


def run_script(name: str, *arguments: str) -> list[str]:
    """The command that runs a script of labctl/scripts in the container."""
    return ["bash", "-c", script(name), name, *arguments]


def script(name: str) -> str:
    """The text of a script of labctl/scripts."""
    return (SCRIPTS / f"{name}.sh").read_text("utf-8")
