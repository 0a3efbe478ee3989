"""The lab file: a short YAML in, a Lab with every default filled in (or every mistake) out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from labctl.errors import InvalidFile, UsageError
from labctl.lab import Carrier, Lab, Overrides
from labctl.labfile.consistency import check
from labctl.labfile.defaults import fill
from labctl.labfile.entries import DEFAULT_STACK, LAB_NETWORKS, LabFile
from labctl.labfile.writer import node_names, to_data, to_yaml
from labctl.stack.model import Stack
from labctl.yamlfile.document import NAME, NAME_FIX, Document, json_schema, parse, shown
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
    review = Review(_flagged(document, flags))
    entry = review.fit(LabFile)
    stack, refused = _stack_of(review, find_stack, flags)
    check(review, stack)
    review.settle(refused)
    assert entry
    assert stack
    return fill(entry, stack), stack


def _flagged(document: Document, flags: Overrides) -> Document:
    """The document with what flags say over it, and a name. Raises UsageError."""
    if flags.name is not None and not re.fullmatch(NAME, flags.name):
        raise UsageError(f"--name: not a name: {shown(flags.name)}", NAME_FIX)
    if flags.nodes is not None and document.data.get("sites") is not None:
        raise UsageError("--nodes: the nodes of this lab are those of its sites", "its file says how many")
    flagged = {key: value for key, value in vars(flags).items() if value is not None and key != "via"}
    if flags.via:
        flagged["share"] = _share_via(document.data.get("share"), flags.via)
    if "name" not in document.data:
        stem = PurePosixPath(document.source).stem.lower()
        flagged.setdefault("name", stem if re.fullmatch(NAME, stem) else "lab")
    return replace(document, data=document.data | flagged)


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
