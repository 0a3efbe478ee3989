"""The edits of a lab file's `config:` against the files that they are made on, and its patches against what is compiled
of each node, before anything is made. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labctl.blueprint import drawing
from labctl.blueprint.addresses import free_subnet
from labctl.blueprint.node_config import unmade
from labctl.blueprint.secrets import Placeholders
from labctl.errors import InvalidFile, Problem, UsageError
from labctl.images.recipes import check_patches
from labctl.lab import Lab, Overrides
from labctl.labfile import reader
from labctl.labfile.loader import find_document
from labctl.labfile.node_versions import VERSIONS, split
from labctl.patch import Patch
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


def _problems_of_patches(document: Document, lab: Lab, stack: Stack) -> Iterator[Problem]:
    for node in lab.nodes:
        if what := no_patches(node.version.of(stack), node.version.patches):
            yield Problem(split(document).line((VERSIONS, node.name, "patch")), what)


def no_patches(stack: Stack, patches: tuple[Patch, ...]) -> str:
    """What keeps patches from being some of what is compiled of a stack, and the way out; "" where nothing does."""
    try:
        check_patches(stack, patches)
    except UsageError as error:
        return f"{error.message}: {error.hint}" if error.hint else error.message
    return ""


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
    """The lab of a document, as labfile.reader.resolve has it. Raises InvalidFile also for edits that miss, and for
    patches that are none."""
    lab, stack = reader.resolve(document, find_stack, overrides)
    if found := [*problems(document, lab, stack), *_problems_of_patches(document, lab, stack)]:
        raise InvalidFile(document.source, found)
    return lab, stack


def find_lab(file: str | None, overrides: Overrides) -> tuple[Lab, Stack]:
    """The lab of a lab file, as labfile.loader.find_lab has it. Raises InvalidFile also for edits that miss."""
    return resolve(find_document(file), find_shipped_stack, overrides)
