"""What a lab's `config:` and steps `configure` make of the nodes' files, known before anything is run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.blueprint import drawing, node_config
from labctl.blueprint.addresses import free_subnet
from labctl.blueprint.secrets import Placeholders
from labctl.lab import EVERY_NODE, ExtraConfig, Lab
from labctl.labfile.variables import Values
from labctl.scenario.step_registry import Step
from labctl.stack.model import Stack


@dataclass(frozen=True)
class FileChange:
    """A file of a node as a part of `config:`, or a step, finds and leaves it. `values`: what names in it stand for."""

    by: ExtraConfig | Step
    path: str
    before: str
    after: str
    values: Values


def file_changes(lab: Lab, stack: Stack, steps: Sequence[Step]) -> tuple[FileChange, ...]:
    """Every change that is made to a file of a node, in order."""
    configuring = [step for step in steps if step.verb == "configure"]
    if not lab.config and not configuring:
        return ()
    return tuple(change for node in lab.nodes for change in _of_node(lab, stack, node.name, configuring))


def _of_node(lab: Lab, stack: Stack, name: str, steps: Sequence[Step]) -> Iterator[FileChange]:
    node, subnet = lab.node(name), lab.subnet or free_subnet(lab.name, [])
    asked_for: list[tuple[ExtraConfig | Step, ExtraConfig, bool]] = [
        *((extra, extra, False) for extra in lab.config),
        *((step, *asked(step.arguments)) for step in steps),
    ]
    changes = [change for change in asked_for if change[1].scope in (EVERY_NODE, name)]
    if not changes:
        return
    texts, _ = drawing.node_texts(replace(lab, config=()), stack, node, subnet, Placeholders())
    values = node_config.values_of(lab, node, subnet)
    for by, extra, whole in changes:
        before = texts.get(extra.path, "")
        texts[extra.path] = node_config.changed("" if whole else before, extra, values).text
        yield FileChange(by, extra.path, before, texts[extra.path], values)


def asked(arguments: Mapping[str, Any]) -> tuple[ExtraConfig, bool]:
    """What a step `configure` asks for, as a lab's `config:` would, and whether that is the whole file."""
    text, edits = arguments.get("text") or "", arguments.get("keys")
    return ExtraConfig(arguments["node"], arguments["file"], text, edits), bool(arguments.get("whole"))
