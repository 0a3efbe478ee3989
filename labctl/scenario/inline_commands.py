"""What of a scenario has nodes run commands or programs of its own, or write files there: `config:`, services, patches,
steps. Pure.

A scenario may be a stranger's, so these are named, with file and line, before anything is run. What only looks like one
is named too: `--trust` costs a user little, an unseen command much.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from labctl.errors import Problem, UsageError
from labctl.lab import Lab, Node, Version
from labctl.labfile.config_form import texts
from labctl.labfile.node_versions import VERSIONS, split
from labctl.labfile.variables import OWN, Values, filled
from labctl.scenario.file_changes import FileChange
from labctl.scenario.step_registry import Step
from labctl.yamlfile.document import Document, Path, shown

_APPLICATIONS = (
    "System TrySystem AGI EAGI DeadAGI AsyncAGI ExternalIVR MixMonitor Monitor MP3Player NBScat ICES Festival"
)
"""Applications of Asterisk 1.6 to 22 that start programs (apps/app_*.c and res/res_agi.c: their calls of fork)."""

_FUNCTIONS = "SHELL FILE EVAL EVAL_EXTEN"
"""Functions that start a program, write files, or evaluate what nobody can see beforehand (funcs/func_*.c)."""

_VARIABLES = "MONITOR_EXEC MONITOR_EXEC_ARGS MIXMONITOR_EXEC"

_OPTIONS = "record_command"
"""Options of confbridge.conf, and of CONFBRIDGE() in a dialplan, that are commands."""

WORDS = tuple(f"{_APPLICATIONS} {_FUNCTIONS} {_VARIABLES} {_OPTIONS}".split())

_WORDS = re.compile(rf"(?<![\w-])({'|'.join(WORDS)})(?![\w-])", re.I)

_SETTINGS = re.compile(
    r"^\s*(execincludes|live_dangerously|exec_after_rotate|exec_\w+|\w*cmd|externnotify|externpass\w*|application"
    r"|mwimonitornotify|festivalcommand|astmoddir|loadplugins?)\s*[=:]",
    re.I,
)
"""Keys whose value is a command, or that allow some: of asterisk.conf, logger.conf, voicemail.conf, minivm.conf,
musiconhold.conf, alarmreceiver.conf, chan_dahdi.conf, festival.conf, and corosync.conf (quorum.device.heuristics)."""

_OPENS = r"(?:\s*[(,]|\s)"  # what stands between an application and its arguments: the last on the command line
_ASSEMBLED = re.compile(
    rf"\b(?:Try)?Exec{_OPENS}[^(),]*\$\{{"  # Exec(${application}(…))
    rf"|\bExecIf{_OPENS}.*[?:][^(),:]*\$\{{"
    rf"|\bOriginate{_OPENS}.*,(?:\s*app\s*|[^,)]*\$\{{[^,)]*),[^,)]*\$\{{"  # its kind may be put together, too
    r"|\$\{[^{}()]*\$\{[^()]*\}[^{}()]*\("  # ${${function}${rest}(…)}
    rf"|\bM?Set{_OPENS}[^(),=]*\$\{{[^(),=]*\}}[^(),=]*\(",
    re.I,
)
"""A name of an application or function that is put together while it runs."""

_QUEUE = re.compile(r"\bQueue\s*[(,](?:[^,]*,){5}\s*[^,)\s]", re.I)
"""The sixth argument of Queue() is an AGI script."""

COMMANDS = ("cli", "ami", "exec")
"""Steps that hand a node words of the scenario's own."""

STEP = "step.conf"
"""The texts of such a step are read as a file of this name."""

_WRITING = ("updateconfig", "createconfig")
"""Actions of AMI that write files of configuration, whatever is in these."""

MAX_NESTED = 128
"""Comments within comments that Asterisk knows (main/config.c, MAX_NESTED_COMMENTS)."""

_INCLUDED = re.compile(r"^\s*#\s*exec\b", re.I)


