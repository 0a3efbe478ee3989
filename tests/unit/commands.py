"""labctl's commands, run in this process."""

from __future__ import annotations

import pytest

from labctl import cli


def run(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)
