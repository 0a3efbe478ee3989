"""The labels and names by which a lab's containers and network are found on an engine."""

from __future__ import annotations

import re

from labctl.errors import UsageError
from labctl.yamlfile.document import NAME, NAME_FIX, shown

LABEL_LAB = "labctl.lab"
LABEL_ROLE = "labctl.role"
LABEL_NODE = "labctl.node"
LABEL_CONFIG = "labctl.config"
LABEL_SEED = "labctl.seed"
LABEL_SPEC = "labctl.spec"
LABEL_SUBNET = "labctl.subnet"
LABEL_OWNER = "labctl.owner"
LABEL_PROCESS = "labctl.process"
LABEL_HOSTS = "labctl.hosts"
ROLE_NODE = "node"
ROLE_PHONES = "phones"
ROLE_CAPTURE = "capture"
ROLE_SERVICE = "service"
PREFIX = "labctl"
PHONES_HOST = "phones"


def network_name(lab: str) -> str:
    """The name of a lab's Docker network."""
    return f"{PREFIX}-{lab}"


def container_name(lab: str, node: str) -> str:
    """The name of a node's container."""
    return f"{PREFIX}-{lab}-{node}"


def phones_host(number: int) -> str:
    """The name of a container of phones, by its number from 1: the first is the only one of a lab on one engine."""
    return PHONES_HOST if number == 1 else f"{PHONES_HOST}-{number}"


def check_lab_name(name: str) -> None:
    """Raise UsageError for a text that no lab can have as its name."""
    if not re.fullmatch(NAME, name):
        raise UsageError(f"--name: not a name: {shown(name) or '(nothing)'}", NAME_FIX)
