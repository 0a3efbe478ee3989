"""The exit code of one command of Asterisk's: it has none of its own."""

from __future__ import annotations

import pytest

from labctl.cli.inspect import _REFUSED


@pytest.mark.parametrize(
    ("printed", "refused"),
    [
        ("No such command 'frob' (type 'core show help frob' for other possible commands)\n", True),
        ("The 'devstate change' command can only be used to set\nCommand 'devstate change x BUSY' failed.\n", True),
        ("Failed to initialize CPG iterator: 9.\nCommand 'corosync show members' failed.\r\n", True),
        ("Unable to load module nope\nCommand 'module load nope' failed.\nmore\n", True),
        ("Asterisk 22.10.1 built by x\n", False),
        ("a dialplan that says No such command\nit failed.\n", False),
    ],
)
def test_a_command_that_was_in_vain_is_known_by_what_asterisk_says(printed: str, refused: bool) -> None:
    assert bool(_REFUSED.search(printed)) == refused
