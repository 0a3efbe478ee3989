"""What a run would do: the lab that it would make, the images it would use, the steps it would take. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from labctl.engine.client import Engine
from labctl.images import builder, lab_images
from labctl.scenario.reader import Scenario

ImageStanding = Literal["here", "would be built", "not known: no engine answers"]


@dataclass(frozen=True)
class PlannedImage:
    """An image that a run would use, and whether it is here."""

    name: str
    standing: ImageStanding


@dataclass(frozen=True)
class PlannedRun:
    """A run as it would be. `steps` are as people say them."""

    scenario: str
    title: str
    lab: str
    nodes: tuple[str, ...]
    stack: str
    via: str
    images: tuple[PlannedImage, ...]
    steps: tuple[str, ...]
    expect: tuple[str, ...]


def plan(engine: Engine | None, scenario: Scenario, images: builder.Options) -> PlannedRun:
    """What a run of the scenario would be; without an engine it is not known which images are here."""
    return PlannedRun(
        scenario.name,
        scenario.title,
        scenario.lab.name,
        tuple(node.name for node in scenario.lab.nodes),
        scenario.stack.name,
        scenario.lab.via,
        _images(engine, scenario, images),
        tuple(map(str, scenario.steps)),
        scenario.expect,
    )


def _images(engine: Engine | None, scenario: Scenario, options: builder.Options) -> tuple[PlannedImage, ...]:
    options = replace(options, services=scenario.lab.services)
    if engine is None:
        named = lab_images.references(scenario.lab, scenario.stack, options)
    else:
        named = lab_images.resolve(engine, scenario.lab, scenario.stack, options)
    ids = {named.node: named.node_id, named.phone: named.phone_id}
    ids |= {images.node: images.node_id for images in named.own.values()}
    ids |= {service.reference: service.id for service in named.services}
    if engine is None:
        return tuple(PlannedImage(name, "not known: no engine answers") for name in ids)
    return tuple(
        PlannedImage(name, "here" if there and not options.refresh else "would be built") for name, there in ids.items()
    )
