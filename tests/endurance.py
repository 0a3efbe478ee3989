"""What takes too long for `make test`: labctl ended by SIGKILL hundreds of times, and hours of random faults.

    make endurance KILLS=200 MINUTES=120

Figures go to stdout; the exit code is 1 where a lab was not ready again, something was left behind, the soak found a
failure, or labctl itself grew.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from labctl.engine import client as engines

LAB, RUNS, SOAK = "endurance", "endurance-run", "endurance-soak"
"""Names of labs that nothing else has: of the verbs, of the runs among them, of the long soak."""

SHORT_SOAK = "endurance-short"
FOLDER = "labctl-runs/endurance"
VERBS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("up", "-n", LAB, "-q"), 6.0),
    (("up", "-n", LAB, "-q", "--nodes", "4"), 6.0),
    (("down", "-n", LAB, "-q"), 3.0),
    (("call", "alice", "bob", "-n", LAB, "-q"), 5.0),
    (("phone", "on", "alice", "bob", "-n", LAB), 3.0),
    (("phone", "dial", "alice", "bob", "-n", LAB), 3.0),
    (("phone", "off", "--all", "-n", LAB), 3.0),
    (("fault", "partition", "n1,n2", "n3", "-n", LAB), 2.0),
    (("fault", "cut", "n1", "n2", "-n", LAB), 2.0),
    (("fault", "impair", "n1", "--loss", "20", "-n", LAB), 2.0),
    (("fault", "pause", "n2", "-n", LAB), 2.0),
    (("fault", "kill", "n3", "-n", LAB), 2.0),
    (("fault", "restart", "n2", "--service", "asterisk", "-n", LAB), 4.0),
    (("heal", "-n", LAB), 2.0),
    (("wait", "-n", LAB, "--for", "proven"), 3.0),
    (("run", "distributed-device-state", "-q", "--name", RUNS, "--folder", FOLDER), 12.0),
    (("soak", "--minutes", "0.2", "-q", "--name", SHORT_SOAK, "--folder", FOLDER), 15.0),
    (("ps", "-n", LAB), 1.5),
    (("state", "-n", LAB), 1.5),
    (("state", "--watch", "-n", LAB), 2.0),
    (("logs", "-f", "-n", LAB), 2.0),
    (("cli", "n1", "core show version", "-n", LAB), 1.5),
    (("sh", "n1", "-n", LAB, "--", "true"), 1.5),
    (("ls",), 1.5),
    (("config", "-n", LAB), 1.5),
)
"""Verbs, and in how many seconds the kill may come. Each is begun about as often as each other."""

LOOKS = ("ps", "state", "logs", "cli", "sh", "ls", "config")
"""Verbs that change nothing: after some of them only the lab is brought up again."""

READY = ("up", "-n", LAB, "-q", "--nodes", "3", "--timeout", "3m")

GROWTH = 1.3
"""By what factor threads and memory of the last quarter may exceed those of the second."""


def labctl(*arguments: str) -> subprocess.Popen[str]:
    """Start labctl."""
    command = [sys.executable, "-m", "labctl", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*arguments: str) -> tuple[int, str, str]:
    """Run labctl to its end: exit code, output, messages."""
    process = labctl(*arguments)
    out, messages = process.communicate(timeout=600)
    return process.returncode, out, messages


def kill_at_random(times: int, seed: int) -> list[str]:
    """End labctl at random moments of random verbs; what was wrong afterwards."""
    dice, wrong, in_time, ups = random.Random(seed), list[str](), 0, 0  # noqa: S311 - chance, not secrets
    deck: list[tuple[tuple[str, ...], float]] = []
    for number in range(1, times + 1):
        if not deck:
            deck = dice.sample(VERBS, len(VERBS))
        arguments, longest_s = deck.pop()
        process = labctl(*arguments)
        try:
            process.communicate(timeout=dice.uniform(0.05, longest_s))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            in_time += 1
        after = f"kill {number} ({' '.join(arguments)})"
        if arguments[0] not in LOOKS or number % 5 == 0:
            finish("heal", "-n", LAB)
            code, _, messages = finish(*READY)
            ups += 1
            wrong += told(f"{number}: up after {after}: exit code {code}: {messages.strip()}") if code else []
        if number % 10 == 0:
            for name in (LAB, RUNS, SHORT_SOAK):
                wrong += gone(name, after)
        print(f"{number} of {times}, {in_time} in time, {len(wrong)} things wrong", flush=True)
    for name in (LAB, RUNS, SHORT_SOAK):
        wrong += gone(name, "all")
    print(f"kills: {times} verbs started, {in_time} ended by SIGKILL before they were done")
    print(f"after them {ups} times up, {len(wrong)} things wrong")
    return wrong


def gone(name: str, after: str) -> list[str]:
    """Take a lab away; what of it is left behind."""
    code, _, messages = finish("down", "-n", name, "-q")
    if code:
        return told(f"down of {name} after {after}: exit code {code}: {messages.strip()}")
    return left(name, f"down of it after {after}")


def left(name: str, by: str) -> list[str]:
    """What of a lab is left behind."""
    engine = engines.connect()
    locks = engine._api.volumes(filters={"name": f"labctl-lock-{name}"})["Volumes"] or []
    there = [str(volume["Name"]) for volume in locks if volume["Name"] == f"labctl-lock-{name}"]
    there += [] if engine.observe(name).empty else ["the lab"]
    return told(f"{name}: left behind by {by}: {', '.join(there)}") if there else []


def told(what: str) -> list[str]:
    """What was wrong, told as soon as it is known."""
    print(what, flush=True)
    return [what]


def status(pid: int) -> tuple[int, float] | None:
    """Threads and resident megabytes of a process (proc(5), /proc/pid/status); None once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    words = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    return (int(words["Threads"][0]), int(words["VmRSS"][0]) / 1000) if "VmRSS" in words else None


def soak(minutes: float, seed: int) -> list[str]:
    """A soak run whose threads and memory are watched; what was wrong."""
    length = ("--minutes", f"{minutes:g}", "--seed", str(seed))
    process = labctl("soak", *length, "-q", "-o", "json", "--name", SOAK, "--folder", FOLDER)
    samples: list[tuple[int, float]] = []
    began_s = time.monotonic()
    while True:
        try:
            out, messages = process.communicate(timeout=5)
            break
        except subprocess.TimeoutExpired:
            sample = status(process.pid)
            if sample and time.monotonic() - began_s > 30:
                samples.append(sample)
    print(messages.strip())
    results = json.loads(out) if out else []
    for result in results:
        print(f"soak: {result['standing']} after {result['seconds']:.0f} s, in {result['folder']}")
    wrong = [f"soak ended with exit code {process.returncode}"] if process.returncode not in (0, 5) else []
    wrong += left(SOAK, "the soak")
    quarter = len(samples) // 4
    if quarter:
        for what, column in (("threads", 0), ("MB resident", 1)):
            early = median(sample[column] for sample in samples[quarter : 2 * quarter])
            late = median(sample[column] for sample in samples[-quarter:])
            print(f"{what}: {early:g} in the second quarter, {late:g} in the last")
            if late > early * GROWTH:
                wrong.append(f"{what} grew from {early:g} to {late:g}")
    return wrong


def main() -> int:
    """Run what is asked for; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wrong = kill_at_random(options.kills, options.seed) if options.kills else []
    wrong += soak(options.minutes, options.seed) if options.minutes else []
    print("\n".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
