"""Whether what a lab file adds under `config:` was taken: what nodes log of those files, and which nobody reads."""

from __future__ import annotations

import re
from collections.abc import Collection

from labctl.asterisk import output
from labctl.lab import EVERY_NODE, Lab

CONFIG_LIST_COMMAND = "config list"
"""Lists each file that Asterisk has loaded, by the module that asked for it (main/config.c, 1.6 to 22)."""

READ_BEFORE_MODULES = ("asterisk.conf", "modules.conf")
"""Files that Asterisk itself reads at its start, for no module."""

LOG_READ_BACK = 2000
"""How many lines of a node's log are searched for complaints; a start with `modules: all` logs some hundred."""

_COMPLAINT = re.compile(r"\b(?:ERROR|WARNING)\[|\berror\b.*\[MAIN", re.IGNORECASE)


def added_files(lab: Lab, node: str) -> tuple[str, ...]:
    """The files below /etc that the lab file adds to on a node, such as asterisk/rtp.conf."""
    return tuple(dict.fromkeys(added.path for added in lab.config if added.scope in (EVERY_NODE, node)))


def complaints(paths: Collection[str], log: str) -> tuple[str, ...]:
    """The lines of a node's log that complain of one of these files by its name. Pure."""
    names = [path.rpartition("/")[2] for path in paths]
    lines = dict.fromkeys(line.strip() for line in log.splitlines() if _COMPLAINT.search(line))
    return tuple(line for line in lines if any(name in line for name in names))


def unread(paths: Collection[str], config_list: str) -> tuple[str, ...]:
    """Which of these files no loaded module of Asterisk reads, by what CONFIG_LIST_COMMAND prints. Pure.

    Only *.conf: others, such as extensions.ael, are read by parsers of their own, which do not tell of it.
    """
    loaded = output.parse_config_list(config_list)
    if not loaded:
        return ()
    names = {path: path.removeprefix("asterisk/") for path in paths if re.fullmatch(r"asterisk/.*\.conf", path)}
    return tuple(path for path, name in names.items() if name not in (*loaded, *READ_BEFORE_MODULES))


def remarks(paths: Collection[str], log: str, config_list: str) -> tuple[str, ...]:
    """What is to be said of the files that a lab file adds to on a node: who complains, and which nobody reads."""
    return (
        *(f"no loaded module reads {path}, which `config:` adds to" for path in unread(paths, config_list)),
        *(f"complaint about a file of `config:`: {line}" for line in complaints(paths, log)),
    )
