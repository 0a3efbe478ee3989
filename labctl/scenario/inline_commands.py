"""What of a scenario's `config:` has Asterisk or Corosync run commands, or write files, on the node. Pure.

A scenario may be a stranger's, so these are named, with file and line, before anything is run. What only looks like one
is named too: `--trust` costs a user little, an unseen command much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from labctl.errors import Problem, UsageError
from labctl.yamlfile.document import Document, Path, shown

_APPLICATIONS = (
    "System TrySystem AGI EAGI DeadAGI AsyncAGI ExternalIVR MixMonitor Monitor MP3Player NBScat ICES Festival"
)
"""Applications of Asterisk 1.6 to 22 that start programs (apps/app_*.c and res/res_agi.c: their calls of fork)."""

_FUNCTIONS = "SHELL FILE EVAL EVAL_EXTEN"
"""Functions that start a program, write files, or evaluate what nobody can see beforehand (funcs/func_*.c)."""

_VARIABLES = "MONITOR_EXEC MONITOR_EXEC_ARGS MIXMONITOR_EXEC"

_WORDS = re.compile(rf"(?<![\w-])({'|'.join(f'{_APPLICATIONS} {_FUNCTIONS} {_VARIABLES}'.split())})(?![\w-])", re.I)

_SETTINGS = re.compile(
    r"^\s*(execincludes|live_dangerously|exec_after_rotate|exec_\w+|\w*cmd|externnotify|externpass\w*|application"
    r"|mwimonitornotify|festivalcommand|astmoddir|loadplugins?)\s*[=:]",
    re.I,
)
"""Keys whose value is a command, or that allow some: of asterisk.conf, logger.conf, voicemail.conf, minivm.conf,
musiconhold.conf, alarmreceiver.conf, chan_dahdi.conf, festival.conf, and corosync.conf (quorum.device.heuristics)."""

_ASSEMBLED = re.compile(
    r"\b(?:Try)?Exec\s*[(,][^(),]*\$\{"  # Exec(${application}(…))
    r"|\bExecIf\s*[(,].*[?:][^(),:]*\$\{[^}]*\}[^(),:]*\("
    r"|\bOriginate\s*[(,].*,\s*app\s*,[^,)]*\$\{"
    r"|\$\{[^{}()]*\$\{[^{}]*\}[^{}()]*\("  # ${${function}(…)}
    r"|\bM?Set\s*[(,][^(),=]*\$\{[^{}]*\}[^(),=]*\(",
    re.I,
)
"""A name of an application or function that is put together while it runs."""

_QUEUE = re.compile(r"\bQueue\s*[(,](?:[^,]*,){5}\s*[^,)\s]", re.I)
"""The sixth argument of Queue() is an AGI script."""

MAX_NESTED = 128
"""Comments within comments that Asterisk knows (main/config.c, MAX_NESTED_COMMENTS)."""

_INCLUDED = re.compile(r"^\s*#\s*exec\b", re.I)


def commands(files: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """The path, the line (from 1) and what is in it, of every line of some files that has a command run.

    `files` holds the text by path below /etc.
    """
    all_plain = all(path.endswith(".conf") for path in files)  # others, and what they include, have other comments
    return [
        (path, number, what)
        for path, text in files.items()
        for number, (raw, line) in enumerate(zip(text.splitlines(), _read(text), strict=True), 1)
        for what in _what(path, line if all_plain else f"{line} {raw}")
    ]


def _what(path: str, line: str) -> Iterator[str]:
    """What one line of a file has run: the first such thing alone."""
    setting, word = _SETTINGS.search(line), _WORDS.search(line)
    if path.endswith(".lua"):
        if line.strip():
            yield "a program in Lua"
    elif _INCLUDED.search(line):
        yield "#exec"
    elif setting:
        yield setting[1]
    elif word:
        yield word[1]
    elif _ASSEMBLED.search(line):
        yield "a name that is put together while it runs"
    elif _QUEUE.search(line):
        yield "Queue with an AGI script"


def _read(text: str) -> list[str]:
    """The lines as Asterisk reads them, without comments; what stands round one within a line is drawn together.

    Asterisk 22, main/config.c, config_text_file_load: `;` to the end of the line, `;-- … --;` over lines and nested,
    `\\;` is no comment. Where such comments do not pair, each line is read as if it were none.
    """
    depth, lines = 0, []
    for line in text.splitlines():
        kept, rest = "", line
        while rest:
            if rest.startswith("\\;"):
                kept, rest = kept if depth else f"{kept};", rest[2:]
            elif rest.startswith(";--") and rest[3:4] != "-":
                depth, rest = depth + 1, rest[3:]
            elif rest.startswith("--;"):
                depth, rest = depth - 1, rest[3:]
            elif depth:
                rest = rest[1:]
            elif rest.startswith(";"):
                break
            else:
                kept, rest = kept + rest[0], rest[1:]
            if not 0 <= depth <= MAX_NESTED:
                return text.splitlines()
        lines.append(kept)
    return text.splitlines() if depth else lines


def in_lab(document: Document) -> tuple[str, ...]:
    """Each command in the `config:` of a lab file that holds no mistakes, as `file:line: …`."""
    config: Mapping[str, Mapping[str, Any]] = document.data.get("config") or {}
    problems = [
        Problem(
            _line(document, ("config", scope, path), number),
            f"{scope}: {path}: {what}: {shown(files[path].splitlines()[number - 1].strip())}",
        )
        for scope, files in config.items()
        for path, number, what in commands(files)
    ]
    return tuple(problem.render(document.source) for problem in sorted(set(problems)))


def _line(document: Document, path: Path, number: int) -> int:
    """The line of the file on which such a line of a text stands; that of its key where it is not a block of lines."""
    first = document.lines.get((*path, 0))
    return first + number - 1 if first else document.line(path)


def refuse(named: tuple[str, ...], *, trusted: bool) -> None:
    """Raise UsageError that names the commands which a scenario has run on its nodes, unless it is trusted."""
    if named and not trusted:
        lines = "\n".join(named)
        raise UsageError(
            f"this scenario may have its nodes run commands, or write files there:\n{lines}",
            "they run in the lab's containers, as Asterisk does; if you have read them and want that: --trust",
        )
