"""Nodes on which scripts of faults really run, by this machine's shell, with tools that only keep a state: a strict
stand-in for the engine. What no fault uses, no tool of these knows: it fails then."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.blueprint.running_lab import Running
from labctl.engine.actions import (
    AwaitReady,
    KillContainer,
    PauseContainer,
    StartContainer,
    Step,
    StopContainer,
    UnpauseContainer,
)
from labctl.engine.commands import Output
from labctl.engine.observation import Container, Network, Observation
from labctl.errors import LabError, NotReady
from labctl.faults.records import RECORDS
from tests.unit.labs import SUBNET, lab, stack

TOOL = r"""#!/bin/sh
set -eu
cd "$STATE"
tool=${0##*/}
die() { echo "$tool: $*" >&2; exit 2; }
hooked() { while read -r chain; do echo "-A $1 -j $chain"; done < "hooks/$1"; }
[ "$tool" = sv ] || [ "${1-}" != -w ] || shift
[ ! -s fails ] || ! grep -qFx -e "$tool ${1-} ${2-}" fails || { echo "refused: $tool" >&2; exit 1; }
case "$tool $*" in
    "iptables-restore --help") echo --wait ;;
    "iptables-restore --noflush")
        while read -r line; do
            set -- $line
            case $line in
                "*filter" | COMMIT) ;;
                :*) : > "chains/${1#:}" ;;
                -A*) echo "$line" >> "chains/$2" ;;
                -I*) [ -e "chains/$4" ]; echo "$4" >> "hooks/$2" ;;
                *) die "$line" ;;
            esac
        done ;;
    "iptables -S")
        for chain in chains/*; do [ ! -e "$chain" ] || echo "-N ${chain#chains/}"; done
        for hook in INPUT OUTPUT; do hooked "$hook"; done ;;
    "iptables -S "*) hooked "$2" ;;
    "iptables -D "*)
        grep -qFx -e "$4" "hooks/$2" || die "no rule"
        { grep -vFx -e "$4" "hooks/$2" || :; } > rest; mv rest "hooks/$2" ;;
    "iptables -F "*) [ -e "chains/$2" ] || die "no chain"; : > "chains/$2" ;;
    "iptables -X "*)
        ! grep -qFx -e "$2" hooks/* || die "in use"
        [ ! -s "chains/$2" ] || die "not empty"
        rm "chains/$2" ;;
    "tc qdisc replace dev eth0 root "*) shift 5; echo "$*" > qdisc ;;
    "tc qdisc del dev eth0 root") [ -s qdisc ] || die "none"; : > qdisc ;;
    "tc qdisc show dev eth0") [ ! -s qdisc ] || { read -r line < qdisc; echo "$line"; } ;;
    "ip link set eth0 up" | "ip link set eth0 down") echo "$4" > interface ;;
    "sv "*)
        for service; do :; done
        [ "$1" != -w ] || shift 2
        case $1 in
            up | restart) echo run > "services/${service##*/}" ;;
            force-stop) echo down > "services/${service##*/}" ;;
            kill) ;;
            *) die "$*" ;;
        esac ;;
    *) die "$*" ;;
