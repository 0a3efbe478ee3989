"""The images of a lab whose nodes may run several builds of Asterisk: those of its stack, and those of single nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labctl.engine.client import Engine
from labctl.images import builder
from labctl.images.builder import Options
from labctl.images.recipes import Images, Recipe
from labctl.lab import Lab, Version
from labctl.progress import Progress
from labctl.stack.model import Stack


def of_version(version: Version, stack: Stack, options: Options) -> tuple[Stack, Options]:
    """The stack of a node of some version, and how its image is made: the lab's patches first, then its own.

    The lab's are for the lab's stack: a node with another has its own alone.
    """
    patches = version.patches if version.stack or version.image else (*options.patches, *version.patches)
    return version.of(stack), replace(options, patches=patches)


def build(engine: Engine, lab: Lab, stack: Stack, options: Options, progress: Progress) -> Images:
    """Make every image of a lab that is not there; those it runs. Raises BuildError, HostError, UsageError."""
    return _each(lab, stack, options, lambda own, how: builder.build(engine, own, how, progress))


def resolve(engine: Engine, lab: Lab, stack: Stack, options: Options) -> Images:
    """The images of a lab, with the ids of those that are present. Builds nothing."""
    return _each(lab, stack, options, lambda own, how: builder.resolve(engine, own, how))


def references(lab: Lab, stack: Stack, options: Options) -> Images:
    """The images of a lab by name alone, asking no engine."""
    return _each(lab, stack, options, builder.references)


def plan(engine: Engine, lab: Lab, stack: Stack, options: Options) -> list[Recipe]:
    """What is still to be built, in an order in which it could be."""
    wanted = builder.plan(engine, stack, options)
    for version in lab.versions.values():
        wanted += builder.plan(engine, *of_version(version, stack, options))
    return list({recipe.tag: recipe for recipe in wanted}.values())


def _each(lab: Lab, stack: Stack, options: Options, ask: Callable[[Stack, Options], Images]) -> Images:
    alone = replace(options, services=())
    asked: list[tuple[Version, Images]] = []
    own: dict[str, Images] = {}
    for node, version in lab.versions.items():
        images = next((images for other, images in asked if other == version), None)
        if images is None:
            images = ask(*of_version(version, stack, alone))
            asked.append((version, images))
        own[node] = images
    return replace(ask(stack, replace(options, services=lab.services)), own=own)
