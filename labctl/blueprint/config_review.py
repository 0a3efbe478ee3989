"""The edits of a lab file's `config:` against the files that they are made on, before anything is made. Pure."""

from __future__ import annotations

from collections.abc import Callable

from labctl.blueprint import drawing
from labctl.blueprint.addresses import free_subnet
from labctl.blueprint.node_config import unmade
from labctl.blueprint.secrets import Placeholders
from labctl.errors import InvalidFile, Problem
from labctl.lab import Lab, Overrides
from labctl.labfile import reader
from labctl.labfile.loader import find_document
from labctl.stack.loader import find_stack as find_shipped_stack
from labctl.stack.model import Stack
from labctl.yamlfile.document import Document, Path


def problems(document: Document, lab: Lab, stack: Stack) -> list[Problem]:
    """Each edit of the lab file that finds nothing to edit on any node, or several things on one."""
    if all(extra.edits is None for extra in lab.config):
        return []
    subnet = lab.subnet or free_subnet(lab.name, [])
    missed = {node.name: list(drawing.node_texts(lab, stack, node, subnet, Placeholders())[1]) for node in lab.nodes}
    return [
        Problem(document.line((*_path(document, lab, place), *miss.where)), miss.what, miss.fix)
        for place, miss in unmade(lab, missed)
    ]


def _path(document: Document, lab: Lab, place: int) -> Path:
    """Where in the document a part of `config:` stands."""
    extra = lab.config[place]
    path: Path = ("config", extra.scope, extra.path)
    whole = document.data["config"][extra.scope][extra.path]
    before = [other for other in lab.config[:place] if (other.scope, other.path) == (extra.scope, extra.path)]
    return (*path, len(before)) if isinstance(whole, list) else path


def resolve(
    document: Document, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """The lab of a document, as labfile.reader.resolve has it. Raises InvalidFile also for edits that miss."""
    lab, stack = reader.resolve(document, find_stack, overrides)
    if found := problems(document, lab, stack):
        raise InvalidFile(document.source, found)
    return lab, stack


def find_lab(file: str | None, overrides: Overrides) -> tuple[Lab, Stack]:
    """The lab of a lab file, as labfile.loader.find_lab has it. Raises InvalidFile also for edits that miss."""
    return resolve(find_document(file), find_shipped_stack, overrides)
