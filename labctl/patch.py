"""A patch, as data."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePath

MEND = b"# labctl-mend: 1"
"""The first line of a mend: a patch without lines of the source (labctl/images/edits.py)."""


@dataclass(frozen=True)
class Patch:
    """A change to Asterisk's source: a unified diff or a mend, and the file it comes from."""

    source: str
    content: bytes

    @property
    def name(self) -> str:
        """The file's name, in characters that mean nothing to a shell or a label."""
        return re.sub(r"^\.|[^A-Za-z0-9._+-]", "_", PurePath(self.source).name)

    @property
    def is_mend(self) -> bool:
        """Whether it says to be a mend, of this or of another form of these."""
        return self.content.startswith(MEND.partition(b" 1")[0])

    def __str__(self) -> str:
        return f"{self.name}@{hashlib.sha256(self.content).hexdigest()[:12]}"
