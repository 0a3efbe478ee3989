"""What of a scenario's configuration has a node run commands is named; what has not, is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.errors import UsageError
from labctl.lab import Overrides
from labctl.scenario import inline_commands, loader
from tests.unit.test_scenario import read as read_scenario

RUN_COMMANDS = [
    "exten => 1,1,System(ls)",
    "same => n,system(ls)",
    "exten => 1,1,System,ls",
    "same => n,TrySystem(ls)",
    "same => n,ExecIf($[1]?System:ls)",
    "same => n,Sys;-- nothing --;tem(ls)",
    "same => n,Sys;-- a ;-- b --; c --;tem(ls)",
    "same => n,NoOp(\\;) same => n,System(ls)",
    "same => n,Set(x=${SHELL(ls)})",
    "same => n,Set(FILE(/etc/service/asterisk/run)=x)",
    "same => n,Set(x=${EVAL(${y})})",
    "same => n,Set(x=${${y}LL(ls)})",
    "same => n,Exec(${a}${b}(ls))",
    "same => n,TryExec(Sys${b}(ls))",
    "same => n,ExecIf(1?${a}(ls))",
    "same => n,Originate(Local/1,app,${a},ls)",
    "same => n,NoOp(${${a}${b}(ls)})",
    "same => n,NoOp(${${a}${b}${c}(ls)})",
    "same => n,NoOp(${${${a}}(ls)})",
    "same => n,Set(${${a}}(/etc/x)=1)",
    "same => n,ExecIf(1?${a}${b})",
    "same => n,Originate(Local/1,${t},${a}${b},ls)",
    "same => n,Originate(Local/1,a${t},${a}${b},ls)",
    "startup = channel originate Local/1@a application Exec ${a}${b}(ls)",
    "startup = channel originate Local/1@a application ExecIf 1?${a}${b}(ls)",
    "same => n,AGI(x.sh)",
    "same => n,EAGI(x.sh)",
    "same => n,ExternalIVR(x)",
    "same => n,MixMonitor(a.wav,,ls)",
    "same => n,Queue(q,,,,30,x.sh)",
    "same => n,Set(MONITOR_EXEC=ls)",
    "same => n,Set(CONFBRIDGE(bridge,record_command)=ls)",
    "record_command = ls",
    "alarm = *9,self,System,ls",
    "#exec /bin/ls",
    " # exec /bin/ls",
    "execincludes = yes",
    "live_dangerously=>yes",
    "exec_after_rotate=ls",
    "mailcmd = /bin/ls",
    "pagercmd = /bin/ls",
    "externnotify=/bin/ls",
    "externpasscheck = /bin/ls",
    "application=/usr/bin/mpg123",
    "eventcmd = ls",
    "    exec_ping: /bin/ls",
    "startup = dialplan add extension 1,1,System,ls into node",
    "--; System(ls)",
    "--;\n;--\nsame => n,System(ls)",
    ";--\nsame => n,System(ls)",
]
HARMLESS = [
    "; System(ls)",
    "same => n,NoOp(x) ; System(ls) is not run",
    ";--\nsame => n,System(ls)\n--;",
    "[general]\nrtpstart=20000",
    "entityid = 02:00:00:00:00:01",
    "load = res_agi.so",
    "exten => system-1,1,NoOp()",
    'same => n,ExecIf($["${x}" = "1"]?Set(a=b))',
    "same => n,Exec(NoOp,${x})",
    "same => n,Set(x=${y} ${z} (it))",
    "same => n,Set(x_${CHANNEL(name)}=1)",
    "same => n,Originate(Local/1,exten,${x},1,1)",
    "startup = channel originate Local/1@a application Playback ${x}",
    "startup = channel originate Local/1@a extension ${x}@lab",
    "same => n,Queue(q,,,,30)",
    "same => n,Dial(PJSIP/${EXTEN})",
    "logging {\n  debug: on\n}",
]


@pytest.mark.parametrize("text", RUN_COMMANDS)
def test_what_runs_a_command_is_named(text: str) -> None:
    assert inline_commands.commands({"asterisk/extensions.conf": text})


@pytest.mark.parametrize("text", HARMLESS)
def test_what_runs_none_is_not(text: str) -> None:
    assert inline_commands.commands({"asterisk/extensions.conf": text}) == []


def test_a_program_is_one_whatever_it_says() -> None:
    assert inline_commands.commands({"asterisk/extensions.lua": "x = 1"})


def test_where_a_file_has_other_comments_none_hides_anything() -> None:
    assert inline_commands.commands({"asterisk/extensions.ael": 'context a { 1 => { ; System("ls"); } }'})
    files = {"asterisk/extensions.ael": '#include "more.conf"', "asterisk/more.conf": '; System("ls");'}
    assert [path for path, _, _ in inline_commands.commands(files)] == ["asterisk/more.conf"]


SCENARIO = """\
title: A stranger's
lab:
  config:
    all:
      asterisk/rtp.conf: |
        [general]
      asterisk/extensions.conf: |
        [more]
        exten => 1,1,System(ls)
    n1: {asterisk/logger.conf: "[general]\\nexec_after_rotate=ls"}
