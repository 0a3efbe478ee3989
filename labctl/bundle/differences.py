"""What differs between the machine that a bundle was made on and this one. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace

from labctl import __version__
from labctl.bundle.reading import Bundle
from labctl.labfile.entries import LAB_NETWORKS
from labctl.scenario import made_with
from labctl.scenario.made_with import ImageFacts, Machine


def differences(bundle: Bundle, machine: Machine, images: Mapping[str, ImageFacts]) -> tuple[str, ...]:
    """Each thing that differs, with what it is there and here, packages first; none of which one is not known."""
    manifest = bundle.manifest
    there = {"labctl": manifest.made_by} | _of(manifest.machine)
    here = {"labctl": __version__} | _of(machine)
    packages = {
        role: (facts.packages, images[role].packages) for role, facts in manifest.images.items() if role in images
    }
    return (
        *(line for role in ("node", "phones") if role in packages for line in _packages(role, *packages[role])),
        *_differing(there, here),
        *_stack(bundle),
    )


def _of(machine: Machine) -> dict[str, str]:
    cpus = str(machine.cpus) if machine.cpus else ""
    return {
        "kernel": machine.kernel,
        "engine": machine.engine,
        "architecture": machine.architecture,
        "CPUs": cpus,
    }


def _packages(role: str, there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    of = "" if role == "node" else " of the phones"
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            yield f"{name}{of} {there.get(name, 'missing')} there, {here.get(name, 'missing')} here"


def _differing(there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    for name, value in there.items():
        if value and here[name] and value != here[name]:
            yield f"{name} {value} there, {here[name]} here"


def _stack(bundle: Bundle) -> Iterator[str]:
    stack = bundle.scenario.stack
    if bundle.stack and bundle.stack.name == stack.name and bundle.stack.with_image(stack.image) != stack:
        yield f"the stack {stack.name} says something else there"


def changed_files(bundle: Bundle) -> tuple[str, ...]:
    """The files of nodes that this labctl would render otherwise on the same network; none where that is not known."""
    manifest = bundle.manifest
    try:
        network = ipaddress.ip_network(manifest.subnet)
    except ValueError:
        return ()
    if not bundle.files or not isinstance(network, ipaddress.IPv4Network) or not network.subnet_of(LAB_NETWORKS):
        return ()
    lab = replace(bundle.scenario.lab, name=manifest.lab)
    own = made_with.node_files(lab, bundle.scenario.stack, manifest.subnet)
    return tuple(path for path in sorted(own.keys() | bundle.files.keys()) if own.get(path) != bundle.files.get(path))
