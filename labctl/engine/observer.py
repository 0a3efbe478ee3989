"""What an engine is, and what it holds of labs: all containers and networks with a lab's label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labctl import names
from labctl.engine.access import Access, translated
from labctl.engine.networks import OVERLAY
from labctl.engine.observation import Container, Network, Observation

BRIDGE_NAME = "com.docker.network.bridge.name"
"""The option that names a network's device; without it the name follows from the network's id
(docs.docker.com/engine/network/drivers/bridge, options)."""


@dataclass(frozen=True)
class EngineInfo:
    """The engine, as `labctl doctor` shows it."""

    version: str
    api: str
    storage: str
    root: str
    kernel: str
    system: str
    cpus: int
    memory_bytes: int
    architecture: str = ""


class Observer:
    """Looks at an engine and changes nothing."""

    def __init__(self, access: Access) -> None:
        self._api = access.api

    def info(self) -> EngineInfo:
        """Version and abilities of the engine."""
        with translated("ask the engine what it is"):
            info = self._api.info()
        return EngineInfo(
            version=info["ServerVersion"],
            api=self._api._version,
            storage=info["Driver"],
            root=info["DockerRootDir"],
            kernel=info["KernelVersion"],
            system=info["OperatingSystem"],
            cpus=info["NCPU"],
            memory_bytes=info["MemTotal"],
            architecture=info.get("Architecture", ""),
        )

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs, found by label alone."""
        label = f"{names.LABEL_LAB}={lab}" if lab else names.LABEL_LAB
        with translated("look for labs"):
            containers = self._api.containers(all=True, filters={"label": label})
            networks = self._api.networks(filters={"label": label})
        return Observation(
            tuple(sorted(map(_network, networks), key=lambda network: network.name)),
            tuple(sorted(map(_container, containers), key=lambda container: container.name)),
        )

    def hosts_of_labs(self) -> set[str]:
        """What the labels of all labs that are over several hosts say of these: of a lab's containers, which are made
        anew as that changes; of its network where none is here."""
        with translated("look for labs"):
            containers = self._api.containers(all=True, filters={"label": names.LABEL_HOSTS})
            networks = self._api.networks(filters={"label": names.LABEL_HOSTS})
        here = {container["Labels"].get(names.LABEL_LAB) for container in containers}
        alone = [network for network in networks if network["Labels"].get(names.LABEL_LAB) not in here]
        return {str(part["Labels"][names.LABEL_HOSTS]) for part in (*containers, *alone)}


def _network(raw: Any) -> Network:
    labels = raw.get("Labels") or {}
    return Network(
        id=raw["Id"],
        name=raw["Name"],
        lab=labels.get(names.LABEL_LAB, ""),
        subnet=labels.get(names.LABEL_SUBNET, ""),
        seed=labels.get(names.LABEL_SEED, ""),
        internal=bool(raw.get("Internal")),
        owner=labels.get(names.LABEL_OWNER, ""),
        process=labels.get(names.LABEL_PROCESS, ""),
        created=raw.get("Created", ""),
        bridge=(raw.get("Options") or {}).get(BRIDGE_NAME) or f"br-{raw['Id'][:12]}",
        overlay=raw.get("Driver") == OVERLAY,
        hosts=labels.get(names.LABEL_HOSTS, ""),
    )


def _container(raw: Any) -> Container:
    labels = raw.get("Labels") or {}
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = [network.get("IPAddress") for network in networks.values()]
    return Container(
        id=raw["Id"],
        name=raw["Names"][0].lstrip("/"),
        lab=labels.get(names.LABEL_LAB, ""),
        role=labels.get(names.LABEL_ROLE, ""),
        node=labels.get(names.LABEL_NODE, ""),
        state=raw["State"],
        config_hash=labels.get(names.LABEL_CONFIG, ""),
        address=next((address for address in addresses if address), ""),
        spec=labels.get(names.LABEL_SPEC, ""),
        image=raw.get("Image", ""),
        hosts=labels.get(names.LABEL_HOSTS, ""),
    )