steps:
  - settle
"""


def test_each_is_named_with_file_and_line() -> None:
    commands = read_scenario(SCENARIO).commands
    assert [line.split(": ")[0].rpartition(":")[2] for line in commands] == ["9", "10"]
    assert "all: asterisk/extensions.conf: System: exten => 1,1,System(ls)" in commands[0]
    with pytest.raises(UsageError, match=r"exec_after_rotate") as refused:
        inline_commands.refuse(commands, trusted=False)
    assert "--trust" in refused.value.hint
    inline_commands.refuse(commands, trusted=True)


def test_a_build_is_named_on_its_line_wherever_it_stands() -> None:
    sites = "title: T\nlab:\n  sites:\n    east: [{name: e1, image: x}, e2]\n    west: 2\nsteps: [settle]\n"
    versions = "title: T\nlab:\n  nodes: 3\n  versions:\n    n2:\n      image: x\n"
    for text, line in ((sites, 4), (versions + "steps: [settle]\n", 6)):
        assert [command.split(":")[1] for command in read_scenario(text).commands] == [str(line)]


def test_what_is_put_together_of_names_of_the_lab_is_seen() -> None:
    text = "title: T\nlab: {nodes: [n1, tem]}\nsteps:\n"
    step = '  - cli: {node: n1, command: "channel originate Local/1 application Sys${NAME} ls"}\n'
    for name, count in (("tem.name", 1), ("node.name", 1), ("n1.name", 0)):
        assert len(read_scenario(text + step.replace("NAME", name)).commands) == count


def test_a_file_of_its_own_is_named_whatever_is_in_it() -> None:
    text = SCENARIO.replace("asterisk/rtp.conf: |\n        [general]", "/etc/odbc.ini: |\n        System(ls)")
    commands = read_scenario(text).commands
    assert [line.split(": ")[0].rpartition(":")[2] for line in commands] == ["5", "9", "10"]
    assert commands[0].endswith("all: /etc/odbc.ini: a file of its own")


KEYS = """
    execincludes live_dangerously exec_after_rotate exec_ping mailcmd eventcmd externnotify externpasscheck application
    mwimonitornotify festivalcommand astmoddir loadplugin record_command
