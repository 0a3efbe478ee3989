"""What a run was made with: the versions of labctl, of the engine and its kernel, and what was in the images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from labctl import __version__
from labctl.blueprint.running_lab import Running
from labctl.engine.client import Engine
from labctl.errors import LabctlError
from labctl.names import ROLE_NODE
from labctl.scenario.made_with import image_facts

_ASK = "asterisk -V; corosync -v"
"""Where an image says nothing of what is in it, since it was built elsewhere."""


def versions(engine: Engine, running: Running) -> dict[str, str]:
    """Each thing that a run depends on, with its version: `labctl`, `engine`, `kernel`, `node image`, and each package
    of an image as `node asterisk`. What cannot be learned is left out: no run ends for want of it."""
    learned = {"labctl": __version__, "stack": running.stack.name}
    with suppress(LabctlError):
        info = engine.info()
        learned |= {"engine": info.version, "kernel": info.kernel, "system": info.system}
    with suppress(LabctlError):
        learned |= dict(_of_images(engine, running))
    with suppress(LabctlError):
        if not any(name.startswith("node ") and name != "node image" for name in learned):
            learned |= dict(_of_node(engine, running))
    return learned


def _of_images(engine: Engine, running: Running) -> Iterator[tuple[str, str]]:
    """The image of the nodes and that of the phones, each with its id and with what is in it."""
    images = {container.role: container.image for container in running.observation.containers if container.image}
    for role, image in sorted(images.items()):
        facts = image_facts(engine, image)
        yield f"{role} image", " ".join(part for part in (facts.tag, facts.id) if part)
        said = {**facts.packages, "base": facts.base, "built": facts.built}
        yield from ((f"{role} {word}", value) for word, value in said.items() if value)


def _of_node(engine: Engine, running: Running) -> Iterator[tuple[str, str]]:
    """What the programs of the first node say of themselves."""
    node = next((part for part in running.observation.containers if part.role == ROLE_NODE), None)
    printed = engine.run(node.id, ["sh", "-c", f"({_ASK}) 2>&1"]).text if node else ""
    for line in printed.splitlines():
        program, _, rest = line.partition(" ")
        if program in ("Asterisk", "Corosync") and rest:
            yield f"node {program.lower()}", rest.strip()
