"""How to see a finding without labctl: a shell script that makes the nodes, and does what its scenario does. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.blueprint import docker_script
from labctl.blueprint.drawing import Blueprint
from labctl.cluster import lifecycle
from labctl.faults.model import Target
from labctl.lab import Overrides
from labctl.scenario.findings import hand_commands
from labctl.scenario.findings.reader import ShippedFinding, scenario_of
from labctl.scenario.reader import Scenario

REMOVAL = """\
docker rm --force --volumes $(docker ps --all --quiet --filter "network=$lab") > /dev/null
docker network rm "$lab" > /dev/null"""
LONGEST_NAME = 31

_WITH_PHONES = re.compile(r"^(phone|message) ", re.MULTILINE)


@dataclass(frozen=True)
class ByHand:
    """The parts of the script: what makes the nodes, what is done to them, and what takes them away."""

    nodes: str
    done: str
    removal: str = REMOVAL

    @property
    def whole(self) -> str:
        """All of it, for sh(1)."""
        return "\n".join(["set -eu", self.nodes, self.done, self.removal, ""])


def by_hand(finding: ShippedFinding) -> ByHand | None:
    """The script of a finding; None where its steps, or the commands of its stack, have no such form.

    Raises UsageError, InvalidFile, HostError.
    """
    scenario = _scenario(finding)
    if scenario.stack.cluster_module != hand_commands.MODULE:
        return None
    drawn = lifecycle.never_up(scenario.lab, scenario.stack)
    target = _target(scenario, drawn)
    nodes = [*target.addresses]
    done = finding.by_hand.strip() or hand_commands.script(target, scenario.steps)
    lab = scenario.lab
    started = [node for node in nodes if node not in lab.without]
    clusters = {node: [other.name for other in lab.cluster_of(node) if other.name in started] for node in started}
    beginning = hand_commands.beginning(clusters, rings=lab.rings, proof=scenario.proof)
    phones = f"{hand_commands.PHONES}\n" if _WITH_PHONES.search(finding.by_hand) else ""
    return ByHand(docker_script.render(drawn), f"{beginning}\n{phones}{done}") if done else None


def why_none(finding: ShippedFinding) -> str:
    """Why a finding has no script, in sentences. Raises UsageError, InvalidFile, HostError."""
    scenario = _scenario(finding)
    stack = scenario.stack
    target = _target(scenario, lifecycle.never_up(scenario.lab, stack))
    reasons = []
    if stack.cluster_module != hand_commands.MODULE:
        reasons.append(
            f"There is no script of it: those that labctl writes wait for what {hand_commands.MODULE} tells,"
            f" and stack {stack.name} has {stack.cluster_module}."
        )
    if lacking := hand_commands.without_form(target, scenario.steps):
        reasons.append(f"There is no command of a shell for `{lacking[0]}`.")
    return " ".join(reasons)


def _scenario(finding: ShippedFinding) -> Scenario:
    """The smallest that shows it, on its stack, in a lab of the finding's name."""
    first = finding.shown_by[0]
    return scenario_of(first, Overrides(name=finding.name[:LONGEST_NAME].rstrip("-"), stack=first.stack))


def _target(scenario: Scenario, drawn: Blueprint) -> Target:
    nodes = {node.hostname: node.address for node in docker_script.nodes_of(drawn)}
    return Target(nodes, scenario.lab.rings, scenario.lab.follows_corosync)
