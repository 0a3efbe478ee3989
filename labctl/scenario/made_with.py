"""What a run was made with, kept in its folder: so that it can be sent to somebody else, and made again there.

`made_with.json` holds the machine, the images and what is in them, and the seed of the lab's secrets; `stack.yaml` the
stack, as `--stack` takes it; `patches/` the patches, in order; `nodes/NODE/etc/…` every file that the lab rendered for
a node, without its secrets.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import ValidationError

from labctl import __version__
from labctl.blueprint import drawing
from labctl.blueprint.secrets import Placeholders
from labctl.engine.client import Engine
from labctl.engine.observation import Observation
from labctl.errors import InvalidFile, LabctlError, Problem
from labctl.images.recipes import LABEL_BASE, LABEL_BUILT, LABEL_CONTENTS
from labctl.lab import Lab
from labctl.names import ROLE_NODE, ROLE_PHONES
from labctl.patch import Patch
from labctl.plain_data import adapter
from labctl.scenario import run_folder
from labctl.stack.model import Stack
from labctl.yamlfile.blocks import written

MADE_WITH = "made_with.json"
STACK = "stack.yaml"
PATCHES = "patches"
NODES = "nodes"


@dataclass(frozen=True)
class Machine:
    """The machine that the engine runs on: what may matter to a run, and nothing that says whose it is."""

    kernel: str = ""
    engine: str = ""
    system: str = ""
    architecture: str = ""
    cpus: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class ImageFacts:
    """An image: its tag, its id, and what is in it: each package with its version."""

    tag: str
    id: str
    packages: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    built: str = ""


@dataclass(frozen=True)
class MadeWith:
    """`images`: by the role of those that run on them, `node` and `phones`. `seed` is what the lab's secrets were made
    from, `subnet` the network that it had; both "" where the lab did not come that far."""

    labctl: str = ""
    python: str = ""
    machine: Machine = field(default_factory=Machine)
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    seed: str = ""
    subnet: str = ""


def keep(engine: Engine, lab: Lab, stack: Stack, patches: Sequence[Patch], folder: Path) -> None:
    """Keep in a run's folder, while its lab is there, what that was, what its nodes logged, and what it was made with.

    What cannot be learned is left out: no run ends for want of it. Raises HostError where the folder cannot be written
    to.
    """
    observation = Observation()
    with suppress(LabctlError):
        observation = engine.observe(lab.name)
    run_folder.save_lab(engine, lab, observation, folder)
    network = next(iter(observation.networks), None)
    seed, subnet = (network.seed, network.subnet) if network else ("", "")
    made_with = MadeWith(
        __version__, sys.version.split()[0], machine(engine), _images(engine, observation), seed, subnet
    )
    files = {
        MADE_WITH: json.dumps(asdict(made_with), indent=2),
        STACK: stack_text(stack),
        **{f"{PATCHES}/{number:03}-{patch.name}": patch.content for number, patch in enumerate(patches, 1)},
        **(node_files(lab, stack, subnet) if subnet else {}),
    }
    for name, content in files.items():
        run_folder.write(folder / name, content)


def machine(engine: Engine) -> Machine:
    """What is known of the machine of an engine; nothing of one that does not answer."""
    with suppress(LabctlError):
        info = engine.info()
        return Machine(info.kernel, info.version, info.system, info.architecture, info.cpus, info.memory_bytes)
    return Machine()


def _images(engine: Engine, observation: Observation) -> dict[str, ImageFacts]:
    references = {
        container.role: container.image
        for container in observation.containers
        if container.image and container.role in (ROLE_NODE, ROLE_PHONES)
    }
    facts: dict[str, ImageFacts] = {}
    with suppress(LabctlError):
        for role, reference in sorted(references.items()):
            facts[role] = image_facts(engine, reference)
    return facts


def image_facts(engine: Engine, reference: str) -> ImageFacts:
    """What is known of an image that is here. Raises HostError."""
    labels = engine.image_labels(reference) or {}
    prefix = f"{LABEL_CONTENTS}."
    packages = {name.removeprefix(prefix): value for name, value in sorted(labels.items()) if name.startswith(prefix)}
    return ImageFacts(
        reference, engine.image_id(reference), packages, labels.get(LABEL_BASE, ""), labels.get(LABEL_BUILT, "")
    )


def stack_text(stack: Stack) -> str:
    """A stack as a file, with what it says other than by default."""
    data = stack.model_dump(mode="json", exclude_defaults=True)
    return written(data)


def node_files(lab: Lab, stack: Stack, subnet: str) -> dict[str, str]:
    """Every file of every node of a lab on that network, by its path in the run's folder; without secrets."""
    return {
        f"{NODES}/{node.name}{file.path}": file.text
        for node in lab.nodes
        for file in drawing.node_files(lab, stack, node, subnet, Placeholders())
    }


def parse(text: str, source: str) -> MadeWith:
    """What `keep` wrote. Raises InvalidFile."""
    try:
        return adapter(MadeWith).validate_json(text)
    except (ValidationError, RecursionError):
        problem = Problem(1, "it does not say what a run was made with", "labctl run writes such files")
        raise InvalidFile(source, [problem]) from None


def patch_name(path: str) -> str:
    """The name of a patch as it was given, of its path in a run's folder."""
    return re.sub(rf"^{PATCHES}/\d+-", "", path)
