"""What is there: the engine itself, and all that bears a lab's label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labctl import names
from labctl.engine.access import Access, translated
from labctl.engine.observation import Container, Network, Observation


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


class Observing(Access):
    """An engine that is looked at."""

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
        )

    def observe(self, lab: str | None = None) -> Observation:
        """Everything of a lab, or of all labs, found by label alone."""
        label = f"{names.LABEL_LAB}={lab}" if lab else names.LABEL_LAB
        with translated("look for labs"):
            containers = self._api.containers(all=True, filters={"label": label})
            networks = self._api.networks(filters={"label": label})
        return Observation(
            tuple(sorted((_network(each) for each in networks), key=lambda each: each.name)),
            tuple(sorted((_container(each) for each in containers), key=lambda each: each.name)),
        )

    def subnets(self) -> list[str]:
        """The subnets of every Docker network on this engine."""
        with translated("list networks"):
            networks = self._api.networks()
        configs = [config for each in networks for config in (each["IPAM"].get("Config") or [])]
        return [config["Subnet"] for config in configs if "Subnet" in config]


def _network(raw: Any) -> Network:
    labels = raw.get("Labels") or {}
    return Network(
        id=raw["Id"],
        name=raw["Name"],
        lab=labels.get(names.LABEL_LAB, ""),
        subnet=labels.get(names.LABEL_SUBNET, ""),
        seed=labels.get(names.LABEL_SEED, ""),
        internal=bool(raw.get("Internal")),
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
    )
