"""What a node makes of the files that a lab's `config:` adds to: what it complains of, and what nobody there reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from labctl.asterisk import output
from labctl.errors import LabError
from labctl.lab import EVERY_NODE, Lab

LIST_COMMAND = "config list"
"""Lists each file that Asterisk has read, and who asked for it (main/config.c, handle_cli_config_list)."""

OTHER_READERS = {"extensions.ael": "pbx_ael", "extensions.lua": "pbx_lua"}
"""Files with a parser of their own, which `config list` does not know, and the module that has it."""

_READ = re.compile(r"^(\S+) +/etc/(asterisk/\S+)\s*$", re.MULTILINE)
_COMPLAINT = re.compile(r"\b(?:WARNING|ERROR)\[\d+\](?:\[C-\w+\])?: (?:\S+/)?(\w+)\.c:\d+ (.*)")
_COROSYNC_READS = re.compile(r"corosync/(corosync\.conf|authkey|(uidgid|service)\.d/.+)")
"""corosync(8) and corosync.conf(5): what Corosync reads of /etc/corosync."""


@dataclass(frozen=True)
class ConfigProblem:
    """What is wrong with a file that `config:` adds to, on a node; `path` is below /etc."""

    node: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.node}: {self.path}: {self.what}"


def readers(listing: str) -> dict[str, frozenset[str]] | None:
    """The files below /etc that Asterisk has read and who asked for each, of what `config list` printed.

    None where that version has no such command.
    """
    pairs = _READ.findall(listing)
    return {path: frozenset(who for who, other in pairs if other == path) for _, path in pairs} if pairs else None


def added_files(lab: Lab, node: str) -> tuple[str, ...]:
    """The files of Asterisk and Corosync that the lab's `config:` adds to on a node, each once."""
    paths = (extra.path for extra in lab.config if extra.scope in (EVERY_NODE, node))
    return tuple(dict.fromkeys(path for path in paths if not path.startswith("/")))


def complaints(node: str, paths: Iterable[str], log: str, read_by: Mapping[str, frozenset[str]]) -> list[ConfigProblem]:
    """The warnings and errors of Asterisk's log that name one of the files, or come of a module that has read one and
    name no other file that it has read.

    Each is given once, however often it is in the log.
    """
    lines = [(match[1], match[2]) for match in map(_COMPLAINT.search, log.splitlines()) if match]
    problems: dict[ConfigProblem, None] = {}
    for path in paths:
        name = _named(path)
        others = [_named(other) for other in read_by if other != path]
        for module, text in lines:
            of_its_reader = module in read_by.get(path, ()) and not any(other.search(text) for other in others)
            if name.search(text) or of_its_reader:
                problems[ConfigProblem(node, path, text)] = None
    return list(problems)


def _named(path: str) -> re.Pattern[str]:
    """What finds the name of a file in a line."""
    return re.compile(rf"(?<![\w.-]){re.escape(path.rpartition('/')[2])}\b")


def unread(
    node: str,
    paths: Iterable[str],
    read_by: Mapping[str, frozenset[str]],
    modules: Iterable[str],
    included: Callable[[str], bool],
) -> list[ConfigProblem]:
    """The files that nothing on the node reads. `included`: whether another of its files includes one of a name."""
    loaded = set(modules)
    return [
        ConfigProblem(node, path, "nothing that is loaded on this node reads it: is its name right, or `modules: all`?")
        for path in paths
        if not _is_read(path, read_by, loaded) and not included(path.rpartition("/")[2])
    ]


def _is_read(path: str, read_by: Mapping[str, frozenset[str]], loaded: set[str]) -> bool:
    name = path.removeprefix("asterisk/")
    if path.startswith("corosync/"):
        return bool(_COROSYNC_READS.fullmatch(path))
    if name in OTHER_READERS:
        return OTHER_READERS[name] in loaded
    # What is no configuration of Asterisk's, such as a key or a sound, is read when it is wanted.
    return path in read_by or not name.endswith(".conf")


READ_BY_NAME = ("general", "options", "modules", "directories", "logfiles")
"""Sections that Asterisk asks for by name, and so has the first of (main/config.c, ast_variable_browse)."""


def doubled(node: str, texts: Mapping[str, str]) -> list[ConfigProblem]:
    """The sections that a file has twice, of which Asterisk reads the first alone; `texts` is by path below /etc."""
    problems = []
    for path, text in texts.items():
        begun = re.findall(r"^\s*\[([^\]]+)\][ \t]*(\([^)]*\))?", text, re.MULTILINE)
        anew = [name for name, options in begun if "+" not in options]
        for name in READ_BY_NAME:
            if path.startswith("asterisk/") and anew.count(name) > 1:
                what = f"[{name}] is there twice, and Asterisk reads the first alone: [{name}](+) adds to that"
                problems.append(ConfigProblem(node, path, what))
    return problems


def look(
    lab: Lab, node: str, log: str, ask: Callable[[str], str], texts: Mapping[str, str] | None = None
) -> list[ConfigProblem]:
    """Every problem of a node's added files, of what these say (`texts`, by path), of its log and of what its Asterisk
    has read.

    `ask` gives the answer to a command of Asterisk's command line, or raises LabError; then the log alone tells.
    """
    paths = added_files(lab, node)
    if not paths:
        return []
    read_by: dict[str, frozenset[str]] | None = None
    modules: tuple[str, ...] = ()
    with suppress(LabError):
        read_by = readers(ask(LIST_COMMAND))
        modules = output.parse_modules(ask("module show"))
    problems = doubled(node, {path: (texts or {}).get(path, "") for path in paths})
    problems += complaints(node, paths, log, read_by or {})
    if read_by is None:
        return problems
    added = [extra.text if extra.edits is None else str(extra.edits) for extra in lab.config]

    def included(name: str) -> bool:
        return any(re.search(rf"^\s*#\w+\s+[\"<]?{re.escape(name)}\b", text, re.MULTILINE) for text in added)

    return problems + unread(node, paths, read_by, modules, included)