esac
"""
UNTOUCHED: dict[str, Any] = {
    "chains": {},
    "hooks": {"INPUT": [], "OUTPUT": []},
    "qdisc": "",
    "interface": "up",
    "services": {"asterisk": "run", "corosync": "run"},
}


class SandboxNodes:
    """An engine with the nodes of one lab, each a folder."""

    def __init__(self, folder: Path, text: str = "name: lab\n") -> None:
        self.lab = lab(text)
        self.abilities = "iptables=yes\nstatistic=yes\ntbf=yes\nnetem=yes\n"
        self._folder = folder
        self._containers: dict[str, Container] = {}
        (folder / "bin").mkdir()
        for tool in ("iptables", "iptables-restore", "tc", "ip", "sv"):
            (folder / "bin" / tool).write_text(TOOL)
            (folder / "bin" / tool).chmod(0o755)
        for node in self.lab.nodes:
            name = f"labctl-lab-{node.name}"
            self._containers[name] = Container(name, name, "lab", "node", node.name, "running", "hash", image="image")
            for service in UNTOUCHED["services"]:
                (folder / node.name / "service" / service).mkdir(parents=True)
            self._boot(node.name)

        for service in self.lab.services:
            name = f"labctl-lab-{service.name}"
            self._containers[name] = Container(name, name, "lab", "service", service.name, "running", "", image="image")

    @property
    def running(self) -> Running:
        """The lab as the engine holds it."""
        network = Network("id", "labctl-lab", "lab", SUBNET, "seed")
        return Running(self.lab, stack(), Observation((network,), tuple(self._containers.values())))

    def state(self, node: str) -> dict[str, Any]:
        """What faults have left on a node."""
        state = self._folder / node / "state"
        return {
            "chains": {path.name: path.read_text().splitlines() for path in sorted((state / "chains").iterdir())},
            "hooks": {path.name: path.read_text().splitlines() for path in sorted((state / "hooks").iterdir())},
            "qdisc": (state / "qdisc").read_text().strip(),
            "interface": (state / "interface").read_text().strip(),
            "services": {path.name: path.read_text().strip() for path in sorted((state / "services").iterdir())},
        }

    def touch(self, node: str, **changes: Any) -> None:
        """Change the state of a node by hand."""
        self._write(node, self.state(node) | changes)

    def refuse(self, node: str, *commands: str) -> None:
        """Have tools of a node fail from now on where a command begins with these three words; no others."""
        (self._folder / node / "state" / "fails").write_text("".join(f"{command}\n" for command in commands))

    def keep_down(self, node: str, service: str) -> None:
        """The node's configuration says that a service does not run."""
        (self._folder / node / "service" / service / "down").touch()
        self.touch(node, services=self.state(node)["services"] | {service: "down"})

    def records(self, node: str) -> Path:
        """The folder in which a node keeps the records of faults."""
        return self._folder / node / "records"

    # What is asked of an engine

    def observe(self, name: str) -> Observation:
        """All nodes."""
        assert name == "lab"
        return self.running.observation

    def run(self, container: str, command: list[str]) -> Output:
        """Run a shell script on a node."""
        node = self._containers[container]
        if node.state != "running":
            raise LabError(f"{node.node} is {node.state}")
        shell, option, script = command
        folder = self._folder / node.node
        script = script.replace(RECORDS, str(folder / "records")).replace("/etc/service", str(folder / "service"))
        environment = {"PATH": f"{self._folder}/bin:{os.environ['PATH']}", "STATE": str(folder / "state")}
        done = subprocess.run(
            [shell, option, script],
            check=False,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Output(done.returncode, done.stdout)

    def apply(self, step: Step) -> None:
        """End, freeze or start a node's container; a service is never ready."""
        if isinstance(step, AwaitReady):
            raise NotReady(f"{step.name} is not ready: {step.command}", {})
        ways: dict[type, tuple[tuple[str, ...], str]] = {
            KillContainer: (("running",), "exited"),
            StopContainer: (("running",), "exited"),
            PauseContainer: (("running",), "paused"),
            UnpauseContainer: (("paused",), "running"),
            StartContainer: (("exited", "created"), "running"),
        }
        states, state = ways[type(step)]
        assert not isinstance(step, str)
        container = self._containers[step.name]  # type: ignore[union-attr]
        assert container.state in states
        if isinstance(step, StartContainer) and container.role == "node":
            self._boot(container.node)
        self._containers[container.name] = replace(container, state=state)

    def probe(self, image: str, _script: str, *, of_machine: bool = False) -> str:
        """What the kernel can do."""
        assert image == "image"
        return self.abilities

    def _boot(self, node: str) -> None:
        """A container that is started has a network, a /dev/shm and processes that are new."""
        services = {
            service: "down" if (self._folder / node / "service" / service / "down").exists() else "run"
            for service in UNTOUCHED["services"]
        }
        self._write(node, UNTOUCHED | {"services": services})
        self.refuse(node)
        if self.records(node).exists():
            shutil.rmtree(self.records(node))

    def _write(self, node: str, state: dict[str, Any]) -> None:
        folder = self._folder / node / "state"
        for key in ("chains", "hooks", "services"):
            shutil.rmtree(folder / key, ignore_errors=True)
            (folder / key).mkdir(parents=True)
        for key, lists in {"chains": state["chains"], "hooks": state["hooks"]}.items():
            for name, lines in lists.items():
                (folder / key / name).write_text("".join(f"{line}\n" for line in lines))
        for name, word in state["services"].items():
            (folder / "services" / name).write_text(f"{word}\n")
        for key in ("qdisc", "interface"):
            (folder / key).write_text(f"{state[key]}\n" if state[key] else "")