"""
LINES = [
    *((key, "/bin/ls") for key in KEYS.split()),
    *((f"x{n}", f"*9,self,{w},ls") for n, w in enumerate(inline_commands.WORDS)),
]
FORMS: dict[str, Callable[[str, str], Any]] = {
    "a body of one line": lambda key, value: f"{key} = {value}",
    "a body of lines": lambda key, value: f"; nothing\n{key} = {value}\n",
    "a key": lambda key, value: {key: value},
    "a key that adds": lambda key, value: {f"{key}+": value},
    "a list": lambda key, value: {key: ["no", value]},
    "a list that adds": lambda key, value: {f"{key}+": ["no", value]},
    "beside what is taken out": lambda key, value: {"old": None, key: value},
}
OLD = "".join(f"[s{number}]\nold = x\n" for number in range(len(LINES)))


def _lab_and_step(file: Any) -> tuple[str, str]:
    """Two scenarios that have a file be this: by their lab, and by a step."""
    of_lab = {"config": {"all": {"asterisk/other.conf": [OLD, file]}}}
    what = {"text": file} if isinstance(file, str) else {"keys": file}
    step = {"configure": {"node": "n1", "file": "asterisk/other.conf", **what}}
    before = {"config": {"all": {"asterisk/other.conf": OLD}}}
    return (
        yaml.safe_dump({"title": "T", "lab": of_lab, "steps": ["settle"]}),
        yaml.safe_dump({"title": "T", "lab": before, "steps": [step]}),
    )


@pytest.mark.parametrize("blind", [False, True], ids=["by its text", "by what comes of it"])
@pytest.mark.parametrize("form", FORMS)
def test_each_word_is_named_in_whatever_form_it_comes(form: str, blind: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if blind:
        monkeypatch.setattr(inline_commands, "texts", lambda _: ())
    sections = {f"s{number}": FORMS[form](*line) for number, line in enumerate(LINES)}
    for scenario in _lab_and_step(sections):
        named = "\n".join(read_scenario(scenario).commands)
        assert [line for line in LINES if not re.search(rf"{line[0]} = {re.escape(line[1])}", named)] == []


def test_what_only_the_files_together_have_run_is_named() -> None:
    """A file of another language reads comments of what it includes otherwise."""
    files = {"asterisk/extensions.ael": '#include "more.conf"\n', "asterisk/more.conf": '; System("ls");\n'}
    scenario = yaml.safe_dump({"title": "T", "lab": {"config": {"n1": files}}, "steps": ["settle"]})
    assert [line.partition(": ")[2] for line in read_scenario(scenario).commands] == [
        'n1: asterisk/more.conf: System: ; System("ls");'
    ]


def test_what_is_labctls_own_is_not() -> None:
    files = {"asterisk/asterisk.conf": {"options": {"verbose": "4"}}, "asterisk/extensions.conf": "; more\n"}
    assert not read_scenario(
        yaml.safe_dump({"title": "T", "lab": {"config": {"all": files}}, "steps": ["settle"]})
    ).commands


@pytest.mark.parametrize("name", loader.shipped_scenarios())
def test_no_shipped_scenario_has_a_node_run_any(name: str) -> None:
    """What services beside the nodes run is what these are for; and versions side by side need a build of their own.

    Two take from a node what labctl's own image has beyond other servers, which nothing but the shell can; one asks
    Asterisk several things at once, where labctl's own connection asks one after the other.
    """
    scenario = loader.find_scenario(name, Overrides())
    services = [service.name for service in scenario.lab.services]
    of_services = rf"^\S+:\d+: (services: ({'|'.join(services)}): |exec on ({'|'.join(services)}): )"
    a_build = r"^\S+:\d+: (n\d|upgrade of n\d): patch \S*second-build\.patch$"
    a_server_as_others = (
        r"^\S+:\d+: exec on (n2: true > /etc/asterisk/cluster-module|east1: mv /etc/ssl/openssl.cnf \S+)$"
    )
    several_at_once = r"^\S*members-asked-at-once:\d+: exec on n1: ask\(\) "
    allowed = [a_build, a_server_as_others, several_at_once, *([of_services] if services else [])]
    others = [line for line in scenario.commands if not any(re.match(pattern, line) for pattern in allowed)]
    assert others == []


PATCH = """\
--- a/main/cli.c
+++ b/main/cli.c
@@ -1,1 +1,2 @@
 /*
+ * x
"""


def test_a_build_of_ones_own_is_named_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.patch").write_text(PATCH)
    file = tmp_path / "mine.yaml"
    file.write_text(
        "title: T\n"
        "lab:\n"
        "  nodes:\n"
        "    - n1\n"
        "    - {name: n2, patch: mine.patch}\n"
        "    - {name: n3, image: registry/any:1}\n"
        "steps:\n"
        "  - upgrade: {node: n1, patch: mine.patch}\n"
    )
    named = loader.find_scenario(str(file), Overrides()).commands
    assert [line.removeprefix(f"{file}:") for line in named] == [
        "5: n2: patch mine.patch",
        "6: n3: image registry/any:1",
        "8: upgrade of n1: patch mine.patch",
    ]


def test_a_name_that_is_put_together_is_named_in_steps_too() -> None:
    """By variables of the node's, also over the headers of an action. What a step captured is looked at as it runs."""
    steps = """\
title: T
steps:
  - cli: {node: n1, command: dialplan set global A Sys}
  - cli: {node: n1, command: "channel originate Local/600@lab application Exec $${A}$${B}(ls)"}
  - ami: {node: n1, action: Originate, headers: {Channel: Local/600@lab, Application: Exec, Data: "$${A}$${B}(ls)"}}
  - ami: {node: n1, action: Originate, headers: {Channel: Local/600@lab, Application: Wait, Data: "1"}}
"""
    named = read_scenario(steps).commands
    assert [line.split(":")[1] for line in named] == ["4", "5"]
