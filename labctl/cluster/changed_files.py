"""Files of a node that a running lab was given since it came up: each node keeps what they were before.

That lies in one file in its container, so that it is known whoever changed them, also of a node that does not run:
`ps` tells of it, and `up` makes such a node anew, whose files are not what its label says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from labctl.engine.actions import File
from labctl.engine.client import Engine

KEPT = "/var/lib/labctl-changed.json"


@dataclass(frozen=True)
class Before:
    """A file as it was: its text, None where there was none; and what was told to read it again."""

    text: str | None
    reload: str = ""


def changed(engine: Engine, container: str) -> dict[str, Before]:
    """The files of a container that were changed, by their path below /etc. Raises LabctlError."""
    text = engine.find_file(container, KEPT)
    try:
        return {str(path): Before(**before) for path, before in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError):  # a later labctl's: something was changed
        return {"?": Before(None)}


def keep(engine: Engine, container: str, files: dict[str, Before]) -> None:
    """Have a container keep what these files were; none: all is as it was. Raises LabctlError."""
    data = {path: {"text": before.text, "reload": before.reload} for path, before in files.items()}
    engine.put_files(container, (File(KEPT, json.dumps(data), 0o600),))