def commands(files: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """The path, the line (from 1) and what is in it, of every line of some files that has a command run.

    `files` holds the text by path below /etc.
    """
    all_plain = _all_plain(files)
    return [
        (path, number, what)
        for path, text in files.items()
        for number, (_, line) in enumerate(_lines(text, all_plain), 1)
        for what in _what(path, line)
    ]


def _all_plain(paths: Iterable[str]) -> bool:
    """Whether comments in files are as in Asterisk's own: others, and what these include, have other comments."""
    return all(path.endswith(".conf") for path in paths)


def _lines(text: str, all_plain: bool) -> list[tuple[str, str]]:
    """Each line as it stands, and what of it may be read."""
    both = zip(text.splitlines(), _read(text), strict=True)
    return [(raw, line if all_plain else f"{line} {raw}") for raw, line in both]


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
        if not depth and ";" not in line:
            lines.append(line)
            continue
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


def _in_text(path: str, text: str, lab: Lab) -> Iterator[tuple[int, str]]:
    """The lines of a text that have a command run, as they are and with the names of any node of the lab filled in."""
    ways = {text, *(filled(text, _names(lab, node)) for node in lab.nodes)}
    found = {number: what for way in ways for _, number, what in commands({path: way})}
    yield from sorted(found.items())


def _names(lab: Lab, node: Node) -> Values:
    """What whoever wrote the lab file chose of what comes into a node's files."""
    of_nodes = {other.name: {"name": other.name, "site": other.site} for other in lab.nodes}
    of_services = {service.name: {"name": service.name} for service in lab.services}
    return {"lab": {"name": lab.name}, **of_nodes, **of_services, OWN: of_nodes[node.name]}


def _came_in(by: object, changes: Sequence[FileChange], named: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each line that a part of `config:` or a step brings into a node's file and that has a command run, with what that
    is, whatever form it was written in. Lines that are `named` already are left out."""
    all_plain = _all_plain(change.path for change in changes)
    for change in changes:
        if change.by is not by:
            continue
        before = Counter(_lines(change.before, all_plain))
        known = {_bare(filled(line, change.values)) for line in named}
        for both in _lines(change.after, all_plain):
            before[both] -= 1
            if before[both] < 0 and _bare(both[0]) not in known:
                yield from ((both[0].strip(), what) for what in _what(change.path, both[1]))


def _bare(line: str) -> str:
    """A line in one form of those that say the same of a key."""
    return re.sub(r"\s*(=>|[=:])\s*", "=", line.strip(), count=1)


def in_lab(document: Document, lab: Lab, changes: Sequence[FileChange]) -> tuple[str, ...]:
    """Each command in the `config:` of a lab file that holds no mistakes, as `file:line: …`; `changes` are what comes
    of it."""
    config: Mapping[str, Mapping[str, Any]] = document.data.get("config") or {}
    problems = [
        Problem(line, f"{scope}: {path}: {what}: {shown(text)}")
        for scope, files in config.items()
        for path, value in files.items()
        if not path.startswith("/")
        for line, text, what in _in_file(document, ("config", scope, path), value, lab, changes)
    ]
    problems += [
        Problem(document.line(("config", scope, path)), f"{scope}: {path}: a file of its own")
        for scope, files in config.items()
        for path in files
        if path.startswith("/")
    ]
    return tuple(problem.render(document.source) for problem in sorted(set(problems)))


def _in_file(
    document: Document, at: tuple[str, str, str], value: Any, lab: Lab, changes: Sequence[FileChange]
) -> list[tuple[int, str, str]]:
    """The same of what one file gets: the line of the lab file, the line that comes of it, and what that runs."""
    _, scope, path = at
    found = [
        (_line(document, (*at, *place), number), text.splitlines()[number - 1].strip(), what)
        for place, text in texts(value)
        for number, what in _in_text(path, text, lab)
    ]
    parts = [extra for extra in lab.config if (extra.scope, extra.path) == (scope, path)]
    new = [came for part in parts for came in _came_in(part, changes, [text for _, text, _ in found])]
    return [*found, *((document.line(at), *came) for came in new)]


def in_services(document: Document) -> tuple[str, ...]:
    """What each service of a lab file that holds no mistakes runs, as `file:line: …`."""
    services: Mapping[str, Mapping[str, Any]] = document.data.get("services") or {}
    problems = [
        Problem(document.line(("services", name)), f"services: {name}: {shown(_run_by(service))}")
        for name, service in services.items()
    ]
    return tuple(problem.render(document.source) for problem in problems)


def in_versions(document: Document, lab: Lab) -> tuple[str, ...]:
    """Each node of a lab file that holds no mistakes which runs an image or a patch of its own, as `file:line: …`: what
    comes into a build of Asterisk may be any program."""
    line = split(document).line
    problems = [
        Problem(line((VERSIONS, node.name, key)), f"{node.name}: {own}")
        for node in lab.nodes
        for key, own in _own_programs(node.version)
    ]
    return tuple(problem.render(document.source) for problem in problems)


def _own_programs(version: Version) -> list[tuple[str, str]]:
    """What a node runs that may be any program, each with its key."""
    image = [("image", f"image {shown(version.image)}")] if version.image else []
    return [*image, *(("patch", f"patch {shown(patch.name)}") for patch in version.patches)]


def _run_by(service: Mapping[str, Any]) -> str:
    command = service.get("command") or f"what the image {service.get('image')} runs"
    return " ".join(command.split() if isinstance(command, str) else map(str, command))


def runs(text: str) -> bool:
    """Whether a text that a node is told may have it run commands."""
    return bool(commands({STEP: text}))


def _writes(step: Step) -> bool:
    return str(step.arguments.get("action", "")).lower() in _WRITING


def in_steps(steps: Sequence[Step], source: str, lab: Lab, changes: Sequence[FileChange]) -> tuple[str, ...]:
    """Each step that has a node run a command of the shell, or what only looks so, as `file:line: …`; `changes` are
    what comes of those that change files."""
    problems = [
        Problem(step.line, f"{step.verb} on {step.arguments['node']}: {shown(text)}")
        for step in steps
        for text in _texts(step)
        if step.verb == "exec" or _writes(step) or any(_in_text(STEP, text, lab))
    ]
    problems += [
        Problem(step.line, f"upgrade of {step.arguments['node']}: patch {shown(PurePath(patch['source']).name)}")
        for step in steps
        if step.verb == "upgrade"
        for patch in step.arguments.get("patch") or ()
    ]
    problems += [
        Problem(step.line, f"configure on {step.arguments['node']}: {step.arguments['file']}: {what}: {shown(text)}")
        for step in steps
        if step.verb == "configure"
        for text, what in _in_change(step, lab, changes)
    ]
    return tuple(problem.render(source) for problem in sorted(set(problems)))


def _in_change(step: Step, lab: Lab, changes: Sequence[FileChange]) -> list[tuple[str, str]]:
    """What a step that changes a file has run: the text or line, and what that is."""
    wanted = [text for _, text in texts(step.arguments.get("text") or step.arguments.get("keys"))]
    found = [(text, number, what) for text in wanted for number, what in _in_text(step.arguments["file"], text, lab)]
    named = [text.splitlines()[number - 1] for text, number, _ in found]
    return [*((text, what) for text, _, what in found), *_came_in(step, changes, named)]


def _texts(step: Step) -> Iterator[str]:
    """What a step gives a node to run."""
    if step.verb in COMMANDS:
        yield str(step.arguments.get("command") or step.arguments.get("action"))
        headers = {str(name).lower(): str(value) for name, value in step.arguments.get("headers", {}).items()}
        if "application" in headers:  # as the command line has it
            yield f"{headers.pop('application')} {headers.pop('data', '')}"
        yield from headers.values()


def _line(document: Document, path: Path, number: int) -> int:
    """The line of the file on which such a line of a text stands; that of its key where it is not a block of lines."""
    first = document.lines.get((*path, 0))
    return first + number - 1 if first else document.line(path)


def refuse(named: tuple[str, ...], *, trusted: bool) -> None:
    """Raise UsageError that names what a scenario has run in its lab's containers, unless it is trusted."""
    if named and not trusted:
        lines = "\n".join(named)
        raise UsageError(
            f"this scenario may have its nodes run commands or builds, or write files there, or has services:\n{lines}",
            "they run in the lab's containers, as Asterisk does; if you have read them and want that: --trust",
        )
