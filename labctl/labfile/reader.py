"""The lab file: a short YAML in, a Lab with every default filled in (or every mistake) out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from labctl.errors import InvalidFile, UsageError
from labctl.lab import Carrier, Lab, Overrides
from labctl.labfile.consistency import check
from labctl.labfile.defaults import fill
from labctl.labfile.entries import DEFAULT_STACK, HOST, HOST_FIX, LAB_NETWORKS, LabFile
from labctl.labfile.node_versions import VERSIONS, split
from labctl.labfile.writer import node_names, to_data, to_yaml
from labctl.stack.model import Stack
from labctl.yamlfile.document import ANY, NAME, NAME_FIX, Document, json_schema, parse, shown, suggestion
from labctl.yamlfile.review import Review

__all__ = ["DEFAULT_STACK", "LAB_NETWORKS", "node_names", "read", "resolve", "schema", "to_data", "to_yaml"]


def read(
    text: str, source: str, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """Read a lab file. `find_stack` turns the stack's name into a Stack, or raises UsageError.

    Raises InvalidFile with every mistake in the file, UsageError for one in the flags.
    """
    return resolve(parse(text, source), find_stack, overrides)


def resolve(
    document: Document, find_stack: Callable[[str], Stack], overrides: Overrides | None = None
) -> tuple[Lab, Stack]:
    """As `read`, for what is no text any more."""
    flags = overrides or Overrides()
    review = Review(split(_flagged(document, flags)))
    entry = review.fit(LabFile)
    stack, refused = _stack_of(review, find_stack, flags)
    stacks = _own_stacks(review, find_stack)
    check(review, stack, stacks)
    review.settle(refused)
    assert entry
    assert stack
    return _without(fill(entry, stack, stacks), flags), stack


def _without(lab: Lab, flags: Overrides) -> Lab:
    """The lab with those nodes not started that a flag says. Raises UsageError."""
    if flags.without is None:
        return lab
    names = [node.name for node in lab.nodes]
    if unknown := [name for name in flags.without if name not in names]:
        raise UsageError(f"--without: no node `{shown(unknown[0])}`", suggestion(unknown[0], names))
    if {*names} <= {*flags.without}:
        raise UsageError("--without: no node is started", "one at least is, and starts the lab")
    return replace(lab, without=tuple(dict.fromkeys(flags.without)))


def _own_stacks(review: Review, find_stack: Callable[[str], Stack]) -> dict[str, Stack]:
    """The stacks of nodes that have one of their own, by node; those that cannot be had are noted."""
    stacks: dict[str, Stack] = {}
    for path, name in review.values(VERSIONS, ANY, "stack"):
        try:
            stacks[str(path[1])] = find_stack(name)
        except UsageError as error:
            review.refuse(path, error.message, error.hint)
    return stacks


def _flagged(document: Document, flags: Overrides) -> Document:
    """The document with what flags say over it, and a name. Raises UsageError."""
    if flags.name is not None and not re.fullmatch(NAME, flags.name):
        raise UsageError(f"--name: not a name: {shown(flags.name)}", NAME_FIX)
    if flags.nodes is not None and document.data.get("sites") is not None:
        raise UsageError("--nodes: the nodes of this lab are those of its sites", "its file says how many")
    flagged = {key: value for key, value in vars(flags).items() if value is not None and key not in ("via", "without")}
    if flags.hosts is not None:
        flagged["hosts"] = _checked_hosts(flags.hosts)
    if flags.via:
        flagged["share"] = _share_via(document.data.get("share"), flags.via)
    if "name" not in document.data:
        stem = PurePosixPath(document.source).stem.lower()
        flagged.setdefault("name", stem if re.fullmatch(NAME, stem) else "lab")
    return replace(document, data=document.data | flagged)


def _checked_hosts(names: Sequence[str]) -> list[str]:
    """The hosts that `--hosts` names. Raises UsageError."""
    for name in names:
        if not re.fullmatch(HOST, name):
            raise UsageError(f"--hosts: not a host: {shown(name)}", HOST_FIX)
    if doubles := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--hosts: {shown(doubles[0])} is there twice", "each host once")
    return list(names)


def _share_via(share: Any, via: Carrier) -> Any:
    """What a file says of `share`, but for the way."""
    if isinstance(share, list):
        return {"events": share, "via": via}
    return {**share, "via": via} if isinstance(share, dict) else share if share is not None else {"via": via}


def _stack_of(
    review: Review, find_stack: Callable[[str], Stack], flags: Overrides
) -> tuple[Stack | None, UsageError | None]:
    """The stack that is named, or why it cannot be had; neither where its name is in doubt."""
    if review.doubts("stack"):
        return None, None
    name = next((name for _, name in review.values("stack")), DEFAULT_STACK)
    try:
        return find_stack(name), None
    except UsageError as error:
        if not flags.stack and not isinstance(error, InvalidFile):
            review.say(("stack",), error.message, error.hint)
        return None, error


def schema() -> str:
    """The JSON Schema of the lab file, for editors."""
    return json_schema(LabFile.model_json_schema())
