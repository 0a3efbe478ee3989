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

NAME = "endurance"
VERBS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("up", "-n", NAME, "-q"), 6.0),
    (("up", "-n", NAME, "-q", "--nodes", "4"), 6.0),
    (("down", "-n", NAME, "-q"), 3.0),
    (("ps", "-n", NAME), 1.5),
    (("state", "-n", NAME), 1.5),
    (("call", "alice", "bob", "-n", NAME, "-q"), 5.0),
    (("fault", "partition", "n1,n2", "n3", "-n", NAME), 2.0),
    (("fault", "pause", "n2", "-n", NAME), 2.0),
    (("heal", "-n", NAME), 2.0),
    (("wait", "-n", NAME, "--for", "proven"), 3.0),
    (("run", "distributed-device-state", "-q", "--folder", "labctl-runs/endurance"), 12.0),
)
"""Verbs, and in how many seconds the kill may come."""

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
    dice, wrong, in_time = random.Random(seed), list[str](), 0  # noqa: S311 - chance, not secrets
    for number in range(1, times + 1):
        arguments, longest_s = dice.choice(VERBS)
        process = labctl(*arguments)
        try:
            process.communicate(timeout=dice.uniform(0.05, longest_s))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            in_time += 1
        if arguments[0] in ("fault", "heal", "run") or number % 5 == 0:
            finish("heal", "-n", NAME)
            code, _, messages = finish("up", "-n", NAME, "-q", "--nodes", "3")
            if code:
                wrong.append(f"up after kill {number} ({' '.join(arguments)}): exit code {code}: {messages.strip()}")
    for name in (NAME, "run-distributed-device-state"):
        code, _, messages = finish("down", "-n", name, "-q")
        if code:
            wrong.append(f"down of {name}: exit code {code}: {messages.strip()}")
    labs = [row["name"] for row in json.loads(finish("ls", "-o", "json")[1])]
    wrong += [f"left behind: {name}" for name in labs if name in (NAME, "run-distributed-device-state")]
    print(f"kills: {times} started, {in_time} ended by SIGKILL before they were done, {len(wrong)} things wrong")
    return wrong


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
    folder = "labctl-runs/endurance"
    process = labctl("soak", "--minutes", f"{minutes:g}", "--seed", str(seed), "-q", "-o", "json", "--folder", folder)
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
