"""Patches as files of a build context. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.images.edits import as_text, joined
from labctl.patch import Patch

PATCHES = "root/opt/labctl/modules/patches"
TREE_PATCHES = "root/opt/labctl/patches"
"""Where scripts of images/ find patches of the cluster module, and of all of Asterisk; beside them lies what mends
change. What lies beside the module goes into the node with it."""
EDITS = "edits"
"""The folder beside them, and the one of images/ that has the program which applies what is there."""


def patch_files(
    patches: tuple[Patch, ...], folder: str, program: Mapping[str, tuple[bytes, int]]
) -> dict[str, tuple[bytes, int]]:
    """A folder for each patch, so that they keep both their order and their names; what mends change, a file for each
    file of Asterisk's, and the `program` that applies it."""
    files = {
        f"{folder}/{number:03}/{patch.name}": (patch.content, 0o644)
        for number, patch in enumerate(patches, 1)
        if not patch.is_mend
    }
    mends = [patch for patch in patches if patch.is_mend]
    if not mends:
        return files
    beside = folder.removesuffix("patches")
    for number, (path, edits) in enumerate(joined(mends).items(), 1):
        files[f"{beside}{EDITS}/{number:03}"] = (as_text(path, edits).encode(), 0o644)
    files[f"{beside}mends"] = (", ".join(mend.name for mend in mends).encode(), 0o644)
    return files | {path: file for path, file in program.items() if path.startswith("root/")}
